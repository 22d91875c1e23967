"""Explanations in words, over a shop whose scores, columns and customers are known."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.items import Statement, StatementKind, Versions
from mmrec.contract.replies import Explanations, Recommendations
from mmrec.contract.requests import ExplainRequest, Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.candidate_filter import CandidateFilter
from mmrec.recommender.live_events import LiveEvents
from mmrec.recommender.recommendation import RecommendationPipeline
from tests.recommender.small_shop import IDS, ranking_model

SHOP = Catalogue(
    item_ids=IDS,
    titles=("Red mug", "Blue mug", "Jug", "Lamp", "", "Lantern", "Bowl", "Torch"),
    descriptions=("",) * 8,
    images=("",) * 8,
    attributes={
        "maker_name": ("Ada", "Ada", "Bo", "Bo", "Cy", "Cy", "Ada", "Di"),
        "uses": ("tea|milk", "tea|soup", "milk", "reading", "reading", "camping", "soup", "camping"),
        "room": ("kitchen", "kitchen", "hall", "kitchen", "hall", "kitchen", "hall", "hall"),
        "price": ("3", "3", "3", "3", "3", "3", "3", "3"),
        "fragile": ("true",) * 8,
    },
)
BOUGHT = {"u": "abf", "v": "abf", "w": "abc", "x": "ab", "y": "e"}


def pipeline(weights: Mapping[str, float]) -> RecommendationPipeline:
    ranker = ranking_model(weights, SHOP, BOUGHT)
    return RecommendationPipeline(ranker, CandidateFilter(SHOP, CatalogueFilter(SHOP)), SHOP.record, Versions("m1"))


def events() -> LiveEvents:
    return LiveEvents.begin(ranking_model({}, SHOP, BOUGHT).parts)


def explained(request: ExplainRequest, weights: Mapping[str, float] | None = None) -> Explanations:
    asked = pipeline(weights or {"transitions": 1.0})
    (reply,) = asked.explain_many([request], events())
    assert isinstance(reply, Explanations), reply
    return reply


def statements(item_id: str, history: str, **customer: object) -> tuple[Statement, ...]:
    asked = RecommendRequest(tuple(history), **customer)  # type: ignore[arg-type]
    (found,) = explained(ExplainRequest((item_id,), asked)).explanations
    return found.statements


def test_history_items_that_the_score_rests_on_are_named_with_their_part() -> None:
    # f scores 8 after b, and 4 / 2 after a, which is less than half of that.
    (history, *_) = [one for one in statements("f", "ab") if one.kind is StatementKind.HISTORY]
    assert history == Statement(
        StatementKind.HISTORY, 'Suggested because of "Blue mug" in your history.', ("b",), share=8.0
    )
    (both, *_) = [one for one in statements("e", "ab") if one.kind is StatementKind.HISTORY]
    assert both.text == 'Suggested because of "Blue mug" and "Red mug" in your history.'
    assert (both.item_ids, both.share) == (("b", "a"), 4.0 + 5.0 / 2)


def test_a_value_shared_with_the_history_is_told_by_its_column_and_of_a_list_by_its_entry() -> None:
    found = {(one.column, one.value): one for one in statements("b", "a") if one.kind is StatementKind.ATTRIBUTE}
    assert found.keys() == {("maker_name", "Ada"), ("uses", "tea")}  # two at most, so no room
    maker, tea = found["maker_name", "Ada"], found["uses", "tea"]
    assert maker.text == 'Like "Red mug" from your history, it has "Ada" as its maker name.'
    assert tea.text == 'Like "Red mug" from your history, it has "tea" among its uses.'
    assert (maker.item_ids, maker.share, tea.share) == (("a",), 8.0, 8.0)
    # Two of the eight items are for tea and three are made by Ada: the rarer value comes first.
    assert [one.value for one in statements("b", "a") if one.column] == ["tea", "Ada"]


def test_numbers_prose_and_what_every_item_has_are_no_attributes() -> None:
    assert {one.column for one in statements("c", "a") if one.kind is StatementKind.ATTRIBUTE} == {"uses"}


def test_customers_who_chose_both_are_counted_from_three_on() -> None:
    (together,) = [one for one in statements("b", "a") if one.kind is StatementKind.TOGETHER]
    assert together == Statement(
        StatementKind.TOGETHER, '4 customers who chose "Red mug" chose this too.', ("a",), count=4, share=8.0
    )
    # Two customers chose a and f.
    assert [one for one in statements("f", "a") if one.kind is StatementKind.TOGETHER] == []


def test_more_than_two_items_are_counted_and_the_item_itself_is_no_evidence() -> None:
    (room,) = [one for one in statements("f", "abdf") if one.column == "room"]
    assert room.text == 'Like "Lamp", "Blue mug" and 1 more from your history, it has "kitchen" as its room.'
    assert (room.item_ids, room.share) == (("d", "b", "a"), 3.0 + 2.0 + 0.5)


def test_popularity_is_told_of_a_stranger_s_list_and_new_items_as_new() -> None:
    (reply,) = pipeline({"transitions": 1.0}).recommend_many([RecommendRequest(k=8, explain_in_words=True)], events())
    assert isinstance(reply, Recommendations)
    said = {item.item_id: item.explanation for item in reply.items}
    assert said == {
        "a": "4 customers chose it.",
        "b": "4 customers chose it.",
        "c": "1 customer chose it.",
        "d": "",
        "e": "1 customer chose it.",
        "f": "2 customers chose it.",
        "g": "It is new here.",
        "h": "It is new here.",
    }
    counts = {item.item_id: item.statements[0].count for item in reply.items if item.statements}
    assert (counts["a"], counts["f"], counts["g"]) == (4, 2, 0)


def test_a_promoted_item_is_called_so_first_whatever_else_is_said() -> None:
    boosted = statements("f", "b", promotions=(Promotion(("f",), boost=0.5),))
    assert boosted[0] == Statement(StatementKind.PROMOTION, "It is a promoted item.", share=0.5)
    assert len(boosted) > 1
    lowered = statements("f", "b", promotions=(Promotion(("f",), boost=-0.5),))
    assert StatementKind.PROMOTION not in {one.kind for one in lowered}
    # A guaranteed share is a promotion too, even of an item that would have been there.
    asked = RecommendRequest(("a",), k=2, promotions=(Promotion(("c",), min_share=0.1),), explain_in_words=True)
    (reply,) = pipeline({"transitions": 1.0}).recommend_many([asked], events())
    assert isinstance(reply, Recommendations)
    first = {item.item_id: item.explanation.startswith("It is a promoted item.") for item in reply.items}
    assert first == {"b": False, "c": True}


def test_an_item_for_which_nothing_speaks_has_no_text() -> None:
    (found,) = explained(ExplainRequest(("h",), RecommendRequest(("d",)))).explanations
    assert (found.text, [one.kind for one in found.statements]) == ("It is new here.", [StatementKind.NEW_ITEM])
    (nothing,) = explained(ExplainRequest(("d",), RecommendRequest(("d",)))).explanations
    assert (nothing.text, nothing.statements) == ("", ())


def test_explanations_come_in_the_order_of_the_request_and_name_unknown_ids() -> None:
    found = explained(ExplainRequest(("f", "z", "b", "f"), RecommendRequest(("a", "y"))))
    assert [one.item_id for one in found.explanations] == ["f", "b"]
    assert (found.missing_ids, found.versions) == (("y", "z"), Versions("m1"))
    assert [share.channel for share in found.explanations[0].shares] == ["transitions"]


def test_what_chooses_items_is_not_read() -> None:
    asked = RecommendRequest(
        ("a",), k=1, allow=("c",), deny=("b",), filter='uses = "none"', exploration=1.0, diversity=1.0
    )
    found = explained(ExplainRequest(("b",), asked)).explanations
    assert [one.item_id for one in found] == ["b"]


def test_words_and_shares_are_asked_for_apart() -> None:
    plain, shares, words = pipeline({"transitions": 1.0}).recommend_many(
        [
            RecommendRequest(("a",), k=1),
            RecommendRequest(("a",), k=1, explain=True),
            RecommendRequest(("a",), k=1, explain_in_words=True, language="en-GB"),
        ],
        events(),
    )
    asked = [
        (bool(item.shares), bool(item.explanation), bool(item.statements))
        for reply in (plain, shares, words)
        for item in reply.items  # type: ignore[union-attr]
    ]
    assert asked == [(False, False, False), (True, False, False), (False, True, True)]


@pytest.mark.parametrize(
    ("request_of", "message"),
    [
        (lambda: ExplainRequest(()), "item_ids is empty; pass 1 to 100 ids"),
        (lambda: ExplainRequest(("a",) * 101), "item_ids has 101 ids; at most 100"),
        (lambda: ExplainRequest(("a",), language="de-AT"), "language is 'de-AT'; sentences are made in English only"),
        (lambda: ExplainRequest(("a",), language="english"), "language is 'english'"),
        (lambda: RecommendRequest(language="fr"), "language is 'fr'"),
        (lambda: ExplainRequest(("a",), recommendation_id="r-1"), "replies are not kept, so leave it empty and pass"),
    ],
)
def test_bad_requests_are_refused(request_of: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        request_of()  # type: ignore[operator]
