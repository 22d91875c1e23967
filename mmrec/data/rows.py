"""Reads one table of a dataset folder row by row, holding a bounded part of it however long it is.

The rules of the formats are those of `mmrec.data.tables`, which holds a whole table. A row that breaks them is
handed on with its problem, and the rows after it are read: a quote that is never closed costs one row here, where
the other reader gives up the rest of the file. Knows nothing of what the columns mean.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.data.problems import Problem
from mmrec.data.tables import (
    MAX_FIELD_CHARS,
    as_text,
    encoding_problem,
    field_count_problem,
    header_problems,
    json_row,
    unmatched_quotes,
)
from mmrec.errors import InvalidDatasetError

__all__ = ["RawRow", "RowStream"]

_MOST_LINES, _MOST_BYTES = 1000, 2**20
"""Lines and bytes that one quoted row may span before its quotes count as unmatched."""
_MOST_COLUMNS = 4096
_BATCH_ROWS = 256
_PICTURE_COLUMNS = ("image_bytes", "image")


class RawRow(NamedTuple):
    """One row as the table has it.

    Attributes:
        line: Line of the file (text formats, the header is line 1) or row (Parquet, from 1).
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

    In Parquet an encoded picture can be in the table itself: a binary column ``image_bytes`` or ``image``, or a
    column ``image`` of structs with the fields ``bytes`` and ``path``.

    Attributes:
        path: The file.
        columns: Names of the columns; None in JSON Lines, where each row brings its own.
        count: Rows, where the file says so (Parquet); None elsewhere.

    Raises:
        InvalidDatasetError: the file cannot be read at all, or its header cannot be used; while iterating, the
            file breaks off, or is damaged in a way that leaves no rows to go on with.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kind = path.name.removesuffix(".gz").rpartition(".")[2]
        self.columns: tuple[str, ...] | None = None
        self.count: int | None = None
        if self._kind == "parquet":
            self._open_parquet()
        elif self._kind != "jsonl":
            self._read_header()
        else:
            next(self._lines(), None)  # so that a file that cannot be read is found now

    def __iter__(self) -> Iterator[RawRow]:
        if self._kind == "parquet":
            return self._parquet_rows()
        if self._kind == "jsonl":
            return self._json_rows()
        return self._delimited_rows()

    def estimate(self) -> int:
        """About how many rows there are: exact in Parquet, an upper bound elsewhere. Reads the file once."""
        if self.count is not None:
            return self.count
        lines = sum(1 for _ in self._lines())
        return max(lines - (self._kind != "jsonl"), 0)

    def _refuse(self, message: str, err: BaseException | None = None) -> InvalidDatasetError:
        refused = InvalidDatasetError(f"the table {str(self.path)!r} {message}")
        refused.__cause__ = err
        return refused

    # --- Parquet --------------------------------------------------------------------------------------------

    def _open_parquet(self) -> None:
        try:
            with pq.ParquetFile(self.path) as file:
                self.count, schema = file.metadata.num_rows, file.schema_arrow
        except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
            message = "is not a readable Parquet file; write it again, or export it as CSV"
            raise self._refuse(message, err) from err
        self._check_names(schema.names)
        self._picture = next((name for name in _PICTURE_COLUMNS if _holds_pictures(schema, name)), "")
        for field in schema:
            if field.name != self._picture and pa.types.is_floating(field.type) and field.name in _IDS:
                raise self._refuse(
                    f"has decimal numbers in {field.name!r}; ids are strings, so cast the column to string or integer"
                )
        self.columns = tuple(name for name in schema.names if name != self._picture or name == "image")

    def _parquet_rows(self) -> Iterator[RawRow]:
        row = 0
        try:
            with pq.ParquetFile(self.path, buffer_size=2**20, pre_buffer=False) as file:
                # Few rows at a time: a row can hold a picture.
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False):
                    yield from self._batch_rows(batch, row + 1)
                    row += batch.num_rows
        except (pa.ArrowException, OSError) as err:
            message = f"is damaged behind row {row:,}; write it again"
            raise self._refuse(message, err) from err

    def _batch_rows(self, batch: Any, first: int) -> Iterator[RawRow]:
        problems: dict[int, Problem] = {}
        columns: dict[str, list[str]] = {}
        pictures: list[bytes | None] = [None] * batch.num_rows
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name == self._picture:
                paths = None
                if pa.types.is_struct(column.type):
                    names = [field.name for field in column.type]
                    paths = column.field("path") if "path" in names else None
                    column = column.field("bytes")
                pictures = column.to_pylist()
                if name == "image":
                    columns[name] = as_text(paths).to_pylist() if paths is not None else [""] * batch.num_rows
                continue
            columns[name] = self._texts(name, column, first, problems)
        for index in range(batch.num_rows):
            values = {name: texts[index] for name, texts in columns.items()}
            yield RawRow(first + index, values, problems.get(index), pictures[index])

    def _texts(self, name: str, column: Any, first: int, problems: dict[int, Problem]) -> list[str]:
        """A column of a batch as text; values that are no UTF-8 become problems of their rows."""
        try:
            column.validate(full=True)  # reading does not look at the bytes of strings
            if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
                column = column.cast(pa.large_string())
            texts: list[str] = as_text(column).to_pylist()
            return texts
        except (pa.ArrowException, UnicodeDecodeError):
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                column = column.cast(pa.large_binary(), safe=False)
            if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
                message = (
                    f"has a column {name!r} of type {column.type}, which cannot be read as text; cast it to string"
                )
                raise self._refuse(message) from None
        found = []
        for index, value in enumerate(column.to_pylist()):
            try:
                found.append((value or b"").decode("utf-8"))
            except UnicodeDecodeError as err:
                found.append("")
                message = f"byte 0x{value[err.start]:02x} in {name!r} is not UTF-8; write the table again as UTF-8"
                problem = Problem(self.path.name, first + index, name, "bad encoding", message)
                problems.setdefault(index, problem)
        return found

    # --- text -----------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Number and bytes of each line, with its line break; None for one that is too long to be a row."""
        try:
            with gzip.open(self.path, "rb") if self.path.name.endswith(".gz") else self.path.open("rb") as file:
                head = file.peek(2**16)[: 2**16]
                if head.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise self._refuse("is UTF-16; tables are UTF-8, so save it again as UTF-8")
                if head.startswith(b"\xef\xbb\xbf"):
                    file.read(3)
                old_mac = b"\n" not in head and b"\r" in head
                yield from enumerate(_split_at_returns(file) if old_mac else _split(file), start=1)
        except (OSError, EOFError, zlib.error) as err:
            # gzip raises OSErrors that carry no errno text.
            why = getattr(err, "strerror", None) or "it is not a whole gzip file; write it again"
            raise self._refuse(f"cannot be read: {why}", err) from err

    def _check_names(self, names: Iterable[str]) -> None:
        found = list(names)
        problems = header_problems(self.path.name, found)
        if problems:
            raise self._refuse("cannot be used: " + "; ".join(problem.message for problem in problems[:3]))
        if len(found) > _MOST_COLUMNS:
            raise self._refuse(f"has {len(found):,} columns; at most {_MOST_COLUMNS:,} are read: keep those you use")

    def _read_header(self) -> None:
        first = next(self._records(), None)
        if first is None:
            raise self._refuse("is empty; its first line must name the columns")
        if first.problem is not None:
            raise self._refuse(f"cannot be used: {first.problem.message}")
        self._check_names(name.strip() for name in first.fields)
        self.columns = tuple(name.strip() for name in first.fields)

    def _delimited_rows(self) -> Iterator[RawRow]:
        columns = self.columns or ()
        delimiter = "\t" if self._kind == "tsv" else ","
        records = self._records()
        next(records, None)
        for record in records:
            problem = record.problem
            if problem is None and len(record.fields) != len(columns):
                problem = field_count_problem(self.path.name, record.line, len(record.fields), len(columns), delimiter)
            yield RawRow(record.line, dict(zip(columns, record.fields, strict=False)), problem)

    def _records(self) -> Iterator[_Record]:
        """Fields of each row; blank lines are none."""
        return self._tsv_records() if self._kind == "tsv" else self._csv_records()

    def _tsv_records(self) -> Iterator[_Record]:
        for number, line in self._lines():
            text, problem = self._decoded(number, line)
            text = text.removesuffix("\n").removesuffix("\r")
            if text or problem:
                yield _Record(number, text.split("\t"), problem)

    def _csv_records(self) -> Iterator[_Record]:
        csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARS))
        lines = self._lines()
        # Lines that were taken for the rest of a quoted value, and turned out not to be.
        again: deque[tuple[int, bytes | None]] = deque()
        while (entry := again.popleft() if again else next(lines, None)) is not None:
            number, line = entry
            if line is None or (b'"' not in line and line.find(b"\r", 0, -2) < 0):
                text, problem = self._decoded(number, line)
                text = text.removesuffix("\n").removesuffix("\r")
                if text or problem:
                    yield _Record(number, text.split(","), problem)
                continue
            taken = [entry]
            problems: list[Problem] = []
            try:
                fields = next(csv.reader(self._fed(taken, again, lines, problems), strict=True), [])
            except csv.Error:
                problems = [unmatched_quotes(self.path.name, number)]
                fields = []
                again.extendleft(reversed(taken[1:]))
            yield _Record(number, fields, problems[0] if problems else None)

    def _fed(
        self,
        taken: list[tuple[int, bytes | None]],
        again: deque[tuple[int, bytes | None]],
        lines: Iterator[tuple[int, bytes | None]],
        problems: list[Problem],
    ) -> Iterator[str]:
        """The first line of a row, and those after it that the parser asks for because a quote is open."""
        size = 0
        while True:
            number, line = taken[-1]
            text, problem = self._decoded(number, line)
            if problem:
                problems.append(problem)
            yield text
            size += len(text)
            more = again.popleft() if again else next(lines, None)
            if more is None:
                return
            taken.append(more)
            if more[1] is None or len(taken) > _MOST_LINES or size > _MOST_BYTES:
                return

    def _json_rows(self) -> Iterator[RawRow]:
        known: set[str] = set()
        for number, line in self._lines():
            text, problem = self._decoded(number, line)
            if problem is not None:
                yield RawRow(number, {}, problem)
                continue
            if not text.strip():
                continue
            row = json_row(self.path.name, number, text)
            problem = row.problems[0] if row.problems else None
            for key in row.floats & _IDS:
                message = f"{key} is a number with a decimal point; ids are strings, so write them in quotes"
                problem = problem or Problem(self.path.name, number, key, "id type", message)
            values = row.values or {}
            known.update(values)
            if len(known) > _MOST_COLUMNS:
                raise self._refuse(f"has more than {_MOST_COLUMNS:,} columns; keep those you use")
            if any(not key or not _encodable(key) for key in values):
                message = "a column has no name, or one with half of a surrogate pair; name it"
                problem = problem or Problem(self.path.name, number, "", "bad encoding", message)
                values = {}
            yield RawRow(number, values, problem)

    def _decoded(self, number: int, line: bytes | None) -> tuple[str, Problem | None]:
        if line is None:
            message = f"the line has more than {MAX_FIELD_CHARS:,} bytes; shorten it"
            return "", Problem(self.path.name, number, "", "malformed row", message)
        try:
            return line.decode("utf-8"), None
        except UnicodeDecodeError as err:
            return line.decode("utf-8", errors="replace"), encoding_problem(self.path.name, number, line, err)


class _Record(NamedTuple):
    line: int
    fields: list[str]
    problem: Problem | None


_IDS = frozenset({"item_id", "user_id"})


def _holds_pictures(schema: Any, name: str) -> bool:
    if name not in schema.names:
        return False
    kind = schema.field(name).type
    if pa.types.is_struct(kind):
        kind = next((field.type for field in kind if field.name == "bytes"), pa.null())
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _encodable(text: str) -> bool:
    return text.isascii() or text.encode("utf-8", "replace").decode("utf-8") == text


def _split(file: Any) -> Iterator[bytes | None]:
    while line := file.readline(MAX_FIELD_CHARS + 1):
        if len(line) <= MAX_FIELD_CHARS:
            yield line
            continue
        while not line.endswith(b"\n") and (line := file.readline(MAX_FIELD_CHARS)):
            pass
        yield None


def _split_at_returns(file: Any) -> Iterator[bytes | None]:
    """Lines of a file in which a carriage return ends them."""
    rest, too_long = b"", False
    while chunk := file.read(2**20):
        *lines, rest = (rest + chunk).split(b"\r")
        for line in lines:
            yield None if too_long else line + b"\n"
            too_long = False
        if len(rest) > MAX_FIELD_CHARS:
            rest, too_long = b"", True
    if rest or too_long:
        yield None if too_long else rest
