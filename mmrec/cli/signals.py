"""SIGTERM, for every command: it ends at once and in good order, as on Ctrl-C, with an exit status of its own.

What is under way is left through its `finally` clauses, so that nothing is half-written and no process of ours is left
over. Commands with something to finish first take the signal over for that time: see `mmrec.runtime.shutdown`, and
serving.
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
GOES_ON = ("adapt", "embed", "fit", "fold")
"""Commands that continue where they stopped when they are run again."""
_FRESH = "--fresh"
"""With it they do not."""


class TerminationError(BaseException):
    """SIGTERM was received. Like KeyboardInterrupt not an `Exception`, so that no handler takes it for a failure."""


class Termination:
    """Whether SIGTERM has come.

    Attributes:
        asked: Whether it has.
    """

    def __init__(self) -> None:
        self.asked = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """End what the main thread does; a second signal ends the process as it always would."""
        self.asked = True
        signal.signal(number, signal.SIG_DFL)
        raise TerminationError


@contextmanager
def take_sigterm() -> Iterator[Termination]:
    """Inside, SIGTERM raises TerminationError in the main thread; where it is ignored, it stays ignored."""
    termination = Termination()
    ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if ours else None
    if not ours or before == signal.SIG_IGN:
        yield termination
        return
    signal.signal(signal.SIGTERM, termination.on_signal)
    try:
        yield termination
    finally:
        # None stands for a handler that was not installed by Python.
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def stopped_message(arguments: Sequence[str]) -> str:
    """The message of a command that SIGTERM has ended, and how to continue."""
    name = next((word for word in arguments if not word.startswith("-")), "")
    if name in GOES_ON and _FRESH in arguments:
        again = shlex.join(["mmrec", *(word for word in arguments if word != _FRESH)])
        return (
            f"stopped by SIGTERM; the same command begins anew, and without {_FRESH} it goes on with what the folder "
            f"holds, which is of earlier runs if this one had only begun:\n  {again}"
        )
    if name in GOES_ON:
        return f"stopped by SIGTERM; to go on, run the same command again:\n  {shlex.join(['mmrec', *arguments])}"
    return "stopped by SIGTERM; nothing is half-written, and the same command begins again"
