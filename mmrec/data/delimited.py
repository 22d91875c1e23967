"""Parses CSV and TSV in blocks of bytes that end at row ends.

Where the dialect has quotes, a quoted field ends at the next quote that is not doubled, and a delimiter or the end of
the row must follow. A quote inside an unquoted field is an ordinary character. A malformed row is left out alone, and
reading continues at the next line. A quoted row may span `MOST_LINES` lines and `MOST_BYTES` bytes; beyond these its
quotes count as unmatched.

A block of well-formed rows is parsed by Arrow; any other block is parsed row by row here, with the same result for its
well-formed rows. Knows nothing of what the columns mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from mmrec.data.arrow_text import TEXT
from mmrec.data.dialects import Dialect
from mmrec.data.text_files import MAX_LINE_BYTES

MOST_LINES, MOST_BYTES = 1000, 2**20
"""Lines and bytes that one quoted row may span before its quotes count as unmatched."""
_SMALL = 2**16
"""Bytes that are parsed row by row around a row that Arrow cannot parse."""
_UNMATCHED = 'the quotes of the row that starts here do not match; write a quote inside quotes as ""'
_QUOTE, _NEWLINE, _RETURN = b'"'[0], b"\n"[0], b"\r"[0]


class Fault(NamedTuple):
    """The error of one row: its line, a kind as in `Problem`, and a message."""

    line: int
    kind: str
    message: str


class Record(NamedTuple):
    """One row: the line it starts on, its fields, its error, and the byte and line where the next row starts."""

    line: int
    fields: list[str]
    fault: Fault | None
    end: int
    end_line: int


class Block(NamedTuple):
    """Consecutive rows.

    Attributes:
        columns: One large-string array for each column of the header. Length of each: R.
        lines: The line on which each row starts. Shape: (R,), int64.
        faults: Error of a row, by its index; its fields are then incomplete.
    """

    columns: list[Any]
    lines: npt.NDArray[np.int64]
    faults: dict[int, Fault]


def first_record(data: bytes, dialect: Dialect) -> Record | None:
    """The header: the first row that is not blank, after the lines above it; None where there is none."""
    at, line = 0, 1
    for _ in range(dialect.above):
        at, line = data.find(b"\n", at) + 1, line + 1
    return _next_record(data, at, line, dialect, True)


def parse_blocks(pieces: Iterator[bytes], dialect: Dialect, names: list[str], header: Record) -> Iterator[Block]:
    """All rows after the header.

    Args:
        pieces: The file.
        dialect: How it is written.
        names: The columns.
        header: The result of `first_record` for the start of the file.
    """
    data, line, at_end, above = b"", header.end_line, False, header.end
    overlong = False  # whether the start of a row that is too long has been dropped
    while not at_end:
        piece = next(pieces, b"")
        at_end = not piece
        data += piece
        if overlong:
            end = data.find(b"\n")
            if end < 0 and not at_end:
                data = b""
                continue
            yield _too_long(line, names)
            data, line, overlong = data[end + 1 :] if end >= 0 else b"", line + 1, False
        if above:
            passed = min(above, len(data))
            data, above = data[passed:], above - passed
        at, size, least = 0, len(data), _SMALL
        while at < len(data):
            window = data[at : at + size] if at or size < len(data) else data
            last = at + len(window) == len(data)
            rows = _well_formed_rows(window, dialect, at_end and last)
            block = None if rows is None else _parse_with_arrow(window, rows, line, dialect, names)
            if rows is not None and block is not None:
                used, line = rows.end, line + rows.lines
            elif len(window) > least:
                size = least  # so that few well-formed rows are parsed one by one
                continue
            else:
                block, used, line = _parse_rows(window, line, dialect, names, at_end and last)
            if not used:
                if last:
                    break
                size = least = 2 * least
                continue
            if len(block.lines):
                yield block
            at, least = at + used, _SMALL
        data = data[at:]
        if not at_end and len(data) > MAX_LINE_BYTES and data.find(b"\n", 0, MAX_LINE_BYTES + 1) < 0:
            data, overlong = b"", True


def _too_long(line: int, names: list[str]) -> Block:
    message = f"the line has more than {MAX_LINE_BYTES:,} bytes; shorten it"
    return Block(
        _columns([[""] * len(names)], len(names)), np.array([line]), {0: Fault(line, "malformed row", message)}
    )


# --- row by row ---------------------------------------------------------------------------------------------


def _parse_rows(data: bytes, line: int, dialect: Dialect, names: list[str], at_end: bool) -> tuple[Block, int, int]:
    """The rows of a block, how many bytes they take, and the line after them."""
    at, width = 0, len(names)
    rows: list[list[str]] = []
    lines: list[int] = []
    faults: dict[int, Fault] = {}
    while (record := _next_record(data, at, line, dialect, at_end)) is not None:
        at, line = record.end, record.end_line
        fields, fault = record.fields, record.fault
        if fault is None and len(fields) != width:
            fault = Fault(record.line, "malformed row", _count_message(fields, width, dialect))
        if fault is not None:
            faults[len(rows)] = fault
            fields = [*fields[:width], *[""] * (width - len(fields))]
        rows.append(fields)
        lines.append(record.line)
    if at_end:
        at = len(data)  # only blank lines remain
    return Block(_columns(rows, width), np.array(lines, dtype=np.int64), faults), at, line


def _columns(rows: list[list[str]], width: int) -> list[Any]:
    return [pa.array([row[column] for row in rows], TEXT) for column in range(width)]


def _next_record(data: bytes, at: int, line: int, dialect: Dialect, at_end: bool) -> Record | None:
    """The next row that is not blank; None where there is none, or where its end is not in `data` yet."""
    while at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            if not at_end:
                return None
            end = len(data)
        raw = data[at:end].removesuffix(b"\r")
        if raw:
            break
        at, line = end + 1, line + 1
    else:
        return None
    next_at = min(end + 1, len(data))
    if end - at > MAX_LINE_BYTES:
        message = f"the line has more than {MAX_LINE_BYTES:,} bytes; shorten it"
        return Record(line, [], Fault(line, "malformed row", message), next_at, line + 1)
    if not dialect.quoted or b'"' not in raw:
        return _decoded(raw, raw.split(dialect.delimiter), line, next_at, line + 1)
    return _quoted_record(data, at, line, end, dialect, at_end)


def _quoted_record(data: bytes, at: int, line: int, end: int, dialect: Dialect, at_end: bool) -> Record | None:
    """A row whose first line, up to `end`, has a quote."""
    delimiter = dialect.delimiter
    next_at = min(end + 1, len(data))
    limit = max(end, at + MOST_BYTES)

    def broken(message: str = _UNMATCHED) -> Record:
        # The fields before the fault identify the row.
        fields = [field.decode("utf-8", "replace") for field in found]
        return Record(line, fields, Fault(line, "malformed row", message), next_at, line + 1)

    found: list[bytes] = []
    position = at
    while True:
        if data[position : position + 1] == b'"':
            close = position + 1
            while True:
                close = data.find(b'"', close, limit)
                if close < 0 or data[close + 1 : close + 2] != b'"':
                    break
                close += 2
            if close < 0 and limit > len(data) and not at_end:
                return None
            if close < 0 or data.count(b"\n", at, close) >= MOST_LINES:
                return broken()
            if close + 2 >= len(data) and not at_end:
                return None
            found.append(data[position + 1 : close].replace(b'""', b'"'))
            position = close + 1
            following = data[position : position + 2]
            if following[:1] == delimiter:
                position += 1
                continue
            if following[:1] == b"\n" or following in (b"\r\n", b"\r", b""):
                position += len(following) if following[:1] == b"\r" else len(following[:1])
                break
            value = found.pop()
            if b"\n" in data[at:position]:
                return broken()
            rest = data[position : _field_end(data, position, delimiter)]
            return broken(_trailing_text_message(value, rest))
        stop = _field_end(data, position, delimiter)
        if stop == len(data) and not at_end:
            return None
        field = data[position:stop]
        if data[stop : stop + 1] == delimiter:
            found.append(field)
            position = stop + 1
            continue
        found.append(field.removesuffix(b"\r"))
        position = min(stop + 1, len(data))
        break
    taken = data[at:position]
    return _decoded(taken, found, line, position, line + max(taken.count(b"\n"), 1))


def _field_end(data: bytes, at: int, delimiter: bytes) -> int:
    """Where a field without quotes ends: at a delimiter, a line feed or the end."""
    end = data.find(b"\n", at)
    end = len(data) if end < 0 else end
    stop = data.find(delimiter, at, end)
    return end if stop < 0 else stop


def _decoded(raw: bytes, fields: list[bytes], line: int, next_at: int, next_line: int) -> Record:
    try:
        return Record(line, [field.decode("utf-8") for field in fields], None, next_at, next_line)
    except UnicodeDecodeError:
        pass
    texts = [field.decode("utf-8", "replace") for field in fields]
    for number, part in enumerate(raw.split(b"\n"), start=line):
        try:
            part.decode("utf-8")
        except UnicodeDecodeError as err:
            return Record(line, texts, Fault(number, "bad encoding", encoding_message(part, err)), next_at, next_line)
    raise AssertionError("a field that is not UTF-8 stands on a line that is not")


def encoding_message(line: bytes, err: UnicodeDecodeError) -> str:
    """The message for a line that is not UTF-8."""
    position = f"byte 0x{line[err.start]:02x} at position {err.start + 1} of the line"
    return f"{position} is not UTF-8; save the file as UTF-8"


def _count_message(fields: list[str], width: int, dialect: Dialect) -> str:
    found = f"the row has {len(fields)} fields, the header has {width}; "
    if not dialect.quoted:
        return found + "a value may contain no tab or line break"
    if any(field.lstrip().startswith('"') for field in fields):
        return found + "write no space between a delimiter and the quote after it"
    words = {b",": "commas", b";": "semicolons", b"\t": "tabs", b"|": "vertical bars"}
    return found + f"quote values that contain {words.get(dialect.delimiter, 'the delimiter')}"


def _trailing_text_message(value: bytes, rest: bytes) -> str:
    def excerpt(text: bytes) -> str:
        return text.decode("utf-8", "replace").strip()[:40]

    return (
        f'text follows the closing quote, as in "{excerpt(value)}"{rest.decode("utf-8", "replace").rstrip()[:40]}; put '
        'the whole value in quotes and write each quote inside it as ""'
    )


# --- by Arrow -----------------------------------------------------------------------------------------------


class _Rows(NamedTuple):
    """Extent of the complete rows at the start of a block.

    end: bytes.  lines: number of lines.  starts: lines before each row that is not blank, (R,).  quotes: any quote.
    """

    end: int
    lines: int
    starts: npt.NDArray[np.int64]
    quotes: bool


def _well_formed_rows(data: bytes, dialect: Dialect, at_end: bool) -> _Rows | None:
    """The complete rows at the start of a block; None when one is malformed or not for Arrow."""
    if data.startswith(b"\xef\xbb\xbf") or data.count(b"\r") != data.count(b"\r\n"):
        return None  # Arrow drops a byte order mark, and ends a row at a lone carriage return
    codes = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(codes == _NEWLINE)
    if at_end and codes[-1] != _NEWLINE:
        breaks = np.append(breaks, len(data))
    if not len(breaks):
        return None
    quotes = np.flatnonzero(codes == _QUOTE) if dialect.quoted else breaks[:0]
    ends = np.arange(len(breaks))  # those of the line breaks that end a row
    if len(quotes):
        ends = np.flatnonzero(np.searchsorted(quotes, breaks) % 2 == 0)
        if not len(ends):
            return None
        quotes = quotes[quotes < breaks[ends[-1]]]
        if not _well_formed(codes, quotes, dialect.delimiter[0]):
            return None
    stops = breaks[ends]
    starts = np.concatenate([[0], stops[:-1] + 1])
    before = np.concatenate([[0], ends[:-1] + 1])  # lines before each row
    sizes = stops - starts
    spans = ends - before
    if sizes.max() > MAX_LINE_BYTES or ((spans > 0) & ((spans >= MOST_LINES) | (sizes > MOST_BYTES))).any():
        return None
    blank = (sizes == 0) | ((sizes == 1) & (codes[np.minimum(starts, len(codes) - 1)] == _RETURN))
    end = min(int(stops[-1]) + 1, len(data))
    return _Rows(end, int(ends[-1]) + 1, before[~blank], len(quotes) > 0)


def _well_formed(codes: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], delimiter: int) -> bool:
    """Whether the quotes alternately open at the start and close at the end of a field, doubled ones aside."""
    opening, closing = quotes[::2], quotes[1::2]
    before = codes[np.maximum(opening - 1, 0)]
    following = np.minimum(closing + 1, len(codes) - 1)
    next_at, last = codes[following], closing + 1 >= len(codes)
    opens = (opening == 0) | (before == delimiter) | (before == _NEWLINE) | (before == _QUOTE)
    closes = last | (next_at == delimiter) | (next_at == _NEWLINE) | (next_at == _QUOTE) | (next_at == _RETURN)
    return bool(opens.all() and closes.all())


def _parse_with_arrow(data: bytes, rows: _Rows, line: int, dialect: Dialect, names: list[str]) -> Block | None:
    """The rows as a block; None where one has another number of fields or is not UTF-8."""
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(memoryview(data)[: rows.end]),
            read_options=pa_csv.ReadOptions(column_names=names, block_size=max(rows.end, 1)),
            parse_options=pa_csv.ParseOptions(
                delimiter=dialect.delimiter.decode("ascii"),
                quote_char='"' if rows.quotes else False,
                newlines_in_values=rows.quotes,
            ),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, TEXT), strings_can_be_null=False),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if table.num_rows != len(rows.starts):
        return None
    columns = [table.column(name).combine_chunks() for name in names]
    return Block(columns, line + rows.starts, {})
