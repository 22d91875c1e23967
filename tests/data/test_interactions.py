"""Events grouped by user and put in order."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.data.interactions import NO_TIME, Interactions
from mmrec.errors import InvalidDatasetError


@pytest.fixture
def interactions() -> Interactions:
    return Interactions.from_columns(
        ["b", "a", "b", "a", "b"], [0, 1, 2, 3, 4], [5, 9, NO_TIME, 8, 4], [1.0, 2.0, 3.0, 4.0, np.nan]
    )


def test_users_stand_in_order_of_first_appearance(interactions: Interactions) -> None:
    assert interactions.user_ids == ("b", "a")
    assert interactions.offsets_U.tolist() == [0, 3, 5]
    assert interactions.history(0).tolist() == [2, 4, 0]
    assert interactions.history(1).tolist() == [3, 1]
    assert interactions.times_E.tolist() == [4, 4, 5, 8, 9]
    assert interactions.users_E.tolist() == [0, 0, 0, 1, 1]
    assert interactions.user_index("a") == 1
    assert interactions.user_index("c") is None


def test_a_user_without_any_time() -> None:
    made = Interactions.from_columns(["a", "a"], [1, 0], [NO_TIME, NO_TIME])
    assert (made.times_E.tolist(), made.history(0).tolist()) == ([0, 0], [1, 0])


def test_the_order_is_settled_before_times_are_rounded() -> None:
    made = Interactions.from_columns(["a", "a"], [0, 1], [1_900_000, 1_100_000], resolution=1_000_000)
    assert (made.history(0).tolist(), made.times_E.tolist()) == ([1, 0], [1, 1])


def test_arrays_are_read_only(interactions: Interactions) -> None:
    with pytest.raises(ValueError, match="read-only"):
        interactions.history(0)[0] = 1


def test_the_table_and_back(interactions: Interactions) -> None:
    again = Interactions.from_table(interactions.to_table())
    assert again.user_ids == interactions.user_ids
    for name in ("offsets_U", "items_E", "times_E", "ratings_E"):
        np.testing.assert_array_equal(getattr(again, name), getattr(interactions, name))


def test_items_that_are_gone_take_their_events_and_lonely_users_along(interactions: Interactions) -> None:
    kept = interactions.restrict_items(np.array([-1, 0, -1, 1, -1]))
    assert kept.user_ids == ("a",)
    assert kept.history(0).tolist() == [1, 0]


def test_columns_of_different_length() -> None:
    with pytest.raises(InvalidDatasetError, match="1 user ids, 2 items"):
        Interactions.from_columns(["a"], [1, 2], [1, 2])


def test_nothing_at_all() -> None:
    assert (Interactions.empty().users, Interactions.empty().events) == (0, 0)
