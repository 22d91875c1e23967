"""Splitting requests into parts and weighing them, so that other requests can run between the parts of a large one.

Unit of work: one request of an engine. Knows nothing about gRPC, queues or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mmrec.contract.changes import UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput, Versions
from mmrec.contract.replies import EmbedResults, TagResults
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    ExplainRequest,
    ListItemsRequest,
    MismatchRequest,
    RankRequest,
    RatingRequest,
    ResolveRequest,
    TagRequest,
)
from mmrec.errors import InternalError, MmrecError
from mmrec.understanding.tagging import COLUMN_STEPS, ITEM_CHUNK, LABEL_CHUNK

_WHOLE_CATALOGUE = 1_000
"""Weight of a request about the whole catalogue: more than any batch, so it runs alone."""
_EXPLAINED = 10
"""Items that can be explained in the time of one other request."""
_ROWS = 100
"""Rows of the catalogue that are read in about the time of one other request."""


def parts_of(request: Any) -> list[Any]:
    """The parts of a request, in order; the request itself if it is not split."""
    if isinstance(request, EmbedRequest):
        return [replace(request, items=chunk) for chunk in _chunks(request.items)] or [request]
    if isinstance(request, TagRequest) and _has_items(request):
        return [*_preparations(request), *_tag_parts(request)]
    return [request]


def joined(parts: Sequence[Any], results: Sequence[Any]) -> Any:
    """The result of a request from those of its parts: an error if all failed, or if labels could not be encoded."""
    if len(parts) != len(results):
        raise InternalError(f"{len(parts)} parts were asked for and {len(results)} results came back")
    if len(parts) == 1:
        return results[0]
    if isinstance(parts[0], TagRequest):
        work = [part for part in parts if _has_items(part)]
        unprepared = [result for result in results[: -len(work)] if isinstance(result, MmrecError)]
        if unprepared:
            return unprepared[0]
        parts, results = work, results[-len(work) :]
    errors = [result for result in results if isinstance(result, MmrecError)]
    if len(errors) == len(results):
        return errors[0]
    return _tagged(parts, results) if isinstance(parts[0], TagRequest) else _embedded(parts, results)


def weight_of(request: Any) -> int:
    """How much work one part is, in items to embed or else in requests."""
    if isinstance(request, EmbedRequest | UpsertRequest):
        return max(1, len(request.items))
    if isinstance(request, TagRequest):
        # A request that prepares labels encodes up to LABEL_CHUNK short sentences, about as much as 16 items.
        return len(request.items) + len(request.item_ids) if _has_items(request) else LABEL_CHUNK // 4
    if isinstance(request, DuplicatesRequest | MismatchRequest):
        return _WHOLE_CATALOGUE
    if isinstance(request, ExplainRequest):
        return max(1, len(request.item_ids) // _EXPLAINED)
    if isinstance(request, RankRequest):
        return max(1, len(request.item_ids) // _ROWS)
    if isinstance(request, RatingRequest):
        return max(1, len(request.history) // _ROWS)
    if isinstance(request, ListItemsRequest):
        return max(1, request.page_size // _ROWS)
    if isinstance(request, ResolveRequest):
        return max(1, len(request.semantic_ids) * request.page_size // _ROWS)
    return 1


def _has_items(request: TagRequest) -> bool:
    return bool(request.items or request.item_ids)


def _chunks(entries: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return [entries[start : start + ITEM_CHUNK] for start in range(0, len(entries), ITEM_CHUNK)]


def _preparations(request: TagRequest) -> list[TagRequest]:
    """Requests without items, which encode the labels: many labels, or those of a column, are many sentences."""
    asked = replace(request, items=(), item_ids=())
    if request.column:
        return [asked] * COLUMN_STEPS
    size = max(1, LABEL_CHUNK // max(1, len(request.templates)))
    if len(request.labels) <= size:
        return []
    return [
        replace(asked, labels=request.labels[start : start + size]) for start in range(0, len(request.labels), size)
    ]


def _tag_parts(request: TagRequest) -> list[TagRequest]:
    described = [replace(request, items=chunk, item_ids=()) for chunk in _chunks(request.items)]
    return described + [replace(request, items=(), item_ids=chunk) for chunk in _chunks(request.item_ids)]


def _failures(items: Sequence[ItemInput | ItemFailure], error: MmrecError) -> list[ItemFailure]:
    return [item if isinstance(item, ItemFailure) else ItemFailure(item.item_id, error) for item in items]


def _embedded(parts: Sequence[EmbedRequest], results: Sequence[EmbedResults | MmrecError]) -> EmbedResults:
    entries: list[Any] = []
    versions = Versions()
    for part, result in zip(parts, results, strict=True):
        if isinstance(result, MmrecError):
            entries += _failures(part.items, result)
        else:
            entries += result.items
            versions = result.versions
    return EmbedResults(tuple(entries), versions)


def _tagged(parts: Sequence[TagRequest], results: Sequence[TagResults | MmrecError]) -> TagResults:
    joined = TagResults(())
    for part, result in zip(parts, results, strict=True):
        if isinstance(result, MmrecError):
            entries = [*_failures(part.items, result), *(ItemFailure(item_id, result) for item_id in part.item_ids)]
            joined = replace(joined, items=(*joined.items, *entries))
        else:
            missing = tuple(dict.fromkeys((*joined.missing_ids, *result.missing_ids)))
            joined = replace(result, items=(*joined.items, *result.items), missing_ids=missing)
    return joined
