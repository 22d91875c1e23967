"""A column of a catalogue ready to be compared: its kind, and its values as pyarrow arrays.

The kind is the one that the column is said to have, or else what all values agree on (see
`mmrec.catalogue.column_kinds`), which is a matter of how many of them fit what. These counts are kept, and a change of
a few rows changes them by a few: the column is carried on for as long as they say the same kind, and is to be read
anew, all of it, as soon as they say another, be it because a column of numbers got a word or because its last word
went.

The unit of work is one column; knows nothing about the language of filters.
"""

# Axes: N items, M rows that change, X rows asked for

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.catalogue.column_kinds import FAMILIES, TEXT_ALWAYS, Tally, tally_of, text_reason
from mmrec.catalogue.segments import Segmented
from mmrec.catalogue.text_columns import TextColumn
from mmrec.catalogue.written_values import read_value

Bitmap = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

TEXT = pa.large_string()


class FilterColumn(NamedTuple):
    """One column of one catalogue, never written to.

    Attributes:
        kind: One of `COLUMN_KINDS`.
        texts: What it was read from. Length N.
        values_N: float64 (a date: seconds since 1970) or text; null where missing, or where a value does not fit the
            kind that the column is said to have (pyarrow Arrays).
        tally: How many values fit what; None for a column whose kind does not depend on its values.
    """

    kind: str
    texts: TextColumn
    values_N: Segmented[pa.Array]
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
        clause, row = text_reason(self.tally, self.texts)
        if clause:
            return f"for {clause}"
        return "and has no value" if row is None else f"such as {self.texts[row].strip()!r:.60}"

    def where(self, test: Callable[[pa.Array], pa.Array]) -> Bitmap:
        """Rows whose value passes a test of each by itself, null meaning no. Shape: (N,), bool."""
        return self.values_N.scores(lambda values: _bits(test(values)))

    def numbers(self) -> npt.NDArray[np.float64]:
        """The values of a column that is not text, NaN where there is none. Shape: (N,), float64."""
        return self.values_N.scores(lambda values: np.asarray(values.to_numpy(zero_copy_only=False), np.float64))

    def taken(self, rows_X: Rows) -> FilterColumn:
        """Some rows of it alone, as a column of the same kind; its texts are those of all. Shape of `rows_X`: (X,)."""
        return self._replace(values_N=Segmented(self.values_N[rows_X]))

    def changed(self, rows: Sequence[int], texts: TextColumn) -> FilterColumn | None:
        """The column of changed texts; None where it has become another kind, and is to be read anew.

        Args:
            rows: Rows that may have changed, ascending; all that have come among them.
            texts: All of them, as they are now.
        """
        known = len(self.texts)
        rows = [row for row in rows if row >= known or self.texts[row] != texts[row]]
        if not rows:
            return self
        new = [texts[row] for row in rows]
        tally = self.tally
        if tally is not None:
            tally = tally.updated(zip(rows, new, strict=True), (self.texts[row] for row in rows if row < known))
            if tally.kind != self.kind:
                return None
        values_N = self.values_N.replaced(np.array(rows, np.int64), self._values(new))
        return FilterColumn(self.kind, texts, values_N, tally)

    def _values(self, texts: Sequence[str]) -> pa.Array:
        return _values(self.kind, texts, configured=self.tally is None)


def read_column(name: str, texts: TextColumn, configured: str = "") -> FilterColumn:
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
    return FilterColumn(kind, texts, Segmented(_values(kind, texts, configured=bool(configured))), tally)


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
