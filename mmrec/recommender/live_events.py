"""Live events: the events of customers since the bundle was made, up to a moment.

Unit of work: one immutable value. `after` makes a longer one, which shares memory with this one, so a request that is
answered with a value sees exactly its events. Knows nothing about requests, item ids or storage outside the process.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from mmrec.channels.live_transitions import TransitionCounts
from mmrec.channels.transitions import TransitionGraph
from mmrec.recommender.artefact import Parts

Graphs = tuple[TransitionGraph, TransitionGraph]


class LiveEvents:
    """Events of a bundle and those after it, up to a moment.

    Reading is safe from any thread; only one thread at a time may call `after`. Make the first value with `begin`.
    """

    __slots__ = ("_events", "_log")

    def __init__(self, log: _Log, events: int) -> None:
        self._log = log
        self._events = events

    def __len__(self) -> int:
        """Number of events after the bundle."""
        return self._events

    @classmethod
    def begin(cls, parts: Parts) -> LiveEvents:
        """The events of a bundle, and none after it."""
        return cls(_Log(parts), 0)

    def after(self, events: Iterable[tuple[str, int]]) -> LiveEvents:
        """These events followed by more, as a new value.

        Args:
            events: Pairs of user id and catalogue row, in order; the user id is empty for an anonymous customer.
        """
        log = self._log
        if len(log.rows) != self._events:
            # Another value already extends this log: copy it.
            log = _Log(log.parts)
            log.extend(self)
        log.extend(events)
        return LiveEvents(log, len(log.rows))

    def moved_to(self, other: LiveEvents, row_of: Callable[[int], int | None]) -> LiveEvents:
        """The events of another bundle, followed by these.

        Args:
            other: Events of the other bundle.
            row_of: Maps a row here to a row there; None drops the events of the item.
        """
        moved = ((user_id, row_of(row)) for user_id, row in self)
        return other.after((user_id, row) for user_id, row in moved if row is not None)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Events after the bundle, in order: user id and catalogue row."""
        log = self._log
        return ((log.users[place], log.rows[place]) for place in range(self._events))

    def history(self, user_id: str) -> npt.NDArray[np.int32]:
        """Catalogue rows of a customer's events, oldest first; empty for an unknown customer. Shape: (T,), int32."""
        log = self._log
        user = log.parts.interactions.user_index(user_id)
        stored = np.empty(0, dtype=np.int32) if user is None else log.parts.interactions.history(user)
        places = log.places.get(user_id, ())
        new = [log.rows[place] for place in places[: bisect_left(places, self._events)]]
        return np.concatenate([stored, np.array(new, dtype=np.int32)]) if new else stored

    def transitions(self, items: int) -> Graphs | None:
        """Near and wide transitions of all events; None without events after the bundle.

        The first call after an event costs one pass over all pairs, later ones little.

        Args:
            items: Rows of the catalogue, more than any row of an event.
        """
        return self._log.transitions(self._events, items) if self._events else None


class _Log:
    """Events in order; append-only, so the values that share it stay valid.

    Attributes:
        parts: Parts of the bundle.
        users: User id of each event.
        rows: Catalogue row of each event.
        places: Indexes of the events of each customer, ascending.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.users: list[str] = []
        self.rows: list[int] = []
        self.places: dict[str, list[int]] = {}
        self._counting = threading.Lock()
        self._counts: _Counts | None = None

    def extend(self, events: Iterable[tuple[str, int]]) -> None:
        for user_id, row in events:
            if user_id:
                self.places.setdefault(user_id, []).append(len(self.rows))
            self.users.append(user_id)
            self.rows.append(row)

    def transitions(self, events: int, items: int) -> Graphs:
        with self._counting:
            counts = self._counts
            if counts is None or counts.events > events or counts.items > items:
                # Counts cannot shrink: an earlier moment is counted again from the bundle.
                counts = _Counts(self.parts)
                self._counts = self._counts or counts
            for place in range(counts.events, events):
                counts.add(self.users[place], self.rows[place], items)
            return counts.graphs(items)


class _Counts:
    """The first `events` events, counted for a catalogue of `items` rows."""

    def __init__(self, parts: Parts) -> None:
        self._near = TransitionCounts(parts.transitions, parts.interactions, parts.channels.transitions)
        self._wide = TransitionCounts(parts.transitions_wide, parts.interactions, parts.channels.transitions_wide)
        self.events = self.items = 0

    def add(self, user_id: str, row: int, items: int) -> None:
        self._grow(items)
        self._near.add(user_id, row)
        self._wide.add(user_id, row)
        self.events += 1

    def graphs(self, items: int) -> Graphs:
        self._grow(items)
        return self._near.snapshot(), self._wide.snapshot()

    def _grow(self, items: int) -> None:
        if items > self.items:
            self._near.grow(items)
            self._wide.grow(items)
            self.items = items
