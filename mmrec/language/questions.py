"""Which column to ask a customer about: the one whose answer is expected to tell most about the items that are left.

Unit of work: the items that are left. Knows nothing about sentences.
"""

# Axes: N items, C candidates

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from mmrec.language.attributes import Attribute, Attributes, Measure, entries_of
from mmrec.language.words import vocabulary

_BINS = 4
_ASKED_QUANTITIES = frozenset(vocabulary().table["questions"])


class QuestionChooser:
    """Chooses columns of one catalogue to ask about.

    Args:
        attributes: The columns.
        left_out: Columns that are never asked about.
    """

    def __init__(self, attributes: Attributes, left_out: Collection[str] = ()) -> None:
        self._attributes = attributes
        self._left_out = frozenset(left_out)

    def best(self, candidates_C: npt.NDArray[np.int64], settled: Collection[str], least: float) -> str:
        """The column to ask about; empty where no answer would tell enough.

        Args:
            candidates_C: Catalogue rows that are left. Shape: (C,), int64.
            settled: Columns that need not be asked about any more.
            least: Least expected information, in bits.
        """
        best, most = "", least
        for name in (*self._attributes.attributes, *self._attributes.measures):
            if name in settled or name in self._left_out:
                continue
            bits = self.information(name, candidates_C)
            if bits > most + 1e-9:
                best, most = name, bits
        return best

    def information(self, name: str, candidates_C: npt.NDArray[np.int64]) -> float:
        """Expected information of the answer about a column, in bits; 0 for one that nobody is asked about."""
        attribute = self._attributes.attributes.get(name)
        if attribute is not None:
            return self._of_attribute(attribute, candidates_C)
        return _of_measure(self._attributes.measures[name], candidates_C)

    def question(self, name: str, candidates_C: npt.NDArray[np.int64]) -> str:
        """The question about a column, in words."""
        attribute, words = self._attributes.attributes.get(name), said(name)
        if attribute is None:
            quantities = [quantity.name for quantity in self._attributes.measures[name].quantities]
            asked: dict[str, str] = vocabulary().table["questions"]
            known = [asked[quantity] for quantity in quantities if quantity in asked]
            return known[0] if known else f"Which {words} would you like?"
        if attribute.kind == "boolean":
            return f"Does it matter whether it has this: {words}?"
        examples = [value for value, _ in self._entries(attribute, candidates_C).most_common(3)]
        return f"Which {words} would you like, for example {_listed(examples)}?"

    def _of_attribute(self, attribute: Attribute, candidates_C: npt.NDArray[np.int64]) -> float:
        if not attribute.alike:
            return 0.0
        counts, total = self._entries(attribute, candidates_C), len(candidates_C)
        if not total:
            return 0.0
        shares = np.array([count / total for count in counts.values()])
        if attribute.kind == "text":
            shares = np.append(shares, max(0.0, 1 - shares.sum()))
            shares = shares[shares > 0]
            return float(-(shares * np.log2(shares)).sum())
        # A customer names one or two entries of a list: the expected information of one of them.
        inside = shares[(shares > 0) & (shares < 1)]
        bits = -(inside * np.log2(inside) + (1 - inside) * np.log2(1 - inside))
        return float(min(bits.sum(), np.log2(max(2, len(counts)))))

    def _entries(self, attribute: Attribute, candidates_C: npt.NDArray[np.int64]) -> Counter[str]:
        column = self._attributes.columns[attribute.name]
        counts: Counter[str] = Counter()
        for row in candidates_C.tolist():
            counts.update(entries_of(column.texts[row], column.kind))
        return counts


def said(column: str) -> str:
    """A column's name as it is said: ``content_rating`` is content rating."""
    return " ".join(column.replace("_", " ").replace("-", " ").split())


def _of_measure(measure: Measure, candidates_C: npt.NDArray[np.int64]) -> float:
    if not any(quantity.name in _ASKED_QUANTITIES for quantity in measure.quantities):
        return 0.0
    numbers = measure.numbers_N[candidates_C]
    present = numbers[~np.isnan(numbers)]
    if len(present) < 2 or not len(numbers):
        return 0.0
    edges = np.unique(np.quantile(present, np.linspace(0, 1, _BINS + 1)[1:-1]))
    counts = np.bincount(np.searchsorted(edges, present, side="right"))
    shares = counts[counts > 0] / len(present)
    return float(-(shares * np.log2(shares)).sum()) * len(present) / len(numbers)


def _listed(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}" if values else "any"
