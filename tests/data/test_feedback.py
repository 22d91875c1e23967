"""Which events are positive by their type and by their rating, and what is said of a column without effect."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmrec.data.feedback import FeedbackRule, judge_ratings, judge_types

NAN = float("nan")


def _below(*ratings: float, min_rating: float | None = None) -> float | None:
    return judge_ratings(np.array(ratings, dtype=np.float32), min_rating).below


@pytest.mark.parametrize(
    "name",
    [
        "return",
        "Returned",
        "REFUND",
        "remove_from_cart",
        "RemoveFromCart",
        "remove from cart",
        "removed-from-cart",
        "dislike",
        "cancelled",
        "thumbs-down",
        "unlike",
        "Item Returned",
        "order_refunded",
        "purchase-returned",
        "OrderCancelled",
        "Return Initiated",
        "Rückgabe",
        "devolución",
    ],
)
def test_usual_words_for_negative_events(name: str) -> None:
    found = judge_types(pa.array([name, "purchase", ""], pa.large_string()), None)
    assert found.negative_R.tolist() == [True, False, False]
    assert found.counts == {name: 1}


@pytest.mark.parametrize(
    "name", ["purchase", "view", "add_to_cart", "like", "favorite", "returning_customer", "return_visit", "play"]
)
def test_usual_words_for_positive_events(name: str) -> None:
    assert judge_types(pa.array([name], pa.large_string()), None).negative_R.tolist() == [False]


def test_types_of_ones_own_take_the_place_of_the_usual_ones() -> None:
    found = judge_types(pa.array(["VIEW", "return"], pa.large_string()), ("view", "retrun"))
    assert found.negative_R.tolist() == [True, False]
    assert found.unmatched == ("retrun",)
    assert found.words == "counted as positive: return (1); as negative: VIEW (1)"


def test_what_was_only_shown_is_no_feedback_unless_the_owner_calls_it_negative() -> None:
    types = pa.array(["Impression", "buy", "shown", "Impression"], pa.large_string())
    found = judge_types(types, None)
    assert (found.negative_R.tolist(), found.shown_R.tolist()) == ([False] * 4, [True, False, True, True])
    assert found.words.startswith("counted as positive: buy (1); as negative: none; only shown,")
    assert found.words.endswith("which counts for nothing: Impression (2), shown (1)")
    own = judge_types(types, ("impression",))
    assert (own.negative_R.tolist(), own.shown_R.tolist()) == ([True, False, False, True], [False, False, True, False])


@pytest.mark.parametrize("ignored", [None, (), ("wishlist_remove", "Impression")])
def test_a_live_event_says_what_a_fit_reads_off_its_type(ignored: tuple[str, ...] | None) -> None:
    names = ["", "buy", "return", "order returned", "Wishlist-Remove", "impression", "shown", "dismiss"]
    found = judge_types(pa.array(names, pa.large_string()), ignored)
    took = [FeedbackRule(ignored).takes(name) for name in names]
    assert [one is False for one in took] == found.negative_R.tolist()
    assert [one is None for one in took] == found.shown_R.tolist()
    assert (
        took
        == {
            None: [True, True, False, False, True, None, None, False],
            (): [True, True, True, True, True, None, None, True],
            ("wishlist_remove", "Impression"): [True, True, True, True, False, False, None, True],
        }[ignored]
    )


@pytest.mark.parametrize(
    ("ratings", "below"),
    [
        ((1, 2, 3, 4, 5), 3.0),
        ((0.5, 3.5, 5, NAN), 3.0),
        ((1, 7, 9, 10), 5.5),
        ((0, 1), 0.5),
        ((-1, 1), 0.0),
        ((-1, 0, 1), 0.0),
        (tuple(range(1, 101)), 50.5),
    ],
)
def test_scales_that_are_known(ratings: tuple[float, ...], below: float) -> None:
    assert _below(*ratings) == below


@pytest.mark.parametrize(
    "ratings",
    [
        (1, 1, 1),  # always the same
        (1, 2, 3),  # nobody gave the highest
        (0, 3, 5),  # 0 may say that there is none
        (1, 1, 1, 2, 5),  # pieces
        (12.7, 480, 3.2),  # minutes
        (1, 1, 1, 1, 10),  # plays
        (NAN, NAN),
    ],
)
def test_ratings_on_no_known_scale_have_no_effect_and_say_so(ratings: tuple[float, ...]) -> None:
    found = judge_ratings(np.array(ratings, dtype=np.float32), None)
    assert found.below is None
    assert not found.negative_R.any()
    assert "it has no effect" in found.words


def test_a_threshold_of_ones_own() -> None:
    found = judge_ratings(np.array([1, 30, 480, NAN], dtype=np.float32), 30)
    assert found.negative_R.tolist() == [True, False, False, False]
    assert found.words == "1 to 480 (as min_rating says): events below 30 are counted as negative"


def test_nought_counts_every_rating() -> None:
    found = judge_ratings(np.array([-1, 1], dtype=np.float32), 0)
    assert found.negative_R.tolist() == [False, False]
    assert found.words == "-1 to 1: every rating counts, as min_rating = 0 says"
