"""A column of a catalogue ready to be compared: its kind, and its values as pyarrow arrays.

The kind is what all values agree on (see `mmrec.data.filters`), so it is a matter of how many of them are numbers,
truths, dates and others. These counts are kept, and a change of a few rows changes them by a few: the column is carried
on for as long as they say the same kind, and is to be read anew, all of it, as soon as they say another, be it because
a column of numbers got a word or because its last word went. Rows that have changed lie in a small array beside the
first one, until there are so many of them that the two are made one.

The unit of work is one column; knows nothing about the language of filters.
"""

# Axes: N items, K rows that changed, M rows that change

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["READERS", "FilterColumn", "Tally", "number_of", "read_column"]

Bitmap = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

TEXT = pa.large_string()
_TEXT_ALWAYS = ("item_id", "title", "description")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MOST_DIGITS = 15
"""More digits than a float64 keeps apart are a code (a bar code, an id), not a number."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_TRUTH = {"true": 1.0, "false": 0.0}
_BEGINNINGS = frozenset("+-.0123456789tTfF")
"""What a text begins with that is not just text; saves most columns of words from being read in every way."""
_MOST_BESIDE = 16
"""The changed rows are joined with the first array when they are more than one in so many of it..."""
_FEWEST_BESIDE = 1024
"""... and more than these."""


def number_of(text: str) -> float | None:
    """A text as a number, or None if it is none."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or sum(digit.isdigit() for digit in found.group(1).lstrip("0.")) > _MOST_DIGITS:
        return None
    number = float(found.group())
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


READERS: dict[str, Callable[[str], float | None]] = {"number": number_of, "boolean": _truth_of, "date": _time_of}
"""What a text is as a value of each kind but ``text``; no text is one of two kinds."""


class Tally(NamedTuple):
    """How many values of a column are of which kind; blank ones are counted nowhere.

    Attributes:
        number: Numbers.
        boolean: Truths.
        date: Dates.
        text: All others.
    """

    number: int = 0
    boolean: int = 0
    date: int = 0
    text: int = 0

    @property
    def kind(self) -> str:
        """What all values agree on; text where there is none."""
        present = sum(self)
        kinds = (kind for kind, values in zip(self._fields, self, strict=True) if values == present)
        return next(kinds, "text") if present else "text"

    @property
    def mixed(self) -> bool:
        """Whether there are numbers, and other values beside them."""
        return 0 < self.number < sum(self)

    def moved(self, counts: Counter[str]) -> Tally:
        """The tally with more or fewer values."""
        return Tally(*(values + counts[kind] for kind, values in zip(self._fields, self, strict=True)))


class FilterColumn(NamedTuple):
    """One column of one catalogue, never written to.

    Attributes:
        kind: ``number``, ``boolean``, ``date`` or ``text``.
        texts: What it was read from. Length N.
        first: float64 (a date: seconds since 1970) or text; null where missing (pyarrow Array of N rows or fewer).
        rows_K: Rows that differ from it or come after it; of one that is there twice, the later counts. Shape: (K,).
        later: What these hold, likewise. Length K.
        tally: How many values are of which kind; None for a column that is text whatever it holds.
        strange_from: No value before this row is other than a number; where there are both.
    """

    kind: str
    texts: Sequence[str]
    first: pa.Array
    rows_K: Rows
    later: pa.Array
    tally: Tally | None
    strange_from: int

    @property
    def mixed(self) -> bool:
        """Whether it is text although there are numbers in it."""
        return self.tally is not None and self.tally.mixed

    def odd(self) -> str:
        """The first value that keeps a mixed column from being one of numbers."""
        for row in range(self.strange_from, len(self.texts)):
            if _kind_of(self.texts[row]) not in ("", "number"):
                return self.texts[row].strip()
        return ""

    def where(self, test: Callable[[pa.Array], pa.Array]) -> Bitmap:
        """Rows whose value passes a test of each by itself, null meaning no. Shape: (N,), bool."""
        found = _bits(test(self.first))
        if not len(self.rows_K):
            return found
        found_N = np.zeros(len(self.texts), np.bool_)
        found_N[: len(found)] = found
        found_N[self.rows_K] = _bits(test(self.later))
        return found_N

    def numbers(self) -> npt.NDArray[np.float64]:
        """The values of a column that is not text, NaN where there is none. Shape: (N,), float64."""
        numbers_N = np.full(len(self.texts), np.nan)
        numbers_N[: len(self.first)] = self.first.to_numpy(zero_copy_only=False)
        numbers_N[self.rows_K] = self.later.to_numpy(zero_copy_only=False)
        return numbers_N

    def taken(self, rows_M: Rows) -> FilterColumn:
        """Some rows of it alone, as a column of the same kind."""
        texts = [self.texts[row] for row in rows_M.tolist()]
        return self._replace(
            texts=texts, first=_values(self.kind, texts), rows_K=_NO_ROWS, later=_values(self.kind, [])
        )

    def changed(self, rows_M: Rows, texts: Sequence[str]) -> FilterColumn | None:
        """The column of changed texts; None where it has become another kind, and is to be read anew.

        Args:
            rows_M: Rows that may have changed, each once; all that have come among them. Shape: (M,), int64.
            texts: All of them, as they are now.
        """
        known = len(self.texts)
        rows = [row for row in rows_M.tolist() if row >= known or self.texts[row] != texts[row]]
        if not rows:
            return self
        new = [texts[row] for row in rows]
        tally, strange_from = self.tally, self.strange_from
        if tally is not None:
            kinds = [_kind_of(text) for text in new]
            counts = Counter(kinds)
            counts.subtract(_kind_of(self.texts[row]) for row in rows if row < known)
            tally = tally.moved(counts)
            if tally.kind != self.kind:
                return None
            strange = (row for row, kind in zip(rows, kinds, strict=True) if kind not in ("", "number"))
            strange_from = min(strange_from, min(strange, default=strange_from))
        later = pa.concat_arrays([self.later, _values(self.kind, new)])
        rows_K = np.concatenate([self.rows_K, np.array(rows, np.int64)])
        made = FilterColumn(self.kind, texts, self.first, rows_K, later, tally, strange_from)
        return made._joined() if len(rows_K) > max(_FEWEST_BESIDE, len(self.first) // _MOST_BESIDE) else made

    def _joined(self) -> FilterColumn:
        """The same with nothing beside the first array."""
        place_N = np.arange(len(self.texts))
        place_N[self.rows_K] = len(self.first) + np.arange(len(self.rows_K))
        joined = pa.concat_arrays([self.first, self.later]).take(pa.array(place_N))
        return self._replace(first=joined, rows_K=_NO_ROWS, later=_values(self.kind, []))


_NO_ROWS = np.empty(0, np.int64)


def read_column(name: str, texts: Sequence[str]) -> FilterColumn:
    """A column with its kind, which all of its values agree on.

    Args:
        name: ``item_id``, ``title`` and ``description`` are text whatever they hold.
        texts: Length N.
    """
    tally, strange_from = None, 0
    if name not in _TEXT_ALWAYS:
        distinct = Counter(texts)
        kinds = {text: _kind_of(text) for text in distinct}
        counts: Counter[str] = Counter()
        for text, rows in distinct.items():
            counts[kinds[text]] += rows
        tally = Tally().moved(counts)
        if tally.mixed:
            strange_from = next(row for row, text in enumerate(texts) if kinds[text] not in ("", "number"))
    kind = "text" if tally is None else tally.kind
    return FilterColumn(kind, texts, _values(kind, texts), _NO_ROWS, _values(kind, []), tally, strange_from)


def _kind_of(text: str) -> str:
    """The kind of one value; empty for a blank one."""
    text = text.strip()
    if not text or text[0] not in _BEGINNINGS:
        return "text" if text else ""
    return next((kind for kind, reader in READERS.items() if reader(text) is not None), "text")


def _values(kind: str, texts: Sequence[str]) -> pa.Array:
    if kind == "text":
        # Values are compared as they stand; only a blank one is missing.
        return pa.array([text if text.strip() else None for text in texts], TEXT)
    reader = READERS[kind]
    read = {text: reader(text) for text in set(texts)}
    return pa.array([read[text] for text in texts], pa.float64())


def _bits(answer: pa.Array) -> Bitmap:
    # Arrow keeps a bit for each, in the order that numpy unpacks ten times as fast.
    answer = pc.fill_null(answer, False)
    if not len(answer):
        return np.zeros(0, np.bool_)
    bits = np.unpackbits(np.frombuffer(answer.buffers()[1], np.uint8), bitorder="little")
    return bits[answer.offset : answer.offset + len(answer)].view(np.bool_)
