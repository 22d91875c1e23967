"""Filters and control of recommendations, over a shop whose scores are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmrec.contract.items import Fallback, FilterMode
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import HistoryEvent, Promotion, RankRequest, RecommendRequest
from mmrec.errors import InvalidArgumentError
from mmrec.recommender.live_events import LiveEvent
from mmrec.recommender.ranking_model import CHANNELS
from tests.recommender.small_shop import CATALOGUE, IDS, ask, recommended

RELAXED = FilterMode.RELAXED


def ids(reply: Recommendations) -> str:
    return "".join(reply.item_ids)


def scores(reply: Recommendations) -> list[float]:
    return [item.score for item in reply.items]


def test_whatever_a_request_wishes_it_gets_min_k_eligible_items_and_none_that_is_ruled_out() -> None:
    kinds = dict(zip(IDS, CATALOGUE.attributes["kind"], strict=True))
    rng = np.random.default_rng(7)

    def some(most: int) -> tuple[str, ...]:
        return tuple(str(item_id) for item_id in rng.choice(IDS, rng.integers(0, most + 1), replace=False))

    requests = []
    for _ in range(200):
        shares = rng.dirichlet(np.ones(3))[:2] * rng.random()
        requests.append(
            RecommendRequest(
                history=some(4),
                k=int(rng.integers(1, 10)),
                allow=some(6) if rng.random() < 0.3 else (),
                deny=some(3),
                include_seen=bool(rng.random() < 0.3),
                filter=str(rng.choice(["", 'kind = "mug"', 'kind = "lamp"', 'kind = "chair"'])),
                filter_mode=RELAXED if rng.random() < 0.5 else FilterMode.STRICT,
                diversity=float(rng.choice([0.0, 0.4, 1.0])),
                exploration=float(rng.choice([0.0, 0.3])),
                popularity_damping=float(rng.choice([0.0, 1.0])),
                promotions=(
                    Promotion(some(5), 'kind = "lamp"', float(shares[0]), 0.5),
                    Promotion((), 'kind = "mug"', float(shares[1])),
                ),
                explain=bool(rng.random() < 0.3),
                channel_weights={str(name): float(rng.choice([0.0, 0.5, 3.0])) for name in rng.choice(CHANNELS, 2)},
                attribute_weights={"stock": float(rng.normal())} if rng.random() < 0.3 else {},
            )
        )
    replies = ask(*requests, weights=dict.fromkeys(CHANNELS, 1.0))
    for request, reply in zip(requests, replies, strict=True):
        assert isinstance(reply, Recommendations), reply
        allowed = {
            item_id
            for item_id in IDS
            if (not request.allow or item_id in request.allow)
            and item_id not in request.deny
            and (request.include_seen or item_id not in request.history)
        }
        passing = {item_id for item_id in allowed if not request.filter or f'"{kinds[item_id]}"' in request.filter}
        eligible = allowed if request.filter_mode is RELAXED and len(passing) < request.k else passing
        got = reply.item_ids
        assert len(got) == len(set(got)) == min(request.k, len(eligible))
        assert set(got) <= eligible
        assert set(got[: len(passing)]) <= passing
        popular, beyond = not request.history, len(got) > len(passing)
        assert (
            reply.fallback
            is {
                (False, False): Fallback.NONE,
                (False, True): Fallback.FILTER_RELAXED,
                (True, False): Fallback.POPULARITY,
                (True, True): Fallback.POPULARITY_FILTER_RELAXED,
            }[popular, beyond]
        )
        if request.explain:
            for item in reply.items:
                assert sum(share.share for share in item.shares) == pytest.approx(item.score, abs=1e-4)


# --- scores ---


def test_items_come_in_the_order_of_their_scores_without_those_of_the_history() -> None:
    found = recommended(RecommendRequest(("a",), k=3))
    assert (ids(found), scores(found), found.fallback) == ("bcd", [8.0, 7.0, 6.0], Fallback.NONE)
    # The item before the last counts half.
    both = recommended(RecommendRequest(("a", "b"), k=4))
    assert (ids(both), scores(both)) == ("fedc", [10.0, 6.5, 5.0, 4.5])


def test_channels_are_added_by_their_weights() -> None:
    weights = {"transitions": 1.0, "transitions-wide": 0.5, "popularity": 3.0}
    found = recommended(RecommendRequest(("a",), k=5), weights)
    assert ids(found) == "becdf"
    assert scores(found) == pytest.approx([8 + 3, 5 + 4 + 1, 7 + 2, 6 + 1, 4 + 2 + 1])
    content = recommended(RecommendRequest(("a",), k=3), {"content": 2.0})
    assert (ids(content), scores(content)) == ("bfc", pytest.approx([2.0, 1.6, 1.2]))


def test_channels_count_as_a_request_weighs_them_and_explanations_add_up() -> None:
    weights = {"transitions": 1.0, "transitions-wide": 0.5, "popularity": 3.0}
    plain = RecommendRequest(("a",), k=5)
    asked = {"channel_weights": {"popularity": 2.0, "transitions": 0.0}, "explain": True}
    found, same, stranger = ask(replace(plain, **asked), plain, replace(plain, history=(), **asked), weights=weights)
    assert isinstance(found, Recommendations)
    assert isinstance(same, Recommendations)
    assert isinstance(stranger, Recommendations)
    assert (ids(found), scores(found)) == ("becfd", pytest.approx([6, 4 + 2, 4, 2 + 2, 2]))
    assert [(share.channel, share.share) for share in found.items[1].shares] == [
        ("transitions-wide", pytest.approx(4.0)),
        ("popularity", pytest.approx(2.0)),
    ]
    assert ids(same) == "becdf"
    # Nothing is blended for a customer of whom nothing is known.
    assert (ids(stranger), scores(stranger)[0]) == ("bcade", 1.0)
    ranked = recommended(RankRequest(("d", "f", "e"), replace(plain, **asked)), weights)
    assert (ids(ranked), scores(ranked)) == ("efd", pytest.approx([6, 4, 2]))


@pytest.mark.parametrize(
    ("factors", "says"),
    [
        ({"popularty": 1.0}, "has 'popularty'; the channels are transitions, lexical, popularity"),
        ({"popularity": 0.0, "transitions": 0.0}, "every channel that ranks for this customer: popularity, transit"),
    ],
)
def test_weights_of_channels_that_leave_no_ranking_are_refused_for_anybody(
    factors: dict[str, float], says: str
) -> None:
    weights = {"popularity": 3.0, "transitions": 1.0, "lexical": 0.0}
    asked = RecommendRequest(("a",), channel_weights=factors)
    for refused in ask(asked, replace(asked, history=()), weights=weights):
        assert isinstance(refused, InvalidArgumentError)
        assert [violation.field for violation in refused.violations] == ["channel_weights"]
        assert says in refused.message


def test_a_column_of_numbers_adds_its_weight_for_each_standard_deviation() -> None:
    # Stock is 3, 1, or unknown: one standard deviation above the mean, one below, or neither.
    asked = RecommendRequest(("a",), k=5, attribute_weights={"stock": 2.0}, explain=True)
    found = recommended(asked)
    assert (ids(found), scores(found)) == ("cbdfe", [9.0, 6.0, 6.0, 4.0, 3.0])
    shares = [{share.channel: share.share for share in item.shares} for item in found.items[:3]]
    assert shares == [
        {"transitions": 7.0, "attribute:stock": 2.0},
        {"transitions": 8.0, "attribute:stock": -2.0},
        {"transitions": 6.0},
    ]
    assert ids(recommended(replace(asked, attribute_weights={"stock": -2.0}, k=2))) == "be"
    unknown, text = ask(
        replace(asked, attribute_weights={"stok": 1.0}), replace(asked, attribute_weights={"kind": 1.0})
    )
    assert isinstance(unknown, InvalidArgumentError)
    assert isinstance(text, InvalidArgumentError)
    assert unknown.message == "attribute_weights: there is no column 'stok'; did you mean 'stock'?"
    assert text.message == "attribute_weights: column 'kind' holds text; it must hold nothing but numbers such as 12.5"


def test_a_blend_without_weights_ranks_by_popularity_which_is_then_no_fallback() -> None:
    found = recommended(RecommendRequest(("a",)), {"transitions": 0.0})
    assert (ids(found), found.fallback) == ("bcdefgh", Fallback.NONE)


def test_ids_that_the_catalogue_lacks_are_named_once_in_the_order_of_the_request() -> None:
    asked = RecommendRequest(
        ("x", "a"), k=2, allow=("y", "b", "c", "x"), deny=("z",), promotions=(Promotion(("w", "z"), boost=1.0),)
    )
    assert recommended(asked).missing_ids == ("x", "y", "z", "w")


def test_events_that_came_meanwhile_are_histories_and_transitions() -> None:
    named, anonymous = ask(
        RecommendRequest(user_id="u", k=3), RecommendRequest(("a",)), events=[LiveEvent("u", "a"), LiveEvent("u", "h")]
    )
    assert isinstance(named, Recommendations)
    assert isinstance(anonymous, Recommendations)
    # u took a and then h, which nothing follows.
    assert (ids(named), scores(named), named.fallback) == ("bcd", [4.0, 3.5, 3.0], Fallback.NONE)
    assert (ids(anonymous), scores(anonymous)[5:]) == ("bcdefhg", [1.0, 0.0])


def test_what_a_request_names_comes_after_the_stored_history() -> None:
    (found,) = ask(RecommendRequest(("a",), user_id="u", k=3), events=[LiveEvent("u", "b")])
    assert isinstance(found, Recommendations)
    assert (ids(found), scores(found)) == ("fcd", [8.0, 7.5, 7.0])


def test_events_of_a_request_are_history_in_the_order_of_time() -> None:
    timed = (HistoryEvent("b", "purchase", time=5.0), HistoryEvent("x", time=6.0), HistoryEvent("a", time=1.0))
    found = recommended(RecommendRequest(k=4, history_events=timed, explain=True))
    # As after ("a", "b"): the item before the last counts half.
    assert (ids(found), scores(found), found.missing_ids) == ("fedc", [10.0, 6.5, 5.0, 4.5], ("x",))
    assert [(part.history_item_id, part.share) for part in found.items[0].shares[0].history] == [("a", 2.0), ("b", 8.0)]
    assert ids(recommended(RecommendRequest(("a",), k=4, history_events=(HistoryEvent("b"),)))) == "fedc"
    assert ids(recommended(RankRequest(("c", "e", "b", "a"), RecommendRequest(history_events=timed)))) == "ecba"


def test_what_a_request_says_was_rejected_is_left_out_until_it_is_taken_again() -> None:
    def after(*events: HistoryEvent, user_id: str = "", **wishes: bool) -> str:
        asked = RecommendRequest(("a",), user_id=user_id, k=3, history_events=events, **wishes)
        (found,) = ask(asked, events=[LiveEvent("u", "b", taken=False)])
        assert isinstance(found, Recommendations)
        return ids(found)

    gone = HistoryEvent("c", "dismiss")
    assert after() == "bcd"
    assert after(gone) == after(gone, include_seen=True) == "bde"
    assert after(gone, HistoryEvent("c", "view", time=1.0), include_seen=True) == "bcd"
    assert after(HistoryEvent("c", "impression")) == "bcd"
    # What was recorded comes before.
    assert after(gone, user_id="u") == "def"
    assert after(HistoryEvent("b", "view"), user_id="u", include_seen=True) == "fed"
    # A dismissal alone is no history.
    (nobody,) = ask(RecommendRequest(k=2, history_events=(HistoryEvent("b", "dismiss"),)))
    assert isinstance(nobody, Recommendations)
    assert (ids(nobody), nobody.fallback) == ("ca", Fallback.POPULARITY)


# --- short lists and filters ---


def test_a_list_is_as_short_as_what_may_be_shown() -> None:
    assert ids(recommended(RecommendRequest(("a",), k=100))) == "bcdefgh"
    assert ids(recommended(RecommendRequest(("a",), allow=("e", "c", "a")))) == "ce"
    assert ids(recommended(RecommendRequest(("a",), deny=tuple("bcdeg")))) == "fh"
    assert ids(recommended(RecommendRequest(("a",), deny=IDS))) == ""
    assert ids(recommended(RecommendRequest(("a",), allow=("a",), include_seen=True))) == "a"


def test_strict_keeps_to_the_filter_and_relaxed_goes_on_after_the_same_items() -> None:
    asked = {"history": ("a",), "filter": 'kind = "mug"', "include_seen": True}
    strict = recommended(RecommendRequest(k=6, **asked))
    assert (ids(strict), strict.fallback) == ("bcag", Fallback.NONE)
    relaxed = recommended(RecommendRequest(k=6, filter_mode=RELAXED, **asked))
    assert (ids(relaxed), relaxed.fallback) == ("bcagde", Fallback.FILTER_RELAXED)
    assert scores(relaxed) == [8.0, 7.0, 0.0, 0.0, 6.0, 5.0]
    enough = recommended(RecommendRequest(k=4, filter_mode=RELAXED, **asked))
    assert (ids(enough), enough.fallback) == ("bcag", Fallback.NONE)


def test_a_stranger_gets_the_most_popular_items_and_is_held_to_the_filter_too() -> None:
    plain = recommended(RecommendRequest())
    assert (ids(plain), plain.fallback) == ("bcadefgh", Fallback.POPULARITY)
    assert scores(plain) == pytest.approx([1, 2 / 3, 1 / 3, 1 / 3, 1 / 3, 1 / 3, 0, 0])
    strict = recommended(RecommendRequest(k=6, filter='kind = "lamp"'))
    assert (ids(strict), strict.fallback) == ("defh", Fallback.POPULARITY)
    relaxed = recommended(RecommendRequest(k=6, filter='kind = "lamp"', filter_mode=RELAXED))
    assert (ids(relaxed), relaxed.fallback) == ("defhbc", Fallback.POPULARITY_FILTER_RELAXED)


def test_a_request_with_a_bad_filter_fails_alone() -> None:
    good, bad, promoted, dated = ask(
        RecommendRequest(("a",), k=3),
        RecommendRequest(("a",), filter='kin = "mug"'),
        RecommendRequest(promotions=(Promotion(filter="kind ="),)),
        RecommendRequest(exploration_column="kind", exploration_max_age_days=3),
    )
    assert isinstance(good, Recommendations)
    assert ids(good) == "bcd"
    for refused, field in (
        (bad, "filter"),
        (promoted, "promotions[0].filter"),
        (dated, "exploration_column"),
    ):
        assert isinstance(refused, InvalidArgumentError)
        assert [violation.field for violation in refused.violations] == [field]
    assert isinstance(bad, InvalidArgumentError)
    assert "did you mean 'kind'?" in bad.message


# --- business rules ---


def test_a_promotion_gets_its_places_and_its_items_the_scores_of_those_places() -> None:
    found = recommended(RecommendRequest(("a",), k=4, promotions=(Promotion(("e", "f", "g"), min_share=0.5),)))
    assert (ids(found), scores(found)) == ("becf", [8.0, 7.0, 7.0, 6.0])
    filtered = recommended(RecommendRequest(("a",), k=4, promotions=(Promotion((), 'kind = "lamp"', 0.75),)))
    assert (ids(filtered), scores(filtered)) == ("dbef", [8.0, 8.0, 7.0, 7.0])
    denied = RecommendRequest(("a",), k=4, deny=("f", "g"), promotions=(Promotion(("f", "g"), min_share=1.0),))
    assert ids(recommended(denied)) == "bcde"


def test_boosts_are_added_to_the_score() -> None:
    promotions = (
        Promotion(("e", "f"), boost=2.5),
        Promotion(filter='kind = "mug"', boost=-2.0),
        Promotion(("e",), boost=1.0),
    )
    found = recommended(RecommendRequest(("a",), k=3, promotions=promotions))
    assert (ids(found), scores(found)) == ("efb", [8.5, 6.5, 6.0])


def test_new_items_get_their_share_of_the_places_up_to_an_age() -> None:
    every = recommended(RecommendRequest(("a",), k=5, exploration=1.0))
    assert (ids(every), scores(every)) == ("bgchd", [8.0, 7.0, 7.0, 6.0, 6.0])
    assert ids(recommended(RecommendRequest(("a",), k=4, exploration=0.25))) == "bcgd"
    young = {"exploration_column": "added", "exploration_max_age_days": 30}
    assert ids(recommended(RecommendRequest(("a",), k=5, exploration=1.0, **young))) == "bcgde"


def test_diversity_keeps_the_first_item_and_moves_those_back_that_are_like_the_ones_before() -> None:
    half = recommended(RecommendRequest(("a",), k=4, diversity=0.5))
    assert (ids(half), scores(half)) == ("bdce", [8.0, 6.0, 7.0, 5.0])
    assert ids(recommended(RecommendRequest(("a",), k=4, diversity=1.0))) == "bdge"


def test_damping_takes_from_popular_items_in_proportion_to_the_spread_of_the_scores() -> None:
    # b and f score 6 and e 0, and b is three times as popular (1, 1/3 and 1/3): in full, popularity 1 costs 9.
    asked = {"history": ("d",), "allow": ("b", "e", "f")}
    third = recommended(RecommendRequest(popularity_damping=1 / 3, **asked))
    assert (ids(third), scores(third)) == ("fbe", pytest.approx([5.0, 3.0, -1.0]))
    full = recommended(RecommendRequest(popularity_damping=1.0, **asked))
    assert (ids(full)[0], scores(full)) == ("f", pytest.approx([3.0, -3.0, -3.0]))
    assert scores(recommended(RecommendRequest(popularity_damping=1.0))) == [0.0] * 8
