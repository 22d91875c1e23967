"""Low priority for background work, so that requests are answered quickly.

Unit of work: one thread, or one piece of work. There are four means. A thread with a low priority gets the processor
when no other needs it (Linux only). Threads of one Python process also wait for the interpreter lock, so pieces of
background work run one at a time, with a pause after each. A piece computes in steps, each of which begins when no
request is being answered (see `mmrec.runtime.background`), and leaves half of the cores alone. Knows nothing about the
work.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import torch

from mmrec.runtime.background import in_steps

QUIET_S = 1.0
"""Seconds without a request after which there are no pauses."""
_LOOK_EVERY_S = 0.001
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

    With ``with pace: work()`` a thread waits until no other has the turn and the pause is over, at most `most_s`. The
    steps of the work begin when nothing is being answered, at most `most_step_s` later than they could. While requests
    come, PyTorch has half of its threads there, so that the threads of a request find a core that is free.

    Args:
        idle_s: Seconds since the last request was answered; 0 while one is. After `QUIET_S` there are no pauses.
        most_s: Longest wait for another thread's turn, and longest pause, in seconds.
        most_step_s: Longest wait before a step, in seconds.
        clock: Seconds.
        sleep: Sleeps for some seconds.
    """

    def __init__(
        self,
        idle_s: Callable[[], float],
        *,
        most_s: float = 0.5,
        most_step_s: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._idle_s = idle_s
        self._most_s, self._most_step_s, self._clock, self._sleep = most_s, most_step_s, clock, sleep
        self._turn = threading.Lock()
        self._own = threading.local()
        self._rested = clock()

    def __enter__(self) -> None:
        self._own.has_turn = self._turn.acquire(timeout=self._most_s)
        left = self._rested - self._clock()
        if left > 0 and self._idle_s() < QUIET_S:
            self._sleep(left)
        self._own.began = self._clock()
        self._own.threads = torch.get_num_threads()
        if self._idle_s() < QUIET_S:
            torch.set_num_threads(max(1, self._own.threads // 2))
        steps: AbstractContextManager[None] = in_steps(self._before_step)
        steps.__enter__()
        self._own.steps = steps

    def __exit__(self, *_: object) -> None:
        self._own.steps.__exit__(None, None, None)
        if torch.get_num_threads() != self._own.threads:
            torch.set_num_threads(self._own.threads)
        now = self._clock()
        self._rested = now + min(2 * (now - self._own.began), self._most_s)
        if self._own.has_turn:
            self._turn.release()

    def _before_step(self) -> None:
        began = self._clock()
        while not self._idle_s() and self._clock() - began < self._most_step_s:
            self._sleep(_LOOK_EVERY_S)
        # Waiting is no work, after which a pause would be due.
        self._own.began += self._clock() - began
