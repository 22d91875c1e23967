"""Lists that are longer than one call may have: cut into parts, one call each, whose replies are joined again.

Unit of work: one method call. Knows nothing of protobuf, gRPC or models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from itertools import chain
from typing import Any, TypeVar

from mmrec.contract.changes import ChangeEntry, ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.events import EventResults, RecordEventsRequest
from mmrec.contract.items import ItemFailure, ItemInput
from mmrec.contract.replies import EmbedResults, ItemLookup, ResolvedPaths, SemanticIds, TagResults
from mmrec.contract.rules import MAX_BATCH, field_rules
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.batches import with_path

PART_BYTES = 24 * 1024 * 1024
"""Bytes of pictures and words at which a part ends; servers accept messages of 32 MiB by default."""
OnProgress = Callable[[int], None]
"""Is told how many items, ids, events or requests have been answered so far."""

T = TypeVar("T")
Q = TypeVar("Q", UpsertRequest, DeleteRequest, RecordEventsRequest)
E = TypeVar("E", EmbedResults, TagResults)
_LISTS = ("items", "item_ids", "events", "requests", "semantic_ids")
"""Names of the fields with the entries of a request."""


def listed(request: Any, name: str, values: Any) -> tuple[Any, ...]:
    """A list of any length, checked by the rule of a request's field but for its length.

    Raises:
        InvalidArgumentError: it is not a list, or an entry breaks the rule.
    """
    rule: Any = next(field.rule for field in field_rules(request) if field.name == name)
    checked: tuple[Any, ...] = replace(rule, most=None).check(values, name)
    return checked


def sized_parts(entries: Sequence[T]) -> list[tuple[T, ...]]:
    """Cut items or requests by number and size; without entries, one empty part."""
    parts: list[tuple[T, ...]] = []
    begin = size = 0
    for place, entry in enumerate(entries):
        own = _size_bytes(entry)
        if place - begin == MAX_BATCH or (size + own > PART_BYTES and place > begin):
            parts.append(tuple(entries[begin:place]))
            begin, size = place, 0
        size += own
    return [*parts, tuple(entries[begin:])]


def numbered_parts(entries: Sequence[T]) -> list[tuple[T, ...]]:
    """Cut events or ids, which are small, by number; without entries, one empty part."""
    return [tuple(entries[at : at + MAX_BATCH]) for at in range(0, len(entries), MAX_BATCH)] or [()]


def distinct_parts(ids: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Cut ids by number, each once; those of one call stay as they are."""
    return [ids] if len(ids) <= MAX_BATCH else numbered_parts(tuple(dict.fromkeys(ids)))


def tag_parts(
    items: Sequence[ItemInput | ItemFailure], ids: tuple[str, ...]
) -> list[tuple[tuple[ItemInput | ItemFailure, ...], tuple[str, ...]]]:
    """Cut into calls with items and then calls with ids; one call with both if it may have all."""
    described = sized_parts(items)
    if len(described) == 1 and len(items) + len(ids) <= MAX_BATCH:
        return [(described[0], ids)]
    return [(part, ()) for part in described if part] + [((), part) for part in numbered_parts(ids) if part]


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
    return sum(len(getattr(request, name, ())) for name in _LISTS)


def broken_after(answered: int, error: MmrecError) -> MmrecError:
    """The error of a batch, with the number of batches that were answered before it."""
    error.answered = answered
    error.message = f"after {answered:,} answered batches: {error.message}"
    error.args = (error.message,)
    return error


def joined_items(replies: Sequence[E]) -> E:
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


def joined_tags(replies: Sequence[TagResults]) -> TagResults:
    """One reply; the versions are those of the last part."""
    return replace(joined_items(replies), missing_ids=_missing(replies))


def joined_lookups(replies: Sequence[ItemLookup]) -> ItemLookup:
    """One reply; the versions are those of the last part."""
    items = tuple(chain.from_iterable(reply.items for reply in replies))
    return replace(replies[-1], items=items, missing_ids=_missing(replies))


def joined_semantic_ids(replies: Sequence[SemanticIds]) -> SemanticIds:
    """One reply; the versions are those of the last part."""
    entries = tuple(chain.from_iterable(reply.entries for reply in replies))
    return replace(replies[-1], entries=entries, missing_ids=_missing(replies))


def joined_paths(replies: Sequence[ResolvedPaths]) -> ResolvedPaths:
    """One reply; the versions are those of the last part."""
    if len(replies) == 1:
        return replies[0]
    entries: list[Any] = []
    for reply in replies:
        offset = len(entries)
        entries += [
            entry if entry.error is None else replace(entry, error=_moved(entry.error, "semantic_ids", place, offset))
            for place, entry in enumerate(reply.entries)
        ]
    return replace(replies[-1], entries=tuple(entries))


def joined_results(replies: Sequence[list[T | MmrecError]]) -> list[T | MmrecError]:
    """One list."""
    if len(replies) == 1:
        return replies[0]
    results: list[T | MmrecError] = []
    for reply in replies:
        offset = len(results)
        results += [
            _moved(entry, "requests", place, offset) if isinstance(entry, MmrecError) else entry
            for place, entry in enumerate(reply)
        ]
    return results


def joined_changes(replies: Sequence[ChangeResults], request_id: str) -> ChangeResults:
    """One reply; the versions are those of the last part, with which all can be seen."""
    if len(replies) == 1:
        return replies[0]
    entries = _joined_entries([reply.entries for reply in replies], "items")
    return ChangeResults(entries, replies[-1].versions, request_id)


def joined_deletions(replies: Sequence[ChangeResults], ids: Sequence[str], request_id: str) -> ChangeResults:
    """One reply, in which an id that was sent once is as often as among `ids`."""
    reply = joined_changes(replies, request_id)
    if len(reply.entries) == len(ids):
        return reply
    found = {entry.id: entry for entry in reply.entries}
    return replace(reply, entries=tuple(found[item_id] for item_id in ids))


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


def _missing(replies: Sequence[ItemLookup | SemanticIds | TagResults]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(reply.missing_ids for reply in replies)))


def _size_bytes(value: Any) -> int:
    """About how many bytes a value is sent as."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, str):
        # As UTF-8, of which a character may take four bytes.
        return len(value) if value.isascii() else 4 * len(value)
    if isinstance(value, Mapping):
        return _size_bytes(tuple(value)) + _size_bytes(tuple(value.values()))
    if isinstance(value, tuple):
        texts = bool(value) and isinstance(value[0], str)
        return _size_bytes("".join(value)) if texts else sum(map(_size_bytes, value))
    if is_dataclass(value):
        return sum(_size_bytes(getattr(value, field.name)) for field in fields(value))
    return 0
