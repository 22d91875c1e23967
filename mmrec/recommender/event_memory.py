"""Events that a process records for itself: numbered, once per event id, and kept as long as it lives.

Unit of work: the events of one call. Not thread-safe. Knows nothing of histories and models.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace

from mmrec.contract.events import EventPage, ListEventsRequest, UserEvent
from mmrec.recommender.page_tokens import last_number, page_by_number

MAX_EVENT_IDS = 100_000
"""Ids of recorded events that protect against recording the same twice."""


class EventMemory:
    """Recorded events."""

    def __init__(self) -> None:
        self._last = 0
        self._event_ids: dict[str, None] = {}
        self._numbers: dict[str, list[int]] = {}
        self._events: dict[int, UserEvent] = {}

    def record(self, events: Iterable[UserEvent]) -> list[UserEvent]:
        """Keep events of customers, oldest first; one without a time gets that of the call.

        Returns:
            Those that were not recorded before, as the last 100,000 ids tell.
        """
        new, now = [], time.time()
        for event in events:
            if event.event_id in self._event_ids:
                continue
            if event.event_id:
                self._event_ids[event.event_id] = None
            new.append(event if event.time is not None else replace(event, time=now))
        for event_id in list(self._event_ids)[: max(0, len(self._event_ids) - MAX_EVENT_IDS)]:
            del self._event_ids[event_id]
        for event in new:
            if event.user_id:
                self._last += 1
                self._events[self._last] = event
                self._numbers.setdefault(event.user_id, []).append(self._last)
        return new

    def page(self, request: ListEventsRequest) -> EventPage:
        """A page of a customer's events, newest first.

        Raises:
            InvalidArgumentError: its page token is of another request.
        """
        last, numbers = last_number(request), self._numbers.get(request.user_id, [])
        left = len(numbers) if last is None else bisect_left(numbers, last)
        begin = max(0, left - request.page_size)
        page = page_by_number(request, numbers[begin:left][::-1], begin > 0, int)
        return EventPage(tuple(self._events[number] for number in page.entries), page.next_page_token)

    def delete_user(self, user_id: str) -> int:
        """Drop the events of a customer; returns how many there were. Their ids are forgotten too."""
        numbers = self._numbers.pop(user_id, [])
        for number in numbers:
            self._event_ids.pop(self._events.pop(number).event_id, None)
        return len(numbers)
