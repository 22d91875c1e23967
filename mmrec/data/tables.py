"""Reads one table of a dataset folder: Parquet, CSV, TSV or JSON Lines, the last three also gzipped.

Knows nothing of what the columns mean. Text stays text: ``007`` and ``NA`` are what the file says, an absent
value is the empty string. TSV has no quoting at all, CSV has the usual double quotes, everything is UTF-8.

A text file is first parsed by Arrow. Whatever Arrow cannot take, or takes in a way that loses count of the
lines (blank lines, line breaks inside quotes, a wrong number of fields, bytes that are not UTF-8), is parsed
again by the slower code below, which knows the line of every row and goes on after a bad one.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mmrec.data.problems import Problem, shown

__all__ = [
    "MAX_FIELD_CHARS",
    "SUFFIXES",
    "JsonRow",
    "Table",
    "as_text",
    "encoding_problem",
    "field_count_problem",
    "find_table",
    "header_problems",
    "json_row",
    "read_table",
    "unmatched_quotes",
]

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz")

MAX_FIELD_CHARS = 2**24
_BLOCK_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class Table:
    """A table as the file has it.

    Attributes:
        file: Name of the file, for messages.
        columns: Values by column name, in the file's order; text formats give strings, Parquet its own types.
        rows: Number of rows.
        lines: Line (or Parquet row, from 1) of each row. Shape: (rows,), int64.
        problems: What was wrong with the file; a bad row is not among the columns.
    """

    file: str
    columns: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    lines: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    problems: tuple[Problem, ...] = ()

    def text(self, name: str) -> Any:
        """A column as text, '' where there is no value. Shape: (rows,), pyarrow strings."""
        return as_text(self.columns[name])

    def problem(self, row: int, column: str, kind: str, message: str) -> Problem:
        """An error found in the row with this index."""
        return Problem(self.file, int(self.lines[row]), column, kind, message)


def find_table(root: Path, stem: str) -> tuple[Path | None, Problem | None]:
    """The file ``<stem>.<parquet|csv|tsv|jsonl>[.gz]`` of a folder, or what is wrong when there are two."""
    found = [root / f"{stem}{suffix}" for suffix in SUFFIXES if (root / f"{stem}{suffix}").is_file()]
    if len(found) > 1:
        names = " and ".join(path.name for path in found)
        return None, Problem("", 0, "", "two tables", f"{names} are both there; keep one of them")
    return (found[0] if found else None), None


def read_table(path: Path) -> Table:
    """Read a table; what is wrong with the file is in `Table.problems`, nothing is raised."""
    name = path.name
    try:
        if name.endswith(".parquet"):
            return _read_parquet(path)
        data = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    except (OSError, EOFError, zlib.error) as err:
        # gzip raises OSErrors that carry no errno text.
        why = getattr(err, "strerror", None) or "it is not a whole gzip file; write it again"
        return Table(name, problems=(Problem(name, 0, "", "unreadable table", f"cannot be read: {why}"),))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "the file is UTF-16; tables are UTF-8, so save it again as UTF-8"
        return Table(name, problems=(Problem(name, 1, "", "bad encoding", message),))
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in data and b"\r" in data:
        data = data.replace(b"\r", b"\n")
    if name.removesuffix(".gz").endswith(".jsonl"):
        return _read_jsonl(name, data)
    delimiter = "\t" if name.removesuffix(".gz").endswith(".tsv") else ","
    table = _read_delimited_fast(name, data, delimiter)
    return table if table is not None else _read_delimited_slow(name, data, delimiter)


# --- Parquet ------------------------------------------------------------------------------------------------


def _read_parquet(path: Path) -> Table:
    try:
        table = pq.read_table(path)
        names = table.column_names
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        message = "is not a readable Parquet file; write it again, or export it as CSV"
        return Table(path.name, problems=(Problem(path.name, 0, "", "unreadable table", message),))
    problems = header_problems(path.name, names)
    columns = {}
    for name in dict.fromkeys(names):
        column = table.column(names.index(name))
        try:
            column.validate(full=True)  # reading does not look at the bytes of strings
            if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
                column = column.cast(pa.large_string())
            as_text(column.slice(0, 1))
        except (pa.ArrowException, UnicodeDecodeError):
            problems.append(_undecodable(path.name, name, column))
            continue
        columns[name] = column
    lines = np.arange(1, table.num_rows + 1, dtype=np.int64)
    return Table(path.name, columns, table.num_rows, lines, tuple(problems))


def _undecodable(file: str, name: str, column: Any) -> Problem:
    """Why a Parquet column cannot be used as text, with the first row in the way where there is one."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary(), safe=False)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        for row, value in enumerate(column.to_pylist(), start=1):
            try:
                (value or b"").decode("utf-8")
            except UnicodeDecodeError as err:
                message = f"byte 0x{value[err.start]:02x} in {name!r} is not UTF-8; write the table again as UTF-8"
                return Problem(file, row, name, "bad encoding", message)
    message = f"column {name!r} has the type {column.type}, which cannot be read as text; cast it to string"
    return Problem(file, 0, name, "bad encoding", message)


def as_text(column: Any) -> Any:
    """A pyarrow column as text, '' where there is no value. Shape: (rows,), large strings."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # nothing in it, or too much text for one array of 32-bit offsets
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
    kind = column.type
    if pa.types.is_dictionary(kind):
        return as_text(column.dictionary_decode())
    if pa.types.is_floating(kind) or pa.types.is_nested(kind) or pa.types.is_temporal(kind):
        return pa.array([_scalar_text(value) for value in column.to_pylist()], type=pa.large_string())
    return pc.fill_null(column.cast(pa.large_string()), "")


def _scalar_text(value: object) -> str:
    """One value of JSON or Parquet as text: lists are joined by ``|``, mappings stay JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    if isinstance(value, list):
        return "|".join(filter(None, (_scalar_text(entry) for entry in value)))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


# --- CSV and TSV --------------------------------------------------------------------------------------------


def _read_delimited_fast(name: str, data: bytes, delimiter: str) -> Table | None:
    """The table by Arrow, or None when the slow way is needed."""
    if data.count(b"\r") != data.count(b"\r\n"):
        return None  # Arrow ends a row at a lone carriage return
    header_end = data.find(b"\n")
    quoted = delimiter == ","
    try:
        header = data[: header_end if header_end >= 0 else len(data)].decode("utf-8").removesuffix("\r")
        names = _split(header, delimiter)
        if not header or (quoted and header.count('"') % 2) or header_problems(name, names):
            return None
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(column_names=names, skip_rows=1, block_size=_BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={column: pa.string() for column in names}, strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError, csv.Error):
        return None
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if table.num_rows != lines - 1:
        return None  # a blank line, or a line break inside quotes: line numbers need the slow way
    columns = {column: table.column(column) for column in names}
    return Table(name, columns, table.num_rows, np.arange(2, table.num_rows + 2, dtype=np.int64))


def _read_delimited_slow(name: str, data: bytes, delimiter: str) -> Table:
    """The table by Python, row by row, with the line of each."""
    problems: list[Problem] = []
    rows = _rows(name, _decoded_lines(name, data, problems), delimiter, problems)
    _, header = next(rows, (0, []))
    if not header:
        problems.append(
            Problem(name, 1, "", "missing column", "the file is empty; its first line must name the columns")
        )
        return Table(name, problems=tuple(problems))
    header = [column.strip() for column in header]
    problems += header_problems(name, header)
    kept: list[list[str]] = []
    lines: list[int] = []
    for line, row in rows:
        if len(row) != len(header):
            problems.append(field_count_problem(name, line, len(row), len(header), delimiter))
            continue
        kept.append(row)
        lines.append(line)
    columns = {column: pa.array([row[i] for row in kept], type=pa.large_string()) for i, column in enumerate(header)}
    return Table(name, columns, len(kept), np.array(lines, dtype=np.int64), tuple(problems))


def _decoded_lines(name: str, data: bytes, problems: list[Problem]) -> Iterator[str]:
    """Lines with their line break; a byte that is not UTF-8 is reported and replaced."""
    for number, line in enumerate(io.BytesIO(data), start=1):
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as err:
            problems.append(encoding_problem(name, number, line, err))
            yield line.decode("utf-8", errors="replace")


def _rows(name: str, lines: Iterator[str], delimiter: str, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """Line of the start of each row, and its fields; blank lines are skipped."""
    if delimiter == "\t":
        for number, line in enumerate(lines, start=1):
            stripped = line.removesuffix("\n").removesuffix("\r")
            if stripped:
                yield number, stripped.split("\t")
        return
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD_CHARS))
    reader = csv.reader(lines, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            problems.append(unmatched_quotes(name, start))
            return
        if row:
            yield start, row


def _split(header: str, delimiter: str) -> list[str]:
    fields = header.split("\t") if delimiter == "\t" else next(csv.reader([header], strict=True), [])
    return [column.strip() for column in fields]


def field_count_problem(name: str, line: int, fields: int, columns: int, delimiter: str) -> Problem:
    """A row that has not as many fields as the header has columns."""
    message = f"the row has {fields} fields, the header has {columns}; " + (
        "quote values that contain commas" if delimiter == "," else "a value may contain no tab or line break"
    )
    return Problem(name, line, "", "malformed row", message)


def unmatched_quotes(name: str, line: int) -> Problem:
    """A row of CSV whose quotes do not match."""
    message = 'the quotes of the row that starts here do not match; write a quote inside quotes as ""'
    return Problem(name, line, "", "malformed row", message)


def encoding_problem(name: str, number: int, line: bytes, err: UnicodeDecodeError) -> Problem:
    """A line that is not UTF-8."""
    place = f"byte 0x{line[err.start]:02x} at position {err.start + 1} of the line"
    return Problem(name, number, "", "bad encoding", f"{place} is not UTF-8; save the file as UTF-8")


def header_problems(name: str, header: Sequence[str]) -> list[Problem]:
    """What is wrong with the names of the columns of a table."""
    problems = []
    for column in dict.fromkeys(header):
        if not column:
            message = "a column has no name; name it in the first line"
            problems.append(Problem(name, 1, "", "repeated column", message))
        elif header.count(column) > 1:
            message = f"the column {column!r} is there {header.count(column)} times; keep or rename one"
            problems.append(Problem(name, 1, column, "repeated column", message))
    return problems


# --- JSON Lines ---------------------------------------------------------------------------------------------


def _read_jsonl(name: str, data: bytes) -> Table:
    problems: list[Problem] = []
    columns: dict[str, list[str]] = {}
    floats: set[str] = set()
    lines: list[int] = []
    for number, line in enumerate(_decoded_lines(name, data, problems), start=1):
        if not line.strip():
            continue
        row = json_row(name, number, line)
        problems += row.problems
        if row.values is None:
            continue
        floats |= row.floats
        for key, text in row.values.items():
            if key not in columns:
                columns[key] = [""] * len(lines)
            columns[key].append(text)
        lines.append(number)
        for values in columns.values():
            if len(values) < len(lines):
                values.append("")
    for key in ("item_id", "user_id"):
        if key in floats:
            message = f"{key} holds numbers with a decimal point; ids are strings, so write them in quotes"
            problems.append(Problem(name, 0, key, "id type", message))
    arrays = {key: pa.array(values, type=pa.large_string()) for key, values in columns.items()}
    return Table(name, arrays, len(lines), np.array(lines, dtype=np.int64), tuple(problems))


class JsonRow(NamedTuple):
    """One line of a JSON Lines table.

    values: text by column; None when the line is no object.  floats: columns that hold a decimal number.
    problems: what is wrong with it.
    """

    values: dict[str, str] | None
    floats: frozenset[str]
    problems: tuple[Problem, ...]


def json_row(name: str, number: int, line: str) -> JsonRow:
    """Parse one line; what is wrong with it is in `JsonRow.problems`, nothing is raised."""
    nothing: frozenset[str] = frozenset()
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        message = f"{shown(line.strip(), 60)} is not JSON; each line must be one object"
        return JsonRow(None, nothing, (Problem(name, number, "", "malformed row", message),))
    if not isinstance(record, dict):
        message = f'{shown(line.strip(), 60)} is no object; each line must be one, as in {{"item_id": "7"}}'
        return JsonRow(None, nothing, (Problem(name, number, "", "malformed row", message),))
    values: dict[str, str] = {}
    floats = {key for key, value in record.items() if isinstance(value, float) and not math.isnan(value)}
    problems: list[Problem] = []
    for key, value in record.items():
        text = _scalar_text(value)
        if not text.isascii() and not _encodable(text):
            message = f"{key!r} holds half of a surrogate pair, which is no text; write the whole character"
            problems.append(Problem(name, number, key, "bad encoding", message))
            text = text.encode("utf-8", errors="replace").decode("utf-8")
        values[key] = text
    return JsonRow(values, frozenset(floats), tuple(problems))


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
