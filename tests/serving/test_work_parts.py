"""How large requests are cut into parts, and their results joined."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrec.contract.changes import DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput, Versions
from mmrec.contract.replies import EmbedResults, ItemEmbedding, ItemTags, Recommendations, TagResults
from mmrec.contract.requests import (
    EmbedRequest,
    ExplainRequest,
    HistoryEvent,
    Promotion,
    RankRequest,
    RecommendRequest,
    SearchRequest,
    TagRequest,
)
from mmrec.errors import InternalError, InvalidArgumentError
from mmrec_serving.work_parts import joined, parts_of, result_again, twin_of, weight_of

HATS = tuple(ItemInput(str(n), "hat") for n in range(40))
REFUSED = InvalidArgumentError("no")


def _embedded(items: tuple[ItemInput, ...]) -> EmbedResults:
    return EmbedResults(tuple(ItemEmbedding(item.item_id, np.ones(1, np.float32)) for item in items), Versions("m"))


def test_equal_questions_are_twins_and_nothing_else_is() -> None:
    first, equal = (RecommendRequest([item], k=3) for item in ("a", "a"))  # type: ignore[arg-type]
    assert twin_of(first) is not None
    assert twin_of(first) == twin_of(equal)
    heavier, lighter = (RecommendRequest(("a",), channel_weights={"popularity": weight}) for weight in (0.5, 0.25))
    assert twin_of(heavier) != twin_of(lighter)
    assert twin_of(first) != twin_of(RecommendRequest(("a",), k=4))
    assert twin_of(ExplainRequest(("a",), first)) != twin_of(RankRequest(("a",), first))
    assert twin_of(DeleteRequest(("a",))) is None
    assert twin_of(EmbedRequest(HATS)) is None


def test_a_reply_that_is_shared_has_an_id_of_its_own_for_events() -> None:
    reply = Recommendations("first", (), ("gone",), versions=Versions("m"))
    again = result_again(reply)
    assert again.recommendation_id not in ("", "first")
    assert replace(again, recommendation_id="first") == reply
    assert result_again("another result") == "another result"


def test_a_request_that_is_not_cut_is_its_own_part() -> None:
    request = RecommendRequest(k=3)
    assert parts_of(request) == [request]
    assert joined([request], ["whatever came"]) == "whatever came"
    assert parts_of(EmbedRequest(())) == [EmbedRequest(())]
    assert parts_of(TagRequest(column="colour")) == [TagRequest(column="colour")]


def test_items_to_embed_are_cut_and_joined_in_order() -> None:
    parts = parts_of(EmbedRequest(HATS, 64))
    assert [(len(part.items), part.dimension) for part in parts] == [(32, 64), (8, 64)]
    whole = joined(parts, [_embedded(part.items) for part in parts])
    assert [entry.item_id for entry in whole.items] == [str(n) for n in range(40)]
    assert whole.versions == Versions("m")


def test_a_part_that_failed_costs_its_own_items_only() -> None:
    parts = parts_of(EmbedRequest(HATS))
    half = joined(parts, [REFUSED, _embedded(parts[1].items)])
    assert [entry.item_id for entry in half.items if isinstance(entry, ItemFailure)] == [str(n) for n in range(32)]
    assert joined(parts, [REFUSED, InvalidArgumentError("neither")]) is REFUSED

    parts = parts_of(TagRequest(HATS[:33], item_ids=("x",), labels=("a", "b")))
    fine = TagResults(tuple(ItemTags(str(n), ()) for n in range(32)))
    tagged = joined(parts, [fine, REFUSED, TagResults((ItemTags("x", ()),), ("y",))])
    assert [entry.item_id for entry in tagged.items] == [*(str(n) for n in range(33)), "x"]
    assert [entry.item_id for entry in tagged.items if isinstance(entry, ItemFailure)] == ["32"]
    assert tagged.missing_ids == ("y",)
    assert joined(parts, [REFUSED] * 3) is REFUSED


def test_labels_are_made_ready_in_parts_before_the_items() -> None:
    labels = tuple(f"label {n}" for n in range(100))
    parts = parts_of(TagRequest(HATS, ("a", "b"), labels, templates=("a {label}", "one {label}")))
    assert [(len(part.labels), len(part.items), len(part.item_ids)) for part in parts] == [
        (32, 0, 0),
        (32, 0, 0),
        (32, 0, 0),
        (4, 0, 0),
        (100, 32, 0),
        (100, 8, 0),
        (100, 0, 2),
    ]
    results: list[Any] = [TagResults(())] * 7
    assert joined(parts, [results[0], REFUSED, *results[2:]]) is REFUSED


def test_a_part_without_a_result_is_noticed() -> None:
    with pytest.raises(InternalError, match="2 parts were asked for and 1 results came back"):
        joined(parts_of(EmbedRequest(HATS)), [REFUSED])


def test_what_parts_weigh() -> None:
    assert weight_of(UpsertRequest(HATS)) == 40
    assert weight_of(DeleteRequest(("a",) * 40)) == 1
    assert weight_of(EmbedRequest(HATS)) == 40
    assert weight_of(TagRequest(HATS[:3], ("a",), labels=("b",))) == 4
    assert weight_of(TagRequest(labels=("b",))) == 1
    assert weight_of(TagRequest(labels=tuple("abcdefghijklmnop"))) == 9
    assert weight_of(TagRequest(column="colour")) == 16


def test_words_weigh_by_their_characters() -> None:
    assert weight_of(EmbedRequest((ItemInput("a", "x" * 1000), ItemInput("b", "x" * 90_000)))) == 6 + 11
    assert weight_of(TagRequest(labels=("x" * 1000,))) == 21
    assert weight_of(SearchRequest("hat")) == 1
    assert weight_of(SearchRequest("x" * 90_000)) == 11
    assert weight_of(RecommendRequest(instruction="x" * 400)) == 3


def test_pictures_weigh_by_their_pixels_unless_they_are_decoded_ahead() -> None:
    def sent(side: int) -> bytes:
        file = io.BytesIO()
        Image.new("1", (side, side)).save(file, "PNG")
        return file.getvalue()

    items = tuple(ItemInput(str(n), "hat", image=sent(1_000)) for n in range(4))
    assert [len(part.items) for part in parts_of(EmbedRequest(items))] == [3, 1]
    assert weight_of(EmbedRequest(items[:1])) == weight_of(UpsertRequest(items[:1])) == 4
    assert weight_of(SearchRequest(image=sent(1_000))) == 4
    assert weight_of(SearchRequest(image=sent(7_000))) == 2


def test_long_histories_weigh() -> None:
    assert weight_of(RecommendRequest(("a",) * 99)) == 1
    assert weight_of(RecommendRequest(("a",) * 60, history_events=(HistoryEvent("b"),) * 40)) == 2
    assert weight_of(RecommendRequest(("a",) * 1000)) == 3


def test_explanations_and_conditions_of_promotions_weigh() -> None:
    assert weight_of(RecommendRequest(k=100)) == 2
    assert weight_of(RecommendRequest(k=100, explain=True)) == 12
    assert weight_of(RecommendRequest(promotions=(Promotion(("a",)), Promotion(filter="a = 1")))) == 6
    assert weight_of(RankRequest(("a",) * 200, RecommendRequest(explain_in_words=True))) == 23
    assert weight_of(ExplainRequest(("a",) * 50)) == 6


def test_long_items_and_labels_are_cut_into_smaller_parts() -> None:
    parts = parts_of(EmbedRequest((ItemInput("long", description="x" * 1999), *HATS[:2])))
    assert [[item.item_id for item in part.items] for part in parts] == [["long"], ["0", "1"]]
    labels = tuple(f"{n}" * 1000 for n in range(4))
    parts = parts_of(TagRequest(HATS[:1], labels=labels, templates=("{label}",)))
    assert [(len(part.labels), len(part.items)) for part in parts] == [(2, 0), (2, 0), (4, 1)]
