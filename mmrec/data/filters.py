"""Which items pass a filter: conditions over the columns of a catalogue, as a bitmap over its rows.

The unit of work is one filter; it knows nothing about embeddings and ranking. The language is in
`mmrec.data.filter_grammar`. What a comparison means depends on the column, whose kind is read off all of its values:

=========  ==================================================  =====================================================
kind       every value that is not empty is                    operators
=========  ==================================================  =====================================================
number     a decimal number of at most 15 digits               all, by value: ``7``, ``7.0`` and ``"007"`` are equal
boolean    true or false                                       ``=``, ``!=``, ``:``, ``IN``
date       an ISO 8601 date or time (without a zone: UTC)      all, by time
text       anything else; always item_id, title, description   all; ``=`` compares every character, with ``*`` for any
                                                               characters; ``<`` and the like go by code points
=========  ==================================================  =====================================================

``:`` on a text asks whether the value occurs in it as a whole word or phrase, in any case of letters, which on a list
separated by ``|`` asks for an entry or for words of one. ``column:*`` holds where there is any value.

An empty value is missing. A comparison with a missing value is false, whichever it is, so ``price != 5`` is false and
``NOT price = 5`` true for an item without a price. ``column = ""`` is true where the value is missing, ``column != ""``
where it is not.
"""

# Axes: N items

from __future__ import annotations

import difflib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.catalogue import Catalogue
from mmrec.data.filter_grammar import (
    MAX_FILTER_CHARS,
    MAX_FILTER_DEPTH,
    MAX_FILTER_TERMS,
    All,
    Comparison,
    Condition,
    Literal,
    Not,
    parse_filter,
    refusal,
)
from mmrec.errors import InvalidArgumentError

__all__ = ["MAX_FILTER_CHARS", "MAX_FILTER_DEPTH", "MAX_FILTER_TERMS", "CatalogueFilter"]

Bitmap = npt.NDArray[np.bool_]

_TEXT_ALWAYS = ("item_id", "title", "description")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MOST_DIGITS = 15
"""More digits than a float64 keeps apart are a code (a bar code, an id), not a number."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_TRUTH = {"true": 1.0, "false": 0.0}
_COMPARE = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_WANTED = {"number": "a number", "boolean": "true or false", "date": "a date such as 2024-05-31"}


class _Column(NamedTuple):
    """One column, ready to be compared.

    Attributes:
        kind: ``number``, ``boolean``, ``date`` or ``text``.
        values: float64 (a date: seconds since 1970) or text; null where missing (pyarrow Array of length N).
        odd: Why a text column is not of numbers: its first value that is none. Empty otherwise.
    """

    kind: str
    values: pa.Array
    odd: str


class CatalogueFilter:
    """Filters over one catalogue. Safe to call from several threads.

    Args:
        catalogue: The items; kept, and never changed.
        cache_size: Filters whose bitmaps are remembered, N/8 bytes each; the ones used longest ago are forgotten.

    Raises:
        InvalidArgumentError: the cache size is negative.
    """

    def __init__(self, catalogue: Catalogue, *, cache_size: int = 256) -> None:
        if cache_size < 0:
            raise InvalidArgumentError(f"cache_size is {cache_size}; it must be 0 or more", field="cache_size")
        self._texts: dict[str, Sequence[str]] = {
            "item_id": catalogue.item_ids,
            "title": catalogue.titles,
            "description": catalogue.descriptions,
            **catalogue.attributes,
        }
        self._items = len(catalogue)
        self._alive_N = np.ones(self._items, np.bool_) if catalogue.alive_N is None else catalogue.alive_N.copy()
        self._columns: dict[str, _Column] = {}
        self._cache_size = cache_size
        self._cache: OrderedDict[str, npt.NDArray[np.uint8]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that a filter may use."""
        return tuple(self._texts)

    def times(self, column: str) -> npt.NDArray[np.float64]:
        """Moments in a column of dates, in seconds since 1970 (UTC).

        Returns:
            NaN where there is none. Shape: (N,), float64.

        Raises:
            InvalidArgumentError: there is no such column, or not every value of it is a date.
        """
        if column not in self._texts:
            raise InvalidArgumentError(f"there is no column {column!r:.60}; {_instead(column, self._texts)}")
        found = self._read(column)
        if found.kind != "date":
            raise InvalidArgumentError(
                f"column {column!r:.60} holds {found.kind if found.kind == 'text' else f'{found.kind}s'}; it must hold "
                "nothing but dates such as 2024-05-31"
            )
        return np.asarray(found.values.to_numpy(zero_copy_only=False), np.float64)

    def check(self, expression: str) -> None:
        """Refuse a filter that `bitmap` would refuse.

        Raises:
            InvalidArgumentError: it is too long, not of the language, names a column that is not there, or compares
                a column with what it cannot be compared with.
        """
        self.bitmap(expression)

    def bitmap(self, expression: str) -> Bitmap:
        """Which items pass.

        Args:
            expression: The filter; blank lets every item pass. A row that is no item any more never does.

        Returns:
            Not to be written to. Shape: (N,), bool.

        Raises:
            InvalidArgumentError: it is too long, not of the language, names a column that is not there, or compares
                a column with what it cannot be compared with. The message points at the character.
        """
        if not isinstance(expression, str):
            raise InvalidArgumentError(
                f"filter is a {type(expression).__name__}; it must be text such as price < 50", field="filter"
            )
        key = expression.strip()
        if not key:
            return _frozen(self._alive_N)
        with self._lock:
            packed = self._cache.get(key)
            if packed is not None:
                self._cache.move_to_end(key)
        if packed is not None:
            return _frozen(np.unpackbits(packed, count=self._items).view(np.bool_))
        found_N = self._evaluate(parse_filter(key), key) & self._alive_N
        with self._lock:
            self._cache[key] = np.packbits(found_N)
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return _frozen(found_N)

    def _evaluate(self, condition: Condition, expression: str) -> Bitmap:
        if isinstance(condition, Comparison):
            return self._compare(condition, expression)
        if isinstance(condition, Not):
            return ~self._evaluate(condition.condition, expression)
        # Every part is evaluated, for a mistake in the last one is a mistake whatever the first ones say.
        parts = [self._evaluate(part, expression) for part in condition.conditions]
        join = np.logical_and if isinstance(condition, All) else np.logical_or
        return np.asarray(join.reduce(parts), np.bool_)

    def _compare(self, comparison: Comparison, expression: str) -> Bitmap:
        column = self._column(comparison.column, expression)
        operator, value = comparison.operator, comparison.values[0]
        if operator == "IN":
            return self._among(column, comparison, expression)
        if operator == ":" and value.pieces == ("", ""):
            return _bits(pc.is_valid(column.values))
        if value.text == "" and operator in ("=", "!="):
            return _bits(pc.is_null(column.values) if operator == "=" else pc.is_valid(column.values))
        if column.kind != "text":
            number = self._number(column, comparison, value, expression)
            return _bits(_COMPARE["=" if operator == ":" else operator](column.values, number))
        if operator == ":":
            return _bits(pc.match_substring_regex(column.values, _phrase(value, expression)))
        if operator in ("=", "!="):
            same = _same(column.values, value)
            return _bits(same if operator == "=" else pc.invert(same))
        if value.wild:
            raise refusal(expression, value.at, f"{operator} compares with one value; * goes with = and !=")
        if column.odd and not value.quoted and _number_of(value.text) is not None:
            raise refusal(
                expression,
                comparison.column.at,
                f"column {comparison.column.text!r:.60} is text, for it holds {column.odd!r:.60}; {operator} a number "
                f"needs a column of numbers only: mend the column, or compare as texts with {operator} "
                f'"{value.text:.60}"',
            )
        return _bits(_COMPARE[operator](column.values, value.text))

    def _among(self, column: _Column, comparison: Comparison, expression: str) -> Bitmap:
        """Whether the value is one of a list."""
        found_N = np.zeros(self._items, np.bool_)
        if any(value.text == "" for value in comparison.values):
            found_N |= _bits(pc.is_null(column.values))
        present = [value for value in comparison.values if value.text != ""]
        plain: list[str] | list[float]
        if column.kind == "text":
            plain = [value.text for value in present if not value.wild]
            for value in present:
                if value.wild:
                    found_N |= _bits(_same(column.values, value))
        else:
            plain = [self._number(column, comparison, value, expression) for value in present]
        if plain:
            kind = pa.string() if column.kind == "text" else pa.float64()
            found_N |= _bits(pc.is_in(column.values, value_set=pa.array(plain, kind)))
        return found_N

    def _number(self, column: _Column, comparison: Comparison, value: Literal, expression: str) -> float:
        name, operator, kind = comparison.column.text, comparison.operator, column.kind
        if kind == "boolean" and operator in ("<", "<=", ">", ">="):
            raise refusal(
                expression, comparison.column.at, f"column {name!r:.60} is true or false; compare it with = or !="
            )
        number = _READERS[kind](value.text)
        if number is None:
            mend = "; * goes with columns of text alone, so compare with < and >" if value.wild else ""
            raise refusal(
                expression,
                value.at,
                f"column {name!r:.60} holds {kind}s, received {value.text!r:.60}; give {_WANTED[kind]}{mend}",
            )
        return number

    def _column(self, name: Literal, expression: str) -> _Column:
        if name.text not in self._texts:
            what = f"there is no column {name.text!r:.60}; {_instead(name.text, self._texts)}"
            raise refusal(expression, name.at, what)
        return self._read(name.text)

    def _read(self, name: str) -> _Column:
        found = self._columns.get(name)
        if found is None:
            # Two threads may both read it; they read the same.
            found = self._columns[name] = _read_column(name, self._texts[name])
        return found


def _instead(name: str, columns: Iterable[str]) -> str:
    """Which columns to ask for in place of one that is not there."""
    near = difflib.get_close_matches(name, list(columns), n=3, cutoff=0.5)
    known = near or list(columns)[:20]
    quoted = ", ".join(repr(column) for column in known)
    return f"did you mean {quoted}?" if near else f"the columns are {quoted}"


def _read_column(name: str, texts: Sequence[str]) -> _Column:
    """A column with its kind, which all of its values agree on."""
    values = [text.strip() for text in texts]
    distinct = dict.fromkeys(filter(None, values))
    odd = ""
    if name not in _TEXT_ALWAYS and distinct:
        for kind, reader in _READERS.items():
            read = {text: reader(text) for text in distinct}
            strange = [text for text, number in read.items() if number is None]
            if not strange:
                return _Column(kind, pa.array([read.get(text) for text in values], pa.float64()), "")
            if kind == "number" and len(strange) < len(read):
                odd = strange[0]
    # Values are compared as they stand; only a blank one is missing.
    present = [text if text.strip() else None for text in texts]
    return _Column("text", pa.array(present, pa.string()), odd)


def _number_of(text: str) -> float | None:
    found = _NUMBER.fullmatch(text.strip())
    if found is None or sum(digit.isdigit() for digit in found.group(1).lstrip("0.")) > _MOST_DIGITS:
        return None
    number = float(text)
    return number if np.isfinite(number) else None


def _truth_of(text: str) -> float | None:
    return _TRUTH.get(text.strip().casefold())


def _time_of(text: str) -> float | None:
    if not _DATE.fullmatch(text.strip()):
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


_READERS = {"number": _number_of, "boolean": _truth_of, "date": _time_of}


def _same(values: pa.Array, value: Literal) -> pa.Array:
    """Whether texts are equal to a value, whose stars stand for any characters."""
    if not value.wild:
        return pc.equal(values, value.text)
    return pc.match_substring_regex(values, f"^(?s:{'.*'.join(map(re.escape, value.pieces))})$")


def _phrase(value: Literal, expression: str) -> str:
    """A pattern of the value as whole words; runs of white space count as one."""
    words = value.text.split()
    if not words:
        raise refusal(expression, value.at, "':' needs a word to look for; write column:* for any value")
    if value.wild:
        raise refusal(expression, value.at, "* goes with = and !=; ':' looks for whole words, or for any value with *")
    phrase = r"\s+".join(map(re.escape, words))
    edge = r"[^\pL\pM\pN_]"
    before = f"(?:^|{edge})" if _in_a_word(words[0][0]) else ""
    after = f"(?:{edge}|$)" if _in_a_word(words[-1][-1]) else ""
    return f"(?is){before}{phrase}{after}"


def _in_a_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _bits(answer: pa.Array) -> Bitmap:
    """A pyarrow answer, null meaning no. Shape: (N,), bool."""
    return np.asarray(pc.fill_null(answer, False).to_numpy(zero_copy_only=False), np.bool_)


def _frozen(found_N: Bitmap) -> Bitmap:
    found_N.flags.writeable = False
    return found_N
