"""The stage of a fit that learns to predict ratings: which ratings are held out, the model, and its table.

Ratings low enough to count as negative feedback are learned from and asked for like the others. Knows nothing of
bundles.
"""

# Axes: E rated events, Q held-out ratings, N items, C content dimensions

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.data.interactions import Interactions
from mmrec.data.splits import LeaveOneOut, Split
from mmrec.errors import InvalidDatasetError
from mmrec.evaluation.ratings import KnownRatings, RatingRow, rating_row, simple_predictions
from mmrec.ratings.model import Predicted, RatedHistory, RatingModel
from mmrec.training.splitting import SplitName, split_events

OURS = "mmrec"


class RatingSplit(NamedTuple):
    """A division of rated events.

    Attributes:
        rated: All of them.
        learned_E: Those to learn from, validation included. Shape: (E,), bool.
        validation_E: The part of them that is for validation. Shape: (E,), bool.
        known_E: Those that happened before the user's test rating: the model's input when it is asked. Shape: (E,),
            bool.
        test_E: Those to predict. Shape: (E,), bool.
    """

    rated: Interactions
    learned_E: npt.NDArray[np.bool_]
    validation_E: npt.NDArray[np.bool_]
    known_E: npt.NDArray[np.bool_]
    test_E: npt.NDArray[np.bool_]


def split_ratings(
    rated: Interactions, name: SplitName, interactions: Interactions, held: LeaveOneOut
) -> RatingSplit | None:
    """Divide ratings as events are divided; None where there are too few.

    What the recommender is asked for in its test is not learned from as a rating either.

    Args:
        rated: Events with a rating.
        name: The split.
        interactions: Positive events.
        held: How they are divided.
    """
    if not rated.events:
        return None
    try:
        divided = split_events(rated, name, "the ratings")
    except InvalidDatasetError:
        return None
    validation, test = _places(rated, divided.validation), _places(rated, divided.test)
    validation_E, test_E, known_E = (np.zeros(rated.events, np.bool_) for _ in range(3))
    validation_E[validation], test_E[test] = True, True
    for user, place in zip(divided.test.users_U.tolist(), test.tolist(), strict=True):
        known_E[rated.offsets_U[user] : place] = True
    learned_E = validation_E.copy()
    # Both splits train on what is not later than the last training event of the user, or of everybody.
    starts, lengths = rated.offsets_U[:-1], divided.train.lengths_U
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        learned_E[start : start + length] = True
    learned_E &= ~test_E & ~_matching(rated, interactions, held.test)
    validation_E &= learned_E
    if not validation_E.any() or validation_E.sum() == learned_E.sum():
        return None
    return RatingSplit(rated, learned_E, validation_E, known_E, test_E)


def _places(events: Interactions, questions: Split) -> npt.NDArray[np.int64]:
    """Index of the target of each question."""
    lengths = np.array([len(history) for history in questions.histories], dtype=np.int64)
    return np.asarray(events.offsets_U[:-1][questions.users_U] + lengths)


def _matching(rated: Interactions, interactions: Interactions, questions: Split) -> npt.NDArray[np.bool_]:
    """Rated events that are targets of questions: same user, item and time. Shape: (E,), bool."""
    found_E = np.zeros(rated.events, np.bool_)
    for user, place in zip(questions.users_U.tolist(), _places(interactions, questions).tolist(), strict=True):
        own = rated.user_index(interactions.user_ids[user])
        if own is None:
            continue
        part = slice(rated.offsets_U[own], rated.offsets_U[own + 1])
        same = rated.items_E[part] == interactions.items_E[place]
        found_E[part] |= same & (rated.times_E[part] == interactions.times_E[place])
    return found_E


def predict_events(
    model: RatingModel, known: Interactions, asked: Interactions, content_NC: npt.NDArray[np.float32] | None = None
) -> Predicted:
    """Predict the ratings of events, each user's from that user's known ratings.

    Args:
        model: The model.
        known: Ratings that are the model's input.
        asked: Events of the same users in the same rows.
        content_NC: Content vectors, for items that the model does not have; None: zeros.
    """
    ratings_Q, deviations_Q = np.zeros(asked.events), np.zeros(asked.events)
    assert known.ratings_E is not None  # rated events
    for user in np.flatnonzero(asked.lengths_U).tolist():
        own = slice(known.offsets_U[user], known.offsets_U[user + 1])
        ask = slice(asked.offsets_U[user], asked.offsets_U[user + 1])
        rows_H, rows_T = known.items_E[own], asked.items_E[ask]
        history = RatedHistory(rows_H, known.ratings_E[own], known.times_E[own], np.unique(rows_H))
        content_TC = None if content_NC is None else content_NC[rows_T]
        ratings_Q[ask], deviations_Q[ask] = model.predict(history, rows_T, asked.times_E[ask], content_TC)
    return Predicted(ratings_Q, deviations_Q)


def rating_rows(
    model: RatingModel, split: RatingSplit, content_NC: npt.NDArray[np.float32] | None = None
) -> tuple[RatingRow, ...]:
    """The model beside the predictors without a model, on the test ratings."""
    rated = split.rated
    asked, learned = rated.where(split.test_E), rated.where(split.learned_E)
    assert asked.ratings_E is not None  # rated events
    assert learned.ratings_E is not None
    predicted = predict_events(model, rated.where(split.known_E), asked, content_NC)
    known = KnownRatings(learned.users_E, learned.items_E, learned.ratings_E)
    simple = simple_predictions(known, asked.users_E, asked.items_E)
    return (
        *(rating_row(name, values_Q, asked.ratings_E) for name, values_Q in simple.items()),
        rating_row(OURS, predicted.ratings_T, asked.ratings_E, predicted.deviations_T),
    )
