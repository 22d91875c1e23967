"""Work that may take a little longer leaves the processor to questions.

Unit of work: one thread, or one piece of work. Two means. A thread that gives way runs when no other wants the
processor (Linux only; elsewhere every thread has the same share). That is not all that threads of one Python process
wait for, though: so pieces of work come one at a time, and after each there is a rest, in which questions are answered
as if there were nothing else. Knows nothing about what is done.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

_NICE = 10
"""Of two busy threads the one that gives way gets a tenth of a core."""


def give_way() -> None:
    """Let the calling thread, and the threads that it starts, run when no other wants the processor."""
    if sys.platform == "linux":
        # There a thread has a priority of its own. It can be lowered without any right, and where even that is
        # forbidden nothing but speed is lost.
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, max(_NICE, os.getpriority(os.PRIO_PROCESS, thread)))


class Pace:
    """Turns that several threads take, each with a rest after it that is twice as long as the turn.

    With ``with pace: work()`` a thread waits until no other is at work and the rest is over. A turn that takes very
    long keeps nobody waiting.

    Args:
        wanted: Whether anybody would be held up by a turn without a rest before it.
        most_s: Longest wait for another's turn, and longest rest, in seconds.
        clock: Seconds.
        sleep: Waits so many of them.
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        now = self._clock()
        self._rested = now + min(2 * (now - self._own.began), self._most_s)
        if self._own.has_turn:
            self._turn.release()
