"""Parses CSV and TSV in blocks of bytes that are cut at the ends of rows.

A field may stand in double quotes where the dialect has them: it ends at the next quote that is not doubled, and what
follows must be a delimiter or the end of the row. A quote inside a field that does not begin with one is an ordinary
character. A row that breaks the rules costs itself alone: reading goes on at the next line. A quoted field may go over
so many lines and bytes; beyond these its quotes count as unmatched.

A block in which every row keeps to the rules is parsed by Arrow; a block that has anything else in it is parsed row by
row here, with the same result for the rows that are good. Knows nothing of what the columns mean.
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
"""Bytes of a block that are parsed row by row when there is something in them that Arrow does not take."""
_UNMATCHED = 'the quotes of the row that starts here do not match; write a quote inside quotes as ""'
_QUOTE, _NEWLINE, _RETURN = b'"'[0], b"\n"[0], b"\r"[0]


class Fault(NamedTuple):
    """What is wrong with one row: the line it was found on, a kind as in `Problem`, and a message."""

    line: int
    kind: str
    message: str


class Record(NamedTuple):
    """One row: the line it starts on, its fields, what is wrong with it, and where the next one starts."""

    line: int
    fields: list[str]
    fault: Fault | None
    end: int
    end_line: int


class Block(NamedTuple):
    """Rows that stand together.

    Attributes:
        columns: One large-string array for each column of the header. Length of each: R.
        lines: The line on which each row starts. Shape: (R,), int64.
        faults: What is wrong with a row, by its index; its fields are what can be made of it.
    """

    columns: list[Any]
    lines: npt.NDArray[np.int64]
    faults: dict[int, Fault]


def first_record(data: bytes, dialect: Dialect) -> Record | None:
    """The header: the first row that is not blank, behind what stands above it; None where there is none."""
    at, line = 0, 1
    for _ in range(dialect.above):
        at, line = data.find(b"\n", at) + 1, line + 1
    return _record(data, at, line, dialect, True)


def parse_blocks(pieces: Iterator[bytes], dialect: Dialect, names: list[str], header: Record) -> Iterator[Block]:
    """All rows behind the header.

    Args:
        pieces: The file.
        dialect: How it is written.
        names: The columns.
        header: The result of `first_record` for the start of the file.
    """
    data, line, whole, above = b"", header.end_line, False, header.end
    overlong = False  # whether the start of a row that is too long has been dropped
    while not whole:
        piece = next(pieces, b"")
        whole = not piece
        data += piece
        if overlong:
            end = data.find(b"\n")
            if end < 0 and not whole:
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
            cut = _cut(window, dialect, whole and last)
            block = None if cut is None else _by_arrow(window, cut, line, dialect, names)
            if cut is not None and block is not None:
                used, line = cut.end, line + cut.lines
            elif len(window) > least:
                size = least  # so that few rows beside those that need it are parsed one by one
                continue
            else:
                block, used, line = _by_rows(window, line, dialect, names, whole and last)
            if not used:
                if last:
                    break
                size = least = 2 * least
                continue
            if len(block.lines):
                yield block
            at, least = at + used, _SMALL
        data = data[at:]
        if not whole and len(data) > MAX_LINE_BYTES and data.find(b"\n", 0, MAX_LINE_BYTES + 1) < 0:
            data, overlong = b"", True


def _too_long(line: int, names: list[str]) -> Block:
    message = f"the line has more than {MAX_LINE_BYTES:,} bytes; shorten it"
    return Block(
        _columns([[""] * len(names)], len(names)), np.array([line]), {0: Fault(line, "malformed row", message)}
    )


# --- row by row ---------------------------------------------------------------------------------------------


def _by_rows(data: bytes, line: int, dialect: Dialect, names: list[str], whole: bool) -> tuple[Block, int, int]:
    """Rows of a block with what is wrong with them, how many bytes they are, and the line behind them."""
    at, width = 0, len(names)
    rows: list[list[str]] = []
    lines: list[int] = []
    faults: dict[int, Fault] = {}
    while (record := _record(data, at, line, dialect, whole)) is not None:
        at, line = record.end, record.end_line
        fields, fault = record.fields, record.fault
        if fault is None and len(fields) != width:
            fault = Fault(record.line, "malformed row", _count_message(fields, width, dialect))
        if fault is not None:
            faults[len(rows)] = fault
            fields = [*fields[:width], *[""] * (width - len(fields))]
        rows.append(fields)
        lines.append(record.line)
    if whole:
        at = len(data)  # blank lines are left
    return Block(_columns(rows, width), np.array(lines, dtype=np.int64), faults), at, line


def _columns(rows: list[list[str]], width: int) -> list[Any]:
    return [pa.array([row[column] for row in rows], TEXT) for column in range(width)]


def _record(data: bytes, at: int, line: int, dialect: Dialect, whole: bool) -> Record | None:
    """The next row that is not blank; None where there is none, or where its end has not come yet."""
    while at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            if not whole:
                return None
            end = len(data)
        raw = data[at:end].removesuffix(b"\r")
        if raw:
            break
        at, line = end + 1, line + 1
    else:
        return None
    behind = min(end + 1, len(data))
    if end - at > MAX_LINE_BYTES:
        message = f"the line has more than {MAX_LINE_BYTES:,} bytes; shorten it"
        return Record(line, [], Fault(line, "malformed row", message), behind, line + 1)
    if not dialect.quoted or b'"' not in raw:
        return _decoded(raw, raw.split(dialect.delimiter), line, behind, line + 1)
    return _quoted_record(data, at, line, end, dialect, whole)


def _quoted_record(data: bytes, at: int, line: int, end: int, dialect: Dialect, whole: bool) -> Record | None:
    """A row of which the first line, up to `end`, has a quote in it."""
    delimiter = dialect.delimiter
    behind = min(end + 1, len(data))
    limit = max(end, at + MOST_BYTES)

    def broken(message: str = _UNMATCHED) -> Record:
        # What stands before the fault tells which row it is.
        fields = [field.decode("utf-8", "replace") for field in found]
        return Record(line, fields, Fault(line, "malformed row", message), behind, line + 1)

    found: list[bytes] = []
    place = at
    while True:
        if data[place : place + 1] == b'"':
            close = place + 1
            while True:
                close = data.find(b'"', close, limit)
                if close < 0 or data[close + 1 : close + 2] != b'"':
                    break
                close += 2
            if close < 0 and limit > len(data) and not whole:
                return None
            if close < 0 or data.count(b"\n", at, close) >= MOST_LINES:
                return broken()
            if close + 2 >= len(data) and not whole:
                return None
            found.append(data[place + 1 : close].replace(b'""', b'"'))
            place = close + 1
            follows = data[place : place + 2]
            if follows[:1] == delimiter:
                place += 1
                continue
            if follows[:1] == b"\n" or follows in (b"\r\n", b"\r", b""):
                place += len(follows) if follows[:1] == b"\r" else len(follows[:1])
                break
            value = found.pop()
            if b"\n" in data[at:place]:
                return broken()
            rest = data[place : _field_end(data, place, delimiter)]
            return broken(_text_behind(value, rest))
        stop = _field_end(data, place, delimiter)
        if stop == len(data) and not whole:
            return None
        field = data[place:stop]
        if data[stop : stop + 1] == delimiter:
            found.append(field)
            place = stop + 1
            continue
        found.append(field.removesuffix(b"\r"))
        place = min(stop + 1, len(data))
        break
    taken = data[at:place]
    return _decoded(taken, found, line, place, line + max(taken.count(b"\n"), 1))


def _field_end(data: bytes, at: int, delimiter: bytes) -> int:
    """Where a field without quotes ends: at a delimiter, a line feed or the end."""
    end = data.find(b"\n", at)
    end = len(data) if end < 0 else end
    stop = data.find(delimiter, at, end)
    return end if stop < 0 else stop


def _decoded(raw: bytes, fields: list[bytes], line: int, behind: int, next_line: int) -> Record:
    try:
        return Record(line, [field.decode("utf-8") for field in fields], None, behind, next_line)
    except UnicodeDecodeError:
        pass
    texts = [field.decode("utf-8", "replace") for field in fields]
    for number, part in enumerate(raw.split(b"\n"), start=line):
        try:
            part.decode("utf-8")
        except UnicodeDecodeError as err:
            return Record(line, texts, Fault(number, "bad encoding", encoding_message(part, err)), behind, next_line)
    raise AssertionError("a field that is not UTF-8 stands on a line that is not")


def encoding_message(line: bytes, err: UnicodeDecodeError) -> str:
    """What is wrong with a line that is not UTF-8."""
    place = f"byte 0x{line[err.start]:02x} at position {err.start + 1} of the line"
    return f"{place} is not UTF-8; save the file as UTF-8"


def _count_message(fields: list[str], width: int, dialect: Dialect) -> str:
    found = f"the row has {len(fields)} fields, the header has {width}; "
    if not dialect.quoted:
        return found + "a value may contain no tab or line break"
    if any(field.lstrip().startswith('"') for field in fields):
        return found + "write no space between a delimiter and the quote after it"
    words = {b",": "commas", b";": "semicolons", b"\t": "tabs", b"|": "vertical bars"}
    return found + f"quote values that contain {words.get(dialect.delimiter, 'the delimiter')}"


def _text_behind(value: bytes, rest: bytes) -> str:
    def shown(text: bytes) -> str:
        return text.decode("utf-8", "replace").strip()[:40]

    return (
        f'text follows the closing quote, as in "{shown(value)}"{rest.decode("utf-8", "replace").rstrip()[:40]}; put '
        'the whole value in quotes and write each quote inside it as ""'
    )


# --- by Arrow -----------------------------------------------------------------------------------------------


class _Cut(NamedTuple):
    """Whole rows at the start of a block that are well formed.

    end: bytes.  lines: lines they take.  starts: lines before each row that is not blank, (R,).  quotes: any quote.
    """

    end: int
    lines: int
    starts: npt.NDArray[np.int64]
    quotes: bool


def _cut(data: bytes, dialect: Dialect, whole: bool) -> _Cut | None:
    """Where to cut a block; None when some row in it is to be looked at by itself."""
    if data.startswith(b"\xef\xbb\xbf") or data.count(b"\r") != data.count(b"\r\n"):
        return None  # Arrow leaves a mark out, and ends a row at a lone carriage return
    codes = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(codes == _NEWLINE)
    if whole and codes[-1] != _NEWLINE:
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
    return _Cut(end, int(ends[-1]) + 1, before[~blank], len(quotes) > 0)


def _well_formed(codes: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], delimiter: int) -> bool:
    """Whether quotes open at the start of a field and close at its end, taken in turn, and doubled ones between."""
    opening, closing = quotes[::2], quotes[1::2]
    before = codes[np.maximum(opening - 1, 0)]
    follows = np.minimum(closing + 1, len(codes) - 1)
    behind, last = codes[follows], closing + 1 >= len(codes)
    opens = (opening == 0) | (before == delimiter) | (before == _NEWLINE) | (before == _QUOTE)
    closes = last | (behind == delimiter) | (behind == _NEWLINE) | (behind == _QUOTE) | (behind == _RETURN)
    return bool(opens.all() and closes.all())


def _by_arrow(data: bytes, cut: _Cut, line: int, dialect: Dialect, names: list[str]) -> Block | None:
    """The rows of a cut, or None where one of them has another number of fields or is not UTF-8."""
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(memoryview(data)[: cut.end]),
            read_options=pa_csv.ReadOptions(column_names=names, block_size=max(cut.end, 1)),
            parse_options=pa_csv.ParseOptions(
                delimiter=dialect.delimiter.decode("ascii"),
                quote_char='"' if cut.quotes else False,
                newlines_in_values=cut.quotes,
            ),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(names, TEXT), strings_can_be_null=False),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    if table.num_rows != len(cut.starts):
        return None
    columns = [table.column(name).combine_chunks() for name in names]
    return Block(columns, line + cut.starts, {})
