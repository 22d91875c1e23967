"""Low priority for background work, so that requests are answered quickly.

Unit of work: one thread, or one piece of work. There are two means. A thread with a low priority gets the processor
when no other needs it (Linux only). Threads of one Python process also wait for the interpreter lock, so pieces of
background work run one at a time, with a pause after each. Knows nothing about the work.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

_NICE = 10
"""Of two busy threads, the one with this niceness gets a tenth of a core."""


def give_way() -> None:
    """Lower the priority of the calling thread and of the threads that it starts."""
    if sys.platform == "linux":
        # On Linux each thread has a priority. Lowering it needs no privilege; if it fails, only speed is lost.
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, max(_NICE, os.getpriority(os.PRIO_PROCESS, thread)))


class Pace:
    """Turns of several threads, each followed by a pause that is twice as long as the turn.

    With ``with pace: work()`` a thread waits until no other has the turn and the pause is over, at most `most_s`.

    Args:
        wanted: Whether pauses are needed now, because requests are being answered.
        most_s: Longest wait for another thread's turn, and longest pause, in seconds.
        clock: Seconds.
        sleep: Sleeps for some seconds.
    """

    def __init__(
        self,
        wanted: Callable[[], bool],
        most_s: float = 0.5,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._wanted, self._most_s, self._clock, self._sleep = wanted, most_s, clock, sleep
        self._turn = threading.Lock()
        self._own = threading.local()
        self._rested = clock()

    def __enter__(self) -> None:
        self._own.has_turn = self._turn.acquire(timeout=self._most_s)
        left = self._rested - self._clock()
        if left > 0 and self._wanted():
            self._sleep(left)
        self._own.began = self._clock()

    def __exit__(self, *_: object) -> None:
        now = self._clock()
        self._rested = now + min(2 * (now - self._own.began), self._most_s)
        if self._own.has_turn:
            self._turn.release()
