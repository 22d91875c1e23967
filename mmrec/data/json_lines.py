"""Parses JSON lines: the object on each line becomes one row of texts with its own columns.

Unit of work: one piece of a file. Knows nothing of what the columns mean, except that ids are no decimal numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import NamedTuple

from mmrec.data.arrow_text import value_text
from mmrec.data.delimited import Fault, encoding_message
from mmrec.data.problems import quoted
from mmrec.data.text_files import MAX_LINE_BYTES
from mmrec.data.value_limits import ID_COLUMNS, name_problem


class JsonRow(NamedTuple):
    """One line.

    Attributes:
        line: Its number.
        values: Text by column; incomplete where there is a fault.
        column: The column at fault, or ''.
        fault: The error of the row; None for a good one.
    """

    line: int
    values: dict[str, str]
    column: str = ""
    fault: Fault | None = None


def json_rows(pieces: Iterator[bytes]) -> Iterator[list[JsonRow]]:
    """The rows that end in each piece of a file, without blank lines."""
    rest, line, whole, overlong = b"", 0, False, False
    while not whole:
        piece = next(pieces, b"")
        whole = not piece
        *lines, rest = (rest + piece).split(b"\n")
        if whole and rest:
            lines.append(rest)
        rows = []
        for raw in lines:
            line += 1
            if overlong or len(raw) > MAX_LINE_BYTES:
                overlong = False
                rows.append(
                    _bad(line, {}, "", "malformed row", f"the line has more than {MAX_LINE_BYTES:,} bytes; shorten it")
                )
            elif raw.strip():
                rows.append(_row(line, raw))
        if len(rest) > MAX_LINE_BYTES and not whole:
            rest, overlong = b"", True
        yield rows


def _row(line: int, raw: bytes) -> JsonRow:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as err:
        return _bad(line, {}, "", "bad encoding", encoding_message(raw, err))
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return _bad(
            line, {}, "", "malformed row", f"{quoted(text.strip(), 60)} is not JSON; each line must be one object"
        )
    if not isinstance(record, dict):
        message = f'{quoted(text.strip(), 60)} is no object; each line must be one, as in {{"item_id": "7"}}'
        return _bad(line, {}, "", "malformed row", message)
    try:
        values = {key: value_text(value) for key, value in record.items()}
    except (ValueError, RecursionError):  # such as a number with thousands of digits
        return _bad(line, {}, "", "malformed row", "a value is too large to be written as text; shorten it")
    for key in ID_COLUMNS:
        value = record.get(key)
        if isinstance(value, float) and not math.isnan(value):
            message = f"{key} is a number with a decimal point; ids are strings, so write them in quotes"
            return _bad(line, values, key, "id type", message)
    for key, value in values.items():
        if not _encodable(value):
            values = {name: text for name, text in values.items() if _encodable(name)}
            values = {name: text.encode("utf-8", "replace").decode("utf-8") for name, text in values.items()}
            message = f"{key!r} holds half of a surrogate pair, which is no text; write the whole character"
            return _bad(line, values, key if _encodable(key) else "", "bad encoding", message)
        if message := name_problem(key):
            return _bad(line, {}, "", "malformed row", message)
    return JsonRow(line, values)


def _bad(line: int, values: dict[str, str], column: str, kind: str, message: str) -> JsonRow:
    return JsonRow(line, values, column, Fault(line, kind, message))


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
