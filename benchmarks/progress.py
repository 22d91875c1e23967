"""Progress as lines that a log can keep: the start and end of a stage, and now and then where it is."""

from __future__ import annotations

import time


class Lines:
    """A `Progress` that prints.

    Args:
        every: Least seconds between two lines of a stage.
    """

    def __init__(self, every: float = 60.0) -> None:
        self._every = every
        self._stage, self._unit, self._said = "", "", ""
        self._total: int | None = None
        self._done = 0
        self._began = self._last = time.monotonic()

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """Begin a stage."""
        self._stage, self._unit, self._total, self._done, self._said = stage, unit, total, 0, ""
        self._began = self._last = time.monotonic()

    def advance(self, n: int = 1) -> None:
        """So many units more; prints when it is time."""
        self._done += n
        if time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            of = f" of {self._total:,}" if self._total else ""
            said = f", {self._said}" if self._said else ""
            print(f"  {self._stage}: {self._done:,}{of} {self._unit} in {self._seconds():.0f} s{said}", flush=True)

    def say(self, text: str) -> None:
        """The latest figures."""
        self._said = text

    def finish(self, text: str = "") -> None:
        """The stage is over."""
        print(f"  {self._stage}: {self._seconds():.1f} s{': ' + text if text else ''}", flush=True)

    def _seconds(self) -> float:
        return time.monotonic() - self._began
