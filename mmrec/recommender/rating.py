"""Predicting ratings: requests in, expected ratings with standard deviations out.

Unit of work: one request. A customer is stored ratings and given ones; nothing is trained. Knows nothing about gRPC.
"""

# Axes: H ratings, T items to rate, C content dimensions

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mmrec.contract.forgotten_users import nobody
from mmrec.contract.items import Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import PredictedRating, PredictedRatings
from mmrec.contract.requests import RatingRequest
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError
from mmrec.ratings.model import RatedHistory, RatingModel
from mmrec.recommender.artefact import Parts


class RatingPredictor:
    """Answers requests from one state of the catalogue.

    Args:
        parts: The catalogue, the stored ratings and the model.
        versions: Named in every reply.
        clock: The current time, in seconds since 1970.
    """

    def __init__(self, parts: Parts, versions: Versions, clock: Callable[[], float] = time.time) -> None:
        self._parts = parts
        self._versions = versions
        self._clock = clock

    def predict_many(
        self, requests: Sequence[RatingRequest], forgets: Callable[[str], bool] = nobody
    ) -> list[PredictedRatings | MmrecError]:
        """Ratings of several requests; one that cannot be answered fails alone.

        Args:
            requests: Requests of any customers.
            forgets: Whether the stored ratings of a customer must not be used.
        """
        return [
            outcome(self._predict, replace(request, user_id="") if forgets(request.user_id) else request)
            for request in requests
        ]

    def _predict(self, request: RatingRequest) -> PredictedRatings:
        model, catalogue = self._parts.rating_model, self._parts.catalogue
        if model is None:
            raise FailedPreconditionError(
                "this bundle cannot predict ratings: its dataset has too few of them (users with at least 3 in the "
                "column 'rating' of the events are needed); add ratings, and fit again"
            )
        _check_ratings(request, model)
        mentioned = (*(event.item_id for event in request.history), *request.item_ids)
        missing = catalogue.missing(mentioned)
        ids = [item_id for item_id in dict.fromkeys(request.item_ids) if item_id not in set(missing)]
        rows_T = np.array([catalogue.row_of(item_id) for item_id in ids], dtype=np.int64)
        now = self._now(model)
        predicted = model.predict(self._history(request, now), rows_T, np.full(len(ids), now), self._content(rows_T))
        ratings = zip(ids, predicted.ratings_T.tolist(), predicted.deviations_T.tolist(), strict=True)
        return PredictedRatings(tuple(PredictedRating(*one) for one in ratings), missing, self._versions)

    def _now(self, model: RatingModel) -> float:
        """The current time, or the position after every stored one."""
        times_E = self._parts.rated.times_E
        return self._clock() if model.scale.timed else float(times_E.max(initial=0) + 1)

    def _history(self, request: RatingRequest, now: float) -> RatedHistory:
        """Stored ratings, and given ones in place of those of the same items."""
        rated, catalogue = self._parts.rated, self._parts.catalogue
        user = rated.user_index(request.user_id) if request.user_id else None
        own = slice(0, 0) if user is None else slice(rated.offsets_U[user], rated.offsets_U[user + 1])
        rows = [(catalogue.row_of(event.item_id), event) for event in request.history]
        given = {row: event for row, event in rows if row is not None and event.rating is not None}
        stays_H = ~np.isin(rated.items_E[own], np.array(list(given), dtype=np.int64))
        stored = () if rated.ratings_E is None else rated.ratings_E[own][stays_H]
        times = [now if event.time is None or not self._timed else event.time for event in given.values()]
        acted = [row for row, _ in rows if row is not None]
        rows_H = np.concatenate([rated.items_E[own][stays_H].astype(np.int64), np.array(list(given), dtype=np.int64)])
        times_H = np.concatenate([rated.times_E[own][stays_H].astype(np.float64), np.array(times, dtype=np.float64)])
        ratings_H = np.concatenate([stored, np.array([event.rating for event in given.values()], dtype=np.float64)])
        return RatedHistory(
            rows_H, ratings_H, times_H, np.unique(np.concatenate([rows_H, np.array(acted, dtype=np.int64)]))
        )

    @property
    def _timed(self) -> bool:
        model = self._parts.rating_model
        return model is not None and model.scale.timed

    def _content(self, rows_T: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Content vectors. Shape: (T, C)."""
        parts = self._parts
        if parts.live is not None:
            return np.asarray(parts.live.content[rows_T].cpu().numpy())
        return np.asarray(parts.generator.catalogue.table().content_NC[rows_T].cpu().numpy())


def _check_ratings(request: RatingRequest, model: RatingModel) -> None:
    low, high = model.scale.low, model.scale.high
    for place, event in enumerate(request.history):
        if event.rating is not None and not low <= event.rating <= high:
            field = f"history[{place}].rating"
            raise InvalidArgumentError(
                f"{field} is {event.rating:g}; the ratings of this bundle's dataset lie between {low:g} and {high:g}, "
                "so convert it to their scale",
                field=field,
            )
