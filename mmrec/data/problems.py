"""Problems of a dataset folder: findings, counted by file, column and kind, with the first few of each.

Unit of work: one finding, or all rows of one kind at once. Knows nothing of how tables are read. The reader and
`mmrec check` use the same findings, so that errors and reports have the same messages; a log keeps a few of each kind,
and passes all of them to a callback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidDatasetError

Severity = Literal["error", "warning"]

FATAL_KINDS = frozenset(
    {
        "unusable settings",
        "missing table",
        "misnamed table",
        "two tables",
        "unreadable table",
        "malformed row",
        "bad encoding",
        "missing column",
        "repeated column",
        "id type",
        "empty item id",
        "duplicate item id",
        "empty catalogue",
    }
)
"""Kinds after which the catalogue or the histories cannot be trusted. Other errors lose a row each."""

EXAMPLES = 5
"""Findings of each kind that are kept."""

_BATCH = 65_536
"""Findings whose messages are made at a time for the callback."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    Attributes:
        file: Name of the file inside the dataset folder; empty for the folder itself.
        row: Line of the file (text formats, the header is line 1) or row (Parquet, counted from 1); 0 when
            the problem is about the whole file.
        column: Name of the column, or empty.
        kind: A short, stable name for grouping, such as ``duplicate item id``.
        message: What was found, the rule, and the remedy.
        severity: ``error``: a row or the dataset cannot be used. ``warning``: nothing is lost.
    """

    file: str
    row: int
    column: str
    kind: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.row}" if self.row else self.file
        return f"{place}: {self.message}" if place else self.message


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """All findings of one kind in one column of one table.

    Attributes:
        file: Name of the table, a file or a folder of files; empty when they are about the dataset's folder.
        column: As of each finding.
        kind: As of each finding.
        severity: As of each finding.
        count: How many there are.
        examples: The first of them, at most `EXAMPLES`.
        hint: Their probable common cause with the remedy; empty where none is known.
    """

    file: str
    column: str
    kind: str
    severity: Severity
    count: int
    examples: tuple[Problem, ...]
    hint: str = ""


class _OpenGroup:
    """A group that is still growing."""

    __slots__ = ("count", "examples", "hint")

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[Problem] = []
        self.hint = ""


class ProblemLog:
    """Counts findings by kind and keeps the first few of each. Not safe to share between threads.

    Args:
        every: Called with all findings, some at a time, in no order between kinds; None: not called.
    """

    def __init__(self, every: Callable[[Sequence[Problem]], None] | None = None) -> None:
        self._every = every
        self._groups: dict[tuple[str, str, str, Severity], _OpenGroup] = {}

    @property
    def groups(self) -> tuple[ProblemGroup, ...]:
        """The findings so far, in the order of the first of each kind."""
        return tuple(
            ProblemGroup(file, column, kind, severity, found.count, tuple(found.examples), found.hint)
            for (file, column, kind, severity), found in self._groups.items()
        )

    def append(self, problem: Problem, hint: str = "", table: str | None = None) -> None:
        """Add one finding.

        Args:
            problem: The finding.
            hint: See `ProblemGroup`.
            table: The table or folder ('' for the dataset) under which it is counted; None: its file.
        """
        file = problem.file if table is None else table
        found = self._group(file, problem.column, problem.kind, problem.severity)
        found.count += 1
        found.hint = hint or found.hint
        if len(found.examples) < EXAMPLES:
            found.examples.append(problem)
        if self._every is not None:
            self._every((problem,))

    def extend(self, problems: Iterable[Problem], table: str | None = None) -> None:
        """Add findings; see `append`."""
        for problem in problems:
            self.append(problem, table=table)

    def add_rows(
        self,
        file: str,
        lines_M: npt.NDArray[np.int64],
        column: str,
        kind: str,
        messages: Callable[[npt.NDArray[np.int64]], Iterable[str]],
        *,
        severity: Severity = "error",
        hint: str = "",
        place: Callable[[int], tuple[str, int]] | None = None,
    ) -> None:
        """Add all rows of one kind; messages are made only for findings that are kept or passed on.

        Args:
            file: Name of the table.
            lines_M: Line of each finding, ascending. Shape: (M,), int64.
            column: Name of the column.
            kind: The kind of all of them.
            messages: The messages of the findings at these places of `lines_M`, in that order.
            severity: Of all of them.
            hint: See `ProblemGroup`.
            place: The file and the line in it behind a number of `lines_M`; None where these are lines of `file`.
        """
        if not len(lines_M):
            return
        place = place or (lambda line: (file, line))

        def problems_between(start: int, end: int) -> Iterator[Problem]:
            places = np.arange(start, min(end, len(lines_M)))
            for line, message in zip(lines_M[places].tolist(), messages(places), strict=True):
                yield Problem(*place(line), column, kind, message, severity)

        found = self._group(file, column, kind, severity)
        found.count += len(lines_M)
        found.hint = hint or found.hint
        found.examples += problems_between(0, EXAMPLES - len(found.examples))
        if self._every is not None:
            for start in range(0, len(lines_M), _BATCH):
                self._every(tuple(problems_between(start, start + _BATCH)))

    def _group(self, file: str, column: str, kind: str, severity: Severity) -> _OpenGroup:
        return self._groups.setdefault((file, column, kind, severity), _OpenGroup())


def quoted(value: object, limit: int = 80) -> str:
    """A value for a message: its repr, cut when it is long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def fatal_groups(groups: Iterable[ProblemGroup]) -> list[ProblemGroup]:
    """Those that make the dataset unusable."""
    return [group for group in groups if group.kind in FATAL_KINDS and group.severity == "error"]


def raise_if_fatal(root: object, groups: Sequence[ProblemGroup]) -> None:
    """Refuse the dataset when any of its problems is fatal.

    Raises:
        InvalidDatasetError: naming the first few, with the advice to run ``mmrec check``.
    """
    fatal = fatal_groups(groups)
    if not fatal:
        return
    first = [problem for group in fatal for problem in group.examples][:EXAMPLES]
    lines = [f"  {problem}" for problem in first]
    more = sum(group.count for group in fatal) - len(first)
    if more:
        lines.append(f"  and {more:,} more")
    lines += [f"  {group.hint}" for group in fatal if group.hint]
    raise InvalidDatasetError(
        f"the dataset {str(root)!r} cannot be used:\n"
        + "\n".join(lines)
        + f"\n`mmrec check {root}` shows what is wrong, `mmrec check {root} --problems FILE` every row"
    )
