"""Changes of a catalogue: durable before they are acknowledged, visible soon after, replayed at the next start.

Unit of work: one request of many items. Three threads: whoever calls `upsert_many` and `delete_many` checks, encodes
and records; another one lets what was recorded come into the engine's catalogue, as much at once as has gathered
meanwhile; and a third one may have the engine go on with another version of its bundle (`adopt`). Questions are
answered from the engine all the while. A recorded change that cannot be let in ends the second thread, since later ones
build on it: no more are taken on, with the reason, and what was acknowledged is in the store and comes in at the next
start (see `mmrec_serving.worker_threads`). Knows nothing of gRPC; an engine is whatever has the calls of `LiveEngine`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest, content_hash
from mmrec.contract.items import Versions
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import FailedPreconditionError, MmrecError, NotFoundError, UnavailableError
from mmrec.sdk.rpcs import DELETE_ITEMS, UPSERT_ITEMS
from mmrec_serving.change_log import ChangeStore, Delete, StoreState, Upsert
from mmrec_serving.change_log.failpoints import Failpoint, no_failpoint
from mmrec_serving.priority import Pace, give_way
from mmrec_serving.updates.bundle_position import changes_held
from mmrec_serving.updates.engine import LiveEngine
from mmrec_serving.updates.replay import Pending, apply, bring_forward, catalogue_name
from mmrec_serving.worker_threads import OnEnd, Worker, nobody


class _Line(NamedTuple):
    """The bundle that the engine goes on from: its versions, and the store as it was to that."""

    base: Versions
    state: StoreState


class CatalogueChanges:
    """The changes of one engine's catalogue.

    Args:
        engine: Whose catalogue it is. It has the base alone until `replay`.
        store: Where changes are recorded; its base is the catalogue version that the engine was loaded with.
        questions: Whether questions are being asked; changes then take a third of the time.
        on_end: Called when the thread that lets changes in ends by itself.
        failpoint: For tests.
    """

    def __init__(
        self,
        engine: LiveEngine,
        store: ChangeStore,
        *,
        questions: Callable[[], bool] = lambda: False,
        on_end: OnEnd = nobody,
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        self._engine = engine
        self._pace = Pace(questions)
        self._store = store
        self._failpoint = failpoint
        # What the engine was loaded with and what of the store that holds, read and replaced as one.
        self._line = _Line(engine.info().versions, store.state())
        # Held while a request is encoded, recorded and handed over: an engine that takes the place of another one does
        # so between two requests, and has all that was recorded.
        self._steady = threading.Lock()
        self._applying = threading.Lock()
        self._changed = threading.Condition()
        self._pending: list[Pending] = []
        self._applied = 0
        self._failed: MmrecError | None = None
        self._closing = False
        self._worker = Worker("mmrec-changes", self._apply_all, on_end, self._give_up)

    def replay(self) -> int:
        """Bring the engine's catalogue to where the store is; the number of the last change. Called once, first."""
        done = bring_forward(self._engine, self._store.replay(), self._name)
        self._applied = max(done, self._line.state.folded)
        self._engine.prepare_changes()
        self._worker.start()
        return self._applied

    @property
    def store(self) -> ChangeStore:
        """Where changes are recorded."""
        return self._store

    def adopt(self) -> str:
        """Have the engine go on with the version of its bundle that is current by now; the catalogue's version.

        What was recorded and that version does not hold is brought into it first, while requests go on; none of them
        waits for more than the last few changes. Called by one thread at a time.

        Raises:
            FailedPreconditionError: it is not known which of the changes the version holds.
            MmrecError: it cannot be loaded, or changes cannot be brought into it. The engine goes on as it was.
        """
        other = self._engine.load_current()
        base: Versions = other.info().versions
        before = self._store.state()
        holds = changes_held(before, other.bundle)
        if base.catalogue not in (before.base, before.successor):
            self._store.announce(base.catalogue, holds)
        self._failpoint("before-bring-forward")
        now = replace(before, base=base.catalogue, folded=holds, successor="", successor_holds=0)
        with self._store.read_as(base.catalogue) as reader:

            def name(last: int) -> str:
                return catalogue_name(now, last)

            done = bring_forward(other, reader.replay(holds), name) or holds
            other.prepare_changes()
            _warm(other)
            self._failpoint("before-swap")
            with self._steady, self._applying:
                done = bring_forward(other, reader.replay(done), name) or done
                self._engine.adopt(other)
                self._failpoint("after-swap")
                with self._changed:
                    self._line = _Line(base, now)
                    self._pending.clear()
                    self._applied = max(done, self._applied)
                    self._changed.notify_all()
        self.settle()
        return self._engine.info().versions.catalogue

    def settle(self) -> None:
        """Have the store hold what the bundle that is served does not, and no more; does nothing where it does."""
        line, state = self._line, self._store.state()
        base, folded = line.base.catalogue, line.state.folded
        if state.base != base:
            self._store.rebase(base, folded)
            self._failpoint("after-rebase")
        if state.dropped < folded:
            self._store.drop_folded(folded)
            self._failpoint("after-drop")

    def works(self) -> Mapping[str, Callable[[list[Any]], list[Any]]]:
        """What does the requests of each kind, for a scheduler."""
        return {UPSERT_ITEMS.kind: self.upsert_many, DELETE_ITEMS.kind: self.delete_many}

    def close(self) -> None:
        """Let go of the store. What is recorded and not yet visible is applied at the next start."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._worker.join()
        self._store.close()

    # --- requests -------------------------------------------------------------------------------------------

    def upsert_many(self, requests: Sequence[UpsertRequest]) -> list[ChangeResults | MmrecError]:
        """Check, encode and record items; each request is answered when it is durable, or when it is visible."""
        return [_caught(self._upsert, request) for request in requests]

    def delete_many(self, requests: Sequence[DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Record that items go; none of them is shown once the request is answered."""
        return [_caught(self._delete, request) for request in requests]

    def _upsert(self, request: UpsertRequest) -> ChangeResults:
        with self._steady:
            results, last = self._recorded_upsert(request)
        if last is None:
            return replace(results, versions=self._engine.info().versions)
        if request.wait_until_visible:
            self._wait(last)
        return replace(results, versions=self._versions(last))

    def _recorded_upsert(self, request: UpsertRequest) -> tuple[ChangeResults, int | None]:
        """What is answered, and the number of the last change; None where nothing was to be changed."""
        self._check()
        self._engine.check_changeable()
        if request.fields:
            # They are replaced in items as they are after what was acknowledged a moment ago.
            self._wait(self._handed_over())
        with self._pace:
            described = self._engine.describe_items(request.good, request.fields)
        results = request.results(described.errors, self._line.base)
        if request.validate_only:
            return results, None
        version = self._engine.encoder_version
        items = [request.good[place] for place in described.places]
        packed = self._engine.pack_items(described.arrivals)
        fields = request.fields or None
        upserts = [Upsert(item.item_id, item, data, version, fields) for item, data in zip(items, packed, strict=True)]
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
            self._hand_over(Pending(recorded.last, described.arrivals))
        return results, recorded.last

    def _delete(self, request: DeleteRequest) -> ChangeResults:
        with self._steady:
            results, last = self._recorded_delete(request)
        if last is None:
            return replace(results, versions=self._engine.info().versions)
        self._wait(last)
        return replace(results, versions=self._versions(last))

    def _recorded_delete(self, request: DeleteRequest) -> tuple[ChangeResults, int | None]:
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
        results = request.results(errors, self._line.base)
        if request.validate_only:
            return results, None
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
            self._hand_over(Pending(recorded.last, None, going))
        return results, recorded.last

    def _versions(self, last: int) -> Versions:
        line = self._line
        return replace(line.base, catalogue=catalogue_name(line.state, last))

    def _name(self, last: int) -> str:
        return catalogue_name(self._line.state, last)

    # --- letting them in ------------------------------------------------------------------------------------

    def _hand_over(self, pending: Pending) -> None:
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

    def _give_up(self, error: MmrecError) -> None:
        """No more changes are taken on: what was acknowledged is in the store, and this process cannot show it."""
        with self._changed:
            number = self._pending[0].last if self._pending else self._applied
            self._failed = UnavailableError(
                f"this server takes on no more changes: after change {self._applied}, what was recorded up to change "
                f"{number} could not be let into the catalogue ({error.message}). What was acknowledged is in the "
                "store and comes in when the server is started again; until then questions are answered from the "
                "catalogue without it"
            )
            self._changed.notify_all()

    def _apply_all(self) -> None:
        give_way()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closing)
                if self._closing:
                    return
            with self._applying, self._pace:
                # More may have gathered meanwhile; or another engine may have come, and have them.
                with self._changed:
                    pending = list(self._pending)
                if not pending:
                    continue
                self._failpoint("before-apply")
                apply(self._engine, pending, self._name(pending[-1].last))
                self._failpoint("after-apply")
                with self._changed:
                    del self._pending[: len(pending)]
                    self._applied = pending[-1].last
                    self._changed.notify_all()


def _warm(engine: LiveEngine) -> None:
    """Let it answer once, so that no caller pays for what is lazy in it."""
    for found in engine.recommend_many([RecommendRequest(k=1)]):
        if isinstance(found, MmrecError):
            raise found


def _digest(request: UpsertRequest | DeleteRequest) -> bytes:
    return bytes.fromhex(content_hash(request))


def _caught(answer: Callable[[Any], ChangeResults], request: Any) -> ChangeResults | MmrecError:
    try:
        return answer(request)
    except MmrecError as err:
        return err
