"""How one call is cut into parts for the engine, so that other calls get their turn in between, and what a part weighs.

Unit of work: one call. Knows nothing of gRPC, queues or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mmrec.contract.changes import UpsertRequest
from mmrec.contract.engine import COLUMN_STEPS, LABEL_CHUNK
from mmrec.contract.items import ItemFailure, Versions
from mmrec.contract.replies import EmbedResults, ItemEmbedding, ItemTags, TagCalibration, TagResults
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    ListItemsRequest,
    MismatchRequest,
    ResolveRequest,
    TagRequest,
)
from mmrec.errors import InternalError, MmrecError
from mmrec.sdk.rpcs import Rpc

R = TypeVar("R")

ITEM_CHUNK = 32
"""Most items of a call that are embedded or tagged at once."""
_WHOLE_CATALOGUE = 1_000
"""What a question about the whole catalogue weighs: more than any batch, so it is done by itself."""
_ROWS = 100
"""Rows of the catalogue that are read out in about the time of one request of another kind."""


def split(rpc: Rpc[Any, Any], request: Any) -> list[Any]:
    """The requests for the engine, possibly none."""
    parts = rpc.split(request)
    if parts and isinstance(request, EmbedRequest):
        return _chunks(parts[0], "items")
    if parts and isinstance(request, TagRequest):
        return [*_preparations(parts[0]), *_tagging(parts[0])]
    return parts


def join(rpc: Rpc[Any, R], request: Any, results: Sequence[Any]) -> R:
    """The reply, from one result per request of `split`.

    Raises:
        MmrecError: the call failed as a whole.
    """
    if results and isinstance(request, EmbedRequest):
        results = [_embedded(_chunks(rpc.split(request)[0], "items"), results)]
    if results and isinstance(request, TagRequest):
        results = [_tagged(_tagging(rpc.split(request)[0]), results)]
    return rpc.join(request, list(results))


def work_of(request: Any) -> int:
    """How much work one engine request is, in items to embed or else in requests."""
    if isinstance(request, EmbedRequest | UpsertRequest):
        return max(1, len(request.items))
    if isinstance(request, TagRequest):
        # One that makes labels ready encodes up to LABEL_CHUNK short sentences, about as much as 16 items.
        return len(request.items) + len(request.item_ids) or LABEL_CHUNK // 4
    if isinstance(request, DuplicatesRequest | MismatchRequest):
        return _WHOLE_CATALOGUE
    if isinstance(request, ListItemsRequest):
        return max(1, request.page_size // _ROWS)
    if isinstance(request, ResolveRequest):
        return max(1, len(request.semantic_ids) * request.page_size // _ROWS)
    return 1


def _chunks(request: Any, field: str) -> list[Any]:
    entries = getattr(request, field)
    return [
        replace(request, **{field: entries[start : start + ITEM_CHUNK]}) for start in range(0, len(entries), ITEM_CHUNK)
    ]


def _preparations(request: TagRequest) -> list[TagRequest]:
    """Requests without items, which make the labels ready.

    Many labels are many sentences to encode, and so may be the labels of a column: cut into parts, none of them holds
    up other calls for long.
    """
    alone = replace(request, items=(), item_ids=())
    if request.column:
        return [alone] * COLUMN_STEPS
    size = max(1, LABEL_CHUNK // max(1, len(request.templates)))
    if len(request.labels) <= size:
        return []
    starts = range(0, len(request.labels), size)
    return [replace(alone, labels=request.labels[start : start + size]) for start in starts]


def _tagging(request: TagRequest) -> list[TagRequest]:
    return [*_chunks(replace(request, item_ids=()), "items"), *_chunks(replace(request, items=()), "item_ids")]


def _embedded(parts: Sequence[EmbedRequest], results: Sequence[EmbedResults | MmrecError]) -> EmbedResults:
    _raise_if_all_failed(results)
    done: list[ItemEmbedding | ItemFailure] = []
    versions = Versions()
    for part, result in zip(parts, results, strict=True):
        if isinstance(result, MmrecError):
            done += [ItemFailure(item.item_id, result) for item in part.items]
        else:
            _check_same_length(part.items, result.items)
            done += result.items
            versions = result.versions
    return EmbedResults(tuple(done), versions)


def _tagged(parts: Sequence[TagRequest], results: Sequence[TagResults | MmrecError]) -> TagResults:
    ready, results = results[: len(results) - len(parts)], results[len(results) - len(parts) :]
    for result in ready:
        if isinstance(result, MmrecError):
            raise result
    _raise_if_all_failed(results)
    done: list[ItemTags | ItemFailure] = []
    missing: dict[str, None] = {}
    calibration, versions = TagCalibration(), Versions()
    for part, result in zip(parts, results, strict=True):
        if isinstance(result, MmrecError):
            ids = part.item_ids or [item.item_id for item in part.items]
            done += [ItemFailure(item_id, result) for item_id in ids]
            continue
        if part.items:
            _check_same_length(part.items, result.items)
        done += result.items
        missing |= dict.fromkeys(result.missing_ids)
        calibration, versions = result.calibration, result.versions
    return TagResults(tuple(done), tuple(missing), calibration, versions)


def _raise_if_all_failed(results: Sequence[object]) -> None:
    errors = [result for result in results if isinstance(result, MmrecError)]
    if errors and len(errors) == len(results):
        raise errors[0]


def _check_same_length(asked: Sequence[object], got: Sequence[object]) -> None:
    if len(asked) != len(got):
        raise InternalError(f"{len(asked)} items were asked for and {len(got)} came back")
