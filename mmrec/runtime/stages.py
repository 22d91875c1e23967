"""Stages of what a thread computes, such as of a batch of recommendations, and how long they took.

The code that computes says `stage` where one begins and ends; `timed_stages` collects them for whoever asked for the
computation. Without one, a stage costs a look at a context variable. Knows nothing of what is done with the times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class StageTime:
    """A stage that may come several times, for each customer of a batch for example.

    Attributes:
        began: When it came first, in monotonic seconds.
        seconds: How long it took, all times together.
    """

    began: float
    seconds: float = 0.0


_times: ContextVar[dict[str, StageTime] | None] = ContextVar("stage_times", default=None)


@contextmanager
def timed_stages() -> Iterator[dict[str, StageTime]]:
    """The stages of what this thread computes inside the block, by name, in the order in which they came first."""
    times: dict[str, StageTime] = {}
    before = _times.set(times)
    try:
        yield times
    finally:
        _times.reset(before)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """A stage, which holds no other one. The names are listed in `mmrec.sdk.timing.CallTiming`."""
    times = _times.get()
    if times is None:
        yield
        return
    began = time.monotonic()
    try:
        yield
    finally:
        times.setdefault(name, StageTime(began)).seconds += time.monotonic() - began
