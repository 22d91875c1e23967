from __future__ import annotations

import numpy as np
import pytest

from mmrec.errors import InvalidDatasetError
from mmrec_encoders.finetuning.splitting import normalised_title, split_titles

TITLES = [f"Lamp {number}" for number in range(200)]


@pytest.mark.parametrize("title", ["Red  Mug", " red mug ", "RED\tMUG", "Ｒed\u00a0mug"])
def test_titles_that_read_the_same_are_the_same(title: str) -> None:
    assert normalised_title(title) == "red mug"


def test_items_with_the_same_title_are_on_the_same_side() -> None:
    twice = [*TITLES, *(title.upper() for title in TITLES)]
    split = split_titles(twice, 0.1)
    np.testing.assert_array_equal(split.held_N[:200], split.held_N[200:])
    np.testing.assert_array_equal(split.title_N[:200], split.title_N[200:])
    assert (split.held_titles, int(split.held_N.sum())) == (20, 40)


def test_the_seed_decides_and_the_order_does_not() -> None:
    first = {TITLES[row] for row in np.flatnonzero(split_titles(TITLES, 0.1, seed=1).held_N)}
    backwards = TITLES[::-1]
    assert {backwards[row] for row in np.flatnonzero(split_titles(backwards, 0.1, seed=1).held_N)} == first
    assert {TITLES[row] for row in np.flatnonzero(split_titles(TITLES, 0.1, seed=2).held_N)} != first


def test_most_titles_stay_where_they_are_when_the_catalogue_grows() -> None:
    before = split_titles(TITLES, 0.2).held_N
    after = split_titles([*TITLES, *(f"Chair {n}" for n in range(20))], 0.2).held_N[:200]
    assert (before == after).mean() >= 0.95


def test_no_more_are_held_out_than_asked_for() -> None:
    assert split_titles(TITLES, 0.5, most=7).held_titles == 7


def test_two_titles_are_held_out_at_least_and_two_left_to_train_on() -> None:
    assert split_titles(TITLES[:4], 0.1).held_titles == 2
    with pytest.raises(InvalidDatasetError, match="have 3 different titles; at least 4 are needed"):
        split_titles(["a", "b", "c", "A"], 0.1)
