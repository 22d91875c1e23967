"""Changes of a served catalogue: durable before they are acknowledged, visible soon after, replayed at the next start.

Unit of work: one request of many items. Callers of `apply_many` check, encode and record, each in its own thread;
another thread applies all pending recorded changes to the engine's catalogue at once; and one may make the engine use
another version of its bundle (`adopt`). Where servers share the store, the thread that applies also follows what the
others record, and applies everything in the order of the numbers. Meanwhile the engine answers requests. A recorded
change that cannot be applied ends the thread that applies, since later ones build on it: further changes are refused
with the reason, and acknowledged ones are in the store and applied at the next start (see
`mmrec_serving.worker_threads`). Knows nothing about gRPC; an engine is any object with the methods of `LiveEngine`.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

from mmrec.catalogue.change_applier import CatalogueChange, ChangeApplier, RecordedReply, apply_changes
from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest, content_hash
from mmrec.contract.items import Versions
from mmrec.errors import FailedPreconditionError, MmrecError, UnavailableError
from mmrec.sdk.rpcs import DELETE_ITEMS, UPSERT_ITEMS
from mmrec_serving.change_log import Change, ChangeReader, ChangeStore, Delete, StoreState, Upsert
from mmrec_serving.change_log.failpoints import Failpoint, no_failpoint
from mmrec_serving.priority import Pace, give_way
from mmrec_serving.updates.bundle_position import changes_held
from mmrec_serving.updates.engine import EarlierEvents, LiveEngine, no_events, warm_up
from mmrec_serving.updates.replay import catalogue_name, replay_changes
from mmrec_serving.worker_threads import OnEnd, Worker, nobody

_log = logging.getLogger(__name__)

_FOLLOW_S = 0.2
"""Pause between two looks for what other servers have recorded."""


class _Base(NamedTuple):
    """The bundle that the engine was loaded from: its versions, and the state of the store relative to it."""

    versions: Versions
    state: StoreState


class _Pending(NamedTuple):
    """A recorded change that is not applied yet, and the number of its last entry."""

    last: int
    change: CatalogueChange[Any]


class CatalogueChanges:
    """The changes of one engine's catalogue; the durable `ChangeLog` of its `ChangeApplier`.

    Args:
        engine: The engine that has the catalogue, without recorded changes until `replay`.
        store: Records changes; its base is the catalogue version that the engine was loaded with.
        idle_s: Seconds since the server last answered a request; see `Pace`.
        on_end: Called when the thread that applies changes ends by itself.
        on_commit: Called with the seconds that it took to make a request durable.
        failpoint: For tests.
    """

    def __init__(
        self,
        engine: LiveEngine,
        store: ChangeStore,
        *,
        idle_s: Callable[[], float] = lambda: math.inf,
        on_end: OnEnd = nobody,
        on_commit: Callable[[float], None] = lambda seconds: None,
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        self._engine = engine
        self._pace = Pace(idle_s)
        self._store = store
        self._on_commit = on_commit
        self._failpoint = failpoint
        self._base = _Base(engine.info().versions, store.state())
        # Another server may make the store one of a later catalogue, while this one goes on with its own.
        self._reader: ChangeReader = store.read_as(self._base.versions.catalogue) if store.shared else store
        self._applier = ChangeApplier(engine, self, pace=self._pace)
        self._applying = threading.Lock()
        self._changed = threading.Condition()
        self._pending: list[_Pending] = []
        self._applied = self._based_on = 0
        self._due = False
        self._lost: MmrecError | None = None
        self._failed: MmrecError | None = None
        self._closing = False
        self._worker = Worker("mmrec-changes", self._apply_all, on_end, self._give_up)

    def replay(self) -> int:
        """Apply all recorded changes; returns the number of the last one. Called once, before any other method."""
        done = replay_changes(self._engine, self._reader.replay(), self._name)
        self._applied = max(done, self._base.state.folded)
        self._engine.prepare_changes()
        self._worker.start()
        return self._applied

    @property
    def store(self) -> ChangeStore:
        """The store that records changes."""
        return self._store

    def apply_many(self, requests: Sequence[UpsertRequest | DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Check, encode and record changes in their order.

        Upserts are answered when they are durable, or when they are visible, as the request asks; deletes when the
        items are no longer shown.
        """
        return self._applier.apply_many(requests)

    def works(self) -> Mapping[str, Callable[[list[Any]], list[Any]]]:
        """The function for each kind of request, for a scheduler."""
        return {UPSERT_ITEMS.kind: self.apply_many, DELETE_ITEMS.kind: self.apply_many}

    def adopt(self, earlier: EarlierEvents = no_events) -> str:
        """Make the engine use the current version of its bundle; returns the catalogue's version.

        Recorded changes that this version lacks are applied to it first, while requests are answered; a request waits
        only while the last few changes are applied. Called by one thread at a time.

        Args:
            earlier: Gives the recorded events that another version of the bundle lacks and this one includes.

        Raises:
            FailedPreconditionError: it is not known which changes the version includes.
            MmrecError: it cannot be loaded, or changes cannot be applied to it. The engine does not change.
        """
        other = self._engine.load_current()
        versions: Versions = other.info().versions
        before = self._store.state()
        holds = changes_held(before, other.bundle)
        if versions.catalogue not in (before.base, before.successor):
            self._store.announce(versions.catalogue, holds)
        self._failpoint("before-bring-forward")
        now = replace(before, base=versions.catalogue, folded=holds, successor="", successor_holds=0)
        with ExitStack() as stack:
            reader = stack.enter_context(self._store.read_as(versions.catalogue))

            def name(last: int) -> str:
                return catalogue_name(now, last)

            done = replay_changes(other, reader.replay(holds), name) or holds
            other.prepare_changes()
            warm_up(other)
            self._failpoint("before-swap")
            # Between two requests, so that the other engine has every recorded change.
            with self._applier.lock, self._applying:
                done = replay_changes(other, reader.replay(done), name) or done
                self._engine.adopt(other, earlier(other.bundle))
                self._applier.replaced()
                if self._store.shared:
                    stack.pop_all()
                    stack.callback(self._reader.close)
                    self._reader = reader
                self._failpoint("after-swap")
                with self._changed:
                    self._base = _Base(versions, now)
                    self._pending.clear()
                    self._applied = max(done, self._applied)
                    self._changed.notify_all()
        state = self._store.state()
        # Another server may serve a later bundle already.
        if state.base != versions.catalogue and (state.successor == versions.catalogue or not self._store.shared):
            self._store.rebase(versions.catalogue, holds)
            self._failpoint("after-rebase")
        self.settle()
        return self._engine.info().versions.catalogue

    def settle(self) -> None:
        """Drop changes from the store that the served bundle includes, and the one before it too."""
        state = self._store.state()
        # A server that serves another bundle than the store's base leaves this to those that serve it.
        if state.base == self._base.versions.catalogue and state.dropped < state.needless:
            self._store.drop_folded(state.needless)
            self._failpoint("after-drop")

    def close(self) -> None:
        """Close the store. Recorded changes that are not visible yet are applied at the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._worker.join()
        self._reader.close()
        self._store.close()

    # --- the log of the applier -----------------------------------------------------------------------------

    def check(self) -> None:
        """See `ChangeLog`."""
        if self._failed is not None:
            raise self._failed

    def find(self, request: UpsertRequest | DeleteRequest) -> RecordedReply | None:
        """See `ChangeLog`."""
        found = self._store.find(request.request_id)
        if found is None:
            return None
        reply = UPSERT_ITEMS.decode_reply(found.reply)
        return RecordedReply(found.digest.hex(), self._visible(request, reply, found.last))

    def catch_up(self) -> None:
        """See `ChangeLog`."""
        if self._store.shared:
            last = self._store.position()
            self._look()
        else:
            with self._changed:
                last = self._pending[-1].last if self._pending else self._applied
        self._wait(last)
        self._based_on = last

    def commit(
        self, request: UpsertRequest | DeleteRequest, change: CatalogueChange[Any], results: ChangeResults
    ) -> ChangeResults:
        """See `ChangeLog`."""
        changes: list[Change] = [Delete(item_id) for item_id in change.deleted]
        if isinstance(request, UpsertRequest):
            version, packed = self._engine.encoder_version, self._engine.pack_items(change.items)
            changes += [
                Upsert(item.item_id, item, data, version, request.fields)
                for item, data in zip(change.inputs, packed, strict=True)
            ]
        self._failpoint("before-record")
        digest, reply = bytes.fromhex(content_hash(request)), UPSERT_ITEMS.encode_reply(results)
        began = time.monotonic()
        partial = isinstance(request, UpsertRequest) and bool(request.fields)
        based_on = self._based_on if partial and self._store.shared else None
        try:
            last = self._store.record(request.request_id, digest, changes, reply, based_on=based_on).last
        except FailedPreconditionError:
            # The same request may have come to another server at the same time.
            earlier = self.find(request) if self._store.shared and request.request_id else None
            if earlier is None or earlier.content != digest.hex():
                raise
            return earlier.reply
        self._on_commit(time.monotonic() - began)
        self._failpoint("after-record")
        if self._store.shared:
            self._look()
        elif changes:
            with self._changed:
                self._pending.append(_Pending(last, change))
                self._changed.notify_all()
        return self._visible(request, results, last)

    def _visible(self, request: UpsertRequest | DeleteRequest, reply: ChangeResults, last: int) -> ChangeResults:
        """The reply to a request whose last change has this number; waits until it is visible if it must be."""
        if isinstance(request, DeleteRequest) or request.wait_until_visible:
            self._wait(last)
        base = self._base
        return replace(reply, versions=replace(base.versions, catalogue=catalogue_name(base.state, last)))

    def _wait(self, last: int) -> None:
        """Wait until the engine has all changes up to this one."""
        with self._changed:
            self._changed.wait_for(lambda: self._applied >= last or self._failed or self._lost or self._closing)
            applied, lost = self._applied, self._lost
        if applied < last:
            self.check()
            if lost is not None:
                raise lost
            raise UnavailableError("the server is stopping; what was recorded is visible when it is back")

    # --- the thread that applies ----------------------------------------------------------------------------

    def _name(self, last: int) -> str:
        return catalogue_name(self._base.state, last)

    def _give_up(self, error: MmrecError) -> None:
        """Refuse further changes: acknowledged ones are in the store, and this process cannot show them."""
        with self._changed:
            number = self._pending[0].last if self._pending else self._applied
            self._failed = UnavailableError(
                f"this server takes on no more changes: after change {self._applied}, what was recorded up to change "
                f"{number} could not be let into the catalogue ({error.message}). What was acknowledged is in the "
                "store and comes in when the server is started again; until then questions are answered from the "
                "catalogue without it"
            )
            self._changed.notify_all()

    def _look(self) -> None:
        """Let the thread that applies look for recorded changes at once."""
        with self._changed:
            self._due = True
            self._changed.notify_all()

    def _follow(self) -> None:
        """Apply what this server and others have recorded, in the order of the numbers."""
        try:
            if self._store.position() > self._applied:
                with self._applying, self._pace:
                    for batch in self._reader.replay(self._applied):
                        self._failpoint("before-apply")
                        last = replay_changes(self._engine, [batch], self._name)
                        self._failpoint("after-apply")
                        with self._changed:
                            self._applied = last
                            self._changed.notify_all()
        except UnavailableError as err:
            if self._lost is None:
                _log.warning("changes of the catalogue are not followed: %s", err.message)
            with self._changed:
                self._lost = err
                self._changed.notify_all()
        else:
            if self._lost is not None:
                _log.warning("changes of the catalogue are followed again")
            with self._changed:
                self._lost = None

    def _apply_all(self) -> None:
        give_way()
        shared = self._store.shared
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._pending or self._due or self._closing, _FOLLOW_S if shared else None
                )
                if self._closing:
                    return
                self._due = False
            if shared:
                self._follow()
                continue
            with self._applying, self._pace:
                # More may be pending by now; or `adopt` may have applied them.
                with self._changed:
                    pending = list(self._pending)
                if not pending:
                    continue
                self._failpoint("before-apply")
                apply_changes(self._engine, [one.change for one in pending], self._name(pending[-1].last))
                self._failpoint("after-apply")
                with self._changed:
                    del self._pending[: len(pending)]
                    self._applied = pending[-1].last
                    self._changed.notify_all()
