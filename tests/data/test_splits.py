"""What may be learned from, and what is asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.data.interactions import Interactions
from mmrec.data.splits import leave_one_out, time_split
from mmrec.errors import InvalidArgumentError


def _made(*histories: list[int]) -> Interactions:
    users = [f"u{u}" for u, items in enumerate(histories) for _ in items]
    return Interactions.from_columns(
        users,
        [item for items in histories for item in items],
        [t for items in histories for t in range(len(items))],
    )


def test_the_last_event_is_the_test_and_the_one_before_the_validation() -> None:
    split = leave_one_out(_made([1, 2, 3, 4], [5, 6], [7, 8, 9]))
    assert [split.train.history(u).tolist() for u in range(3)] == [[1, 2], [5, 6], [7]]
    assert split.validation.users_U.tolist() == [0, 2]
    assert [h.tolist() for h in split.validation.histories] == [[1, 2], [7]]
    assert split.validation.targets_U.tolist() == [3, 8]
    assert [h.tolist() for h in split.test.histories] == [[1, 2, 3], [7, 8]]
    assert split.test.targets_U.tolist() == [4, 9]


def test_short_histories_can_be_kept_out_of_the_questions() -> None:
    split = leave_one_out(_made([1, 2, 3, 4], [7, 8, 9]), min_events=4)
    assert split.test.users_U.tolist() == [0]
    assert split.train.history(1).tolist() == [7, 8, 9]


def test_nobody_has_enough_events() -> None:
    with pytest.raises(InvalidArgumentError, match="none of the 1 users has 3 events"):
        leave_one_out(_made([1, 2]))
    with pytest.raises(InvalidArgumentError, match="min_events is 2"):
        leave_one_out(_made([1, 2, 3]), min_events=2)


def test_two_moments_divide_all_users() -> None:
    users = ["a"] * 6 + ["b"] * 4
    events = Interactions.from_columns(users, range(10), [1, 2, 3, 7, 8, 9, 4, 5, 6, 10])
    split = time_split(events, 0.2, 0.2)  # moments 7 and 9
    assert split.train.times_E.max() == 6
    assert (split.validation.users_U.tolist(), split.validation.targets_U.tolist()) == ([0], [3])
    assert [h.tolist() for h in split.validation.histories] == [[0, 1, 2]]
    assert (split.test.users_U.tolist(), split.test.targets_U.tolist()) == ([0, 1], [5, 9])
    assert [h.tolist() for h in split.test.histories] == [[0, 1, 2, 3, 4], [6, 7, 8]]


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.1), (0.1, 1.0), (0.5, 0.5), (-1.0, 0.1)])
def test_fractions_out_of_range(validation: float, test: float) -> None:
    with pytest.raises(InvalidArgumentError, match="fraction"):
        time_split(_made([1, 2, 3]), validation, test)


def test_a_period_without_a_question() -> None:
    with pytest.raises(InvalidArgumentError, match="no user has an event in the validation period"):
        time_split(Interactions.from_columns(["a", "b"], [0, 1], [1, 1]))
    with pytest.raises(InvalidArgumentError, match="no events to split"):
        time_split(Interactions.empty())


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 20)), min_size=1, max_size=60))
def test_a_question_sees_nothing_of_its_future(rows: list[tuple[int, int, int]]) -> None:
    users, items, times = zip(*rows, strict=True)
    events = Interactions.from_columns([str(u) for u in users], items, times)
    for divide in (leave_one_out, time_split):
        try:
            split = divide(events)
        except InvalidArgumentError:
            continue
        for part in (split.validation, split.test):
            for u, history, target in zip(part.users_U, part.histories, part.targets_U, strict=True):
                full = events.history(int(u)).tolist()
                assert history.tolist() == full[: len(history)]
                assert len(history) >= 1
                assert target == full[len(history)]
        for u in range(events.users):
            held = np.flatnonzero(split.validation.users_U == u)
            if len(held):
                seen = split.train.history(u).tolist()
                assert seen == split.validation.histories[held[0]].tolist()
