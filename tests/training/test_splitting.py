"""Which events are held out, and whether a fit has learned what an evaluation asks."""

import numpy as np
import pytest

from mmrec.data.interactions import Interactions
from mmrec.errors import InvalidArgumentError, InvalidDatasetError
from mmrec.training.splitting import first_moment, leaked_questions, split_events

DAY = 86_400
START = 1_600_000_000


def events(*users: list[tuple[int, int]]) -> Interactions:
    """Per user: (item, day)."""
    names = [f"u{u}" for u, row in enumerate(users) for _ in row]
    items = [item for row in users for item, _ in row]
    return Interactions.from_columns(names, items, [START + DAY * day for row in users for _, day in row])


EARLY_AND_LATE = events(
    *[[(u, 0), (u + 1, 1), (u + 2, 2), (u + 3, 3)] for u in range(5)],
    *[[(u, 0), (u + 1, 10 + u), (u + 2, 11 + u), (u + 3, 12 + u)] for u in range(5)],
)


@pytest.mark.parametrize("name", ["leave-one-out", "time"])
def test_nothing_leaks_into_the_split_of_the_fit(name: str) -> None:
    split = split_events(EARLY_AND_LATE, name, "it")
    assert leaked_questions(EARLY_AND_LATE, split.test, EARLY_AND_LATE, split) == 0


def test_a_fit_on_all_but_the_last_events_has_learned_answers_of_a_time_split() -> None:
    fitted = split_events(EARLY_AND_LATE, "leave-one-out", "it")
    asked = split_events(EARLY_AND_LATE, "time", "it")
    leaked = leaked_questions(EARLY_AND_LATE, asked.test, EARLY_AND_LATE, fitted)
    assert leaked > 0
    assert int(fitted.train.times_E.max()) >= first_moment(EARLY_AND_LATE, asked.test) or leaked


def test_a_fit_by_time_has_learned_the_last_events_of_those_who_left_early() -> None:
    fitted = split_events(EARLY_AND_LATE, "time", "it")
    asked = split_events(EARLY_AND_LATE, "leave-one-out", "it")
    assert leaked_questions(EARLY_AND_LATE, asked.test, EARLY_AND_LATE, fitted) >= 5


def test_older_events_ask_for_what_was_learned_and_newer_ones_do_not() -> None:
    now = events([(0, 0), (1, 1), (2, 2), (3, 3)])
    fitted = split_events(now, "leave-one-out", "it")
    older = events([(0, 0), (1, 1), (2, 2)])
    newer = events([(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)])
    for asked, leaked in ((older, 1), (newer, 0), (events([(7, 0), (8, 1), (9, 2)]), 0)):
        assert leaked_questions(asked, split_events(asked, "leave-one-out", "it").test, now, fitted) == leaked


def test_an_answer_that_happened_twice_at_once_is_held_out_once() -> None:
    twice = events([(0, 0), (5, 1), (1, 2), (5, 3), (5, 3)])
    split = split_events(twice, "leave-one-out", "it")
    assert split.test.targets_U.tolist() == [5]
    assert leaked_questions(twice, split.test, twice, split) == 0


def test_a_split_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="leave-one-out, time"):
        split_events(EARLY_AND_LATE, "random", "it")


def test_positions_cannot_be_split_by_time() -> None:
    positions = Interactions.from_columns(["a"] * 4, [0, 1, 2, 3], [0, 1, 2, 3])
    with pytest.raises(InvalidDatasetError, match="timestamp"):
        split_events(positions, "time", "it")


def test_too_few_events_for_a_time_split_are_an_error_of_the_dataset() -> None:
    with pytest.raises(InvalidDatasetError, match="leave-one-out"):
        split_events(events([(0, 0)], [(1, 5)]), "time", "it")


def test_the_first_moment_is_that_of_the_earliest_answer() -> None:
    split = split_events(EARLY_AND_LATE, "leave-one-out", "it")
    assert first_moment(EARLY_AND_LATE, split.test) == START + 3 * DAY
    assert np.array_equal(split.test.users_U, np.arange(10))
