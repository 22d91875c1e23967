"""How a request changes a catalogue: the one way for a process by itself, for a server and for a replay.

    request -> earlier reply of the same id -> encode, by the field mask -> record -> apply -> results per entry

Unit of work: one request. A `ChangeLog` says where changes are recorded and when they are applied: at once and in
memory (`MemoryLog`), or durably and soon after. Knows nothing of models: encoded items are the engine's own.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest, content_hash
from mmrec.contract.items import ItemInput, ItemRecord, Versions
from mmrec.contract.replies import ServiceInfo
from mmrec.errors import FailedPreconditionError, MmrecError, NotFoundError


class EncodedItems(Protocol):
    """Items ready to be put into a catalogue, or to replace those of the same id."""

    @property
    def records(self) -> tuple[ItemRecord, ...]:
        """The items as clients will see them."""

    def take(self, places: Sequence[int]) -> Self:
        """Some of them, in this order."""

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Several, one after the other; at least one."""


E = TypeVar("E", bound=EncodedItems)


class EncodeResult(NamedTuple, Generic[E]):
    """Items that were to be encoded.

    Attributes:
        items: Those that could be.
        places: Their places among the given ones, ascending.
        errors: Why the others could not be, by their place.
    """

    items: E
    places: tuple[int, ...]
    errors: Mapping[int, MmrecError]


class CatalogueChange(NamedTuple, Generic[E]):
    """A change that can be applied.

    Attributes:
        items: Items that are added or replaced; None for none.
        deleted: Ids of items that are removed; those that are not there are passed over.
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
        """Which ids the catalogue has."""

    def check_changeable(self) -> None:
        """Raises FailedPreconditionError where no item can be added."""

    def check_deletable(self, item_ids: Sequence[str]) -> None:
        """Raises FailedPreconditionError where no item would be left."""

    def encode_items(self, items: Sequence[ItemInput], fields: Sequence[str] = ()) -> EncodeResult[E]:
        """Encode items, of which only some fields are replaced where `fields` names any."""

    def change(self, items: E | None, deleted: Sequence[str] = (), *, version: str = "") -> Versions:
        """Add, replace and delete items at once; replies name the version of the catalogue from then on."""


class RecordedReply(NamedTuple):
    """The reply to a request with an id, and the `content_hash` of that request."""

    content: str
    reply: ChangeResults


class ChangeLog(Protocol[E]):
    """Where the changes of one catalogue are recorded, and when they are applied."""

    def check(self) -> None:
        """Raises an error where no more changes are accepted."""

    def find(self, request: UpsertRequest | DeleteRequest) -> RecordedReply | None:
        """The reply to the request that was recorded under the same id; None where there is none."""

    def catch_up(self) -> None:
        """Wait until the engine has all that was recorded."""

    def commit(
        self, request: UpsertRequest | DeleteRequest, change: CatalogueChange[E], results: ChangeResults
    ) -> ChangeResults:
        """Record a change and have it applied; the reply, which names the version that it is visible from."""


class ChangeApplier(Generic[E]):
    """Makes the changes of one catalogue, one request after the other. For any number of threads.

    Args:
        engine: Whose catalogue it is.
        log: Records and applies.
        lock: Held while a request is made; whoever puts another engine in the place of this one holds it meanwhile.
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

    def apply_many(self, requests: Sequence[UpsertRequest | DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Make changes in their order; one that is refused as a whole becomes its error."""
        return [self._caught(request) for request in requests]

    def _caught(self, request: UpsertRequest | DeleteRequest) -> ChangeResults | MmrecError:
        try:
            return self._applied(request)
        except MmrecError as err:
            return err

    def _applied(self, request: UpsertRequest | DeleteRequest) -> ChangeResults:
        with self.lock:
            self._log.check()
            earlier = self._earlier(request)
            if earlier is not None:
                return earlier
            if isinstance(request, UpsertRequest):
                change, results = self._encoded(request)
            else:
                change, results = self._checked(request)
            if request.validate_only:
                return results
            return self._log.commit(request, change, results)

    def _earlier(self, request: UpsertRequest | DeleteRequest) -> ChangeResults | None:
        """The first reply to a request that is sent again under its id."""
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
            # They are replaced in items as they are after what was acknowledged a moment ago.
            self._log.catch_up()
        with self._pace:
            encoded = self._engine.encode_items(request.good, request.fields)
        inputs = tuple(request.good[place] for place in encoded.places)
        results = request.results(encoded.errors, self._engine.info().versions)
        return CatalogueChange(encoded.items, inputs=inputs), results

    def _checked(self, request: DeleteRequest) -> tuple[CatalogueChange[E], ChangeResults]:
        # An item that was acknowledged a moment ago can be deleted as well.
        self._log.catch_up()
        known, info = self._engine.known(request.item_ids), self._engine.info()
        there = dict(zip(request.item_ids, known, strict=True))
        errors: dict[str, MmrecError] = {
            item_id: NotFoundError(f"the catalogue has no item {item_id!r:.80}; it holds {info.items:,} items")
            for item_id, is_there in there.items()
            if not is_there
        }
        deleted = tuple(item_id for item_id, is_there in there.items() if is_there)
        self._engine.check_deletable(deleted)
        return CatalogueChange(None, deleted), request.results(errors, info.versions)


class IdempotencyCache:
    """The replies to the last requests that had an id, in memory. Used by one thread at a time.

    Args:
        most: How many are kept; fewer when their replies have over `most_entries` entries in all.
        most_entries: A million take about 100 MB.
    """

    def __init__(self, most: int = 10_000, most_entries: int = 1_000_000) -> None:
        self._most, self._most_entries = most, most_entries
        # A dict keeps the order in which its keys came: the first is the oldest.
        self._replies: dict[str, RecordedReply] = {}
        self._entries = 0

    def __len__(self) -> int:
        return len(self._replies)

    def find(self, request: UpsertRequest | DeleteRequest) -> RecordedReply | None:
        """See `ChangeLog`."""
        return self._replies.get(request.request_id)

    def add(self, request: UpsertRequest | DeleteRequest, reply: ChangeResults) -> None:
        """Keep the reply to a request, where it has an id that was not used before."""
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
    """Apply several changes at once: of every item the last one that it is in.

    Args:
        engine: Whose catalogue is changed.
        changes: In their order.
        version: Version of the catalogue from then on; empty: the engine chooses.
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
