"""Which rows have changed between two states of something that changes a few rows at a time.

What was worked out for one state can then be brought on to a later one by working it out for those rows alone. The unit
of work is one state; knows nothing about what the rows hold.
"""

# Axes: C rows that changed

from __future__ import annotations

from itertools import count
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

REMEMBERED = 64
"""Changes that a state remembers; what is older than these is worked out anew."""

_numbers = count(1)


class Lineage(NamedTuple):
    """A state, and the way to it.

    Attributes:
        state: A number that no other state has; those of later states are higher.
        trail: The last changes: the state before each, and the rows that it changed.
    """

    state: int
    trail: tuple[tuple[int, Rows], ...] = ()

    @classmethod
    def begin(cls) -> Lineage:
        """A state that came from none."""
        return cls(next(_numbers))

    def after(self, rows_C: Rows) -> Lineage:
        """The state after a change; two changes of one state lead to two different ones.

        Args:
            rows_C: What it changed. Shape: (C,).
        """
        return Lineage(next(_numbers), (*self.trail, (self.state, rows_C))[-REMEMBERED:])

    def since(self, state: int) -> Rows | None:
        """Rows that may differ from an earlier state, ascending; None where it is not known to have led here."""
        if state == self.state:
            return np.empty(0, np.int64)
        for place, (before, _) in enumerate(self.trail):
            if before == state:
                return np.unique(np.concatenate([rows_C for _, rows_C in self.trail[place:]]))
        return None
