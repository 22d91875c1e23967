"""What customers have done since the bundle was made, as a value: all events up to a moment.

Unit of work: one such value. It never changes: `after` makes a longer one, which shares with this one what both hold,
so whoever has begun to answer with a value goes on with exactly its events. Knows nothing about requests, item ids or
how events are kept beyond the process.
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
    """A bundle's events and those that came after it, up to a moment.

    Reading one is safe from any thread, also while longer ones are made of it; those are made by one thread at a time.
    Make the first one with `begin`.
    """

    __slots__ = ("_events", "_log")

    def __init__(self, log: _Log, events: int) -> None:
        self._log = log
        self._events = events

    def __len__(self) -> int:
        """Events that came after the bundle."""
        return self._events

    @classmethod
    def begin(cls, parts: Parts) -> LiveEvents:
        """The events of a bundle, and none after it."""
        return cls(_Log(parts), 0)

    def after(self, events: Iterable[tuple[str, int]]) -> LiveEvents:
        """These events and more, which come after them; this value stays as it is.

        Args:
            events: Pairs of user id and catalogue row, in their order; the user id is empty for nobody known.
        """
        log = self._log
        if len(log.rows) != self._events:
            # A longer value was made of this one already: from here there are two.
            log = _Log(log.parts)
            log.extend(self)
        log.extend(events)
        return LiveEvents(log, len(log.rows))

    def over(self, other: LiveEvents, row_of: Callable[[int], int | None]) -> LiveEvents:
        """The events of another bundle and, after them, these.

        Args:
            other: Those of the other bundle.
            row_of: The row there of a row here; None for an item that was never there, whose events are left behind.
        """
        moved = ((user_id, row_of(row)) for user_id, row in self)
        return other.after((user_id, row) for user_id, row in moved if row is not None)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """What came after the bundle, in its order: user id and catalogue row."""
        log = self._log
        return ((log.users[place], log.rows[place]) for place in range(self._events))

    def history(self, user_id: str) -> npt.NDArray[np.int32]:
        """Catalogue rows of all a customer did, oldest first; empty for a stranger. Shape: (T,), int32."""
        log = self._log
        user = log.parts.interactions.user_index(user_id)
        stored = np.empty(0, dtype=np.int32) if user is None else log.parts.interactions.history(user)
        places = log.places.get(user_id, ())
        new = [log.rows[place] for place in places[: bisect_left(places, self._events)]]
        return np.concatenate([stored, np.array(new, dtype=np.int32)]) if new else stored

    def transitions(self, items: int) -> Graphs | None:
        """The transitions of all events, near ones and wide ones; None where no event came after the bundle.

        Costs one pass over all pairs for the first value that is asked after an event, and little otherwise.

        Args:
            items: Rows of the catalogue, no fewer than any event has.
        """
        return self._log.transitions(self._events, items) if self._events else None


class _Log:
    """Events in their order. It only gets longer, so what a value holds of it stays.

    Attributes:
        parts: Of the bundle.
        users: User id of each event.
        rows: Catalogue row of each event.
        places: For each customer the places of the events, ascending.
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
                # Counts only grow: an earlier moment is counted from the bundle on.
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
