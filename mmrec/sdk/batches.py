"""Lists of which some entries are already refused: what is left for an engine, and the reply with each in its place.

Unit of work: one call. Knows nothing of protobuf, gRPC or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mmrec.contract.changes import ChangeEntry, ChangeResults, UpsertRequest
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
        raise InternalError(f"one request was made and {len(results)} results came back")
    result = results[0]
    if isinstance(result, MmrecError):
        raise result
    return result


# --- several requests -----------------------------------------------------------------------------------------------


def good_requests(batch: RecommendBatch | SearchBatch | SimilarBatch) -> list[Any]:
    """The requests for the engine."""
    return [request for request in batch.requests if not isinstance(request, MmrecError)]


def every_result(batch: RecommendBatch | SearchBatch | SimilarBatch, results: Sequence[Any]) -> list[Any]:
    """One entry per request: the engine's result, or its error, with its place in the batch."""
    rest = iter(results)
    return [
        request if isinstance(request, MmrecError) else _placed(next(rest), f"requests[{i}]")
        for i, request in enumerate(batch.requests)
    ]


# --- items ----------------------------------------------------------------------------------------------------------


def embedding_parts(request: EmbedRequest) -> list[EmbedRequest]:
    """The request for the engine, with the good items; none when there are none."""
    good = _good(request.items)
    return [replace(request, items=good)] if good else []


def embedded(request: EmbedRequest, results: Sequence[EmbedResults | MmrecError]) -> EmbedResults:
    """One entry per item, in order, with vectors as near as the number format comes.

    Raises:
        MmrecError: nothing at all could be done.
    """
    done = only(results) if results else EmbedResults(())
    rounded = tuple(_rounded(entry, request.dtype) for entry in done.items)
    return all_embedded(request, replace(done, items=rounded, dtype=request.dtype))


def all_embedded(request: EmbedRequest, reply: EmbedResults) -> EmbedResults:
    """The reply about the good items, with every failure in its place."""
    return replace(reply, items=_in_place(request.items, reply.items))


def tagging_parts(request: TagRequest) -> list[TagRequest]:
    """The request for the engine, with the good items; none when there is nothing to tag."""
    good = _good(request.items)
    return [replace(request, items=good)] if good or request.item_ids else []


def tagged(request: TagRequest, results: Sequence[TagResults | MmrecError]) -> TagResults:
    """One entry per item and known id, in order.

    Raises:
        MmrecError: nothing at all could be done.
    """
    return all_tagged(request, only(results) if results else TagResults(()))


def all_tagged(request: TagRequest, reply: TagResults) -> TagResults:
    """The reply about the good items and the ids, with every failure in its place."""
    good = len(_good(request.items))
    described, known = reply.items[:good], reply.items[good:]
    return replace(reply, items=(*_in_place(request.items, described), *known))


def upserting_parts(request: UpsertRequest) -> list[UpsertRequest]:
    """The one change for the engine, with the good items; none when there are none."""
    return [replace(request, items=request.valid)] if request.valid else []


def upserted(request: UpsertRequest, results: Sequence[ChangeResults | MmrecError]) -> ChangeResults:
    """One entry per item, in order.

    Raises:
        MmrecError: the change failed as a whole.
    """
    return all_upserted(request, only(results) if results else ChangeResults((), request_id=request.request_id))


def all_upserted(request: UpsertRequest, reply: ChangeResults) -> ChangeResults:
    """The reply about the good items, with every failure in its place."""
    done = [ItemFailure(entry.id, entry.error) if entry.error else entry for entry in reply.entries]
    entries = tuple(
        ChangeEntry(entry.item_id, entry.error) if isinstance(entry, ItemFailure) else entry
        for entry in _in_place(request.items, done)
    )
    return replace(reply, entries=entries)


def _good(items: Sequence[ItemInput | ItemFailure]) -> tuple[ItemInput, ...]:
    return tuple(item for item in items if isinstance(item, ItemInput))


def _rounded(entry: ItemEmbedding | ItemFailure, dtype: NumberFormat) -> ItemEmbedding | ItemFailure:
    if isinstance(entry, ItemFailure) or dtype is NumberFormat.FLOAT32:
        return entry
    return ItemEmbedding(entry.item_id, _rounded_numbers(entry.vector, dtype), entry.semantic_id)


def _rounded_numbers(vector: npt.NDArray[np.float32], dtype: NumberFormat) -> npt.NDArray[np.float32]:
    """The nearest numbers of a shorter format, as float32. Shape: (D,)."""
    import numpy as np

    if dtype is NumberFormat.FLOAT16:
        return vector.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(vector, dtype=np.float32).view(np.uint32)
    # To the nearest, halves to even: what the lower 16 bits hold is rounded into the upper ones.
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return nearest.view(np.float32)


def _in_place(sent: Sequence[ItemInput | ItemFailure], done: Sequence[T | ItemFailure]) -> tuple[T | ItemFailure, ...]:
    """Results of valid items merged with the failures of the others; errors name the item's own place."""
    good = [i for i, item in enumerate(sent) if not isinstance(item, ItemFailure)]
    if len(good) != len(done):
        raise InternalError(f"{len(good)} items were asked for and {len(done)} came back")
    entries: list[T | ItemFailure | ItemInput] = list(sent)
    for place, (i, entry) in enumerate(zip(good, done, strict=True)):
        if isinstance(entry, ItemFailure):
            entry = ItemFailure(entry.item_id, _placed(entry.error, f"items[{i}]", f"items[{place}]"))
        entries[i] = entry
    return tuple(entry for entry in entries if not isinstance(entry, ItemInput))


def _placed(result: T, place: str, sent_as: str = "") -> T:
    """An entry's error with its place in the caller's list; any other result unchanged."""
    if not isinstance(result, InvalidArgumentError):
        return result
    if sent_as and all(violation.field.startswith(sent_as) for violation in result.violations):
        if sent_as == place:
            return result
        moved = [FieldViolation(place + v.field.removeprefix(sent_as), v.description) for v in result.violations]
        return type(result)(result.message.replace(sent_as, place, 1), violations=moved)
    return prefixed(result, place)
