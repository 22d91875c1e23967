"""Changes on the wire: there and back again with their errors, and what other clients may send."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from mmrec.contract.changes import ChangeEntry, ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput, Versions
from mmrec.errors import InvalidArgumentError, InvalidImageError, MmrecError, NotFoundError
from mmrec.sdk.codec import from_message
from mmrec.sdk.rpcs import DELETE_ITEMS, STREAM_UPSERT_ITEMS, UPSERT_ITEMS
from mmrec.v1 import common_pb2, item_pb2

VERSIONS = Versions("m1", "c1+7", "b1")
ERRORS = st.sampled_from([NotFoundError, InvalidImageError, InvalidArgumentError])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(TEXT, st.none() | st.builds(lambda kind, text: kind(text), ERRORS, TEXT)), max_size=4), TEXT)
def test_what_became_of_each_item_arrives_with_its_reason(
    entries: list[tuple[str, MmrecError | None]], request_id: str
) -> None:
    results = ChangeResults(tuple(ChangeEntry(*entry) for entry in entries), VERSIONS, request_id)
    for rpc in (UPSERT_ITEMS, STREAM_UPSERT_ITEMS, DELETE_ITEMS):
        back = rpc.decode_reply(rpc.encode_reply(results))
        assert (back.versions, back.request_id) == (VERSIONS, request_id)
        assert [entry.id for entry in back.entries] == [item_id for item_id, _ in entries]
        for entry, (_, error) in zip(back.entries, entries, strict=True):
            assert (type(entry.error), getattr(entry.error, "message", "")) == (
                type(error),
                getattr(error, "message", ""),
            )


def test_an_item_that_cannot_be_read_is_its_own_failure_with_its_place_and_id() -> None:
    message = item_pb2.UpsertItemsRequest(
        request_id="r",
        items=[
            common_pb2.ItemInput(item_id="a", title="hat"),
            common_pb2.ItemInput(item_id="b", title="hat", image=b""),
            common_pb2.ItemInput(item_id="c"),
            common_pb2.ItemInput(item_id="d\x07", title="hat"),
        ],
        validate_only=True,
        wait_until_visible=True,
    )
    batch = from_message(message, UpsertRequest)
    assert (batch.request_id, batch.validate_only, batch.wait_until_visible) == ("r", True, True)
    good, picture, nothing, unspeakable = batch.items
    assert good == ItemInput("a", "hat")
    assert isinstance(picture, ItemFailure)
    assert isinstance(picture.error, InvalidImageError)
    assert (picture.item_id, picture.error.message[:9]) == ("b", "items[1]:")
    assert isinstance(nothing, ItemFailure)
    assert isinstance(nothing.error, InvalidArgumentError)
    assert (nothing.item_id, nothing.error.violations[0].field) == ("c", "items[2].title")
    assert isinstance(unspeakable, ItemFailure)
    assert unspeakable.error.message == (
        "items[3]: item_id 'd\\x07' has the control character U+0007, which cannot be displayed or typed; remove it"
    )


def test_unset_fields_mean_the_defaults() -> None:
    assert from_message(item_pb2.UpsertItemsRequest(), UpsertRequest) == UpsertRequest(())
    assert from_message(item_pb2.DeleteItemsRequest(), DeleteRequest) == DeleteRequest(())
    # A status that says OK is no error.
    entry = common_pb2.EntryStatus(id="a")
    entry.status.SetInParent()
    reply = from_message(item_pb2.UpsertItemsResponse(results=[entry]), ChangeResults)
    assert reply == ChangeResults((ChangeEntry("a"),))


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (item_pb2.UpsertItemsRequest(items=[common_pb2.ItemInput(title="x")] * 1001), "items"),
        (item_pb2.UpsertItemsRequest(request_id="x" * 129), "request_id"),
        (item_pb2.DeleteItemsRequest(item_ids=["a"] * 1001), "item_ids"),
        (item_pb2.DeleteItemsRequest(item_ids=["a", "x" * 513]), "item_ids[1]"),
        (item_pb2.DeleteItemsRequest(request_id="x" * 129), "request_id"),
    ],
)
def test_a_bad_message_is_refused_by_field(message: object, field: str) -> None:
    (rpc,) = [r for r in (UPSERT_ITEMS, DELETE_ITEMS) if isinstance(message, r.request_type)]
    with pytest.raises(InvalidArgumentError) as refused:
        rpc.decode_request(message.SerializeToString())
    assert [violation.field for violation in refused.value.violations] == [field]


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        (["title"], ("title",)),
        (["attributes.unit price", "image", "title", "image"], ("attributes.unit price", "image", "title")),
        (["attributes.price", "attributes"], ("attributes",)),
        (["*"], ()),
        ([], ()),
    ],
)
def test_a_mask_names_the_fields_that_are_replaced(paths: list[str], fields: tuple[str, ...]) -> None:
    message = item_pb2.UpsertItemsRequest(update_mask=FieldMask(paths=paths))
    batch = from_message(message, UpsertRequest)
    assert batch.fields == fields
    assert UPSERT_ITEMS.decode_request(UPSERT_ITEMS.encode_request(batch)) == batch


@pytest.mark.parametrize("path", ["item_id", "titles", "attributes.", "semantic_id", "*", ""])
def test_a_mask_that_names_no_field_of_an_item_is_refused(path: str) -> None:
    message = item_pb2.UpsertItemsRequest(update_mask=FieldMask(paths=["title", path]))
    with pytest.raises(InvalidArgumentError, match="what can be replaced is title, description") as refused:
        from_message(message, UpsertRequest)
    assert [violation.field for violation in refused.value.violations] == ["update_mask"]
