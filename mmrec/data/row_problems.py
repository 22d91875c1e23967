"""Adds problems of table rows to a log, with the place and the value of each row.

Unit of work: all rows of one kind in one column. Knows nothing of what the columns mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrec.data.problems import ProblemLog, Severity
from mmrec.data.tables import Table
from mmrec.data.value_limits import limit_problem, rows_over_limits


def report_rows(
    log: ProblemLog,
    table: Table,
    rows: npt.NDArray[np.int64],
    column: str,
    kind: str,
    messages: Callable[[npt.NDArray[np.int64]], Iterable[str]],
    *,
    severity: Severity = "error",
    hint: str = "",
) -> None:
    """Report rows with messages made for places of `rows`; see `ProblemLog.add_rows`.

    Args:
        log: Collects the problems.
        table: The table.
        rows: Indices of its rows, ascending. Shape: (M,), int64.
        column: The column that they are about.
        kind: The kind of all of them.
        messages: The messages of the findings at these places of `rows`, in that order.
        severity: Of all of them.
        hint: See `ProblemGroup`.
    """
    log.add_rows(
        table.file,
        table.lines[rows],
        column,
        kind,
        messages,
        severity=severity,
        hint=hint,
        place=table.places.of,
    )


def report_values(
    log: ProblemLog,
    table: Table,
    rows: npt.NDArray[np.int64],
    column: str,
    kind: str,
    message: Callable[[str], str],
    *,
    severity: Severity = "error",
    hint: str = "",
) -> None:
    """Report rows with messages made from their values; see `report_rows`."""
    if not len(rows):
        return
    values = table.text(column).take(pa.array(rows))

    def messages(places: npt.NDArray[np.int64]) -> Iterator[str]:
        return map(message, values.take(pa.array(places)).to_pylist())

    report_rows(log, table, rows, column, kind, messages, severity=severity, hint=hint)


def report_over_limits(log: ProblemLog, table: Table, column: str, kind: str) -> npt.NDArray[np.int64]:
    """Report the rows whose value is over the limits of requests.

    Returns:
        Their indices, ascending. Shape: (M,), int64.
    """
    rows = np.array(rows_over_limits(column, table.text(column)), dtype=np.int64)
    report_values(log, table, rows, column, kind, lambda value: limit_problem(column, value))
    return rows
