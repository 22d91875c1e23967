"""Graceful shutdown: SIGTERM sets a flag, which long work checks between steps to finish a step and its checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from mmrec.errors import MmrecError, StoppedError
from mmrec.runtime.progress import Progress


class StopRequest:
    """Context manager in which the first SIGTERM sets a flag; a second one ends the process.

    Outside the main thread, where Python receives no signals, it does nothing.

    Args:
        on_request: Called when SIGTERM arrives.

    Attributes:
        asked: Whether SIGTERM arrived.

    Raises:
        StoppedError: (on exit) SIGTERM arrived and then something failed, as in a group of processes when one ends.
    """

    def __init__(self, on_request: Callable[[], None] = lambda: None) -> None:
        self.asked = False
        self._on_request = on_request
        self._previous: Any = None
        self._installed = False

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._handle)
            self._installed = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self.asked and isinstance(error, Exception) and not isinstance(error, MmrecError):
            raise StoppedError("stopped as asked; the same command goes on") from error

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()
        self._on_request()

    def _restore(self) -> None:
        if self._installed:
            # None: the previous handler was not installed by Python.
            signal.signal(signal.SIGTERM, self._previous if self._previous is not None else signal.SIG_DFL)
            self._installed = False


class Stoppable:
    """A progress sink whose `advance` raises once a stop was requested.

    Args:
        progress: Receives all reports.
        request: Checked at each `advance`.
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
            StoppedError: a stop was requested.
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
