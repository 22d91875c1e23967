"""Changes of a catalogue as values: what is refused when one is made, and which ones are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.contract.changes import ChangeEntry, ChangeResults, DeleteRequest, UpsertRequest, content_hash
from mmrec.contract.items import ItemFailure, ItemInput, Versions
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from mmrec.sdk.rpcs import DELETE_ITEMS, UPSERT_ITEMS

HAT = ItemInput("a", "hat")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ITEMS = st.builds(
    ItemInput,
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5),
    TEXT.map(lambda text: text + "x"),
    TEXT,
    st.none() | st.binary(min_size=1, max_size=5),
    st.dictionaries(TEXT.filter(bool), TEXT, max_size=3),
)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"items": (HAT,) * 1001}, "items"),
        ({"items": "hat"}, "items"),
        ({"items": (HAT, "hat")}, "items[1]"),
        ({"items": 7}, "items"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"request_id": None}, "request_id"),
        ({"request_id": "\ud800"}, "request_id"),
        ({"validate_only": "no"}, "validate_only"),
        ({"wait_until_visible": 1}, "wait_until_visible"),
        ({"fields": ("titel",)}, "fields"),
        ({"fields": ("title", "*")}, "fields"),
        ({"fields": "title"}, "fields"),
    ],
)
def test_an_upsert_that_breaks_a_rule_is_refused_by_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        UpsertRequest(**{"items": (HAT,), **values})
    assert [violation.field for violation in refused.value.violations] == [field]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"item_ids": ["a"] * 1001}, "item_ids"),
        ({"item_ids": "a"}, "item_ids"),
        ({"item_ids": ["a", 7]}, "item_ids[1]"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"validate_only": None}, "validate_only"),
    ],
)
def test_a_deletion_that_breaks_a_rule_is_refused_by_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        DeleteRequest(**{"item_ids": ("a",), **values})
    assert [violation.field for violation in refused.value.violations] == [field]


def test_what_was_refused_before_keeps_its_place_in_the_reply() -> None:
    unread, bad = InvalidArgumentError("unread"), NotFoundError("bad")
    request = UpsertRequest((HAT, ItemFailure("x", unread), ItemInput("b", "shoe")), "r")
    assert request.valid == (HAT, ItemInput("b", "shoe"))
    results = request.results({1: bad}, Versions("m", "c", "b"))
    assert results.entries == (ChangeEntry("a"), ChangeEntry("x", unread), ChangeEntry("b", bad))
    assert (results.done, results.refused) == (("a",), results.entries[1:])
    assert (results.versions, results.request_id) == (Versions("m", "c", "b"), "r")


def test_a_batch_is_one_change_and_failures_keep_their_places_and_ids() -> None:
    failure = ItemFailure("b", InvalidArgumentError("items[1]: no words", field="items[1].title"))
    batch = UpsertRequest((HAT, failure, ItemInput("c", "shoe")), "r", True, True)
    assert UPSERT_ITEMS.split(batch) == [UpsertRequest((HAT, ItemInput("c", "shoe")), "r", True, True)]
    refused = InvalidArgumentError("no JPEG", field="image")
    done = ChangeResults((ChangeEntry("a"), ChangeEntry("c", refused)), Versions("m"), "r")
    joined = UPSERT_ITEMS.join(batch, [done])
    assert [entry.id for entry in joined.entries] == ["a", "b", "c"]
    assert joined.entries[1].error is failure.error
    error = joined.entries[2].error
    assert isinstance(error, InvalidArgumentError)
    assert (error.message, error.violations[0].field) == ("items[2]: no JPEG", "items[2].image")
    with pytest.raises(FailedPreconditionError):
        UPSERT_ITEMS.join(batch, [FailedPreconditionError("not now")])


def test_where_nothing_is_left_to_do_the_engine_is_not_asked() -> None:
    failure = ItemFailure("b", InvalidArgumentError("no words"))
    batch = UpsertRequest((failure,), "r")
    assert UPSERT_ITEMS.split(batch) == []
    assert UPSERT_ITEMS.join(batch, []) == ChangeResults((ChangeEntry("b", failure.error),), Versions(), "r")
    empty = DeleteRequest((), "r")
    assert DELETE_ITEMS.split(empty) == []
    assert DELETE_ITEMS.join(empty, []) == ChangeResults((), Versions(), "r")


# --- which changes are the same ---


@given(st.lists(ITEMS, max_size=3).map(tuple), TEXT, st.booleans())
def test_the_same_content_has_the_same_hash_whatever_it_is_called(
    items: tuple[ItemInput, ...], name: str, wait: bool
) -> None:
    turned = tuple(replace(item, attributes=dict(reversed(item.attributes.items()))) for item in items)
    assert content_hash(UpsertRequest(items)) == content_hash(UpsertRequest(turned, name, False, wait))


@given(st.lists(ITEMS, max_size=3).map(tuple), st.lists(ITEMS, max_size=3).map(tuple))
def test_other_content_has_another_hash(one: tuple[ItemInput, ...], other: tuple[ItemInput, ...]) -> None:
    assert (content_hash(UpsertRequest(one)) == content_hash(UpsertRequest(other))) == (one == other)


def test_what_stands_next_to_each_other_is_not_mixed_up() -> None:
    hashes = [
        content_hash(request)
        for request in (
            UpsertRequest((ItemInput("ab", "c"),)),
            UpsertRequest((ItemInput("a", "bc"),)),
            UpsertRequest((ItemInput("ab", "", "c"),)),
            UpsertRequest((ItemInput("ab", image=b"c"),)),
            UpsertRequest((ItemInput("ab", attributes={"": "c"}),)),
            UpsertRequest((ItemFailure("", InvalidArgumentError("c")),)),
            UpsertRequest(()),
            DeleteRequest(()),
            DeleteRequest(("ab",)),
            DeleteRequest(("a", "b")),
        )
    ]
    assert len(set(hashes)) == len(hashes)


def test_the_hash_is_the_same_on_every_machine() -> None:
    # Written down with a change that a store may hold: another value would make every retry a new change.
    request = DeleteRequest(("p1",))
    import hashlib

    data = b"".join(len(part).to_bytes(8, "big") + part for part in (b"delete", b"p1"))
    assert content_hash(request) == hashlib.sha256(data).hexdigest()


def test_replacing_some_fields_is_another_change_than_replacing_all() -> None:
    hashes = {content_hash(UpsertRequest((HAT,), fields=fields)) for fields in ((), ("title",), ("title", "image"))}
    assert len(hashes) == 3
    assert content_hash(UpsertRequest((HAT,), fields=("*",))) == content_hash(UpsertRequest((HAT,)))
