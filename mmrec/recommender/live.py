"""What customers have done since the bundle was made: histories and transition counts that go on growing.

Unit of work: one event. Knows nothing about requests, item ids or how events are kept beyond the process.
"""

from __future__ import annotations

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

    def history(self, user_id: str) -> npt.NDArray[np.int32]:
        """Catalogue rows of all a customer did, oldest first; empty for a stranger."""
        user = self._stored.user_index(user_id)
        stored = np.empty(0, dtype=np.int32) if user is None else self._stored.history(user)
        new = self._new.get(user_id)
        return np.concatenate([stored, np.array(new, dtype=np.int32)]) if new else stored

    def updated(self, parts: Parts) -> Parts:
        """The parts with the transitions of all events so far; the catalogue may have more rows than it had."""
        self.grow(len(parts.catalogue))
        return parts._replace(transitions=self._near.snapshot(), transitions_wide=self._wide.snapshot())
