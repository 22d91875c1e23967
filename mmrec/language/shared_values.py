"""Values that an item shares with items of a history: evidence for explanations, from any catalogue's own columns.

A column of text or lists counts, and one of years. How rare a value is, is estimated on a sample of the catalogue. Unit
of work: one item. Knows nothing about scores and sentences.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.column_kinds import tally_of
from mmrec.language.attributes import entries_of

_SAMPLE = 5_000
"""Most items that are read to find out what columns hold."""
_MOST_CHARACTERS, _MOST_WORDS = 80, 8
"""Longest value that names something; longer texts are prose."""


class SharedValue(NamedTuple):
    """A value that an item shares with others.

    Attributes:
        column: The column.
        value: As the catalogue writes it; one entry of a list.
        rows: The others that have it, in the order in which they were given.
        in_list: Whether the column holds lists.
        rarity: 0 (every item has it) to 1 (of the sample no other item has it).
        lift: 0 (the others have it as often as any items, or less) to 1 (they have it, and hardly any other item).
    """

    column: str
    value: str
    rows: tuple[int, ...]
    in_list: bool
    rarity: float
    lift: float


class SharedValues:
    """Finds shared values in one catalogue.

    Args:
        catalogue: The items.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        step = max(1, -(-len(catalogue) // _SAMPLE))
        self._sample = range(0, len(catalogue), step)

    @cached_property
    def _kinds(self) -> dict[str, str]:
        """Kinds of the columns whose values are compared."""
        kinds = {}
        for name, values in self._catalogue.attributes.items():
            tally = tally_of([values[row] for row in self._sample])
            kind = self._catalogue.kinds.get(name, tally.kind)
            if kind in ("text", "list") or (kind == "number" and tally.years):
                kinds[name] = kind
        return kinds

    @cached_property
    def _counts(self) -> dict[str, Counter[str]]:
        """How many items of the sample have each value, by column."""
        return {
            name: Counter(value for row in self._sample for value in set(self._values(name, row)))
            for name in self._kinds
        }

    def of(self, row: int, others: Sequence[int]) -> list[SharedValue]:
        """What an item shares with others.

        Args:
            row: Row of the item.
            others: Rows of the others; the item itself is skipped.
        """
        found: list[SharedValue] = []
        compared = len({*others} - {row})
        for name, kind in self._kinds.items():
            own = dict.fromkeys(self._values(name, row))
            if not own:
                continue
            having: dict[str, list[int]] = defaultdict(list)
            for other in dict.fromkeys(others):
                for value in set(self._values(name, other)) & own.keys() if other != row else ():
                    having[value].append(other)
            found += [
                SharedValue(
                    name,
                    value,
                    tuple(having[value]),
                    kind == "list",
                    self._rarity(name, value),
                    max(0.0, 1 - self._frequency(name, value) * compared / len(having[value])),
                )
                for value in own
                if value in having
            ]
        return found

    def _values(self, column: str, row: int) -> list[str]:
        entries = entries_of(self._catalogue.attributes[column][row], self._kinds[column])
        return [entry for entry in entries if _is_name(entry)]

    def _frequency(self, column: str, value: str) -> float:
        return max(1, self._counts[column][value]) / max(1, len(self._sample))

    def _rarity(self, column: str, value: str) -> float:
        items = max(len(self._sample), 2)
        return math.log(items / max(1, self._counts[column][value])) / math.log(items)


def _is_name(value: str) -> bool:
    short = len(value) <= _MOST_CHARACTERS and len(value.split()) <= _MOST_WORDS
    return short and value.isprintable() and "://" not in value
