"""Predictors without a model on a table of six ratings, and the measures of predictions."""

import numpy as np
import pytest

from mmrec.evaluation.ratings import KnownRatings, rating_cells, rating_row, simple_predictions

USERS, ITEMS, RATINGS = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 2, 1]), np.array([5.0, 3.0, 4.0, 1.0, 2.0])


def test_simple_predictors_of_a_small_table() -> None:
    found = simple_predictions(KnownRatings(USERS, ITEMS, RATINGS), np.array([0, 1, 3]), np.array([0, 1, 9]))
    assert found["global mean"].tolist() == [3.0, 3.0, 3.0]
    assert found["user mean"].tolist() == [4.0, 2.5, 3.0]
    assert found["item mean"].tolist() == [4.5, 2.5, 3.0]
    # Nothing is known of the last user and item.
    assert found["biases"][2] == 3.0


def test_biases_are_held_back_by_10_ratings_of_an_item_and_15_of_a_user() -> None:
    known = KnownRatings(np.array([0, 1]), np.array([0, 1]), np.array([5.0, 1.0]))
    found = simple_predictions(known, np.array([0, 1]), np.array([0, 1]))["biases"]
    # item = (2 - user) / 11 and user = (2 - item) / 16: 30 / 175 and 20 / 175.
    assert found.tolist() == pytest.approx([3 + 50 / 175, 3 - 50 / 175])


def test_measures_of_predictions() -> None:
    row = rating_row("one", np.array([3.0, 3.0, 3.0, 3.0]), np.array([3.0, 4.0, 3.0, 1.0]), np.full(4, 1.0))
    assert (row.rmse, row.mae) == (pytest.approx(1.25**0.5), 0.75)
    assert (row.within_one, row.within_two, row.ratings) == (0.75, 1.0, 4)
    assert row.rmse_low < row.rmse < row.rmse_high
    assert row.mae_low < row.mae < row.mae_high
    without = rating_row("two", np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    assert (without.rmse, without.within_one) == (0.0, None)
    assert rating_cells([without]) == [["two", "0.0000", "0.0000 to 0.0000", "0.0000", "0.0000 to 0.0000", ""]]
