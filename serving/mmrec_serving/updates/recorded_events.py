"""Events of customers while a bundle is served: durable before they are acknowledged, and in the next answer.

Unit of work: the requests of one batch, which are recorded in one transaction. Histories have an event as soon as it is
acknowledged. Counts of items that follow one another take a pass over all pairs of items, so a thread of low priority
brings them up to date, soon after. Knows nothing about gRPC.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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


class RecordedEvents:
    """The events of one engine's customers.

    Args:
        engine: Has no events after its bundle, until `replay`.
        store: Records events.
        on_end: Called when the thread that counts ends by itself.
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
        self._forgotten = ForgottenUsers()
        self._worker = Worker("mmrec-counting", self._count, on_end)

    def replay(self) -> int:
        """Use all recorded events that the bundle does not include; returns the number of the last one. Called once."""
        self._forgotten = self._store.forgotten()
        self._engine.forget_users(self._forgotten)
        held = int(self._engine.bundle.manifest.parameters.get(HOLDS_EVENTS, 0))
        for batch in self._store.replay(held):
            self._engine.add_events(batch, count=False)
        self._engine.count_events()
        self._worker.start()
        return self._store.position()

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
        before, began = self._store.position(), time.monotonic()
        try:
            numbers = self._store.record(events) if events else []
        except MmrecError as err:
            return [request.results() if request.validate_only else err for request in requests]
        self._on_commit(time.monotonic() - began)
        # An event that was recorded before has the number of the first; one that comes twice here has one number.
        new = {number: event for number, event in zip(numbers[::-1], events[::-1], strict=True) if number > before}
        self._engine.add_events(sorted(new.items()), count=False)
        with self._wake:
            self._behind = self._behind or bool(new)
            self._wake.notify_all()
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
        try:
            return DeletedUser(self._store.delete_user(request.user_id))
        finally:
            # A call that has failed may have deleted the events, with bytes of them left in a file.
            forgotten = self._store.forgotten()
            if forgotten.last > self._forgotten.last:
                self._forgotten = forgotten
                self._engine.forget_users(forgotten, request.user_id)

    def close(self) -> None:
        """Close the store."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._worker.join()
        self._store.close()

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
