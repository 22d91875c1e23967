"""Iterates over the rows of a table in bounded memory.

The rows are those of `mmrec.data.table_batches`, as text. Knows nothing of what the columns mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmrec.data.arrow_text import as_text
from mmrec.data.problems import Problem
from mmrec.data.table_batches import Batch, TableReader
from mmrec.errors import InvalidDatasetError

_BLOCK_BYTES = 2**20
_BLOCK_ROWS = 4096
_PICTURE_ROWS = 256


class RawRow(NamedTuple):
    """One row of a table.

    Attributes:
        line: Number of its line, for `RowStream.place`: in a table of one file, the line
            of the file (text formats, the header is line 1) or the row (Parquet, from 1).
        values: Text by column; '' where there is no value.
        problem: Why the row cannot be used; None for a good one.
        picture: An encoded picture that the row itself holds; Parquet only.
    """

    line: int
    values: dict[str, str]
    problem: Problem | None = None
    picture: bytes | None = None


class RowStream:
    """The rows of one table, in order; may be iterated any number of times.

    Encoded pictures in a Parquet table are described in `mmrec.data.parquet_parts`.

    Attributes:
        path: The file, or the folder of part files.
        columns: Names of the columns; None in JSON Lines, where each row has its own.
        count: Number of rows (Parquet only); None elsewhere.

    Raises:
        InvalidDatasetError: the table cannot be read at all, or its header cannot be used; while iterating, a file
            is truncated or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = TableReader(path, block_bytes=_BLOCK_BYTES, block_rows=_BLOCK_ROWS)
        if self._reader.picture:
            self._reader = TableReader(path, block_bytes=_BLOCK_BYTES, block_rows=_PICTURE_ROWS)
        self._check()
        self.columns = self._reader.columns
        self.count = self._reader.count

    def __iter__(self) -> Iterator[RawRow]:
        for batch in self._reader.batches(pictures=True):
            yield from _rows(batch)
        self._check()

    def estimate(self) -> int:
        """About how many rows there are: exact in Parquet, an upper bound elsewhere. Reads the files once."""
        return self._reader.estimate()

    def place(self, line: int) -> tuple[str, int]:
        """The file, and the line or row in it, of a row that was read, by its `RawRow.line`."""
        return self._reader.places.of(line)

    def _check(self) -> None:
        problem = self._reader.refusal
        if problem is not None:
            name = str(self.path) if problem.file == self.path.name else str(self.path.parent / problem.file)
            raise InvalidDatasetError(f"the table {name!r} cannot be used: {problem.message}")


def _rows(batch: Batch) -> Iterator[RawRow]:
    names = list(batch.columns)
    columns = [as_text(column).to_pylist() for column in batch.columns.values()]
    pictures = [None] * len(batch.lines) if batch.pictures is None else batch.pictures.to_pylist()
    rows = zip(*columns, strict=True) if columns else iter([()] * len(batch.lines))
    for index, (line, values, picture) in enumerate(zip(batch.lines.tolist(), rows, pictures, strict=True)):
        yield RawRow(line, dict(zip(names, values, strict=True)), batch.bad.get(index), picture)
