"""Progress of long work on stderr: a live bar on a terminal, lines in a log.

Both implement `mmrec.runtime.progress.Progress`: one stage at a time. Knows nothing about what is being counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

_LINE_EVERY_S = 10.0
_open: set[TerminalProgress] = set()


def close_open_bars() -> None:
    """Close all live bars, so that an error message is printed below them."""
    for bar in tuple(_open):
        bar.close()


class TerminalProgress:
    """One live bar with count, rate, time left and the latest figures."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._clock = clock
        self._bars: Bars | None = None
        self._task = TaskID(0)
        self._stage = ""
        self._started = 0.0

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """Show a bar for a new stage, closing an open one."""
        self.close()
        self._stage, self._started = stage, self._clock()
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._bars.add_task(stage, total=total, unit=unit, figures="")
        self._bars.start()
        _open.add(self)

    def advance(self, n: int = 1) -> None:
        """Count `n` more units."""
        if self._bars:
            self._bars.advance(self._task, n)

    def say(self, text: str) -> None:
        """Show the latest figures beside the bar."""
        if self._bars:
            self._bars.update(self._task, figures=text)

    def finish(self, text: str = "") -> None:
        """Replace the bar by a closing line."""
        self.close()
        self._console.print(Text(_closing_line(self._stage, text, self._clock() - self._started)))

    def close(self) -> None:
        """Remove the bar without a closing line."""
        if self._bars:
            self._bars.stop()
            self._bars = None
        _open.discard(self)


class PlainProgress:
    """A line when a stage starts and ends, and one every ten seconds in between."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._stage = ""
        self._unit = ""
        self._total: int | None = None
        self._done = 0
        self._figures = ""
        self._started = self._last_line = clock()

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        """Begin a stage."""
        self._stage, self._total, self._unit = stage, total, unit
        self._done, self._figures = 0, ""
        self._started = self._last_line = self._clock()
        self._print(f"{stage} ..." if total is None else f"{stage}: {_count(total, unit)} ...")

    def advance(self, n: int = 1) -> None:
        """Count `n` more units."""
        self._done += n
        self._line_when_due()

    def say(self, text: str) -> None:
        """Keep the latest figures for the next line."""
        self._figures = text
        self._line_when_due()

    def finish(self, text: str = "") -> None:
        """Print the closing line of the stage."""
        self._print(_closing_line(self._stage, text, self._clock() - self._started))

    def _line_when_due(self) -> None:
        now = self._clock()
        if now - self._last_line < _LINE_EVERY_S:
            return
        self._last_line = now
        rate = self._done / max(now - self._started, 1e-9)
        parts = [f"{self._stage}: {self._done:,}" + (f" of {self._total:,}" if self._total else "")]
        if rate > 0:
            parts.append(f"{rate:,.1f} {self._unit or 'steps'}/s")
        if self._total and rate > 0:
            parts.append(f"{_duration(max(self._total - self._done, 0) / rate)} left")
        if self._figures:
            parts.append(self._figures)
        self._print(", ".join(parts))

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        return Text(f"{task.speed:,.1f} {task.fields.get('unit') or 'steps'}/s", style="progress.data.speed")


def _closing_line(stage: str, text: str, seconds: float) -> str:
    return f"{stage}: {text or 'done'} ({_duration(seconds)})"


def _count(total: int, unit: str) -> str:
    return f"{total:,} {unit}".rstrip()


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
