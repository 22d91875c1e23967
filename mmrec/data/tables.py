"""Holds a whole table of a dataset folder in memory, as `mmrec.data.table_batches` reads it.

A row that breaks a rule is a problem and not among the columns. Knows nothing of what the columns mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrec.data.arrow_text import TEXT, as_text
from mmrec.data.problems import Problem, ProblemLog
from mmrec.data.table_batches import Batch, Places, TableReader


@dataclass(frozen=True, eq=False)
class Table:
    """A table in memory.

    Attributes:
        file: Name of the file or folder, for messages.
        columns: Values by column name, in the file's order; strings, and from Parquet numbers, booleans, dates and
            timestamps in their own types.
        rows: Number of rows.
        lines: Number of the line of each row; `place` gives the file and line. Shape: (rows,), int64.
        problems: Problems of the table and its rows, if it was read without a log.
        places: The file and line behind each number in `lines`.
    """

    file: str
    columns: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    lines: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    problems: tuple[Problem, ...] = ()
    places: Places = field(default_factory=lambda: Places(""))

    def text(self, name: str) -> Any:
        """A column as text, '' where there is no value. Shape: (rows,), pyarrow strings."""
        return as_text(self.columns[name])

    def place(self, row: int) -> tuple[str, int]:
        """The file of the row with this index, and its line (text formats) or row (Parquet) there."""
        return self.places.of(int(self.lines[row]))

    def where(self, row: int) -> str:
        """The line of a row for messages, with its file where the table has several."""
        file, line = self.place(row)
        return str(line) if file == self.file else f"{file}:{line}"


def read_table(path: Path, log: ProblemLog | None = None) -> Table:
    """Read a table; nothing is raised.

    Args:
        path: A file, or a folder of part files.
        log: Collects the problems; None: `Table.problems` has all of them.
    """
    problems: list[Problem] = []
    log = log or ProblemLog(problems.extend)
    reader = TableReader(path)
    log.extend(reader.problems, table=reader.file)
    reported = len(reader.problems)
    batches: list[Batch] = []
    for batch in reader.batches():
        log.extend(batch.bad.values(), table=reader.file)
        batches.append(_good_rows(batch))
    refused = reader.refusal is not None and not batches
    names = () if refused else dict.fromkeys((*(reader.columns or ()), *(name for b in batches for name in b.columns)))
    columns = {name: _joined(name, batches) for name in names}
    if reader.picture and not refused:
        message = (
            f"the pictures in the column {reader.picture!r} are used by `mmrec embed` and `mmrec upsert` alone; save "
            "them in images/ to have them used elsewhere"
        )
        log.append(Problem(reader.file, 0, reader.picture, "picture not read", message, severity="warning"))
    log.extend(reader.problems[reported:], table=reader.file)
    lines = [batch.lines for batch in batches]
    return Table(
        reader.file,
        columns,
        sum(map(len, lines)),
        np.concatenate(lines) if lines else np.zeros(0, dtype=np.int64),
        tuple(problems),
        reader.places,
    )


def _good_rows(batch: Batch) -> Batch:
    if not batch.bad:
        return batch._replace(pictures=None)
    keep = np.ones(len(batch.lines), dtype=np.bool_)
    keep[list(batch.bad)] = False
    mask = pa.array(keep)
    return Batch({name: column.filter(mask) for name, column in batch.columns.items()}, batch.lines[keep], {})


def _joined(name: str, batches: list[Batch]) -> Any:
    """One column of all batches; text where their types differ."""
    kinds = {batch.columns[name].type for batch in batches if name in batch.columns}
    kind = kinds.pop() if len(kinds) == 1 else TEXT
    chunks = []
    for batch in batches:
        column = batch.columns.get(name)
        if column is None:
            empty = pa.array([""] * len(batch.lines), TEXT) if kind == TEXT else pa.nulls(len(batch.lines), kind)
            chunks.append(empty)
        else:
            chunks.append(column if column.type == kind else as_text(column))
    return pa.chunked_array(chunks, kind)
