"""Sampling of frequent log events: the first few of a kind are logged in full, the others are counted.

Unit of work: one event. Knows nothing about logs and the meaning of kinds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

INTERVAL_S = 10.0
"""Length of an interval, in seconds."""
_IN_FULL = 5


class Bursts(Generic[K]):
    """Counts events by kind in intervals. Safe to call from several threads.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._seen: Counter[K] = Counter()

    def first(self, kind: K) -> bool:
        """Count an event; True if it is one of the first of its kind in this interval, to be logged in full."""
        with self._lock:
            self._seen[kind] += 1
            return self._seen[kind] <= _IN_FULL

    def ended(self, *, now: bool = False) -> Mapping[K, int]:
        """Counts by kind of events that were not logged in full in the last interval, if it is over; starts a new one.

        Args:
            now: End the interval before its time.
        """
        with self._lock:
            if not now and self._clock() - self._began < INTERVAL_S:
                return {}
            seen, self._seen, self._began = self._seen, Counter(), self._clock()
        return {kind: count - _IN_FULL for kind, count in seen.items() if count > _IN_FULL}
