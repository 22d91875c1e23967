"""What can be wrong with a dataset folder: one `Problem` per finding, with its file, row and column.

Knows nothing of how tables are read. The reader and `mmrec check` use the same findings, so that a refusal
and a report say the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mmrec.errors import InvalidDatasetError

__all__ = ["FATAL_KINDS", "Problem", "Severity", "fatal_problems", "raise_if_fatal", "shown"]

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
"""Kinds that leave no trustworthy catalogue or history. Other errors cost a row each."""

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    Attributes:
        file: Name of the file inside the dataset folder; empty when it is about the folder.
        row: Line of the file (text formats, the header is line 1) or row (Parquet, counted from 1); 0 when
            the problem is about the whole file.
        column: Name of the column, or empty.
        kind: A short, stable name for grouping, such as ``duplicate item id``.
        message: What was found, the rule, and the mend.
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


def shown(value: object, limit: int = 80) -> str:
    """A value as quoted in messages: with its quotes, and cut when it is long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}..."


def fatal_problems(problems: Iterable[Problem]) -> list[Problem]:
    """Those that make the dataset unusable."""
    return [p for p in problems if p.kind in FATAL_KINDS and p.severity == "error"]


def raise_if_fatal(root: object, problems: Sequence[Problem]) -> None:
    """Refuse the dataset when any of its problems is fatal.

    Raises:
        InvalidDatasetError: naming the first few, with the advice to run ``mmrec check``.
    """
    fatal = fatal_problems(problems)
    if not fatal:
        return
    lines = [f"  {problem}" for problem in fatal[:_SHOWN]]
    if len(fatal) > _SHOWN:
        lines.append(f"  and {len(fatal) - _SHOWN:,} more")
    raise InvalidDatasetError(
        f"the dataset {str(root)!r} cannot be used:\n"
        + "\n".join(lines)
        + f"\n`mmrec check {root}` lists every problem"
    )
