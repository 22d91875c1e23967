"""Measures of predicted ratings, and the predictors that any model of ratings has to beat.

Works on arrays of users, items and ratings; knows nothing of models.
"""

# Axes: E ratings to learn from, Q ratings to predict, U users, N items

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.evaluation.intervals import bootstrap_intervals

Floats = npt.NDArray[np.float64]

_USER_RIDGE = 15.0
_ITEM_RIDGE = 10.0
_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class RatingRow:
    """How good one predictor is.

    Attributes:
        name: The predictor.
        ratings: Held-out ratings that it predicted.
        rmse: Root of the mean squared error, in the unit of the ratings.
        rmse_low: Lower end of its 95% bootstrap interval over ratings.
        rmse_high: Upper end.
        mae: Mean absolute error.
        mae_low: Lower end of its interval.
        mae_high: Upper end.
        within_one: Share of the ratings within one predicted standard deviation, .683 where the deviations are right;
            None for a predictor without any.
        within_two: Within two, .954.
    """

    name: str
    ratings: int
    rmse: float
    rmse_low: float
    rmse_high: float
    mae: float
    mae_low: float
    mae_high: float
    within_one: float | None = None
    within_two: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The attributes."""
        return asdict(self)


RATING_COLUMNS = ("predicted by", "RMSE", "95% of RMSE", "MAE", "95% of MAE", "within 1 and 2 deviations")
"""Columns of `rating_cells`."""


def rating_cells(rows: Sequence[RatingRow]) -> list[list[str]]:
    """The rows of a table of predictors, with the columns `RATING_COLUMNS`."""
    return [
        [
            row.name,
            f"{row.rmse:.4f}",
            f"{row.rmse_low:.4f} to {row.rmse_high:.4f}",
            f"{row.mae:.4f}",
            f"{row.mae_low:.4f} to {row.mae_high:.4f}",
            "" if row.within_one is None else f"{row.within_one:.3f}, {row.within_two:.3f}",
        ]
        for row in rows
    ]


def rating_row(
    name: str, predicted_Q: Floats, ratings_Q: npt.NDArray[Any], deviations_Q: Floats | None = None
) -> RatingRow:
    """The measures of predictions, at least one. Shape of each array: (Q,)."""
    errors_Q = np.abs(np.asarray(ratings_Q, dtype=np.float64) - predicted_Q)
    intervals = bootstrap_intervals({"squared": errors_Q**2, "absolute": errors_Q})
    squared, absolute = intervals["squared"], intervals["absolute"]
    shares = (
        (None, None) if deviations_Q is None else tuple(float((errors_Q <= k * deviations_Q).mean()) for k in (1, 2))
    )
    return RatingRow(
        name,
        len(errors_Q),
        float(np.sqrt((errors_Q**2).mean())),
        float(np.sqrt(squared.low)),
        float(np.sqrt(squared.high)),
        float(errors_Q.mean()),
        absolute.low,
        absolute.high,
        *shares,
    )


class KnownRatings(NamedTuple):
    """Ratings to learn from. Users and items are numbered from 0. Shape of each: (E,)."""

    users_E: npt.NDArray[Any]
    items_E: npt.NDArray[Any]
    ratings_E: npt.NDArray[Any]


def simple_predictions(known: KnownRatings, users_Q: npt.NDArray[Any], items_Q: npt.NDArray[Any]) -> dict[str, Floats]:
    """What predictors without a model say, by name: global mean, user mean, item mean, biases.

    A user or item without a rating has the global mean. The biases are those of Koren 2010 (regularised deviations of
    users and items from the mean, in turns).

    Args:
        known: At least one rating.
        users_Q: Users of the ratings to predict. Shape: (Q,).
        items_Q: Their items. Shape: (Q,).
    """
    users_E, items_E = known.users_E, known.items_E
    values_E = np.asarray(known.ratings_E, dtype=np.float64)
    users = int(max(users_E.max(), users_Q.max(initial=0))) + 1
    items = int(max(items_E.max(), items_Q.max(initial=0))) + 1
    mean = float(values_E.mean())
    around_E = values_E - mean
    user_U, item_N = np.zeros(users), np.zeros(items)
    for _ in range(_ROUNDS):
        item_N = _means(around_E - user_U[users_E], items_E, items, _ITEM_RIDGE)
        user_U = _means(around_E - item_N[items_E], users_E, users, _USER_RIDGE)
    low, high = values_E.min(), values_E.max()
    return {
        "global mean": np.full(len(users_Q), mean),
        "user mean": mean + _means(around_E, users_E, users, 0.0)[users_Q],
        "item mean": mean + _means(around_E, items_E, items, 0.0)[items_Q],
        "biases": np.clip(mean + user_U[users_Q] + item_N[items_Q], low, high),
    }


def _means(values_E: Floats, groups_E: npt.NDArray[Any], groups: int, ridge: float) -> Floats:
    sums = np.bincount(groups_E, weights=values_E, minlength=groups)
    counts = np.bincount(groups_E, minlength=groups) + ridge
    return np.asarray(np.divide(sums, counts, out=np.zeros(groups), where=counts > 0))
