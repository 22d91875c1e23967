"""Replies as data frames and arrays."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from mmrec.contract.changes import ChangeEntry, ChangeResults
from mmrec.contract.events import EventPage, EventResults, UserEvent
from mmrec.contract.items import ChannelShare, ItemFailure, ItemRecord, ScoredItem
from mmrec.contract.replies import (
    EmbedResults,
    ItemEmbedding,
    ItemLookup,
    ItemTags,
    Mismatch,
    Mismatches,
    PredictedRating,
    PredictedRatings,
    Recommendations,
    SearchResults,
    Tag,
    TagResults,
)
from mmrec.errors import InvalidArgumentError, MissingExtraError

RED = ItemRecord("a", "Red lamp", attributes={"colour": "red"}, semantic_id=(1, 2))
MUG = ItemRecord("b", "Mug", "for tea", attributes={"price": "5"})
REFUSED = InvalidArgumentError("no title", field="title")


def columns(reply: Any) -> dict[str, list[Any]]:
    frame = reply.to_pandas()
    return {name: [None if cell != cell else cell for cell in frame[name].tolist()] for name in frame}


def test_recommendations_have_a_row_an_item_with_its_columns_and_shares() -> None:
    shares = (ChannelShare("content", 0.5), ChannelShare("popularity", 0.25))
    assert columns(Recommendations("id", (ScoredItem(RED, 0.75, shares), ScoredItem(MUG, 0.5)))) == {
        "item_id": ["a", "b"],
        "title": ["Red lamp", "Mug"],
        "description": ["", "for tea"],
        "image": ["", ""],
        "score": [0.75, 0.5],
        "explanation": ["", ""],
        "attributes.colour": ["red", None],
        "semantic_id": [(1, 2), None],
        "shares.content": [0.5, None],
        "shares.popularity": [0.25, None],
        "attributes.price": [None, "5"],
    }


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        (SearchResults(()), ["item_id", "title", "description", "image", "score", "explanation"]),
        (ItemLookup(()), ["item_id", "title", "description", "image"]),
        (EmbedResults(()), ["item_id", "vector"]),
        (PredictedRatings(()), ["item_id", "rating", "deviation"]),
        (TagResults(()), ["item_id", "label", "score"]),
        (ChangeResults(()), ["id", "error"]),
        (Mismatches(()), ["item_id", "title", "description", "image", "agreement", "percentile", "fit"]),
    ],
)
def test_without_entries_there_are_the_columns_alone(reply: Any, names: list[str]) -> None:
    frame = reply.to_pandas()
    assert (list(frame), len(frame)) == (names, 0)


def test_the_other_replies_have_rows_too() -> None:
    tags = ItemTags("a", (Tag("lamp", 0.75), Tag("mug", 0.25)))
    assert columns(TagResults((tags, ItemFailure("b", REFUSED)))) == {
        "item_id": ["a", "a", "b"],
        "label": ["lamp", "mug", None],
        "score": [0.75, 0.25, None],
        "error": [None, None, "INVALID_ARGUMENT: no title"],
    }
    entries = (ChangeEntry("a"), ChangeEntry("b", REFUSED))
    expected = {"id": ["a", "b"], "error": [None, "INVALID_ARGUMENT: no title"]}
    assert columns(ChangeResults(entries)) == columns(EventResults(entries)) == expected
    assert columns(PredictedRatings((PredictedRating("a", 4.5),))) == {
        "item_id": ["a"],
        "rating": [4.5],
        "deviation": [None],
    }
    assert columns(Mismatches((Mismatch(MUG, -0.5, 0.0, 0.25),)))["agreement"] == [-0.5]
    page = columns(EventPage((UserEvent("a", "view", "u", time=5.0),)))
    assert (page["item_id"], page["event_type"], page["time"], page["rating"]) == (["a"], ["view"], [5.0], [None])


def test_vectors_are_rows_of_an_array_and_cells_of_a_frame() -> None:
    one = ItemEmbedding("a", np.array([0.6, 0.8], dtype=np.float32))
    reply = EmbedResults((one, ItemFailure("b", REFUSED)))
    vectors_ND = reply.to_numpy()
    assert vectors_ND.dtype == np.float32
    np.testing.assert_array_equal(vectors_ND, np.array([[0.6, 0.8], [np.nan, np.nan]], dtype=np.float32))
    frame = reply.to_pandas()
    np.testing.assert_array_equal(frame["vector"][0], one.vector)
    assert frame["error"][1] == "INVALID_ARGUMENT: no title"
    assert EmbedResults(()).to_numpy().shape == (0, 0)


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mmrec\[pandas\]'"):
        SearchResults(()).to_pandas()
