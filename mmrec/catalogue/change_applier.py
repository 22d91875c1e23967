"""Applying requests that change a catalogue: one implementation for a single process, a server and a replay.

    request -> earlier reply of the same id -> encode, by the field mask -> record -> apply -> results per entry

Unit of work: one request. A `ChangeLog` records changes and applies them: in memory and at once (`MemoryLog`), or
durably and soon after. Knows nothing about models: the engine makes and reads encoded items.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest, content_hash
from mmrec.contract.items import ItemInput, ItemRecord, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import ServiceInfo
from mmrec.errors import FailedPreconditionError, MmrecError, NotFoundError
from mmrec.runtime.background import check_cancelled, until_cancelled


class EncodedItems(Protocol):
    """Items ready to be added to a catalogue, or to replace those of the same id."""

    @property
    def records(self) -> tuple[ItemRecord, ...]:
        """The items as clients will see them."""

    def take(self, places: Sequence[int]) -> Self:
        """The items at these places, in this order."""

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The items of all `parts`, in order; at least one part."""


E = TypeVar("E", bound=EncodedItems)


class EncodeResult(NamedTuple, Generic[E]):
    """Result of encoding items.

    Attributes:
        items: The items that could be encoded.
        places: Their indexes among the given items, ascending.
        errors: Errors of the other items by index.
    """

    items: E
    places: tuple[int, ...]
    errors: Mapping[int, MmrecError]


class CatalogueChange(NamedTuple, Generic[E]):
    """A change that can be applied.

    Attributes:
        items: Items that are added or replaced; None for none.
        deleted: Ids of items to delete; unknown ones are ignored.
        inputs: `items` as they were sent.
    """

    items: E | None
    deleted: tuple[str, ...] = ()
    inputs: tuple[ItemInput, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is changed."""
        return not self.deleted and (self.items is None or not self.items.records)


class ChangeableEngine(Protocol[E]):
    """An engine whose catalogue can change while it answers. All of these may be called from any thread."""

    def info(self) -> ServiceInfo:
        """See `mmrec.contract.engine.Engine`."""

    def known(self, item_ids: Sequence[str]) -> list[bool]:
        """Whether the catalogue has each id."""

    def check_changeable(self) -> None:
        """Raises FailedPreconditionError if no item can be added."""

    def check_deletable(self, item_ids: Sequence[str]) -> None:
        """Raises FailedPreconditionError if no item would be left."""

    def encode_items(self, items: Sequence[ItemInput], fields: Sequence[str] = ()) -> EncodeResult[E]:
        """Encode items; with `fields`, only these fields of existing items are replaced."""

    def change(self, items: E | None, deleted: Sequence[str] = (), *, version: str = "") -> Versions:
        """Add, replace and delete items in one change; later replies name `version`."""


class RecordedReply(NamedTuple):
    """The reply to a request with an id, and the `content_hash` of that request."""

    content: str
    reply: ChangeResults


class ChangeLog(Protocol[E]):
    """Where the changes of one catalogue are recorded, and when they are applied."""

    def check(self) -> None:
        """Raises an error if no more changes are accepted."""

    def find(self, request: UpsertRequest | DeleteRequest) -> RecordedReply | None:
        """The recorded reply to a request with the same id; None if there is none."""

    def catch_up(self) -> None:
        """Wait until all recorded changes are applied."""

    def commit(
        self, request: UpsertRequest | DeleteRequest, change: CatalogueChange[E], results: ChangeResults
    ) -> ChangeResults:
        """Record a change and have it applied; returns the reply, with the version from which it is visible."""


class ChangeApplier(Generic[E]):
    """Applies requests to one catalogue, one after the other. Safe for any number of threads.

    What one thread encodes does not hold up the changes of others.

    Args:
        engine: The engine that has the catalogue.
        log: Records and applies changes.
        lock: Held while a request is checked and recorded, but not while whole items are encoded; and by whoever
            replaces the engine, see `replaced`.
        pace: Entered while items are encoded.
    """

    def __init__(
        self,
        engine: ChangeableEngine[E],
        log: ChangeLog[E],
        lock: AbstractContextManager[object] | None = None,
        pace: AbstractContextManager[object] | None = None,
    ) -> None:
        self._engine, self._log = engine, log
        self.lock = lock or threading.Lock()
        self._pace = pace or nullcontext()
        self._replaced = 0

    def apply_many(self, requests: Sequence[UpsertRequest | DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Apply requests in order; a request that fails as a whole gives its error.

        Where the caller has gone (see `mmrec.runtime.background.until_cancelled`), a request that is not recorded yet
        is dropped, between two batches of the encoders at the latest.
        """
        return [outcome(self._applied, request) for request in requests]

    def replaced(self) -> None:
        """The engine was replaced: what was encoded for the one before is encoded again. Call with the lock held."""
        self._replaced += 1

    def _applied(self, request: UpsertRequest | DeleteRequest) -> ChangeResults:
        ahead = None
        if isinstance(request, UpsertRequest) and not request.fields:
            # Whole items do not depend on other changes, so these need not wait while many items are encoded.
            with self.lock:
                earlier = self._earlier(request)
                engine = self._replaced
            if earlier is not None:
                return earlier
            ahead = engine, self._encoded(request)
        with self.lock:
            earlier = self._earlier(request)
            if earlier is not None:
                return earlier
            if not isinstance(request, UpsertRequest):
                change, results = self._checked(request)
            elif ahead is not None and ahead[0] == self._replaced:
                change, results = ahead[1]
            else:
                change, results = self._encoded(request)
            if request.validate_only:
                return results
            # The last moment at which a call that its client has cancelled is dropped; later it is done as a whole.
            check_cancelled()
            with until_cancelled(None):
                return self._log.commit(request, change, results)

    def _earlier(self, request: UpsertRequest | DeleteRequest) -> ChangeResults | None:
        """The first reply to a request that is sent again with the same id, if changes are accepted at all."""
        check_cancelled()
        self._log.check()
        if not request.request_id or request.validate_only:
            return None
        found = self._log.find(request)
        if found is not None and found.content != content_hash(request):
            raise FailedPreconditionError(
                f"request_id is {request.request_id!r}, under which another change was made before; give every change "
                "an id of its own, and send the same content when sending one again"
            )
        return found and found.reply

    def _encoded(self, request: UpsertRequest) -> tuple[CatalogueChange[E], ChangeResults]:
        self._engine.check_changeable()
        if request.fields:
            # A partial update is based on the items after all acknowledged changes.
            self._log.catch_up()
        with self._pace:
            encoded = self._engine.encode_items(request.valid, request.fields)
        inputs = tuple(request.valid[place] for place in encoded.places)
        results = request.results(encoded.errors, self._engine.info().versions)
        return CatalogueChange(encoded.items, inputs=inputs), results

    def _checked(self, request: DeleteRequest) -> tuple[CatalogueChange[E], ChangeResults]:
        # Items of acknowledged changes can be deleted too.
        self._log.catch_up()
        known, info = self._engine.known(request.item_ids), self._engine.info()
        exists = dict(zip(request.item_ids, known, strict=True))
        errors: dict[str, MmrecError] = {
            item_id: NotFoundError(f"the catalogue has no item {item_id!r:.80}; it holds {info.items:,} items")
            for item_id, found in exists.items()
            if not found
        }
        deleted = tuple(item_id for item_id, found in exists.items() if found)
        self._engine.check_deletable(deleted)
        return CatalogueChange(None, deleted), request.results(errors, info.versions)


class IdempotencyCache:
    """Replies to the last requests with an id, in memory. For one thread at a time.

    Args:
        most: Most replies in the cache.
        most_entries: Most entries of all replies together; a million take about 100 MB.
    """

    def __init__(self, most: int = 10_000, most_entries: int = 1_000_000) -> None:
        self._most, self._most_entries = most, most_entries
        # A dict keeps insertion order: the first key is the oldest.
        self._replies: dict[str, RecordedReply] = {}
        self._entries = 0

    def __len__(self) -> int:
        return len(self._replies)

    def find(self, request: UpsertRequest | DeleteRequest) -> RecordedReply | None:
        """See `ChangeLog`."""
        return self._replies.get(request.request_id)

    def add(self, request: UpsertRequest | DeleteRequest, reply: ChangeResults) -> None:
        """Store the reply to a request that has a new id."""
        if not request.request_id:
            return
        self._replies[request.request_id] = RecordedReply(content_hash(request), reply)
        self._entries += len(reply.entries)
        while len(self._replies) > self._most or (self._entries > self._most_entries and len(self._replies) > 1):
            oldest = self._replies.pop(next(iter(self._replies)))
            self._entries -= len(oldest.reply.entries)


class MemoryLog(Generic[E]):
    """A `ChangeLog` without a store: changes are applied at once, and replies are kept as long as this object."""

    def __init__(self, engine: ChangeableEngine[E]) -> None:
        self._engine = engine
        self._cache = IdempotencyCache()
        self.find = self._cache.find

    def check(self) -> None:
        """See `ChangeLog`."""

    def catch_up(self) -> None:
        """See `ChangeLog`."""

    def commit(
        self, request: UpsertRequest | DeleteRequest, change: CatalogueChange[E], results: ChangeResults
    ) -> ChangeResults:
        """See `ChangeLog`."""
        reply = replace(results, versions=apply_changes(self._engine, [change]))
        self._cache.add(request, reply)
        return reply


def apply_changes(engine: ChangeableEngine[E], changes: Sequence[CatalogueChange[E]], version: str = "") -> Versions:
    """Apply several changes at once: for every item its last one.

    Args:
        engine: The engine that has the catalogue.
        changes: Oldest first.
        version: New version of the catalogue; empty: the engine chooses.
    """
    last: dict[str, tuple[E, int] | None] = {}
    for change in changes:
        if change.items is not None:
            last |= {record.item_id: (change.items, place) for place, record in enumerate(change.items.records)}
        last |= dict.fromkeys(change.deleted)
    places: dict[int, tuple[E, list[int]]] = {}
    for found in last.values():
        if found is not None:
            places.setdefault(id(found[0]), (found[0], []))[1].append(found[1])
    parts = [items.take(taken) for items, taken in places.values()]
    items = type(parts[0]).join(parts) if parts else None
    return engine.change(items, [item_id for item_id, found in last.items() if found is None], version=version)
