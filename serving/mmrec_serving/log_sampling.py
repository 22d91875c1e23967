"""Telling of what happens often: the first few of a kind in full, and of the others how many there were.

Unit of work: one thing that happened. Knows nothing of logs and of what the kinds are.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

INTERVAL_S = 10.0
"""Seconds in which things of a kind are counted together."""
_IN_FULL = 5


class Bursts(Generic[K]):
    """Counts things by kind in intervals. Safe to call from several threads.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._seen: Counter[K] = Counter()

    def first(self, kind: K) -> bool:
        """Count one more; whether it is among the first of its kind in this interval, and so is logged in full."""
        with self._lock:
            self._seen[kind] += 1
            return self._seen[kind] <= _IN_FULL

    def ended(self, *, now: bool = False) -> Mapping[K, int]:
        """What was not logged in full in an interval that is over, by kind; the next one begins then.

        Args:
            now: End the interval before its time.
        """
        with self._lock:
            if not now and self._clock() - self._began < INTERVAL_S:
                return {}
            seen, self._seen, self._began = self._seen, Counter(), self._clock()
        return {kind: count - _IN_FULL for kind, count in seen.items() if count > _IN_FULL}
