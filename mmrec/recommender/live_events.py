"""Live events: what customers did since the bundle was made, up to a moment.

Unit of work: one immutable value. `after` makes a longer one, which shares memory with this one, so a request that is
answered with a value sees exactly its events; only those of a deleted customer leave, at once, all values that share
memory. Events are kept by item id: those of an item that the catalogue lacks count in a catalogue that has it. The
history that a request brings is events of the same kind. Knows nothing about storage outside the process.
"""

from __future__ import annotations

import math
import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.channels.live_transitions import TransitionCounts
from mmrec.channels.transitions import TransitionGraph
from mmrec.contract.events import UserEvent
from mmrec.contract.forgotten_users import ForgottenUsers
from mmrec.contract.requests import HistoryEvent
from mmrec.data.feedback import FeedbackRule
from mmrec.recommender.artefact import Parts

Graphs = tuple[TransitionGraph, TransitionGraph]


class LiveEvent(NamedTuple):
    """One event.

    Attributes:
        user_id: The customer; empty for an anonymous one.
        item_id: The item, in the catalogue or not.
        taken: Whether the customer took the item; False: sent it back, removed or dismissed it.
        number: In the store that the event comes from; 0: it comes from none.
    """

    user_id: str
    item_id: str
    taken: bool = True
    number: int = 0


_VISIT = "\0"
"""Begins the id under which the events of an anonymous visit follow each other; no user's id has it."""


_USUAL = FeedbackRule()


def live_events(events: Iterable[tuple[int, UserEvent]], rule: FeedbackRule = _USUAL) -> list[LiveEvent]:
    """Recorded events, with their numbers, that say what a customer took or rejected, without those only shown.

    Args:
        events: The number of each, and the event.
        rule: What an event says of its item.
    """
    found = ((number, event, rule.takes(event.event_type, event.rating)) for number, event in events)
    return [
        LiveEvent(event.user_id or _VISIT + event.session_id, event.item_id, taken, number)
        for number, event, taken in found
        if taken is not None
    ]


def given_events(
    history: Iterable[str], events: Sequence[HistoryEvent], rule: FeedbackRule = _USUAL
) -> list[LiveEvent]:
    """What a request says that its customer took or rejected, oldest first, without what was only shown.

    Args:
        history: Items that were taken.
        events: What followed, ordered by time; one without a time stays behind the one before it.
        rule: As for `live_events`.
    """
    times = accumulate((-math.inf if event.time is None else event.time for event in events), _last_known)
    ordered = [event for _, event in sorted(zip(times, events, strict=True), key=lambda one: one[0])]
    found = ((event, rule.takes(event.event_type, event.rating)) for event in ordered)
    given = [LiveEvent("", event.item_id, taken) for event, taken in found if taken is not None]
    return [*(LiveEvent("", item_id) for item_id in history), *given]


def _last_known(before: float, time: float) -> float:
    return before if time == -math.inf else time


class CustomerEvents(NamedTuple):
    """The events of one customer, those of the bundle included.

    Attributes:
        taken_T: Catalogue rows of what was taken, oldest first. Shape: (T,), int32.
        rejected_R: Catalogue rows of what was rejected and not taken since, ascending. Shape: (R,), int32.
    """

    taken_T: npt.NDArray[np.int32]
    rejected_R: npt.NDArray[np.int32]

    def after(self, events: Iterable[LiveEvent], row_of: Callable[[str], int | None]) -> CustomerEvents:
        """These events followed by more of the same customer, in order.

        Args:
            events: The events.
            row_of: The catalogue row of an item; None: its events do not count.
        """
        taken, left = [], dict.fromkeys(self.rejected_R.tolist())
        for event in events:
            row = row_of(event.item_id)
            if row is None:
                continue
            if event.taken:
                taken.append(row)
                left.pop(row, None)
            else:
                left[row] = None
        return CustomerEvents(
            np.concatenate([self.taken_T, np.array(taken, dtype=np.int32)]), np.array(sorted(left), dtype=np.int32)
        )


class LiveEvents:
    """Events of a bundle and those after it, up to a moment.

    Reading is safe from any thread; only one thread at a time may call `after`. Make the first value with `begin`.
    Histories have every event. Transitions have those that were to be counted: counting costs a pass over all pairs of
    items, which a service does not want to wait for (see `counting`).
    """

    __slots__ = ("_counted", "_events", "_log")

    def __init__(self, log: _Log, events: int, counted: int) -> None:
        self._log = log
        self._events, self._counted = events, counted

    def __len__(self) -> int:
        """Number of events after the bundle."""
        return self._events

    @classmethod
    def begin(cls, parts: Parts, deletions: int = 0, rule: FeedbackRule = _USUAL) -> LiveEvents:
        """The events of a bundle, and none after it.

        Args:
            parts: Parts of the bundle.
            deletions: Number of the last deletion of a customer that the bundle's histories follow.
            rule: What an event says of its item.
        """
        return cls(_Log(parts, deletions, rule), 0, 0)

    def after(self, events: Iterable[LiveEvent], *, count: bool = True) -> LiveEvents:
        """These events followed by more, in order, as a new value.

        Args:
            events: The events.
            count: Whether transitions have them; False: those of this value stay.
        """
        log = self._log
        if len(log) != self._events:
            # Another value already extends this log: copy it.
            log = _Log(log.parts, log.deletions, log.rule, log.forgotten)
            log.extend(self)
        log.extend(events)
        return LiveEvents(log, len(log), len(log) if count else self._counted)

    def counting(self, other: LiveEvents | None = None) -> LiveEvents:
        """This value with transitions of all its events; or of those of an earlier value, if it extends it."""
        if other is None:
            return LiveEvents(self._log, self._events, self._events)
        if other._log is not self._log:
            return self
        return LiveEvents(self._log, self._events, max(self._counted, min(other._counted, self._events)))

    @property
    def rule(self) -> FeedbackRule:
        """What an event says of its item."""
        return self._log.rule

    @property
    def forgotten(self) -> ForgottenUsers:
        """Deleted customers."""
        return self._log.forgotten

    def forgets(self, user_id: str) -> bool:
        """Whether what the bundle knows of a customer must not be used."""
        return self._log.forgets(user_id)

    def deleted_since(self, forgotten: ForgottenUsers) -> list[str]:
        """Customers with events after the bundle who are in `forgotten` by a later deletion than any `forget` knows."""
        known = self._log.forgotten.last
        return [user for user in self._log.places if forgotten.has(user, known)]

    def forget(self, forgotten: ForgottenUsers, user_id: str = "") -> None:
        """Use nothing of deleted customers, in this value and all that share memory with it.

        Counts of items that follow one another stay.

        Args:
            forgotten: All that were deleted.
            user_id: One of them, who has just been deleted: the events up to now are dropped.
        """
        self._log.forgotten = forgotten
        if user_id:
            self._log.drop(user_id)

    def __iter__(self) -> Iterator[LiveEvent]:
        """Events after the bundle, in order; those of deleted customers have neither customer nor item."""
        return map(self._log.event, range(self._events))

    def of(self, user_id: str, catalogue: Catalogue) -> CustomerEvents:
        """The events of a customer; none of an unknown one.

        Args:
            user_id: The customer.
            catalogue: Gives the rows; its rows of the bundle's items are those of the bundle.
        """
        log = self._log
        interactions, rejected = log.parts.interactions, log.parts.rejected
        known = not log.forgets(user_id)
        user = interactions.user_index(user_id) if known else None
        rejecting = rejected.user_index(user_id) if known else None
        stored = np.empty(0, dtype=np.int32) if user is None else interactions.history(user)
        refused = np.empty(0, dtype=np.int32) if rejecting is None else np.unique(rejected.history(rejecting))
        places = log.places.get(user_id, ())
        later = map(log.event, places[: bisect_left(places, self._events)])
        return CustomerEvents(stored, refused).after(later, catalogue.last_row_of)

    def transitions(self, catalogue: Catalogue) -> Graphs | None:
        """Near and wide transitions of what was taken; None where no event after the bundle is counted.

        The first call after an event costs one pass over all pairs, later ones little. An event counts once, with the
        first catalogue that is passed after it.

        Args:
            catalogue: Of all its rows.
        """
        return self._log.transitions(self._counted, catalogue) if self._counted else None


class _Texts:
    """Texts by number, each kept once; one leaves memory with its last use. Number 0 is the empty text."""

    def __init__(self) -> None:
        self._texts = [""]
        self._numbers = {"": 0}
        self._uses = array("q", [1])

    def __getitem__(self, number: int) -> str:
        return self._texts[number]

    def use(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self._texts))
        if number == len(self._texts):
            self._texts.append(text)
            self._uses.append(0)
        self._uses[number] += 1
        return number

    def release(self, number: int) -> None:
        self._uses[number] -= 1
        if not self._uses[number]:
            # The number is not given again: a reader may be about to look it up.
            del self._numbers[self._texts[number]]
            self._texts[number] = ""


class _Log:
    """Events in order; append-only, so the values that share it stay valid.

    An event is a place in each of four arrays, 17 bytes, and not an object, which takes more than ten times as many.

    Attributes:
        parts: Parts of the bundle.
        deletions: Number of the last deletion of a customer that the bundle's histories follow.
        rule: What an event says of its item.
        forgotten: Deleted customers.
        places: Places of the events of each customer, ascending.
    """

    def __init__(
        self, parts: Parts, deletions: int, rule: FeedbackRule, forgotten: ForgottenUsers | None = None
    ) -> None:
        self.parts, self.rule = parts, rule
        self.deletions, self.forgotten = deletions, forgotten or ForgottenUsers()
        self.places: dict[str, array[int]] = {}
        self._users, self._items = _Texts(), _Texts()
        self._user, self._item, self._taken, self._number = array("i"), array("i"), array("b"), array("q")
        self._counting = threading.Lock()
        self._counts: _Counts | None = None
        self._made: tuple[tuple[int, int], Graphs] | None = None
        """The last graphs, by events and items: they are read while others are being made."""

    def __len__(self) -> int:
        return len(self._number)

    def event(self, place: int) -> LiveEvent:
        user, item = self._users[self._user[place]], self._items[self._item[place]]
        return LiveEvent(user, item, bool(self._taken[place]), self._number[place])

    def extend(self, events: Iterable[LiveEvent]) -> None:
        for event in events:
            user = self._users.use(event.user_id)
            self._user.append(user)
            self._item.append(self._items.use(event.item_id))
            self._taken.append(event.taken)
            self._number.append(event.number)
            if user:
                # Last, so that who finds the place finds the event.
                self.places.setdefault(self._users[user], array("i")).append(len(self) - 1)

    def forgets(self, user_id: str) -> bool:
        return self.forgotten.has(user_id, self.deletions)

    def drop(self, user_id: str) -> None:
        for place in self.places.pop(user_id, ()):
            # The place stays: events are counted by place.
            user, item = self._user[place], self._item[place]
            self._user[place] = self._item[place] = 0
            self._taken[place] = True
            self._users.release(user)
            self._items.release(item)
        with self._counting:
            if self._counts is not None:
                self._counts.forget(user_id)

    def transitions(self, events: int, catalogue: Catalogue) -> Graphs:
        wanted, made = (events, len(catalogue)), self._made
        if made is not None and made[0] == wanted:
            return made[1]
        with self._counting:
            counts = self._counts
            if counts is None or counts.events > events or counts.items > len(catalogue):
                # Counts cannot shrink: an earlier moment is counted again from the bundle.
                counts = _Counts(self.parts, self.forgets)
                self._counts = self._counts or counts
            for place in range(counts.events, events):
                counts.add(self.event(place), catalogue)
            graphs = counts.graphs(len(catalogue))
            self._made = wanted, graphs
            return graphs


class _Counts:
    """The first `events` events, counted for a catalogue of `items` rows."""

    def __init__(self, parts: Parts, forgets: Callable[[str], bool]) -> None:
        bought, configs = parts.interactions, parts.channels
        self._near = TransitionCounts(parts.transitions, bought, configs.transitions, forgets)
        self._wide = TransitionCounts(parts.transitions_wide, bought, configs.transitions_wide, forgets)
        self.events = self.items = 0

    def add(self, event: LiveEvent, catalogue: Catalogue) -> None:
        self._grow(len(catalogue))
        row = catalogue.last_row_of(event.item_id) if event.taken else None
        if row is not None:
            self._near.add(event.user_id, row)
            self._wide.add(event.user_id, row)
        self.events += 1

    def forget(self, user_id: str) -> None:
        self._near.forget(user_id)
        self._wide.forget(user_id)

    def graphs(self, items: int) -> Graphs:
        self._grow(items)
        return self._near.snapshot(), self._wide.snapshot()

    def _grow(self, items: int) -> None:
        if items > self.items:
            self._near.grow(items)
            self._wide.grow(items)
            self.items = items
