"""Events of customers while a bundle is served: durable before they are acknowledged, and in the next answer.

Unit of work: the requests of one batch, which are recorded in one transaction. Histories have an event as soon as it is
acknowledged. Counts of items that follow one another take a pass over all pairs of items, so a thread of low priority
brings them up to date, soon after. Where servers share the store, another thread follows what the others record and
delete; all of them use the events in the order of their numbers, so their answers are the same. Knows nothing about
gRPC.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from mmrec.bundle import Bundle
from mmrec.contract.events import (
    DeletedUser,
    DeleteUserRequest,
    EventPage,
    EventResults,
    ListEventsRequest,
    RecordEventsRequest,
    UserEvent,
)
from mmrec.contract.forgotten_users import ForgottenUsers
from mmrec.contract.outcomes import outcome
from mmrec.errors import MmrecError
from mmrec.recommender.artefact import HOLDS_EVENTS
from mmrec.recommender.page_tokens import last_number, page_by_number
from mmrec.sdk.rpcs import DELETE_USER, LIST_EVENTS, RECORD_EVENTS
from mmrec_serving.event_log import EventStore
from mmrec_serving.priority import give_way
from mmrec_serving.worker_threads import OnEnd, Worker, nobody

_log = logging.getLogger(__name__)

_FOLLOW_S = 0.2
"""Pause between two looks for what other servers have recorded."""
_REST = 20.0
"""Pause after the counts were brought up to date, as a multiple of the time that it took."""
_LEAST_REST_S = 0.2


class EventEngine(Protocol):
    """An engine that uses recorded events. All methods may be called from any thread."""

    @property
    def bundle(self) -> Bundle:
        """The version of the bundle that is served."""

    def add_events(self, events: Iterable[tuple[int, UserEvent]], *, count: bool = True) -> None:
        """Use events, each with its number; without `count`, transitions have them after `count_events`."""

    def count_events(self) -> None:
        """Bring the transitions up to the last event."""

    def forget_users(self, forgotten: ForgottenUsers, user_id: str = "") -> None:
        """Use nothing of deleted customers, nor the earlier events of `user_id`, who has just been deleted."""

    def deleted_since(self, forgotten: ForgottenUsers) -> list[str]:
        """Customers with added events whom these deletions name, and those of the last `forget_users` do not."""


def held_events(bundle: Bundle) -> int:
    """Number of the last recorded event that a bundle includes; 0: none."""
    return int(bundle.manifest.parameters.get(HOLDS_EVENTS, 0))


class RecordedEvents:
    """The events of one engine's customers.

    Args:
        engine: Has no events after its bundle, until `replay`.
        store: Records events.
        on_end: Called when one of the threads ends by itself.
        on_commit: Called with the seconds that it took to make events durable.
    """

    def __init__(
        self,
        engine: EventEngine,
        store: EventStore,
        on_end: OnEnd = nobody,
        on_commit: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._engine, self._store = engine, store
        self._on_commit = on_commit
        self._wake = threading.Condition()
        self._closing = self._behind = False
        self._using = threading.Lock()
        self._used = self._deletions = 0
        """The last event that the engine uses, and the last deletion that it follows."""
        self._counter = Worker("mmrec-counting", self._count, on_end)
        self._follower = Worker("mmrec-following", self._follow, on_end)

    def replay(self) -> int:
        """Use all recorded events that the bundle does not include; returns the number of the last one. Called once."""
        forgotten, self._used = self._store.forgotten(), self._store.position()
        self._deletions = forgotten.last
        self._engine.forget_users(forgotten)
        for batch in self._store.replay(self._held):
            self._engine.add_events(batch, count=False)
            self._used = max(self._used, batch[-1].sequence)
        self._engine.count_events()
        self._counter.start()
        if self._store.shared:
            self._follower.start()
        return self._used

    def lacking(self, bundle: Bundle) -> Iterator[tuple[int, UserEvent]]:
        """The events that a version of the bundle lacks and the one that is served includes."""
        for batch in self._store.replay(held_events(bundle)):
            for number, event in batch:
                if number > self._held:
                    return
                yield number, event

    @property
    def store(self) -> EventStore:
        """The store that records events."""
        return self._store

    def works(self) -> Mapping[str, Callable[[list[Any]], list[Any]]]:
        """The function for each kind of request, for a scheduler."""
        return {
            RECORD_EVENTS.kind: self.record_many,
            LIST_EVENTS.kind: self.list_many,
            DELETE_USER.kind: self.delete_many,
        }

    def record_many(self, requests: Sequence[RecordEventsRequest]) -> list[EventResults | MmrecError]:
        """Record the events of several requests; where that fails, none of them is recorded."""
        events = [event for request in requests if not request.validate_only for event in request.identified()]
        began = time.monotonic()
        try:
            numbers = self._store.record(events) if events else []
        except MmrecError as err:
            return [request.results() if request.validate_only else err for request in requests]
        self._on_commit(time.monotonic() - began)
        with self._using:
            # An event that was recorded before has the number of the first; one that comes twice here has one number.
            pairs = zip(numbers[::-1], events[::-1], strict=True)
            new = sorted((number, event) for number, event in dict(pairs).items() if number > self._used)
            if new and not self._store.shared:
                self._use(new)
            elif new:
                # Others may have recorded events before these, or have been the first to record one of them.
                try:
                    self._catch_up()
                except MmrecError as err:
                    _log.warning("events are recorded, and will be used later: %s", err.message)
        return [request.results() for request in requests]

    def list_many(self, requests: Sequence[ListEventsRequest]) -> list[EventPage | MmrecError]:
        """Pages of what the store has of customers."""
        return [outcome(self._list, request) for request in requests]

    def _list(self, request: ListEventsRequest) -> EventPage:
        last = last_number(request)
        found = self._store.history(
            request.user_id, upto=None if last is None else last - 1, most=request.page_size + 1
        )[::-1]
        shown = found[: request.page_size]
        page = page_by_number(request, shown, len(found) > len(shown), lambda entry: entry.sequence)
        return EventPage(tuple(entry.event for entry in page.entries), page.next_page_token)

    def delete_many(self, requests: Sequence[DeleteUserRequest]) -> list[DeletedUser | MmrecError]:
        """Delete customers, in the store and in memory."""
        return [outcome(self._delete, request) for request in requests]

    def _delete(self, request: DeleteUserRequest) -> DeletedUser:
        with self._using:
            try:
                return DeletedUser(self._store.delete_user(request.user_id))
            finally:
                # A call that has failed may have deleted the events, with bytes of them left in a file.
                self._forget(request.user_id)

    def close(self) -> None:
        """Close the store."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._counter.join()
        self._follower.join()
        self._store.close()

    # --- what the engine uses, with the lock held -------------------------------------------------------------

    @property
    def _held(self) -> int:
        """Number of the last event that the bundle includes."""
        return held_events(self._engine.bundle)

    def _use(self, events: Sequence[tuple[int, UserEvent]]) -> None:
        """Let the engine use events, which follow those that it has."""
        self._engine.add_events(events, count=False)
        self._used = events[-1][0]
        with self._wake:
            self._behind = True
            self._wake.notify_all()

    def _catch_up(self) -> None:
        """Use all events that were recorded, here or elsewhere."""
        last = self._store.position()
        for batch in self._store.replay(self._used):
            self._use(batch)
        # The last ones may have been deleted.
        self._used = max(self._used, last)

    def _forget(self, user_id: str = "") -> None:
        """Follow deletions, made here, of `user_id`, or elsewhere."""
        forgotten = self._store.forgotten()
        if forgotten.last == self._deletions:
            return
        only = bool(user_id) and forgotten.last == self._deletions + 1
        deleted = [user_id] if only else self._engine.deleted_since(forgotten)
        self._engine.forget_users(forgotten)
        for user in deleted:
            self._engine.forget_users(forgotten, user)
            # Of one that has come back, the events after the deletion stay.
            later = self._store.history(user, after=self._held, upto=self._used, most=100_000)
            self._engine.add_events(later, count=False)
        self._deletions = forgotten.last

    # --- threads ----------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        lost = False
        while True:
            with self._wake:
                if self._wake.wait_for(lambda: self._closing, _FOLLOW_S):
                    return
            try:
                if self._store.position() > self._used:
                    with self._using:
                        self._catch_up()
                if self._store.last_deletion() > self._deletions:
                    with self._using:
                        self._forget()
            except MmrecError as err:
                if not lost and not self._closing:
                    _log.warning("events of other servers are not followed: %s", err.message)
                lost = True
            else:
                if lost:
                    _log.warning("events of other servers are followed again")
                lost = False

    def _count(self) -> None:
        give_way()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closing or self._behind)
                if self._closing:
                    return
                self._behind = False
            begun = time.monotonic()
            self._engine.count_events()
            rest_s = max(_LEAST_REST_S, _REST * (time.monotonic() - begun))
            with self._wake:
                self._wake.wait_for(lambda: self._closing, rest_s)
