"""Lists that are longer than one call may have: cut into parts, one call each, whose replies are joined again.

Unit of work: one method call. Knows nothing of protobuf, gRPC or models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

from mmrec.contract.changes import ChangeEntry, ChangeResults, UpsertRequest
from mmrec.contract.events import EventResults, RecordEventsRequest
from mmrec.contract.items import ItemFailure, ItemInput
from mmrec.contract.replies import EmbedResults, ItemLookup
from mmrec.contract.rules import MAX_BATCH
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.batches import with_path

PART_BYTES = 24 * 1024 * 1024
"""Bytes of pictures and words at which a part ends; servers accept messages of 32 MiB by default."""
OnProgress = Callable[[int], None]
"""Is told how many items or events have been answered so far."""

T = TypeVar("T")
Q = TypeVar("Q", UpsertRequest, RecordEventsRequest)


def item_parts(items: Sequence[ItemInput | ItemFailure]) -> list[tuple[ItemInput | ItemFailure, ...]]:
    """Cut by number and size; without items, one empty part."""
    parts: list[tuple[ItemInput | ItemFailure, ...]] = []
    begin = size = 0
    for place, item in enumerate(items):
        own = _size_bytes(item)
        if place - begin == MAX_BATCH or (size + own > PART_BYTES and place > begin):
            parts.append(tuple(items[begin:place]))
            begin, size = place, 0
        size += own
    return [*parts, tuple(items[begin:])]


def event_parts(events: Sequence[T]) -> list[tuple[T, ...]]:
    """Cut by number; without events, one empty part."""
    return [tuple(events[at : at + MAX_BATCH]) for at in range(0, len(events), MAX_BATCH)] or [()]


def id_parts(item_ids: Any) -> list[Any]:
    """Distinct ids, cut by number; what is no list of ids stays as it is, for the rule of the request to refuse."""
    if isinstance(item_ids, str | bytes) or not isinstance(item_ids, Iterable):
        return [item_ids]
    ids = tuple(item_ids)
    if len(ids) <= MAX_BATCH or not all(isinstance(one, str) for one in ids):
        return [ids]
    return event_parts(tuple(dict.fromkeys(ids)))


def numbered(requests: list[Q]) -> list[Q]:
    """Requests of one call; of several, each with a request id of its own, ``request_id/0`` and so on.

    Raises:
        InvalidArgumentError: a request id becomes too long.
    """
    if len(requests) == 1:
        return requests
    return [
        replace(request, request_id=f"{request.request_id}/{number}") if request.request_id else request
        for number, request in enumerate(requests)
    ]


def size(request: Any) -> int:
    """Number of entries of a request."""
    return len(request.events if isinstance(request, RecordEventsRequest) else request.items)


def broken_after(answered: int, error: MmrecError) -> MmrecError:
    """The error of a batch, with the number of batches that were answered before it."""
    error.answered = answered
    error.message = f"after {answered:,} answered batches: {error.message}"
    error.args = (error.message,)
    return error


def joined_embeddings(replies: Sequence[EmbedResults]) -> EmbedResults:
    """One reply; the versions are those of the last part."""
    if len(replies) == 1:
        return replies[0]
    entries: list[Any] = []
    for reply in replies:
        offset = len(entries)
        entries += [
            ItemFailure(entry.item_id, _moved(entry.error, "items", place, offset))
            if isinstance(entry, ItemFailure)
            else entry
            for place, entry in enumerate(reply.items)
        ]
    return replace(replies[-1], items=tuple(entries))


def joined_lookups(replies: Sequence[ItemLookup]) -> ItemLookup:
    """One reply; the versions are those of the last part."""
    items = tuple(chain.from_iterable(reply.items for reply in replies))
    missing = tuple(chain.from_iterable(reply.missing_ids for reply in replies))
    return replace(replies[-1], items=items, missing_ids=missing)


def joined_changes(replies: Sequence[ChangeResults], request_id: str) -> ChangeResults:
    """One reply; the versions are those of the last part, with which all can be seen."""
    if len(replies) == 1:
        return replies[0]
    entries = _joined_entries([reply.entries for reply in replies], "items")
    return ChangeResults(entries, replies[-1].versions, request_id)


def joined_events(replies: Sequence[EventResults], request_id: str) -> EventResults:
    """One reply."""
    if len(replies) == 1:
        return replies[0]
    return EventResults(_joined_entries([reply.entries for reply in replies], "events"), request_id)


def _joined_entries(parts: Iterable[tuple[ChangeEntry, ...]], name: str) -> tuple[ChangeEntry, ...]:
    entries: list[ChangeEntry] = []
    for part in parts:
        offset = len(entries)
        entries += [
            entry if entry.error is None else ChangeEntry(entry.id, _moved(entry.error, name, place, offset))
            for place, entry in enumerate(part)
        ]
    return tuple(entries)


def _moved(error: MmrecError, name: str, place: int, offset: int) -> MmrecError:
    """The error of an entry, with its index in the whole list; one that was refused before has that already."""
    here, there = f"{name}[{place}]", f"{name}[{offset + place}]"
    violations = error.violations if isinstance(error, InvalidArgumentError) else ()
    return error if any(one.field.startswith(there) for one in violations) else with_path(error, there, here)


def _size_bytes(item: ItemInput | ItemFailure) -> int:
    if isinstance(item, ItemFailure):
        return 0
    words = (item.title, item.description, *item.attributes, *item.attributes.values())
    # As UTF-8, of which a character may take four bytes.
    return len(item.image or b"") + sum(len(text) if text.isascii() else 4 * len(text) for text in words)
