"""Changes of a catalogue: durable before they are acknowledged, visible soon after, replayed at the next start.

Unit of work: one request of many items. Two threads: whoever calls `upsert_many` and `delete_many` checks, encodes and
records; another one lets what was recorded come into the engine's catalogue, as much at once as has gathered meanwhile.
Questions are answered from the engine all the while. Knows nothing of gRPC; an engine is whatever has the calls of
`LiveEngine`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from mmrec.changes import content_hash
from mmrec.errors import FailedPreconditionError, InternalError, MmrecError, NotFoundError, UnavailableError
from mmrec.rpcs import DELETE_ITEMS, UPSERT_ITEMS
from mmrec.types import ChangeResults, DeleteRequest, Engine, ItemInput, UpsertRequest, Versions
from mmrec_serving.failures import conceal
from mmrec_serving.store import ChangeStore, Delete, Upsert
from mmrec_serving.store.failpoints import Failpoint, no_failpoint

if TYPE_CHECKING:
    from mmrec.recommender.changing import Arrivals, Described

__all__ = ["CatalogueChanges", "LiveEngine"]

_log = logging.getLogger(__name__)


class LiveEngine(Engine, Protocol):
    """An engine whose catalogue can change while it answers. All of these may be called from any thread."""

    @property
    def encoder_version(self) -> str:
        """Stands for what packed items depend on."""

    def check_changeable(self) -> None:
        """Raises FailedPreconditionError where no item can come in."""

    def describe_items(self, items: Sequence[ItemInput]) -> Described:
        """Encode items that are to come in."""

    def pack_items(self, arrivals: Arrivals) -> list[bytes]:
        """What was encoded, as bytes that can be kept."""

    def restore_items(self, items: Sequence[ItemInput], packed: Sequence[bytes]) -> Arrivals:
        """Items with the bytes that were kept."""

    def known(self, item_ids: Sequence[str]) -> list[bool]:
        """Which ids the catalogue has."""

    def change(self, arrivals: Arrivals | None, gone: Sequence[str] = (), *, version: str = "") -> Versions:
        """Let items come in and go, at once."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """A recorded request that the engine does not have yet."""

    last: int
    arrivals: Arrivals | None
    gone: tuple[str, ...] = ()


class CatalogueChanges:
    """The changes of one engine's catalogue.

    Args:
        engine: Whose catalogue it is. It has the base alone until `replay`.
        store: Where changes are recorded; its base is the catalogue version that the engine was loaded with.
        failpoint: For tests.
    """

    def __init__(self, engine: LiveEngine, store: ChangeStore, *, failpoint: Failpoint = no_failpoint) -> None:
        self._engine = engine
        self._store = store
        self._failpoint = failpoint
        self._base = engine.info().versions
        self._changed = threading.Condition()
        self._pending: list[_Pending] = []
        self._applied = 0
        self._failed: MmrecError | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._apply_all, name="mmrec-changes", daemon=True)

    def replay(self) -> int:
        """Bring the engine's catalogue to where the store is; the number of the last change. Called once, first."""
        for sequenced in self._store.replay():
            changes = [entry.change for entry in sequenced]
            upserts = [change for change in changes if isinstance(change, Upsert)]
            ready = self._restored(upserts)
            pending = [
                _Pending(entry.sequence, ready.get(id(entry.change)))
                if isinstance(entry.change, Upsert)
                else _Pending(entry.sequence, None, (entry.change.item_id,))
                for entry in sequenced
            ]
            self._apply(pending)
            self._applied = sequenced[-1].sequence
        self._thread.start()
        return self._applied

    def works(self) -> Mapping[str, Callable[[list[Any]], list[Any]]]:
        """What does the requests of each kind, for a scheduler."""
        return {UPSERT_ITEMS.kind: self.upsert_many, DELETE_ITEMS.kind: self.delete_many}

    def close(self) -> None:
        """Let go of the store. What is recorded and not yet visible is applied at the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._store.close()

    # --- requests -------------------------------------------------------------------------------------------

    def upsert_many(self, requests: Sequence[UpsertRequest]) -> list[ChangeResults | MmrecError]:
        """Check, encode and record items; each request is answered when it is durable, or when it is visible."""
        return [_caught(self._upsert, request) for request in requests]

    def delete_many(self, requests: Sequence[DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Record that items go; none of them is shown once the request is answered."""
        return [_caught(self._delete, request) for request in requests]

    def _upsert(self, request: UpsertRequest) -> ChangeResults:
        self._check()
        self._engine.check_changeable()
        described = self._engine.describe_items(request.good)
        results = request.results(described.errors, self._base)
        if request.validate_only:
            return replace(results, versions=self._engine.info().versions)
        version = self._engine.encoder_version
        items = [request.good[place] for place in described.places]
        packed = self._engine.pack_items(described.arrivals)
        upserts = [Upsert(item.item_id, item, data, version) for item, data in zip(items, packed, strict=True)]
        self._failpoint("before-record")
        recorded = self._store.record(
            request.request_id,
            "upsert",
            _digest(request),
            upserts,
            UPSERT_ITEMS.encode_reply(results),
        )
        self._failpoint("after-record")
        if recorded.repeated:
            results = UPSERT_ITEMS.decode_reply(recorded.reply)
        elif upserts:
            self._hand_over(_Pending(recorded.last, described.arrivals))
        if request.wait_until_visible:
            self._wait(recorded.last)
        return replace(results, versions=self._versions(recorded.last))

    def _delete(self, request: DeleteRequest) -> ChangeResults:
        self._check()
        # An item that was acknowledged a moment ago can go as well.
        self._wait(self._handed_over())
        known = dict(zip(request.item_ids, self._engine.known(request.item_ids), strict=True))
        items = self._engine.info().items
        errors: dict[str, MmrecError] = {
            item_id: NotFoundError(f"the catalogue has no item {item_id!r:.80}; it holds {items:,} items")
            for item_id, there in known.items()
            if not there
        }
        going = tuple(item_id for item_id, there in known.items() if there)
        if len(going) >= items:
            raise FailedPreconditionError("every item of the catalogue would be deleted; at least one must be left")
        results = request.results(errors, self._base)
        if request.validate_only:
            return replace(results, versions=self._engine.info().versions)
        self._failpoint("before-record")
        recorded = self._store.record(
            request.request_id,
            "delete",
            _digest(request),
            [Delete(item_id) for item_id in going],
            DELETE_ITEMS.encode_reply(results),
        )
        self._failpoint("after-record")
        if recorded.repeated:
            results = DELETE_ITEMS.decode_reply(recorded.reply)
        elif going:
            self._hand_over(_Pending(recorded.last, None, going))
        self._wait(recorded.last)
        return replace(results, versions=self._versions(recorded.last))

    def _versions(self, last: int) -> Versions:
        return replace(self._base, catalogue=f"{self._base.catalogue}+{last}") if last else self._base

    # --- letting them in ------------------------------------------------------------------------------------

    def _hand_over(self, pending: _Pending) -> None:
        with self._changed:
            self._pending.append(pending)
            self._changed.notify_all()

    def _handed_over(self) -> int:
        with self._changed:
            return self._pending[-1].last if self._pending else self._applied

    def _wait(self, last: int) -> None:
        """Until the engine has all changes up to this one."""
        with self._changed:
            self._changed.wait_for(lambda: self._applied >= last or self._failed or self._closing)
            applied = self._applied
        if applied < last:
            self._check()
            raise UnavailableError("the server is stopping; what was recorded is visible when it is back")

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    def _apply_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closing)
                if self._closing:
                    return
                pending = list(self._pending)
            try:
                self._apply(pending)
            except Exception as err:
                # What was acknowledged is in the store, and this process cannot show it: no more is taken on.
                with self._changed:
                    self._failed = _failure(err)
                    self._changed.notify_all()
                return
            with self._changed:
                del self._pending[: len(pending)]
                self._applied = pending[-1].last
                self._changed.notify_all()

    def _apply(self, pending: Sequence[_Pending]) -> None:
        """Of every item the last that happened to it."""
        last: dict[str, tuple[Arrivals, int] | None] = {}
        for one in pending:
            for place, record in enumerate(one.arrivals.records if one.arrivals else ()):
                assert one.arrivals is not None
                last[record.item_id] = (one.arrivals, place)
            last |= dict.fromkeys(one.gone)
        taken: dict[int, tuple[Arrivals, list[int]]] = {}
        for found in last.values():
            if found is not None:
                taken.setdefault(id(found[0]), (found[0], []))[1].append(found[1])
        parts = [arrivals.take(places) for arrivals, places in taken.values()]
        arrivals = type(parts[0]).join(parts) if parts else None
        gone = [item_id for item_id, found in last.items() if found is None]
        self._failpoint("before-apply")
        self._engine.change(arrivals, gone, version=str(pending[-1].last))
        self._failpoint("after-apply")

    def _restored(self, upserts: Sequence[Upsert]) -> dict[int, Arrivals]:
        """What is to come in for each change, by its identity; without an encoder where the kept bytes still fit."""
        version = self._engine.encoder_version
        kept = [upsert for upsert in upserts if upsert.payload and upsert.encoder_version == version]
        others = [upsert for upsert in upserts if not (upsert.payload and upsert.encoder_version == version)]
        ready: dict[int, Arrivals] = {}
        if kept:
            arrivals = self._engine.restore_items([one.item for one in kept], [one.payload for one in kept])
            ready |= {id(upsert): arrivals.take([place]) for place, upsert in enumerate(kept)}
        for upsert in others:
            described = self._engine.describe_items([upsert.item])
            for error in described.errors.values():
                _log.warning("item %r cannot be brought back with today's encoders: %s", upsert.item_id, error)
            if described.places:
                ready[id(upsert)] = described.arrivals
        return ready


def _digest(request: UpsertRequest | DeleteRequest) -> bytes:
    return bytes.fromhex(content_hash(request))


def _failure(error: Exception) -> MmrecError:
    concealed = conceal(error)
    told = concealed if isinstance(concealed, InternalError) else InternalError(f"{concealed.message}")
    _log.error("recorded changes cannot be applied, no more are taken on: %s", told.message)
    return told


def _caught(answer: Callable[[Any], ChangeResults], request: Any) -> ChangeResults | MmrecError:
    try:
        return answer(request)
    except MmrecError as err:
        return err
