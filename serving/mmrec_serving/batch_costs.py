"""How long batches of one kind of work take, measured: a part that is the same for every batch, and a part per unit.

Unit of work: one batch, its weight in units and its duration in seconds. Knows nothing about queues and requests.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_REMEMBERED = 16


class _Line(NamedTuple):
    units: float
    seconds: float
    slope: float | None
    """Seconds per unit more; None where all batches were about as large."""


class BatchCosts:
    """Measurements of the last batches, and what follows for other ones."""

    def __init__(self) -> None:
        self._measured: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)
        self._line: _Line | None = None

    def observe(self, units: int, seconds: float) -> None:
        """A batch of so many units, at least 1, has taken so many seconds."""
        self._measured.append((units, seconds))
        self._line = self._fitted()

    def forget(self) -> None:
        """Forget the older half of the measurements, so that work which they forbid is tried and measured again."""
        for _ in range((len(self._measured) + 1) // 2):
            self._measured.popleft()
        self._line = self._fitted()

    def seconds(self, units: int) -> float:
        """Expected duration of one batch; 0 without measurements.

        Where all batches were as large, a smaller one is expected to take its share, and a larger one no longer.
        """
        line = self._line
        if line is None or units <= 0:
            return 0.0
        if line.slope is None:
            return line.seconds * min(1.0, units / line.units)
        return line.seconds + line.slope * (units - line.units)

    def total(self, units: int, room: int) -> float:
        """Expected duration of work that is run in batches of `room` units."""
        full, rest = divmod(units, room)
        return full * self.seconds(room) + self.seconds(rest)

    def least(self, units: int) -> float:
        """What even the fastest of the last batches took, or its share for fewer units; 0 without measurements."""
        return min((seconds * min(1.0, units / most) for most, seconds in self._measured), default=0.0)

    def room(self, most: int, seconds: float) -> int:
        """Units of a batch that takes about `seconds`, from 1 to `most`.

        Where the part that is the same for every batch is large, batches are made longer, so that it is a third of them
        at most.
        """
        line = self._line
        if line is None or (line.slope is None and line.units <= 1):
            return most  # Whether a larger batch takes longer is not known yet.
        slope = line.seconds / line.units if line.slope is None else line.slope
        fixed = line.seconds - slope * line.units
        length = max(seconds - fixed, 2 * fixed)
        return most if slope * most <= length else max(1, int(length / slope))

    def _fitted(self) -> _Line | None:
        """Least squares; a longer batch of more units never costs less, nor more than in proportion."""
        count = len(self._measured)
        if not count:
            return None
        units = sum(one for one, _ in self._measured) / count
        seconds = sum(one for _, one in self._measured) / count
        spread = sum((one - units) ** 2 for one, _ in self._measured)
        if spread < 0.01 * count * units**2:
            return _Line(units, seconds, None)
        slope = sum((one - units) * (took - seconds) for one, took in self._measured) / spread
        return _Line(units, seconds, min(max(slope, 0.0), seconds / units))
