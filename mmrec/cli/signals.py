"""SIGTERM for every command: it ends as on Ctrl-C, with its own exit status.

The signal raises an exception in the main thread, so that `finally` clauses run: no file is half-written and no child
process is left running. Commands that must finish something first install their own handler for that time: see
`mmrec.runtime.shutdown` and the server.
"""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

STOPPED = 143
"""Exit status of a command that SIGTERM ended."""
RESUMABLE = ("adapt", "embed", "fit", "fold")
"""Commands that resume when they are run again, except with ``--fresh``."""
_FRESH = "--fresh"


class TerminationError(BaseException):
    """SIGTERM was received. Not an `Exception`, like KeyboardInterrupt, so that error handlers do not catch it."""


class Termination:
    """The handler of SIGTERM.

    Attributes:
        received: Whether the signal was received.
    """

    def __init__(self) -> None:
        self.received = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Raise TerminationError, and restore the default handler for a second signal."""
        self.received = True
        signal.signal(number, signal.SIG_DFL)
        raise TerminationError


@contextmanager
def raise_on_sigterm() -> Iterator[Termination]:
    """Inside, SIGTERM raises TerminationError in the main thread; a process that ignores it keeps ignoring it."""
    termination = Termination()
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if in_main_thread else None
    if not in_main_thread or before == signal.SIG_IGN:
        yield termination
        return
    signal.signal(signal.SIGTERM, termination.on_signal)
    try:
        yield termination
    finally:
        # None: the handler was not installed by Python.
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def stopped_message(arguments: Sequence[str]) -> str:
    """The message of a command that SIGTERM has ended, with how to continue."""
    name = next((word for word in arguments if not word.startswith("-")), "")
    if name in RESUMABLE and _FRESH in arguments:
        again = shlex.join(["mmrec", *(word for word in arguments if word != _FRESH)])
        return (
            f"stopped by SIGTERM; the same command starts again from the beginning. Without {_FRESH} it continues from "
            f"the results in the folder, which are those of an earlier run if this one had just begun:\n  {again}"
        )
    if name in RESUMABLE:
        return f"stopped by SIGTERM; to continue, run the same command again:\n  {shlex.join(['mmrec', *arguments])}"
    return "stopped by SIGTERM; no file is half-written, and the same command starts again from the beginning"
