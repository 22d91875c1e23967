"""Changes of a catalogue as messages, both ways: items that come, items that go, and what became of each.

Unit of work: one message. A request that sets a field which is not built yet is refused here; an item that cannot be
read becomes its own failure, told with its place: ``items[17].image``.
"""

from __future__ import annotations

from collections.abc import Iterable

from mmrec.contract.changes import ChangeEntry, ChangeResults, DeleteRequest
from mmrec.contract.field_mask import FieldMask
from mmrec.contract.items import ItemFailure
from mmrec.sdk.batches import UpsertBatch
from mmrec.sdk.wire.reading import mask_from_wire, mask_to_wire, refuse_not_built
from mmrec.sdk.wire.status import error_from_status, error_to_status
from mmrec.sdk.wire.values import item_input_to_wire, item_inputs_from_wire, versions_from_wire, versions_to_wire
from mmrec.v1 import common_pb2, item_pb2

# --- items that come ------------------------------------------------------------------------------------------------


def upsert_batch_to_wire(batch: UpsertBatch) -> item_pb2.UpsertItemsRequest:
    """`UpsertBatch` as a message; items that are already refused are left out."""
    return item_pb2.UpsertItemsRequest(
        request_id=batch.request_id,
        items=[item_input_to_wire(item) for item in batch.items if not isinstance(item, ItemFailure)],
        validate_only=batch.validate_only,
        wait_until_visible=batch.wait_until_visible,
        update_mask=mask_to_wire(batch.fields),
    )


def upsert_batch_from_wire(message: item_pb2.UpsertItemsRequest) -> UpsertBatch:
    """`UpsertBatch` from a message; a bad item becomes its failure, told as ``items[17].image``.

    Raises:
        InvalidArgumentError: there are too many items, the request's id is too long, or `update_mask` names what is no
            field of an item.
        NotImplementedYetError: a field of `FIELDS_NOT_BUILT` is set.
    """
    refuse_not_built(message)
    fields = FieldMask().check(mask_from_wire(message, "update_mask"), "update_mask")
    rest = (message.request_id, message.validate_only, message.wait_until_visible, fields)
    UpsertBatch(message.items, *rest)  # refused by its length before anything is read
    return UpsertBatch(item_inputs_from_wire(message.items), *rest)


def upsert_results_to_wire(results: ChangeResults) -> item_pb2.UpsertItemsResponse:
    """`ChangeResults` as the reply to items that come."""
    return item_pb2.UpsertItemsResponse(
        results=_entries_to_wire(results.entries),
        versions=versions_to_wire(results.versions),
        request_id=results.request_id,
    )


def upsert_results_from_wire(message: item_pb2.UpsertItemsResponse) -> ChangeResults:
    """`ChangeResults` from the reply to items that come."""
    return ChangeResults(_entries_from_wire(message.results), versions_from_wire(message.versions), message.request_id)


# --- items that go --------------------------------------------------------------------------------------------------


def delete_request_to_wire(request: DeleteRequest) -> item_pb2.DeleteItemsRequest:
    """`DeleteRequest` as a message."""
    return item_pb2.DeleteItemsRequest(
        request_id=request.request_id, item_ids=request.item_ids, validate_only=request.validate_only
    )


def delete_request_from_wire(message: item_pb2.DeleteItemsRequest) -> DeleteRequest:
    """`DeleteRequest` from a message.

    Raises:
        InvalidArgumentError: there are too many ids, or one is too long, or the request's own is.
    """
    refuse_not_built(message)
    return DeleteRequest(message.item_ids, message.request_id, message.validate_only)


def delete_results_to_wire(results: ChangeResults) -> item_pb2.DeleteItemsResponse:
    """`ChangeResults` as the reply to items that go."""
    return item_pb2.DeleteItemsResponse(
        results=_entries_to_wire(results.entries),
        versions=versions_to_wire(results.versions),
        request_id=results.request_id,
    )


def delete_results_from_wire(message: item_pb2.DeleteItemsResponse) -> ChangeResults:
    """`ChangeResults` from the reply to items that go."""
    return ChangeResults(_entries_from_wire(message.results), versions_from_wire(message.versions), message.request_id)


# --- what became of each --------------------------------------------------------------------------------------------


def _entries_to_wire(entries: Iterable[ChangeEntry]) -> list[common_pb2.EntryStatus]:
    return [
        common_pb2.EntryStatus(id=entry.id, status=error_to_status(entry.error) if entry.error else None)
        for entry in entries
    ]


def _entries_from_wire(messages: Iterable[common_pb2.EntryStatus]) -> tuple[ChangeEntry, ...]:
    return tuple(
        ChangeEntry(entry.id, error_from_status(entry.status) if entry.status.code else None) for entry in messages
    )
