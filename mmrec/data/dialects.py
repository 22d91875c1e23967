"""Detects how a CSV or TSV file separates and quotes its fields, from its name and its first lines.

The suffix decides, unless the first lines clearly contradict it: ``sep=;`` above the header, a header with one column
under the usual delimiter and several under another, or a TSV whose fields are wrapped in quotes. Each of these is
reported. Knows nothing of the rows after the first lines.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_DELIMITERS = {b",": "a comma", b";": "a semicolon", b"\t": "a tab", b"|": "a vertical bar"}
_MAX_LINES = 1000
"""Lines read to detect whether a TSV is quoted."""


class Dialect(NamedTuple):
    """How fields are separated and quoted.

    Attributes:
        delimiter: One byte.
        quoted: Whether a field may stand in double quotes, with ``""`` for a quote in it.
        above: Lines above the header, such as ``sep=;``.
        note: Sentence for the user where the content contradicts the name; '' otherwise.
    """

    delimiter: bytes
    quoted: bool
    above: int = 0
    note: str = ""

    @property
    def word(self) -> str:
        """The delimiter in words."""
        return _DELIMITERS.get(self.delimiter, repr(self.delimiter.decode("latin-1")))


def find_dialect(head: bytes, kind: str) -> Dialect:
    """Detect the dialect of a file.

    Args:
        head: Its first bytes, without a byte order mark.
        kind: ``csv`` or ``tsv``.
    """
    usual = Dialect(b",", True) if kind == "csv" else Dialect(b"\t", False)
    if (found := re.match(rb'"?sep=([\t -!#-~])"?\r?\n', head, re.IGNORECASE)) is not None:
        named = Dialect(found[1], True, 1)
        what = f"the first line names {named.word} as the delimiter, so fields are read as separated by it"
        return named._replace(note="" if named.delimiter == usual.delimiter and usual.quoted else what)
    lines = head.split(b"\n")
    # The last line may be cut.
    lines = [line.removesuffix(b"\r") for line in (lines[:-1] if len(lines) > 1 else lines)[:_MAX_LINES]]
    lines = [line for line in lines if line]
    if not lines:
        return usual
    unquoted = [re.sub(rb'"[^"]*"', b"", line) for line in lines]
    best = max(_DELIMITERS, key=unquoted[0].count)
    if unquoted[0].count(best) > unquoted[0].count(usual.delimiter):
        rows_too = len(unquoted) > 1 and len({line.count(best) for line in unquoted}) == 1
        if usual.delimiter not in unquoted[0] or rows_too:
            suffix = ".tsv" if best == b"\t" else ".csv"
            remedy = f"name the file {suffix}" if best in b",\t" else f"write it with {_DELIMITERS[usual.delimiter]}"
            note = f"the header is separated by {_DELIMITERS[best]}, so the rows are read as separated by it; {remedy}"
            return Dialect(best, True, note=f"{note}, to have no doubt about it")
    if kind == "tsv" and _is_wrapped([line.split(b"\t") for line in lines]):
        note = (
            "its fields are wrapped in double quotes, so it is read as TSV with quotes, and those around a field are "
            "left out; TSV is otherwise read without any quoting"
        )
        return usual._replace(quoted=True, note=note)
    return usual


def _is_wrapped(rows: list[list[bytes]]) -> bool:
    """Whether all fields of the header, or all fields of some column, are wrapped in quotes."""
    header = rows[0]
    if all(_is_quoted(field) for field in header):
        return True
    rows = [row for row in rows[1:] if len(row) == len(header)]
    for column in range(len(header)):
        fields = [row[column] for row in rows if row[column]]
        # A field that has a line break in it is open at the end of its line.
        if any(map(_is_quoted, fields)) and all(_is_quoted(field) or _opens_quote(field) for field in fields):
            return True
    return False


def _is_quoted(field: bytes) -> bool:
    return len(field) >= 2 and field[:1] == field[-1:] == b'"'


def _opens_quote(field: bytes) -> bool:
    return field[:1] == b'"' and field.count(b'"') % 2 == 1
