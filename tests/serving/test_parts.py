"""How calls are cut into parts for the engine, how the replies are put together, and what parts weigh."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmrec.contract.changes import DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput
from mmrec.contract.replies import ItemTags, TagResults
from mmrec.contract.requests import TagRequest
from mmrec.errors import InvalidArgumentError
from mmrec.sdk.rpcs import TAG_ITEMS
from mmrec_serving.parts import join, split, work_of

HAT = ItemInput("a", "hat")


def test_an_upsert_weighs_as_much_as_its_items() -> None:
    assert work_of(UpsertRequest((HAT,) * 40)) == 40
    assert work_of(DeleteRequest(("a",) * 40)) == 1


def test_labels_are_made_ready_in_parts_before_the_items() -> None:
    question = TagRequest(labels=[f"label {n}" for n in range(100)], templates=["a {label}", "one {label}"])
    items = tuple(ItemInput(str(n), "hat") for n in range(40))
    parts = split(TAG_ITEMS, replace(question, items=items, item_ids=("a", "b")))
    assert [(len(part.labels), len(part.items), len(part.item_ids)) for part in parts] == [
        (32, 0, 0),
        (32, 0, 0),
        (32, 0, 0),
        (4, 0, 0),
        (100, 32, 0),
        (100, 8, 0),
        (100, 0, 2),
    ]
    assert split(TAG_ITEMS, question) == []


def test_a_part_that_failed_costs_its_own_items_only() -> None:
    request = TagRequest(tuple(ItemInput(str(n), "hat") for n in range(33)), ("x",), ("a", "b"))
    fine = TagResults(tuple(ItemTags(str(n), ()) for n in range(32)))
    refused = InvalidArgumentError("no")
    joined = join(TAG_ITEMS, request, [fine, refused, TagResults((ItemTags("x", ()),))])
    assert [entry.item_id for entry in joined.items] == [*(str(n) for n in range(33)), "x"]
    assert [entry.item_id for entry in joined.items if isinstance(entry, ItemFailure)] == ["32"]
    with pytest.raises(InvalidArgumentError, match="no"):
        join(TAG_ITEMS, request, [refused, refused, refused])
