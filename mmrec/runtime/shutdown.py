"""Ordered shutdown: a signal sets a flag, and long work checks it between steps.

For work that has something to finish first, such as a step and its checkpoint; knows nothing about the work.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from mmrec.errors import MmrecError, StoppedError
from mmrec.runtime.progress import Progress


class StopRequest:
    """Inside its with block SIGTERM is noted instead of ending the process; a second one ends it after all.

    Outside the main thread, where Python takes no signals, it notes nothing.

    Args:
        told: Called when the request comes.

    Attributes:
        asked: Whether it came.

    Raises:
        StoppedError: (on leaving) a request came, and then something failed, as a group of processes does when one of
            them has ended.
    """

    def __init__(self, told: Callable[[], None] = lambda: None) -> None:
        self.asked = False
        self._told = told
        self._before: Any = None
        self._installed = False

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self.asked and isinstance(error, Exception) and not isinstance(error, MmrecError):
            raise StoppedError("stopped as asked; the same command goes on") from error

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()
        self._told()

    def _restore(self) -> None:
        if self._installed:
            # None stands for a handler that was not installed by Python.
            signal.signal(signal.SIGTERM, self._before if self._before is not None else signal.SIG_DFL)
            self._installed = False


class Stoppable:
    """A progress sink under which work ends at its next step once a stop was asked for.

    Args:
        progress: Reports everything.
        request: Looked at before each step is counted.
    """

    def __init__(self, progress: Progress, request: StopRequest) -> None:
        self._progress, self._request = progress, request
        self._stage = ""

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """Begin a stage."""
        self._stage = stage
        self._progress.start(stage, total, unit)

    def advance(self, n: int = 1) -> None:
        """`n` more units are done.

        Raises:
            StoppedError: a stop was asked for.
        """
        if self._request.asked:
            raise StoppedError(f"stopped as asked while {self._stage}; the same command does this part again")
        self._progress.advance(n)

    def say(self, text: str) -> None:
        """Show the latest figures."""
        self._progress.say(text)

    def finish(self, text: str = "") -> None:
        """The stage is over."""
        self._progress.finish(text)
