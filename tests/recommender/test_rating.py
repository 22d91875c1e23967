"""Predicting ratings over a shop whose rating model is made by hand."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from mmrec.contract.items import Versions
from mmrec.contract.replies import PredictedRatings
from mmrec.contract.requests import HistoryEvent, RatingRequest
from mmrec.data.interactions import Interactions
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError
from mmrec.ratings.model import RatingModel, RatingScale, TimeKernel
from mmrec.recommender.rating import RatingPredictor
from tests.recommender.small_shop import NOW, ranking_model

VERSIONS = Versions("m1", "c1", "b1")
DAY = 86_400.0
TIMED = RatingScale(1.0, 5.0, mean=3.0, deviation=1.0, log_count=1.0, log_count_deviation=1.0, timed=True)


def rating_model(*, timed: bool = True) -> RatingModel:
    """Items a to f: b is liked and c is not; users differ by their bias, and their moods halve in a day or a place."""
    f32 = np.float32
    item_NK = np.zeros((6, 2), f32)
    item_NK[1:3, 1] = (1, -1)
    return RatingModel(
        item_NK=item_NK,
        item_variance_NK=np.zeros((6, 2), f32),
        implicit_NK=np.zeros((6, 2), f32),
        content_CK=np.array([[0, 1], [0, 0]], f32),
        content_mean_K=np.zeros(2, f32),
        user_prior_2K=np.zeros((2, 2), f32),
        user_KK=np.zeros((2, 2), f32),
        scale=replace(TIMED, timed=timed),
        kernel=TimeKernel(1.0, scale=DAY if timed else 1.0, power=1.0, noise=1.0),
    )


def predictor(rated: Interactions, model: RatingModel | None) -> RatingPredictor:
    parts = ranking_model({"transitions": 1.0}).parts._replace(rated=rated, rating_model=model)
    return RatingPredictor(parts, VERSIONS, clock=lambda: NOW)


def stored(times: Sequence[float]) -> Interactions:
    """One user, who rated a with 5 and then b with 4."""
    return Interactions.from_columns(["u", "u"], [0, 1], np.array(times, np.int64), [5.0, 4.0])


YESTERDAY = stored([NOW - 10_000 * DAY, NOW - DAY])


def rate(request: RatingRequest, rated: Interactions = YESTERDAY, model: RatingModel | None = None) -> PredictedRatings:
    (found,) = predictor(rated, model or rating_model()).predict_many([request])
    assert isinstance(found, PredictedRatings), found
    return found


def values(found: PredictedRatings) -> dict[str, float]:
    return {one.item_id: round(one.rating, 4) for one in found.ratings}


def test_the_average_user_rates_an_item_as_it_is_rated() -> None:
    found = rate(RatingRequest(("b", "a", "c")))
    assert values(found) == {"b": 4.0, "a": 3.0, "c": 2.0}
    assert [round(one.deviation or 0, 4) for one in found.ratings] == [1.4142] * 3
    assert (found.missing_ids, found.versions) == ((), VERSIONS)


def test_of_a_forgotten_user_given_ratings_alone_are_read() -> None:
    asked = RatingRequest(("b", "c"), (HistoryEvent("d", rating=5.0),))
    of_user = replace(asked, user_id="u")
    engine = predictor(YESTERDAY, rating_model())
    (known,) = engine.predict_many([of_user])
    forgotten, other = engine.predict_many([of_user, replace(asked, user_id="v")], {"u"}.__contains__)
    assert forgotten == other == rate(asked)
    assert known != forgotten


def test_a_rating_of_a_moment_ago_counts_whole_and_one_of_yesterday_half() -> None:
    just_now = RatingRequest(("a", "b"), (HistoryEvent("d", rating=5.0),))
    assert values(rate(just_now)) == {"a": 4.0, "b": 5.0}
    yesterday = RatingRequest(("a", "b"), (HistoryEvent("d", rating=5.0, time=NOW - DAY),))
    assert values(rate(yesterday)) == {"a": 3.5, "b": 4.5}


def test_the_stored_ratings_of_a_user_are_read() -> None:
    # The liked b got what everybody gives it; the 5 for a is as good as forgotten.
    assert values(rate(RatingRequest(("a",), user_id="u"))) == {"a": pytest.approx(3.0, abs=2e-3)}
    recent = stored([NOW, NOW - 10_000 * DAY])
    assert values(rate(RatingRequest(("a",), user_id="u"), recent)) == {"a": pytest.approx(4.0, abs=2e-3)}
    assert values(rate(RatingRequest(("a",), user_id="stranger"), recent)) == {"a": 3.0}


def test_a_given_rating_takes_the_place_of_the_stored_one() -> None:
    recent = stored([NOW, NOW - 10_000 * DAY])
    again = RatingRequest(("a",), (HistoryEvent("a", rating=1.0),), user_id="u")
    assert values(rate(again, recent)) == {"a": pytest.approx(2.0, abs=2e-3)}
    twice = RatingRequest(("a",), (HistoryEvent("d", rating=1.0), HistoryEvent("d", rating=5.0)))
    assert values(rate(twice)) == {"a": 4.0}


def test_an_event_without_a_rating_is_acted_on_and_no_rating() -> None:
    implicit_NK = np.zeros((6, 2), np.float32)
    implicit_NK[3, 1] = 0.5
    model = replace(rating_model(), implicit_NK=implicit_NK)
    assert values(rate(RatingRequest(("a",), (HistoryEvent("d"),)), model=model)) == {"a": 3.5}


def test_where_times_are_positions_the_rating_comes_right_after_the_last_one() -> None:
    model = rating_model(timed=False)
    # The 5 is two places before the asked one, the expected 4 one: covariances 1/3 and 1/2, and 1/2 of each other.
    weight = np.linalg.solve([[2, 0.5], [0.5, 2]], [1 / 3, 0.5])[0]
    assert values(rate(RatingRequest(("a",), user_id="u"), stored([1, 2]), model)) == {"a": round(3 + 2 * weight, 4)}
    given = RatingRequest(("a",), (HistoryEvent("d", rating=5.0, time=123.0),))
    assert values(rate(given, stored([1, 2]), model)) == {"a": 4.0}


def test_new_items_follow_from_their_content_and_unknown_ids_are_named() -> None:
    # The content vectors of g and h, which nobody has rated, are (0, -1) and (0, 1); the map reads the first number.
    history = (HistoryEvent("y"), HistoryEvent("g", rating=5.0))
    found = rate(RatingRequest(("g", "z", "a", "z", "a"), history))
    assert values(found) == {"g": 3.0, "a": 3.0}
    assert found.missing_ids == ("y", "z")


def test_a_rating_off_the_scale_is_refused_alone() -> None:
    asked = predictor(YESTERDAY, rating_model())
    bad = RatingRequest(("a",), (HistoryEvent("b", rating=3.0), HistoryEvent("c", rating=7.0)))
    refused, answered = asked.predict_many([bad, RatingRequest(("a",))])
    assert isinstance(refused, InvalidArgumentError)
    assert refused.message.startswith(
        "history[1].rating is 7; the ratings of this bundle's dataset lie between 1 and 5"
    )
    assert [violation.field for violation in refused.violations] == ["history[1].rating"]
    assert isinstance(answered, PredictedRatings)


def test_a_bundle_without_ratings_says_so() -> None:
    (refused,) = predictor(Interactions.empty(), None).predict_many([RatingRequest(("a",))])
    assert isinstance(refused, FailedPreconditionError)
    assert "cannot predict ratings" in refused.message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RatingRequest(()), "item_ids is empty; pass 1 to 1,000 ids"),
        (lambda: RatingRequest(("a",) * 1001), "item_ids has 1,001 ids; at most 1,000"),
        (lambda: RatingRequest(("a",), ("b",)), "history[0] is a str; pass mmrec.HistoryEvent values"),
        (lambda: RatingRequest(("a",), (HistoryEvent("b"),) * 1001), "history has 1,001 entries; at most 1,000"),
        (lambda: HistoryEvent(""), "item_id is empty"),
        (lambda: HistoryEvent("a", rating=float("nan")), "rating is nan; it must be a finite number"),
        (lambda: HistoryEvent("a", rating=True), "rating is True"),
        (lambda: HistoryEvent("a", time=1e12), "time is 1000000000000.0; it must be seconds since 1970"),
    ],
)
def test_bad_requests(make: object, message: str) -> None:
    with pytest.raises(MmrecError) as failed:
        make()  # type: ignore[operator]
    assert failed.value.message.startswith(message)
