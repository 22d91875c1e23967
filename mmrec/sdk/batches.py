"""Batches in which some entries are refused before they reach an engine.

Splits a batch into the valid entries, for the engine, and merges its results with the errors of the others, in order.
Unit of work: one call. Knows nothing of protobuf, gRPC or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mmrec.contract.changes import ChangeEntry, ChangeResults, UpsertRequest
from mmrec.contract.events import EventResults, RecordEventsRequest, UserEvent
from mmrec.contract.items import ItemFailure, ItemInput, NumberFormat
from mmrec.contract.replies import EmbedResults, ItemEmbedding, TagResults
from mmrec.contract.requests import EmbedRequest, RecommendBatch, SearchBatch, SimilarBatch, TagRequest
from mmrec.errors import FieldViolation, InternalError, InvalidArgumentError, MmrecError, prefixed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T")


def only(results: Sequence[T | MmrecError]) -> T:
    """The one result of a batch of one.

    Raises:
        MmrecError: the entry is an error.
    """
    if len(results) != 1:
        raise InternalError(f"one request was sent and {len(results)} results were returned")
    result = results[0]
    if isinstance(result, MmrecError):
        raise result
    return result


# --- several requests -----------------------------------------------------------------------------------------------


def valid_requests(batch: RecommendBatch | SearchBatch | SimilarBatch) -> list[Any]:
    """The requests that were not refused."""
    return [request for request in batch.requests if not isinstance(request, MmrecError)]


def merged_results(batch: RecommendBatch | SearchBatch | SimilarBatch, results: Sequence[Any]) -> list[Any]:
    """One entry per request, in order: the engine's result, or an error that names the request's index."""
    remaining = iter(results)
    return [
        request if isinstance(request, MmrecError) else with_path(next(remaining), f"requests[{i}]")
        for i, request in enumerate(batch.requests)
    ]


# --- items ----------------------------------------------------------------------------------------------------------


def split_embed(request: EmbedRequest) -> list[EmbedRequest]:
    """The request with the valid items only; empty if there are none."""
    valid = _valid(request.items)
    return [replace(request, items=valid)] if valid else []


def join_embed(request: EmbedRequest, results: Sequence[EmbedResults | MmrecError]) -> EmbedResults:
    """The reply with one entry per item, in order, and vectors rounded to the number format.

    Raises:
        MmrecError: the call failed as a whole.
    """
    done = only(results) if results else EmbedResults(())
    rounded = tuple(_rounded(entry, request.dtype) for entry in done.items)
    return merge_embed_failures(request, replace(done, items=rounded, dtype=request.dtype))


def merge_embed_failures(request: EmbedRequest, reply: EmbedResults) -> EmbedResults:
    """The reply about the valid items, merged with the failures of the others."""
    return replace(reply, items=_merged(request.items, reply.items))


def split_tag(request: TagRequest) -> list[TagRequest]:
    """The request with the valid items only; empty if there is nothing to label."""
    valid = _valid(request.items)
    return [replace(request, items=valid)] if valid or request.item_ids else []


def join_tag(request: TagRequest, results: Sequence[TagResults | MmrecError]) -> TagResults:
    """The reply with one entry per item and known id, in order.

    Raises:
        MmrecError: the call failed as a whole.
    """
    return merge_tag_failures(request, only(results) if results else TagResults(()))


def merge_tag_failures(request: TagRequest, reply: TagResults) -> TagResults:
    """The reply about the valid items and the ids, merged with the failures of the other items."""
    count = len(_valid(request.items))
    described, known = reply.items[:count], reply.items[count:]
    return replace(reply, items=(*_merged(request.items, described), *known))


def split_upsert(request: UpsertRequest) -> list[UpsertRequest]:
    """The request with the valid items only; empty if there are none."""
    return [replace(request, items=request.valid)] if request.valid else []


def join_upsert(request: UpsertRequest, results: Sequence[ChangeResults | MmrecError]) -> ChangeResults:
    """The reply with one entry per item, in order.

    Raises:
        MmrecError: the change failed as a whole.
    """
    reply = only(results) if results else ChangeResults((), request_id=request.request_id)
    return merge_upsert_failures(request, reply)


def merge_upsert_failures(request: UpsertRequest, reply: ChangeResults) -> ChangeResults:
    """The reply about the valid items, merged with the failures of the others."""
    done = [ItemFailure(entry.id, entry.error) if entry.error else entry for entry in reply.entries]
    entries = tuple(
        ChangeEntry(entry.item_id, entry.error) if isinstance(entry, ItemFailure) else entry
        for entry in _merged(request.items, done)
    )
    return replace(reply, entries=entries)


def split_events(request: RecordEventsRequest) -> list[RecordEventsRequest]:
    """The request with the valid events only; empty if there are none."""
    return [replace(request, events=request.valid)] if request.valid else []


def join_events(request: RecordEventsRequest, results: Sequence[EventResults | MmrecError]) -> EventResults:
    """The reply with one entry per event, in order.

    Raises:
        MmrecError: the call failed as a whole.
    """
    return merge_event_failures(request, only(results) if results else EventResults((), request.request_id))


def merge_event_failures(request: RecordEventsRequest, reply: EventResults) -> EventResults:
    """The reply about the valid events, merged with the errors of the others."""
    valid = [place for place, event in enumerate(request.events) if isinstance(event, UserEvent)]
    if len(valid) != len(reply.entries):
        raise InternalError(f"{len(valid)} events were sent and {len(reply.entries)} results were returned")
    errors = {place: entry.error for place, entry in enumerate(reply.entries) if entry.error is not None}
    moved = {n: with_path(error, f"events[{valid[n]}]", f"events[{n}]") for n, error in errors.items()}
    return replace(request.results(moved), request_id=reply.request_id)


def _valid(items: Sequence[ItemInput | ItemFailure]) -> tuple[ItemInput, ...]:
    return tuple(item for item in items if isinstance(item, ItemInput))


def _rounded(entry: ItemEmbedding | ItemFailure, dtype: NumberFormat) -> ItemEmbedding | ItemFailure:
    if isinstance(entry, ItemFailure) or dtype is NumberFormat.FLOAT32:
        return entry
    return ItemEmbedding(entry.item_id, _rounded_numbers(entry.vector, dtype), entry.semantic_id)


def _rounded_numbers(vector: npt.NDArray[np.float32], dtype: NumberFormat) -> npt.NDArray[np.float32]:
    """A vector rounded to a shorter format, as float32. Shape: (D,)."""
    import numpy as np

    if dtype is NumberFormat.FLOAT16:
        return vector.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(vector, dtype=np.float32).view(np.uint32)
    # Round to nearest, ties to even: the lower 16 bits are rounded into the upper ones.
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return nearest.view(np.float32)


def _merged(
    items: Sequence[ItemInput | ItemFailure], results: Sequence[T | ItemFailure]
) -> tuple[T | ItemFailure, ...]:
    """Results of the valid items merged with the failures of the others; errors name the index in the whole batch."""
    valid = [i for i, item in enumerate(items) if not isinstance(item, ItemFailure)]
    if len(valid) != len(results):
        raise InternalError(f"{len(valid)} items were requested and {len(results)} results were returned")
    entries: list[T | ItemFailure | ItemInput] = list(items)
    for number, (i, entry) in enumerate(zip(valid, results, strict=True)):
        if isinstance(entry, ItemFailure):
            entry = ItemFailure(entry.item_id, with_path(entry.error, f"items[{i}]", f"items[{number}]"))
        entries[i] = entry
    return tuple(entry for entry in entries if not isinstance(entry, ItemInput))


def with_path(result: T, path: str, old_path: str = "") -> T:
    """An error with the entry's path in the caller's list, instead of `old_path`; any other result unchanged."""
    if not isinstance(result, InvalidArgumentError):
        return result
    if old_path and all(violation.field.startswith(old_path) for violation in result.violations):
        if old_path == path:
            return result
        moved = [FieldViolation(path + v.field.removeprefix(old_path), v.description) for v in result.violations]
        return type(result)(result.message.replace(old_path, path, 1), violations=moved)
    return prefixed(result, path)
