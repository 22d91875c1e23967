"""Reads the delimited text that shop systems export, row by row: CSV, and tab-separated text whose values may stand in
double quotes with line breaks inside.

The header decides the delimiter. A row that cannot be read is counted as left out, and reading continues after it: an
unclosed quote loses only its own row. Unlike in the tables of a dataset folder, a column name may be repeated, and a
file may have any name. Knows nothing of what the columns mean.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from mmrec.data.importers.left_out import LeftOutTally
from mmrec.errors import InvalidDatasetError, NotFoundError

_MAX_LINES, _MAX_CHARS = 1000, 2**20
"""Lines and characters that one row may span before its quotes count as unmatched."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class QuotedRow(NamedTuple):
    """One row.

    place: file and line, for messages.  values: its fields, as many as there are columns.
    """

    place: str
    values: Sequence[str]


class QuotedText:
    """A file of delimited text; may be iterated once.

    Args:
        path: The file, gzipped or not, in UTF-8.
        tally: Counts the rows that cannot be read.

    Attributes:
        columns: The names in the first line, stripped; names may be repeated.

    Raises:
        NotFoundError: there is no such file.
        InvalidDatasetError: it is empty, no UTF-8 text, or its first line names no columns; while iterating, it
            breaks off.
    """

    def __init__(self, path: Path, tally: LeftOutTally) -> None:
        self._path, self._tally = path, tally
        with opened_text(path) as file:
            head = file.readline(_MAX_CHARS).decode("utf-8", "replace")
        self._delimiter = max("\t,;|", key=head.count)
        self._records = self._read()
        first = next(self._records, None)
        if first is None or not any(field.strip() for field in first[1]):
            raise InvalidDatasetError(f"{str(path)!r} is empty; its first line must name the columns")
        self.columns = tuple(field.strip() for field in first[1])

    def __iter__(self) -> Iterator[QuotedRow]:
        width = len(self.columns)
        for number, fields in self._records:
            place = f"{self._path.name}:{number}"
            if len(fields) > width and not any(fields[width:]):
                fields = fields[:width]  # spreadsheets end rows with empty cells
            if len(fields) == width:
                yield QuotedRow(place, fields)
            elif fields:
                self._tally.row("rows with another number of fields than the header", place)
            else:
                self._tally.row("rows whose quotes do not match, or that are no UTF-8", place)

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and fields of each row, with the header; no fields where the row cannot be split."""
        csv.field_size_limit(max(csv.field_size_limit(), 2**24))
        with opened_text(self._path) as file:
            lines = enumerate(file, start=1)
            # Lines read as the rest of a quoted value whose quote was never closed.
            pushed_back: deque[tuple[int, bytes]] = deque()
            while (entry := pushed_back.popleft() if pushed_back else next(lines, None)) is not None:
                number, line = entry
                if not line.strip(b"\r\n"):
                    continue
                consumed = [entry]
                try:
                    rows = csv.reader(_row_lines(consumed, pushed_back, lines), delimiter=self._delimiter, strict=True)
                    fields = next(rows, [])
                except UnicodeDecodeError:
                    pushed_back.extendleft(reversed(consumed[1:]))
                    fields = []
                except csv.Error:
                    pushed_back.extendleft(reversed(consumed[1:]))
                    fields = self._unquoted(line)
                yield number, fields

    def _unquoted(self, line: bytes) -> list[str]:
        """The fields of a line with literal quotes, as in ``"Retro" lamp`` between tabs."""
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            return []
        fields = text.split(self._delimiter)
        return fields if self._delimiter == "\t" and len(fields) == len(self.columns) else []


def _row_lines(
    consumed: list[tuple[int, bytes]], pushed_back: deque[tuple[int, bytes]], lines: Iterator[tuple[int, bytes]]
) -> Iterator[str]:
    """The first line of a row, and the following ones that the parser requests while a quote is open."""
    size = 0
    while True:
        text = consumed[-1][1].decode("utf-8")
        yield text if len(consumed) > 1 else text.removeprefix("\ufeff")
        size += len(text)
        more = pushed_back.popleft() if pushed_back else next(lines, None)
        if more is None:
            return
        consumed.append(more)
        if len(consumed) > _MAX_LINES or size > _MAX_CHARS:
            return


@contextmanager
def opened_text(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a text file, gzipped or not.

    Raises:
        NotFoundError: it cannot be read.
        InvalidDatasetError: it is UTF-16 or a zip archive; within the block, its gzip data breaks off.
    """
    try:
        raw = path.open("rb")
    except OSError as err:
        raise NotFoundError(f"cannot read {str(path)!r}: {err.strerror}") from err
    with raw:
        start = raw.read(4)
        raw.seek(0)
        if start.startswith(b"PK\3\4"):
            raise InvalidDatasetError(f"{str(path)!r} is a zip archive; unpack it and give the file inside")
        zipped = start.startswith(b"\x1f\x8b")
        try:
            file: Any = gzip.GzipFile(fileobj=raw) if zipped else raw
            with file:
                head = file.read(2)
                file.seek(0)
                if head in _UTF16:
                    raise InvalidDatasetError(f"{str(path)!r} is UTF-16; save it again as UTF-8")
                yield file
        except (EOFError, zlib.error, gzip.BadGzipFile) as err:
            raise InvalidDatasetError(f"{str(path)!r} is damaged or cut short; export or download it again") from err
