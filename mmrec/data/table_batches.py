"""Reads a table of a dataset folder in batches of rows, with the line and the problem of each row.

The only reader of tables: Parquet, CSV, TSV and JSON lines, compressed or not, in one file or in a folder of parts.
Memory holds one block of a file. Text stays text: ``007`` and ``NA`` are kept, and a missing value is the empty string.
A row that breaks a rule is returned with its problem, and reading continues. Knows nothing of what the columns mean.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.arrow_text import TEXT
from mmrec.data.delimited import first_record, parse_blocks
from mmrec.data.dialects import Dialect, find_dialect
from mmrec.data.file_signatures import HEAD_BYTES, content_problem, packing_problem
from mmrec.data.json_lines import json_rows
from mmrec.data.parquet_parts import ParquetPart
from mmrec.data.problems import Problem
from mmrec.data.table_files import FORMAT_WORDS, Part, table_parts
from mmrec.data.text_files import TextFile
from mmrec.data.value_limits import ID_COLUMNS, name_problem
from mmrec.errors import InvalidDatasetError

MOST_COLUMNS = 4096


class Batch(NamedTuple):
    """Consecutive rows.

    Attributes:
        columns: pyarrow arrays by column, all of one length: large strings, and from Parquet numbers, booleans, dates
            and timestamps in their own types. Columns that the file, or all JSON lines of the batch, lack are absent.
        lines: Number of each row's line; see `Places`. Shape: (R,), int64.
        bad: Problem of a row, by its index; the values of such a row may be incomplete.
        pictures: Encoded pictures in the table itself, a pyarrow array; None for none.
    """

    columns: dict[str, Any]
    lines: npt.NDArray[np.int64]
    bad: dict[int, Problem]
    pictures: Any | None = None


class Places:
    """Maps the line number of a row to its file and its line there.

    In one file this is the line (text formats, the header is line 1) or the row (Parquet, from 1). In a table of
    several files the numbers continue from one file to the next.
    """

    def __init__(self, file: str) -> None:
        self._files = [file]
        self._before = [0]

    def begin(self, file: str, before: int) -> None:
        """Lines after the first `before` ones belong to this file."""
        if before == self._before[-1]:
            self._files[-1] = file  # the previous file has no lines
        else:
            self._files.append(file)
            self._before.append(before)

    def of(self, line: int) -> tuple[str, int]:
        """The file, and the line or row in it."""
        at = max(bisect_right(self._before, line - 1) - 1, 0)
        return self._files[at], line - self._before[at]


class TableReader:
    """One table, in batches; may be read any number of times.

    Args:
        path: A file, or a folder of part files.
        block_bytes: Approximate bytes of a text file that are read at a time.
        block_rows: Rows of Parquet that are read at a time.

    Attributes:
        file: Name of the table, for messages.
        columns: Names of the columns; None where each row has its own (JSON lines).
        count: Number of rows (Parquet only); None elsewhere.
        picture: Column of encoded pictures, which is not among `columns` unless it also holds paths; '' for none.
        problems: Problems of the table as a whole; reading can add more. No batch follows an error.
        places: See `Places`; knows the rows that have been read.
    """

    def __init__(self, path: Path, *, block_bytes: int = 2**23, block_rows: int = 2**16) -> None:
        self.path = path
        self.file = path.name
        self._bytes, self._rows = block_bytes, block_rows
        self.places = Places(self.file)
        self.problems: list[Problem] = []
        self.columns: tuple[str, ...] | None = None
        self.count: int | None = None
        self.picture = ""
        self._parts: list[_Part] = []
        self._open()

    @property
    def refusal(self) -> Problem | None:
        """Why the table cannot be read to its end; None while no error is known."""
        return next((problem for problem in self.problems if problem.severity == "error"), None)

    def batches(self, *, pictures: bool = False) -> Iterator[Batch]:
        """Every row, in order, bad ones included.

        Args:
            pictures: Whether to read the encoded pictures in a Parquet table.
        """
        self.places = Places(self.file)
        before = 0
        for part in self._parts if self.refusal is None else ():
            self.places.begin(part.part.name, before)
            last = 0
            try:
                for batch in part.batches(self._bytes, self._rows, pictures):
                    if len(batch.lines):
                        last = int(batch.lines[-1])
                        yield self._complete(part.part, batch, before)
            except InvalidDatasetError as err:
                self._add(Problem(part.part.name, 0, "", "unreadable table", err.message))
                return
            for problem in part.problems:
                self._add(problem)
            before += last

    def estimate(self) -> int:
        """About how many rows there are: exact in Parquet, an upper bound elsewhere. Reads the files once."""
        return sum(part.estimate() for part in self._parts)

    def _add(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _open(self) -> None:
        parts = table_parts(self.path)
        if not parts:
            message = (
                f"the folder holds no table; the names of its files end in one of {FORMAT_WORDS}"
                if self.path.is_dir()
                else f"has none of the suffixes {FORMAT_WORDS}; save it as one of them"
            )
            self._add(Problem(self.file, 0, "", "unreadable table", message))
        empty: Problem | None = None
        for part in parts:
            try:
                opened = _READERS[part.format](part)
            except InvalidDatasetError as err:
                self._add(Problem(part.name, 0, "", "unreadable table", err.message))
                return
            if opened.empty:
                empty = empty or Problem(part.name, 1, "", "missing column", opened.empty)
                continue
            for problem in opened.problems:
                self._add(problem)
            self._parts.append(opened)
        if empty is not None and not self._parts:
            self._add(empty)
        if all(part.columns is not None for part in self._parts):
            names = (name for part in self._parts for name in (*(part.columns or ()), *part.part.values))
            self.columns = tuple(dict.fromkeys(names))
        if self._parts and all(part.rows is not None for part in self._parts):
            self.count = sum(part.rows or 0 for part in self._parts)
        self.picture = next((part.picture for part in self._parts if part.picture), "")

    def _complete(self, part: Part, batch: Batch, before: int) -> Batch:
        """A batch with the partition columns, and with line numbers of the whole table."""
        columns = dict(batch.columns)
        for name, value in part.values.items():
            columns.setdefault(name, pa.array([value] * len(batch.lines), TEXT))
        return batch._replace(columns=columns, lines=batch.lines + before)


class _Part:
    """One file of a table; each subclass reads one format."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.columns: list[str] | None = None
        self.rows: int | None = None
        self.picture = ""
        self.empty = ""
        self.problems: list[Problem] = []

    def batches(self, block_bytes: int, block_rows: int, pictures: bool) -> Iterator[Batch]:
        raise NotImplementedError

    def estimate(self) -> int:
        raise NotImplementedError

    def named(self, names: Sequence[str]) -> None:
        """Set the names of the columns, and add their problems."""
        self.columns = list(names)
        self.problems += _header_problems(self.part.name, self.columns)


class _Parquet(_Part):
    def __init__(self, part: Part) -> None:
        super().__init__(part)
        try:
            with part.path.open("rb") as file:
                head = file.read(HEAD_BYTES)
        except OSError as err:
            raise InvalidDatasetError(f"cannot be read: {err.strerror}") from err
        if problem := content_problem(head, part.path.name, "parquet"):
            packed = packing_problem(head, part.path.name, "")
            raise InvalidDatasetError(packed or problem)
        self._file = ParquetPart(part.path)
        self.named(self._file.names)
        for name in self._file.floats:
            if name in ID_COLUMNS:
                message = f"{name} holds decimal numbers; ids are strings, so cast the column to string or integer"
                self.problems.append(Problem(part.name, 0, name, "id type", message))
        self.columns, self.rows, self.picture = self._file.columns, self._file.rows, self._file.picture

    def batches(self, block_bytes: int, block_rows: int, pictures: bool) -> Iterator[Batch]:
        row = 0
        for columns, encoded, bad in self._file.batches(block_rows, pictures=pictures):
            rows = len(next(iter(columns.values()), ()))
            lines = np.arange(row + 1, row + rows + 1, dtype=np.int64)
            problems = {
                index: Problem(self.part.name, row + index + 1, column, "bad encoding", message)
                for index, (column, message) in bad.items()
            }
            yield Batch(columns, lines, problems, encoded)
            row += rows

    def estimate(self) -> int:
        return self.rows or 0


class _Delimited(_Part):
    def __init__(self, part: Part) -> None:
        super().__init__(part)
        self._file = TextFile(part)
        self._dialect: Dialect = find_dialect(self._file.head, part.format)
        header = first_record(self._file.head, self._dialect)
        if header is None:
            self.empty = "the file is empty; its first line must name the columns"
            return
        if header.fault is not None:
            message = f"the header cannot be read: {header.fault.message}"
            self.problems.append(Problem(part.name, header.line, "", header.fault.kind, message))
            return
        if header.end == len(self._file.head) == HEAD_BYTES:
            message = f"the first line has {HEAD_BYTES:,} bytes or more; it must name the columns"
            self.problems.append(Problem(part.name, 1, "", "malformed row", message))
            return
        self._header = header
        self.named([name.strip() for name in header.fields])
        if self._dialect.note:
            self.problems.append(Problem(part.name, 1, "", "dialect", self._dialect.note, severity="warning"))

    def batches(self, block_bytes: int, block_rows: int, pictures: bool) -> Iterator[Batch]:
        names = self.columns or []
        wrapped, first = 0, 0
        for block in parse_blocks(self._file.pieces(block_bytes), self._dialect, names, self._header):
            bad = {
                row: Problem(self.part.name, fault.line, "", fault.kind, fault.message)
                for row, fault in block.faults.items()
            }
            for column in block.columns if not self._dialect.quoted else ():
                rows = np.flatnonzero(_wrapped(column))
                if len(rows):
                    wrapped, first = wrapped + len(rows), min(first or 2**62, int(block.lines[rows[0]]))
            yield Batch(dict(zip(names, block.columns, strict=True)), block.lines, bad)
        if wrapped:
            message = (
                f"{wrapped:,} values, the first of them here, are wrapped in double quotes, which a TSV keeps as they "
                "are; if they are not part of the values, save the table as CSV"
            )
            self.problems.append(Problem(self.part.name, first, "", "dialect", message, severity="warning"))

    def estimate(self) -> int:
        return max(self._file.lines() - 1, 0)


class _JsonLines(_Part):
    def __init__(self, part: Part) -> None:
        super().__init__(part)
        self._file = TextFile(part)
        self.empty = "" if self._file.head.strip() else "the file is empty; each of its lines must be one object"

    def batches(self, block_bytes: int, block_rows: int, pictures: bool) -> Iterator[Batch]:
        known: set[str] = set()
        for rows in json_rows(self._file.pieces(block_bytes)):
            names = list(dict.fromkeys(name for row in rows for name in row.values))
            known.update(names)
            if len(known) > MOST_COLUMNS:
                raise InvalidDatasetError(f"has more than {MOST_COLUMNS:,} columns; keep those you use")
            columns = {name: pa.array([row.values.get(name, "") for row in rows], TEXT) for name in names}
            bad = {
                index: Problem(self.part.name, row.fault.line, row.column, row.fault.kind, row.fault.message)
                for index, row in enumerate(rows)
                if row.fault is not None
            }
            yield Batch(columns, np.array([row.line for row in rows], dtype=np.int64), bad)

    def estimate(self) -> int:
        return self._file.lines()


_READERS: dict[str, Callable[[Part], _Part]] = {
    "parquet": _Parquet,
    "csv": _Delimited,
    "tsv": _Delimited,
    "jsonl": _JsonLines,
}


def _wrapped(column: Any) -> npt.NDArray[np.bool_]:
    """Whether each text is wrapped in double quotes. Shape: (R,), bool."""
    whole = pc.starts_with(column, '"')
    if pc.any(whole).as_py():
        whole = pc.and_(pc.and_(whole, pc.ends_with(column, '"')), pc.greater(pc.binary_length(column), 1))
    return np.asarray(whole.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _header_problems(name: str, header: list[str]) -> list[Problem]:
    """Problems of the column names of a table."""
    problems = []
    if len(header) > MOST_COLUMNS:
        message = f"there are {len(header):,} columns; at most {MOST_COLUMNS:,} are read: keep those you use"
        return [Problem(name, 1, "", "repeated column", message)]
    for column in dict.fromkeys(header):
        if message := name_problem(column):
            problems.append(Problem(name, 1, "", "malformed row", message))
        elif header.count(column) > 1:
            message = f"the column {column!r} is there {header.count(column)} times; keep or rename one"
            problems.append(Problem(name, 1, column, "repeated column", message))
    return problems
