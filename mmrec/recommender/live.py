"""What customers have done since the bundle was made: histories and transition counts that go on growing.

Unit of work: one event. Knows nothing about requests, item ids or how events are kept beyond the process.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from mmrec.channels.counting import TransitionCounts
from mmrec.recommender.artefact import Parts

__all__ = ["LiveEvents"]


class LiveEvents:
    """A bundle's events and those that came after it. One thread at a time."""

    def __init__(self, parts: Parts) -> None:
        self._stored = parts.interactions
        near = TransitionCounts(parts.transitions, parts.interactions, parts.channels.transitions)
        wide = TransitionCounts(parts.transitions_wide, parts.interactions, parts.channels.transitions_wide)
        self._near, self._wide = near, wide
        self._new: dict[str, list[int]] = {}
        self._nobodys: Counter[int] = Counter()

    def grow(self, items: int) -> None:
        """The catalogue has this many rows now."""
        self._near.grow(items)
        self._wide.grow(items)

    def record(self, user_id: str, row: int) -> None:
        """Take in that a customer took the item of a catalogue row."""
        self._near.add(user_id, row)
        self._wide.add(user_id, row)
        if user_id:
            self._new.setdefault(user_id, []).append(row)
        else:
            self._nobodys[row] += 1

    def take_over(self, earlier: LiveEvents, rows_O: npt.NDArray[np.int64]) -> None:
        """Take in all that came to the events of another version of the bundle.

        Args:
            earlier: What these follow.
            rows_O: The row here of each row there, -1 for an item that was never in this catalogue, whose events are
                left behind. Shape: (O,), int64.
        """
        for user_id, rows in [*earlier._new.items(), ("", list(earlier._nobodys.elements()))]:
            for row in rows_O[rows].tolist() if rows else ():
                if row >= 0:
                    self.record(user_id, row)

    def history(self, user_id: str) -> npt.NDArray[np.int32]:
        """Catalogue rows of all a customer did, oldest first; empty for a stranger."""
        user = self._stored.user_index(user_id)
        stored = np.empty(0, dtype=np.int32) if user is None else self._stored.history(user)
        new = self._new.get(user_id)
        return np.concatenate([stored, np.array(new, dtype=np.int32)]) if new else stored

    def updated(self, parts: Parts) -> Parts:
        """The parts with the transitions of all events so far; the catalogue may have more rows than it had."""
        if not (self._new or self._nobodys):
            # Nothing but more rows, which the parts have already.
            return parts
        self.grow(len(parts.catalogue))
        return parts._replace(transitions=self._near.snapshot(), transitions_wide=self._wide.snapshot())
