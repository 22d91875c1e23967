"""Splitting requests into parts and weighing them, so that other requests can run between the parts of a large one.

Unit of work: one request of an engine. Knows nothing about gRPC, queues or models.
"""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from mmrec.contract.changes import UpsertRequest
from mmrec.contract.events import ListEventsRequest, RecordEventsRequest
from mmrec.contract.items import ItemFailure, ItemInput, Versions
from mmrec.contract.replies import EmbedResults, Recommendations, TagResults
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    EmbedUserRequest,
    ExplainRequest,
    ListItemsRequest,
    MismatchRequest,
    RankRequest,
    RatingRequest,
    RecommendRequest,
    ResolveRequest,
    SearchRequest,
    SimilarRequest,
    TagRequest,
)
from mmrec.errors import InternalError, MmrecError
from mmrec.understanding.chunks import READ_CHARS, item_chars, item_chunks, label_chars, label_chunks, picture_chars
from mmrec.understanding.tagging import COLUMN_STEPS

_WHOLE_CATALOGUE = 1_000
"""Weight of a request about the whole catalogue: more than any batch, so it runs alone."""
_EXPLAINED = 10
"""Items that can be explained in the time of one other request."""
_PROMOTED = 5
"""Other requests that could be answered in the time that a promotion with a condition takes."""
_STEP = 16
"""Weight of a request that prepares labels of a column."""
_CHARS = 200
"""Characters that are encoded in about the time of one other request."""
_POSITIONS, _LONGEST = 100, 200
"""Positions of a history that are read in about the time of a request with one, and how many weigh: in batches of 16,
with the small decoder and 12,101 items, 2.9 ms a request with one position, 4.5 with 50 and 5.8 with 200 or more."""
_ROWS = 100
"""Rows of the catalogue that are read in about the time of one other request."""
_EVENTS = 20
"""Events that are recorded in about the time of a request with one event."""


def parts_of(request: Any) -> list[Any]:
    """The parts of a request, in order; the request itself if it is not split."""
    if isinstance(request, EmbedRequest):
        chunks = item_chunks(request.items, [item_chars(item) for item in request.items])
        return [replace(request, items=chunk) for chunk in chunks] or [request]
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


_SAME_RESULT = (
    RecommendRequest,
    RankRequest,
    SimilarRequest,
    SearchRequest,
    EmbedUserRequest,
    ExplainRequest,
    RatingRequest,
    DuplicatesRequest,
    MismatchRequest,
    ListItemsRequest,
)


def twin_of(request: Any) -> Hashable | None:
    """A key that equal questions have in common, which have the same result at the same moment; None for others."""
    try:
        return _hashable(request) if isinstance(request, _SAME_RESULT) else None
    except TypeError:  # it has a field of another kind, such as an array
        return None


def _hashable(value: Any) -> Hashable:
    """An equal key for an equal value.

    Raises:
        TypeError: there is none.
    """
    if isinstance(value, Mapping):
        return tuple(sorted(value.items()))
    try:
        hash(value)
    except TypeError:
        if not is_dataclass(value):
            raise
        return (type(value), *(_hashable(getattr(value, field.name)) for field in fields(value)))
    return cast(Hashable, value)


def result_again(result: Any) -> Any:
    """The result of a question as a further caller gets it: events are attributed to each reply by itself."""
    return replace(result, recommendation_id=uuid.uuid4().hex) if isinstance(result, Recommendations) else result


def weight_of(request: Any) -> int:
    """How much work one part is, in plain recommendations, or in short items to embed."""
    if isinstance(request, RecommendRequest):
        return _recommend_weight(request, request.k)
    if isinstance(request, EmbedRequest | UpsertRequest):
        return max(1, _items_weight(request.items))
    if isinstance(request, TagRequest):
        return _tag_weight(request)
    if isinstance(request, SearchRequest):
        return 1 + _text_weight(len(request.text)) + picture_chars(request.image) // _CHARS
    if isinstance(request, EmbedUserRequest):
        return 1 + _text_weight(len(request.text))
    if isinstance(request, DuplicatesRequest | MismatchRequest):
        return _WHOLE_CATALOGUE
    if isinstance(request, ExplainRequest):
        return _recommend_weight(request.customer, 0) + len(request.item_ids) // _EXPLAINED
    if isinstance(request, RankRequest):
        return _recommend_weight(request.customer, len(request.item_ids))
    if isinstance(request, RatingRequest):
        return max(1, len(request.history) // _ROWS)
    if isinstance(request, ListItemsRequest | ListEventsRequest):
        return max(1, request.page_size // _ROWS)
    if isinstance(request, RecordEventsRequest):
        return max(1, len(request.events) // _EVENTS)
    if isinstance(request, ResolveRequest):
        return max(1, len(request.semantic_ids) * request.page_size // _ROWS)
    return 1


def _recommend_weight(request: RecommendRequest, places: int) -> int:
    explained = places // _EXPLAINED if request.explain or request.explain_in_words else 0
    conditions = sum(bool(promotion.filter) for promotion in request.promotions)
    positions = min(len(request.history) + len(request.history_events), _LONGEST) // _POSITIONS
    return 1 + positions + places // _ROWS + explained + _PROMOTED * conditions + _text_weight(len(request.instruction))


def _items_weight(items: Sequence[ItemInput | ItemFailure]) -> int:
    return sum(1 + item_chars(item) // _CHARS for item in items)


def _tag_weight(request: TagRequest) -> int:
    if _has_items(request):
        return _items_weight(request.items) + len(request.item_ids)
    if request.column:
        return _STEP
    # Labels are short, and several of them are encoded in the time of an item.
    chars = sum(label_chars(label, request.templates) for label in request.labels)
    return 1 + len(request.labels) // 2 + chars // _CHARS


def _text_weight(chars: int) -> int:
    return min(chars, READ_CHARS) // _CHARS


def _has_items(request: TagRequest) -> bool:
    return bool(request.items or request.item_ids)


def _preparations(request: TagRequest) -> list[TagRequest]:
    """Requests without items, which encode the labels: many labels, or those of a column, are many sentences."""
    asked = replace(request, items=(), item_ids=())
    if request.column:
        return [asked] * COLUMN_STEPS
    chunks = label_chunks(request.labels, request.templates)
    return [replace(asked, labels=chunk) for chunk in chunks] if len(chunks) > 1 else []


def _tag_parts(request: TagRequest) -> list[TagRequest]:
    chunks = item_chunks(request.items, [item_chars(item) for item in request.items])
    described = [replace(request, items=chunk, item_ids=()) for chunk in chunks]
    return described + [replace(request, items=(), item_ids=chunk) for chunk in item_chunks(request.item_ids)]


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
