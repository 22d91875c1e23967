"""Ranking of given items, over a shop whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.contract.items import Fallback, FilterMode, HistoryShare
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import Promotion, RankRequest, RecommendRequest
from mmrec.errors import InvalidArgumentError
from mmrec.recommender.ranking_model import CHANNELS
from tests.recommender.small_shop import IDS, ask, recommended

AFTER_A = RecommendRequest(("a",))


def ids(reply: Recommendations) -> str:
    return "".join(reply.item_ids)


def scores(reply: Recommendations) -> list[float]:
    return [item.score for item in reply.items]


def test_given_items_come_in_the_order_of_their_scores_those_of_the_history_too() -> None:
    found = recommended(RankRequest(("e", "a", "b", "d"), AFTER_A))
    assert (ids(found), scores(found), found.fallback) == ("bdea", [8.0, 6.0, 5.0, 0.0], Fallback.NONE)


def test_the_order_is_that_of_recommending_among_these_items() -> None:
    rng, weights = np.random.default_rng(3), dict.fromkeys(CHANNELS, 1.0)
    for _ in range(20):
        items, history = (tuple(rng.choice(IDS, rng.integers(1, 7), replace=False).tolist()) for _ in range(2))
        ranked = recommended(RankRequest(items, RecommendRequest(history)), weights)
        listed = recommended(RecommendRequest(history, allow=items, include_seen=True), weights)
        assert ranked.item_ids == listed.item_ids
        assert scores(ranked) == pytest.approx(scores(listed))


def test_ties_keep_the_order_of_the_catalogue_however_the_items_are_given() -> None:
    for items in ("hgab", "abgh", "gahb"):
        assert ids(recommended(RankRequest(tuple(items), AFTER_A))) == "bagh"


def test_an_unknown_id_is_named_and_a_repeated_one_counts_once() -> None:
    found = recommended(RankRequest(("z", "c", "b", "z", "c"), RecommendRequest(("a", "y"), deny=("x",))))
    assert (ids(found), found.missing_ids) == ("bc", ("y", "z", "x"))
    nothing = recommended(RankRequest(("z",), AFTER_A))
    assert (nothing.items, nothing.missing_ids) == ((), ("z",))


def test_a_filter_and_deny_leave_items_out_and_a_relaxed_filter_puts_them_last() -> None:
    asked = RecommendRequest(("a",), filter='kind = "lamp"', deny=("e",))
    strict = recommended(RankRequest(tuple("bcdef"), asked))
    assert (ids(strict), strict.fallback) == ("df", Fallback.NONE)
    relaxed = RecommendRequest(("a",), filter='kind = "lamp"', deny=("e",), filter_mode=FilterMode.RELAXED)
    found = recommended(RankRequest(tuple("bcdef"), relaxed))
    assert (ids(found), scores(found), found.fallback) == ("dfbc", [6.0, 4.0, 8.0, 7.0], Fallback.FILTER_RELAXED)


def test_k_allow_and_include_seen_are_not_read() -> None:
    asked = RecommendRequest(("a",), k=1, allow=("h",), include_seen=False)
    assert ids(recommended(RankRequest(("c", "a", "b"), asked))) == "bca"


def test_a_stranger_s_order_is_that_of_popularity_and_says_so() -> None:
    found = recommended(RankRequest(("g", "c", "b")))
    assert (ids(found), found.fallback) == ("bcg", Fallback.POPULARITY)
    assert scores(found) == pytest.approx([1, 2 / 3, 0])


def test_what_else_is_asked_for_is_done() -> None:
    asked = RecommendRequest(("a",), explain=True, promotions=(Promotion(("f",), boost=50.0),))
    first, second = recommended(RankRequest(("b", "f"), asked)).items
    assert [(share.channel, share.share) for share in first.shares] == [("promotion", 50.0), ("transitions", 4.0)]
    assert second.shares[0].history == (HistoryShare("a", 8.0),)


def test_a_request_that_cannot_be_answered_fails_alone() -> None:
    good, bad = ask(RankRequest(("b", "c"), AFTER_A), RankRequest(("b",), RecommendRequest(filter="kin = 1")))
    assert isinstance(good, Recommendations)
    assert ids(good) == "bc"
    assert isinstance(bad, InvalidArgumentError)
    assert [violation.field for violation in bad.violations] == ["filter"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ((), "item_ids is empty; pass 1 to 10,000 ids of items to rank"),
        (("a",) * 10_001, "item_ids has 10,001 ids; at most 10,000 are accepted"),
        ((7,), r"item_ids\[0\] is 7"),
    ],
)
def test_too_few_too_many_or_bad_ids_are_refused(items: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        RankRequest(items)
