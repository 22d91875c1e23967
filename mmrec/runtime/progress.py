"""Progress of long work, reported to the caller."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A sink for one stage at a time: `start`, any number of `advance` and `say`, then `finish`."""

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """Begin a stage of `total` units (None: unknown)."""
        ...

    def advance(self, n: int = 1) -> None:
        """`n` more units are done."""
        ...

    def say(self, text: str) -> None:
        """Show the latest status text beside the bar."""
        ...

    def finish(self, text: str = "") -> None:
        """The stage is over; `text` is its result."""
        ...


class NoProgress:
    """Reports nothing."""

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """Do nothing."""

    def advance(self, n: int = 1) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def finish(self, text: str = "") -> None:
        """Do nothing."""


NO_PROGRESS = NoProgress()
