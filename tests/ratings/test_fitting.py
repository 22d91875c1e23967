"""Fitting a rating model on made ratings whose rules are known."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from mmrec.data.interactions import Interactions
from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.ratings import KnownRatings, simple_predictions
from mmrec.ratings.fitting import RatingConfig, fit_rating_model
from mmrec.ratings.model import RatedHistory, RatingModel
from mmrec.training.ratings import predict_events

SMALL = RatingConfig(factors=2, implicit=4, content=4, rounds=8, last_rounds=2, tuning_users=40)
ITEMS, USERS = 40, 80
NO_CONTENT = np.zeros((ITEMS, 0), np.float32)
Made = tuple[Interactions, npt.NDArray[np.bool_]]


def made(*, mood: float = 0.0, scale: float = 1.0, skip: tuple[int, ...] = ()) -> Made:
    """Ratings of 3 sessions of 6 items each, and which of them are the last of their users.

    Users like even or odd items; of a session all ratings are raised or lowered by the mood.
    """
    rng = np.random.default_rng(4)
    users, items, ratings, times = [], [], [], []
    usable = np.array([item for item in range(ITEMS) if item not in skip])
    for user in range(USERS):
        for session in range(3):
            shift = mood * rng.choice([-1.0, 1.0])
            for place, item in enumerate(rng.choice(usable, 6, replace=False).tolist()):
                taste = 1.0 if (item % 2 == 0) == (user % 2 == 0) else -1.0
                users.append(f"u{user}")
                items.append(item)
                ratings.append(scale * (3.0 + taste + shift + 0.1 * rng.standard_normal()))
                times.append(1_000_000_000 + 10_000_000 * session + place)
    events = Interactions.from_columns(users, items, times, ratings)
    last_E = np.zeros(events.events, np.bool_)
    last_E[events.offsets_U[1:] - 1] = True
    return events, last_E


def errors(
    data: Made, config: RatingConfig = SMALL, content: npt.NDArray[np.float32] = NO_CONTENT
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], RatingModel]:
    """Errors and deviations on each user's last rating, and the model, which has not seen them."""
    events, last_E = data
    known, asked = events.where(~last_E), events.where(last_E)
    validation_E = np.zeros(known.events, np.bool_)
    validation_E[known.offsets_U[1:] - 1] = True
    model = fit_rating_model(known, validation_E, content, config)
    predicted = predict_events(model, known, asked, content)
    assert asked.ratings_E is not None
    return predicted.ratings_T - asked.ratings_E, predicted.deviations_T, model


def rmse(errors_Q: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt((errors_Q**2).mean()))


def test_tastes_are_found_that_biases_cannot_hold() -> None:
    data = made()
    events, last_E = data
    known, asked = events.where(~last_E), events.where(last_E)
    assert known.ratings_E is not None
    biases = simple_predictions(
        KnownRatings(known.users_E, known.items_E, known.ratings_E), asked.users_E, asked.items_E
    )["biases"]
    found, deviations, _ = errors(data)
    assert rmse(biases - np.asarray(asked.ratings_E)) > 0.9
    assert rmse(found) < 0.3
    assert np.mean(np.abs(found) <= deviations) > 0.4
    assert np.mean(np.abs(found) <= 3 * deviations) > 0.95


def test_a_mood_is_learned_from_the_ratings_of_the_same_session() -> None:
    events, last_E = made(mood=1.0)
    timed, _, model = errors((events, last_E))
    hidden, _, _ = errors((replace(events, times_E=np.zeros_like(events.times_E)), last_E))
    assert rmse(timed) < 0.5 < 0.8 < rmse(hidden)
    assert model.scale.timed
    assert model.kernel.of(np.array([1.0]))[0] > 2 * model.kernel.of(np.array([1e7]))[0]


def test_predictions_have_the_unit_of_the_ratings() -> None:
    stars, percent = errors(made()), errors(made(scale=20.0))
    np.testing.assert_allclose(percent[0], 20 * stars[0], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(percent[1], 20 * stars[1], rtol=1e-3)
    assert percent[2].scale.high == pytest.approx(20 * stars[2].scale.high)


def test_an_item_that_nobody_rated_is_known_by_its_content() -> None:
    content = np.zeros((ITEMS + 1, 2), np.float32)
    content[np.arange(ITEMS), np.arange(ITEMS) % 2] = 1.0
    content[ITEMS, 1] = 1.0
    events, last_E = made(skip=(0, 1))
    _, _, model = errors((events, last_E), content=content[:ITEMS])
    known = events.where(~last_E)
    assert known.ratings_E is not None
    likes_even = slice(0, known.offsets_U[1])
    rows = known.items_E[likes_even]
    history = RatedHistory(rows, known.ratings_E[likes_even], known.times_E[likes_even], np.unique(rows))
    # 0 and 1 are in the catalogue of the training, 40 came later.
    asked = np.array([0, 1, ITEMS])
    even, odd, new_odd = model.predict(history, asked, np.full(3, 1.1e9), content[asked]).ratings_T
    assert even > 3.5 > 2.5 > odd
    assert new_odd == pytest.approx(odd, abs=0.3)


def test_the_same_ratings_make_the_same_model() -> None:
    first, second = errors(made())[2], errors(made())[2]
    np.testing.assert_array_equal(first.item_NK, second.item_NK)
    assert first.kernel == second.kernel


def test_ratings_that_are_all_the_same_are_predicted() -> None:
    events, last_E = made()
    found, deviations, model = errors((replace(events, ratings_E=np.full(events.events, 4.0, np.float32)), last_E))
    assert np.abs(found).max() < 1e-6
    assert np.isfinite(deviations).all()
    assert (model.scale.low, model.scale.high) == (4.0, 4.0)


def test_three_ratings_are_enough() -> None:
    events = Interactions.from_columns(["u"] * 3, [0, 1, 0], [1, 2, 3], [1.0, 2.0, 5.0])
    model = fit_rating_model(events, np.array([False, False, True]), np.zeros((2, 0), np.float32), SMALL)
    known = RatedHistory(events.items_E, np.array([1.0, 2.0, 5.0]), events.times_E, np.array([0, 1]))
    found = model.predict(known, np.array([0, 1]), np.array([4, 4]))
    assert ((found.ratings_T >= 1) & (found.ratings_T <= 5)).all()
    assert np.isfinite(found.deviations_T).all()
    assert not model.scale.timed


def test_what_cannot_be_learned_from_is_refused() -> None:
    events, _ = made()
    nobody = np.zeros(events.events, np.bool_)
    for validation_E in (nobody, ~nobody):
        with pytest.raises(InvalidArgumentError, match="ratings are for validation; some and not all must be"):
            fit_rating_model(events, validation_E, NO_CONTENT)
    assert events.ratings_E is not None
    with pytest.raises(InvalidArgumentError, match="without a finite rating"):
        fit_rating_model(replace(events, ratings_E=events.ratings_E + np.nan), nobody, NO_CONTENT)
    with pytest.raises(InvalidArgumentError, match="factors is 0"):
        RatingConfig(factors=0)
