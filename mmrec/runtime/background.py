"""Long computations in steps, between which requests go first, and which end when nobody waits for them any more.

On a few cores, a thread of low priority still slows a request down: both read memory, and wait for the interpreter
lock. Code that computes for long calls `between_steps` every few milliseconds. In a thread that has entered `in_steps`,
the call waits while a request is being answered, and in one that has entered `until_cancelled` it raises an error when
its caller has gone; elsewhere it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mmrec.errors import CancelledError

_give_way: ContextVar[Callable[[], None] | None] = ContextVar("give_way", default=None)
_cancelled: ContextVar[Callable[[], bool] | None] = ContextVar("cancelled", default=None)


@contextmanager
def in_steps(give_way: Callable[[], None]) -> Iterator[None]:
    """Call `give_way` between the steps of what this thread computes inside the block."""
    before = _give_way.set(give_way)
    try:
        yield
    finally:
        _give_way.reset(before)


@contextmanager
def until_cancelled(cancelled: Callable[[], bool] | None) -> Iterator[None]:
    """Between the steps of what this thread computes inside the block, end it when `cancelled` says so; None: never."""
    before = _cancelled.set(cancelled)
    try:
        yield
    finally:
        _cancelled.reset(before)


def check_cancelled() -> None:
    """End what this thread computes if its caller has gone.

    Raises:
        CancelledError: the caller has gone.
    """
    cancelled = _cancelled.get()
    if cancelled is not None and cancelled():
        raise CancelledError("the caller has cancelled the call; what was not recorded before is dropped")


def between_steps() -> None:
    """Let requests go first, if this thread computes in the background.

    Raises:
        CancelledError: see `check_cancelled`.
    """
    check_cancelled()
    give_way = _give_way.get()
    if give_way is not None:
        give_way()


def wants_small_steps() -> bool:
    """Whether this thread computes in the background, so that steps of a few milliseconds are better than long ones."""
    return _give_way.get() is not None
