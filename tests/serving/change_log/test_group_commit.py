from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmrec.errors import UnavailableError
from mmrec_serving.change_log.group_commit import GroupCommit, Ticket


def gathered(works: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
    """The groups that requests come in which wait at the same time."""
    groups: list[list[int]] = []
    turn = threading.Lock()

    def commit(group: Sequence[Ticket[int, int]]) -> None:
        groups.append([ticket.work for ticket in group])
        for ticket in group:
            ticket.give(-ticket.work)

    made: GroupCommit[int, int] = GroupCommit(turn, commit)
    with ThreadPoolExecutor(len(works)) as pool:
        with turn:
            results = []
            for at, (work, size) in enumerate(zip(works, sizes, strict=True)):
                results.append(pool.submit(made.submit, work, size))
                while made.waiting <= at:
                    threading.Event().wait(0.001)
        assert [result.result() for result in results] == [-work for work in works]
    return groups


def test_those_that_wait_at_the_same_time_are_one_group_in_order() -> None:
    assert gathered([1, 2, 3, 4], [10, 10, 10, 10]) == [[1, 2, 3, 4]]


def test_a_group_ends_before_it_is_too_large() -> None:
    assert gathered([1, 2, 3], [20 * 2**20, 20 * 2**20, 5]) == [[1], [2, 3]]
    assert gathered([1, 2], [90 * 2**20, 5]) == [[1], [2]]


def test_what_a_commit_raises_goes_to_those_it_has_not_settled() -> None:
    def commit(group: Sequence[Ticket[int, int]]) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        GroupCommit[int, int](threading.Lock(), commit).submit(1, 1)


def test_a_commit_that_is_interrupted_is_told_to_all_as_not_known() -> None:
    turn, done = threading.Lock(), []

    def commit(group: Sequence[Ticket[int, int]]) -> None:
        group[0].give(7)
        raise KeyboardInterrupt

    made: GroupCommit[int, int] = GroupCommit(turn, commit)

    def ask(work: int) -> None:
        try:
            done.append(made.submit(work, 1))
        except (KeyboardInterrupt, UnavailableError) as err:
            done.append(type(err).__name__)  # type: ignore[arg-type]

    with turn:
        threads = []
        for at in range(3):
            threads.append(threading.Thread(target=ask, args=(at,)))
            threads[-1].start()
            while made.waiting <= at:
                threading.Event().wait(0.001)
    for thread in threads:
        thread.join()
    # Whoever's turn it was is interrupted; the first has its result unless that was its own turn.
    assert sorted(map(str, done)) in (
        ["KeyboardInterrupt", "UnavailableError", "UnavailableError"],
        ["7", "KeyboardInterrupt", "UnavailableError"],
    )
