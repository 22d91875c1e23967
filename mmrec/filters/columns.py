"""A column of a catalogue ready to be compared: its kind, and its values as pyarrow arrays.

The kind is the one that the column is said to have, or else what all values agree on (see
`mmrec.catalogue.column_kinds`), which is a matter of how many of them fit what. These counts are kept, and a change of
a few rows changes them by a few: the column is carried on for as long as they say the same kind, and is to be read
anew, all of it, as soon as they say another, be it because a column of numbers got a word or because its last word
went. Rows that have changed lie in a small array beside the first one, until there are so many of them that the two are
made one.

The unit of work is one column; knows nothing about the language of filters.
"""

# Axes: N items, K rows that changed, M rows that change

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.catalogue.column_kinds import FAMILIES, TEXT_ALWAYS, Tally, tally_of, whatever_is_odd
from mmrec.catalogue.written_values import read_value

Bitmap = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

TEXT = pa.large_string()
_MOST_BESIDE = 16
"""The changed rows are joined with the first array when they are more than one in so many of it..."""
_FEWEST_BESIDE = 1024
"""... and more than these."""


class FilterColumn(NamedTuple):
    """One column of one catalogue, never written to.

    Attributes:
        kind: One of `COLUMN_KINDS`.
        texts: What it was read from. Length N.
        first: float64 (a date: seconds since 1970) or text; null where missing, or where a value does not fit the kind
            that the column is said to have (pyarrow Array of N rows or fewer).
        rows_K: Rows that differ from it or come after it; of one that is there twice, the later counts. Shape: (K,).
        later: What these hold, likewise. Length K.
        tally: How many values fit what; None for a column whose kind does not depend on its values.
    """

    kind: str
    texts: Sequence[str]
    first: pa.Array
    rows_K: Rows
    later: pa.Array
    tally: Tally | None

    @property
    def family(self) -> str:
        """What its values are compared as: ``number``, ``boolean``, ``date`` or ``text``."""
        return FAMILIES[self.kind]

    @property
    def meaning(self) -> tuple[str, ...]:
        """What decides what a comparison with it means, and whether it is a mistake."""
        return ("configured", self.kind) if self.tally is None else self.tally.meaning

    @property
    def units(self) -> tuple[str, ...]:
        """What its amounts are counted in: currencies, or ``%``; empty where they need not be in one."""
        return () if self.tally is None else tuple(filter(None, self.tally.units))

    @property
    def written_otherwise(self) -> frozenset[str]:
        """See `Tally.written_otherwise`; empty for a column whose kind does not depend on its values."""
        return frozenset() if self.tally is None else self.tally.written_otherwise

    def value(self, text: str) -> float | None:
        """A text as one of its values, which are not text; None if it does not fit."""
        return read_value(self.kind, text, configured=self.tally is None)

    def why_text(self) -> str:
        """Why it is text, as a clause that goes on after a word; with an example."""
        if self.tally is None:
            return "whatever it holds"
        clause, row = whatever_is_odd(self.tally, self.texts)
        if clause:
            return f"for {clause}"
        return "and has no value" if row is None else f"such as {self.texts[row].strip()!r:.60}"

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
        return self._replace(texts=texts, first=self._values(texts), rows_K=_NO_ROWS, later=self._values([]))

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
        tally = self.tally
        if tally is not None:
            tally = tally.moved(zip(rows, new, strict=True), (self.texts[row] for row in rows if row < known))
            if tally.kind != self.kind:
                return None
        later = pa.concat_arrays([self.later, self._values(new)])
        rows_K = np.concatenate([self.rows_K, np.array(rows, np.int64)])
        made = FilterColumn(self.kind, texts, self.first, rows_K, later, tally)
        return made._joined() if len(rows_K) > max(_FEWEST_BESIDE, len(self.first) // _MOST_BESIDE) else made

    def _joined(self) -> FilterColumn:
        """The same with nothing beside the first array."""
        place_N = np.arange(len(self.texts))
        place_N[self.rows_K] = len(self.first) + np.arange(len(self.rows_K))
        joined = pa.concat_arrays([self.first, self.later]).take(pa.array(place_N))
        return self._replace(first=joined, rows_K=_NO_ROWS, later=self._values([]))

    def _values(self, texts: Sequence[str]) -> pa.Array:
        return _values(self.kind, texts, configured=self.tally is None)


_NO_ROWS = np.empty(0, np.int64)


def read_column(name: str, texts: Sequence[str], configured: str = "") -> FilterColumn:
    """A column with its kind.

    Args:
        name: ``item_id``, ``title`` and ``description`` are text whatever they hold.
        texts: Length N.
        configured: The kind that ``dataset.toml`` sets, one of `COLUMN_KINDS`; empty for what all values agree on.
    """
    if name in TEXT_ALWAYS:
        configured = "text"
    tally = None if configured else tally_of(texts)
    kind = configured if tally is None else tally.kind
    none = _values(kind, [])
    return FilterColumn(kind, texts, _values(kind, texts, configured=bool(configured)), _NO_ROWS, none, tally)


def _values(kind: str, texts: Sequence[str], *, configured: bool = False) -> pa.Array:
    if FAMILIES[kind] == "text":
        # Values are compared as they stand; only a blank one is missing.
        return pa.array([text if text.strip() else None for text in texts], TEXT)
    read = {text: read_value(kind, text, configured=configured) for text in set(texts)}
    return pa.array([read[text] for text in texts], pa.float64())


def _bits(answer: pa.Array) -> Bitmap:
    # Arrow keeps a bit for each, in the order that numpy unpacks ten times as fast.
    answer = pc.fill_null(answer, False)
    if not len(answer):
        return np.zeros(0, np.bool_)
    bits = np.unpackbits(np.frombuffer(answer.buffers()[1], np.uint8), bitorder="little")
    return bits[answer.offset : answer.offset + len(answer)].view(np.bool_)
