"""What customers have done since the bundle was made: histories and transition counts that go on growing.

Unit of work: one event. Knows nothing about requests, item ids or how events are kept beyond the process.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmrec.channels.counting import TransitionCounts
from mmrec.channels.transitions import TransitionGraph
from mmrec.recommender.artefact import Parts

__all__ = ["LiveEvents"]


class LiveEvents:
    """A bundle's events and those that came after it. One thread at a time."""

    def __init__(self, parts: Parts) -> None:
        self._stored = parts.interactions
        self._counts = TransitionCounts(parts.transitions, parts.interactions, parts.channels.transitions)
        self._new: dict[str, list[int]] = {}

    def record(self, user_id: str, row: int) -> None:
        """Take in that a customer took the item of a catalogue row."""
        self._counts.add(user_id, row)
        if user_id:
            self._new.setdefault(user_id, []).append(row)

    def history(self, user_id: str) -> npt.NDArray[np.int32]:
        """Catalogue rows of all a customer did, oldest first; empty for a stranger."""
        user = self._stored.user_index(user_id)
        stored = np.empty(0, dtype=np.int32) if user is None else self._stored.history(user)
        new = self._new.get(user_id)
        return np.concatenate([stored, np.array(new, dtype=np.int32)]) if new else stored

    def transitions(self) -> TransitionGraph:
        """The graph of all events so far."""
        return self._counts.snapshot()
