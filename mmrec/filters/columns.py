"""A column of a catalogue ready to be compared: its kind, and its values as pyarrow arrays.

The kind is the configured one, or else what all values agreed on (see `mmrec.catalogue.column_kinds`) when the
catalogue was loaded. A change of a few rows reads these alone and never changes the kind: otherwise one new value could
change what a filter means, or make it an error.

Unit of work: one column. Knows nothing about the language of filters.
"""

# Axes: N items, M changed rows, X rows that are read

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.catalogue.column_kinds import FAMILIES, Tally, tally_of, text_reason
from mmrec.catalogue.segments import Segmented
from mmrec.catalogue.text_columns import TextColumn
from mmrec.catalogue.written_values import read_value

Bitmap = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

TEXT = pa.large_string()


class FilterColumn(NamedTuple):
    """One column of one catalogue; immutable.

    Attributes:
        kind: One of `COLUMN_KINDS`.
        texts: The texts that it was read from. Length N.
        values_N: float64 (a date: seconds since 1970) or text; null where a value is missing or does not fit the kind
            (pyarrow Arrays).
        tally: Counts of the present values by the kinds that they fit; None when the kind is configured.
    """

    kind: str
    texts: TextColumn
    values_N: Segmented[pa.Array]
    tally: Tally | None

    @property
    def family(self) -> str:
        """How its values are compared: as ``number``, ``boolean``, ``date`` or ``text``."""
        return FAMILIES[self.kind]

    @property
    def meaning(self) -> tuple[str, ...]:
        """Everything that the result of a comparison depends on beside the values, and whether it is an error."""
        return ("configured", self.kind) if self.tally is None else (self.kind, *self.tally.meaning)

    @property
    def units(self) -> tuple[str, ...]:
        """Units of its amounts: currencies or ``%``; empty when it has none."""
        return () if self.tally is None else tuple(filter(None, self.tally.units))

    @property
    def written_otherwise(self) -> frozenset[str]:
        """See `Tally.written_otherwise`; empty for a column whose kind does not depend on its values."""
        return frozenset() if self.tally is None else self.tally.written_otherwise

    def value(self, text: str) -> float | None:
        """A text as a value of this column, which is not a text column; None if it does not fit."""
        return read_value(self.kind, text, configured=self.tally is None)

    def why_text(self) -> str:
        """Why it is a text column, as a clause for an error message, with an example."""
        if self.tally is None:
            return "whatever it holds"
        if FAMILIES[self.tally.kind] != "text":
            return "as it was when the catalogue was loaded"
        clause, row = text_reason(self.tally, self.texts)
        if clause:
            return f"for {clause}"
        return "and has no value" if row is None else f"such as {self.texts[row].strip()!r:.60}"

    def where(self, test: Callable[[pa.Array], pa.Array]) -> Bitmap:
        """Rows whose value passes a test of single values; null does not pass. Shape: (N,), bool."""
        return self.values_N.scores(lambda values: _bits(test(values)))

    def numbers(self) -> npt.NDArray[np.float64]:
        """The values of a column that is not text, NaN where there is none. Shape: (N,), float64."""
        return self.values_N.scores(lambda values: np.asarray(values.to_numpy(zero_copy_only=False), np.float64))

    def taken(self, rows_X: Rows) -> FilterColumn:
        """Some rows, as a column of the same kind; `texts` are those of all rows. Shape of `rows_X`: (X,)."""
        return self._replace(values_N=Segmented(self.values_N[rows_X]))

    def changed(self, rows: Sequence[int], texts: TextColumn) -> FilterColumn:
        """The column of changed texts, of the same kind.

        Args:
            rows: Rows that may have changed, ascending, all new rows included.
            texts: All texts after the change.
        """
        known = len(self.texts)
        rows = [row for row in rows if row >= known or self.texts[row] != texts[row]]
        if not rows:
            return self
        new = [texts[row] for row in rows]
        tally = self.tally
        if tally is not None:
            tally = tally.updated(zip(rows, new, strict=True), (self.texts[row] for row in rows if row < known))
        values_N = self.values_N.replaced(np.array(rows, np.int64), _values(self.kind, new, configured=tally is None))
        return FilterColumn(self.kind, texts, values_N, tally)


def read_column(texts: TextColumn, kind: str, *, configured: bool) -> FilterColumn:
    """A column of a known kind.

    Args:
        texts: Length N.
        kind: One of `COLUMN_KINDS`.
        configured: Whether ``dataset.toml`` sets the kind.
    """
    tally = None if configured else tally_of(texts)
    return FilterColumn(kind, texts, Segmented(_values(kind, texts, configured=configured)), tally)


def _values(kind: str, texts: Sequence[str], *, configured: bool) -> pa.Array:
    if FAMILIES[kind] == "text":
        # Texts are compared unchanged; only a blank one is missing.
        return pa.array([text if text.strip() else None for text in texts], TEXT)
    read = {text: read_value(kind, text, configured=configured) for text in set(texts)}
    return pa.array([read[text] for text in texts], pa.float64())


def _bits(answer: pa.Array) -> Bitmap:
    # Arrow stores one bit per value; unpacking them with numpy is ten times as fast.
    answer = pc.fill_null(answer, False)
    if not len(answer):
        return np.zeros(0, np.bool_)
    bits = np.unpackbits(np.frombuffer(answer.buffers()[1], np.uint8), bitorder="little")
    return bits[answer.offset : answer.offset + len(answer)].view(np.bool_)
