"""Reads large source files in pieces: delimited text with Arrow, JSON Lines with the number of bytes read.

Knows nothing of what the formats mean.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv

from mmrec.errors import InvalidDatasetError, NotFoundError
from mmrec.runtime.progress import Progress

_BLOCK_BYTES = 2**24


class JsonLine(NamedTuple):
    """One object of a JSON Lines file and its line number; None where the line is no object."""

    number: int
    record: dict[str, Any] | None


def decoded(data: bytes) -> str:
    """Text of an old file: UTF-8 where it is valid, else Latin-1."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_batches(
    name: str,
    file: IO[bytes],
    columns: Sequence[str],
    keep: Sequence[str],
    *,
    delimiter: str,
    skip_rows: int,
    quoted: bool,
) -> Iterator[Any]:
    """The wanted columns of a delimited text file as batches of strings (pyarrow RecordBatch).

    Args:
        name: What to call the file in messages.
        file: The file, at its start.
        columns: Names of all columns, in the file's order.
        keep: Names of those wanted.
        delimiter: One character.
        skip_rows: Lines before the first row.
        quoted: Whether values may stand in double quotes.

    Raises:
        InvalidDatasetError: a row has another number of fields, or is not UTF-8.
    """
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        wrong.append(row)
        return "error"

    try:
        yield from pa_csv.open_csv(
            pa.PythonFile(file, mode="r"),
            read_options=pa_csv.ReadOptions(
                column_names=list(columns), skip_rows=skip_rows, block_size=_BLOCK_BYTES, use_threads=False
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if quoted else False, invalid_row_handler=refuse
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={column: pa.string() for column in columns},
                include_columns=list(keep),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as err:
        if wrong:
            place = f"{name}:{wrong[0].number}" if wrong[0].number else name
            raise InvalidDatasetError(
                f"{place}: the row has {wrong[0].actual_columns} fields instead of "
                f"{wrong[0].expected_columns}; download the file again"
            ) from err
        if "Empty CSV" in str(err):
            return
        raise InvalidDatasetError(f"{name} is not readable as text in UTF-8; download the file again") from err


def read_json_lines(path: Path, stage: str, progress: Progress) -> Iterator[JsonLine]:
    """Objects of a JSON Lines file, gzipped or not, with the bytes read as progress. Blank lines are skipped.

    Raises:
        NotFoundError: there is no such file.
        InvalidDatasetError: the gzip data is damaged or cut short.
    """
    try:
        raw = path.open("rb")
    except OSError as err:
        raise NotFoundError(f"cannot read {str(path)!r}: {err.strerror}") from err
    with raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        progress.start(stage, path.stat().st_size, "bytes")
        lines: Any = gzip.GzipFile(fileobj=raw) if zipped else raw
        number = reported = 0
        try:
            for number, line in enumerate(lines, start=1):
                if number % 4096 == 0 and (at := raw.tell()) > reported:
                    progress.advance(at - reported)
                    reported = at
                if line.strip():
                    yield JsonLine(number, _json_object(line))
        except (EOFError, zlib.error, gzip.BadGzipFile) as err:
            raise InvalidDatasetError(
                f"{str(path)!r} is damaged or cut short after line {number:,}; download it again"
            ) from err
        progress.advance(max(0, path.stat().st_size - reported))


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
