"""What words can be about: the columns of a catalogue, their values and ranges, ready to be looked up.

A column of text or lists with few distinct values is one of *attributes*, whose values are found by their words, or by
their likeness in the space of a text encoder. Columns of numbers and dates are *measures*. Booleans are attributes with
the column's name as their words. Unit of work: one catalogue. Knows nothing about sentences.
"""

# Axes: V values of all attributes, Q phrases, T dimensions of the text encoder

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.filters.columns import FilterColumn
from mmrec.filters.filter import CatalogueFilter
from mmrec.language.sentences import shown_column
from mmrec.language.words import Quantity, plain, stem, stems, vocabulary

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
"""Turns texts into unit vectors, one row each."""

MOST_VALUES = 5_000
"""Most distinct values of a column whose values are looked up."""
_MOST_ALIKE = 300
"""Most distinct values of a column that are compared by likeness: names of people are not alike in a useful way."""
_SAMPLE = 1_000
"""Items that are read for words that most of them have."""
_LEAD = 500
"""Characters of a description that are read."""
_FEW_ROWS = 20
"""Values of one item count as much as others where fewer items have one."""
_LONGEST_VALUE = 6
"""Most words of a value that is looked up: longer texts are prose."""
_NOISE = frozenset(
    ["is", "has", "have", "allowed", "available", "only", "friendly", "ok", "permitted", "included", "with"]
)


class Value(NamedTuple):
    """One value of an attribute.

    Attributes:
        column: The column.
        text: As the catalogue writes it; ``true`` or ``false`` of a boolean.
    """

    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column whose values are words.

    Attributes:
        name: The column.
        kind: ``text``, ``list`` or ``boolean``.
        values: Distinct values, most frequent first; of a boolean ``true``.
        alike: Whether its values can be compared by likeness.
        repeated: Values that several items have: only these are found by less than their whole name, so that what
            is written in one item's row is not what others are asked for.
    """

    name: str
    kind: str
    values: tuple[str, ...]
    alike: bool
    repeated: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """A column of numbers or dates.

    Attributes:
        name: The column.
        kind: ``number`` or ``date``.
        words: Stems of the words of its name.
        quantities: What its numbers can say, by the words of its name.
        unit: The unit that its name ends in; empty where it says none.
        factor: How many common units one of the column's is.
        numbers_N: The values; NaN for a missing one. Shape: (N,), float64.
        low: Least value.
        high: Greatest value.
        years: Whether the numbers are years.
    """

    name: str
    kind: str
    words: frozenset[str]
    quantities: tuple[Quantity, ...]
    unit: str
    factor: float
    numbers_N: npt.NDArray[np.float64]
    low: float
    high: float
    years: bool


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike a phrase and its nearest value are.

    Attributes:
        value: The value.
        score: Mean cosine of the two.
        margin: By how much the nearest value of the same column is nearer than the second nearest of any column.
    """

    value: Value
    score: float
    margin: float


class Attributes:
    """The columns of one catalogue as words see them.

    Args:
        catalogue: The items.
        encode: The text encoder; None: values are found by their words alone.
        filters: Filters over the catalogue, whose columns are used; None: they are read.
    """

    def __init__(
        self, catalogue: Catalogue, encode: Encode | None = None, filters: CatalogueFilter | None = None
    ) -> None:
        self._encode = encode
        filters = filters or CatalogueFilter(catalogue)
        self.common = _common_words(catalogue)
        self.measures: dict[str, Measure] = {}
        self.attributes: dict[str, Attribute] = {}
        self.columns: dict[str, FilterColumn] = {}
        for name, texts in catalogue.attributes.items():
            column = self.columns[name] = filters.column(name)
            if column.family in ("number", "date"):
                measure = _measure(name, column)
                if measure is not None:
                    self.measures[name] = measure
            elif column.kind == "boolean":
                self.attributes[name] = Attribute(name, "boolean", ("true",), True, frozenset(["true"]))
            elif (found := _attribute(name, column.kind, texts)) is not None:
                self.attributes[name] = found

    @cached_property
    def by_stems(self) -> Mapping[tuple[str, ...], list[Value]]:
        """Values by the stems of their words."""
        found: dict[tuple[str, ...], list[Value]] = defaultdict(list)
        for attribute in self.attributes.values():
            for text in attribute.values:
                value = Value(attribute.name, text)
                forms = {self._words_of(value)}
                if "+" in text:
                    forms.add(stems(text.replace("+", " ")))
                for form in forms:
                    if form and value not in found[form]:
                        found[form].append(value)
        return found

    @cached_property
    def joined(self) -> Mapping[str, list[Value]]:
        """Values by their letters and digits alone: ``wifi`` for ``Wi-Fi``."""
        found: dict[str, list[Value]] = defaultdict(list)
        for form, values in self.by_stems.items():
            found["".join(form)] += values
        return found

    @cached_property
    def by_part(self) -> Mapping[str, Value]:
        """Values of several words by one word that no other value of any column has."""
        holders: dict[str, set[Value]] = defaultdict(set)
        for form, values in self.by_stems.items():
            for word in form:
                holders[word].update(values)
        columns = {word for name in self.columns for word in name_words(name)}
        left_out = vocabulary().ordinary | self.common | columns
        only = {word: next(iter(values)) for word, values in holders.items() if len(values) == 1}
        return {
            word: value
            for word, value in only.items()
            if self._is_repeated(value) and len(word) > 2 and word not in left_out and not word.isdigit()
        }

    def _is_repeated(self, value: Value) -> bool:
        attribute = self.attributes[value.column]
        return value.text in attribute.repeated or not attribute.alike

    def short_values(self) -> Mapping[str, list[Value]]:
        """Values of up to three characters, which are recognised as they are written alone: ``XL``, ``R``."""
        found: dict[str, list[Value]] = defaultdict(list)
        for attribute in self.attributes.values():
            if attribute.kind != "boolean":
                for text in attribute.values:
                    if len(text) <= 3:
                        found[text].append(Value(attribute.name, text))
        return found

    def is_list(self, column: str) -> bool:
        """Whether a column holds lists."""
        attribute = self.attributes.get(column)
        return attribute is not None and attribute.kind == "list"

    def is_boolean(self, column: str) -> bool:
        """Whether a column is true or false."""
        attribute = self.attributes.get(column)
        return attribute is not None and attribute.kind == "boolean"

    @cached_property
    def comparable(self) -> tuple[Value, ...]:
        """Values that can be compared by likeness, column by column."""
        return tuple(
            Value(attribute.name, text)
            for attribute in self.attributes.values()
            if attribute.alike
            for text in attribute.values
            if attribute.kind == "boolean" or (text in attribute.repeated and _is_word(text))
        )

    @cached_property
    def _alike(self) -> tuple[tuple[Value, ...], Vectors, Vectors]:
        values = self.comparable
        if not values or self._encode is None:
            none = np.zeros((0, 1), np.float32)
            return (), none, none
        words = [
            " ".join(name_words(value.column)) if self.is_boolean(value.column) else value.text for value in values
        ]
        return values, self._encode(words), self._encode([f"something {word}" for word in words])

    def nearest(self, phrases: Sequence[str]) -> list[Likeness | None]:
        """The value nearest to each of some phrases; None where no column can be compared."""
        values, alone_VT, some_VT = self._alike
        if not values or not phrases or self._encode is None:
            return [None] * len(phrases)
        scores_QV = self._encode(list(phrases)) @ alone_VT.T
        scores_QV = (scores_QV + self._encode([f"something {phrase}" for phrase in phrases]) @ some_VT.T) / 2
        found: list[Likeness | None] = []
        for scores_V in scores_QV:
            order = np.argsort(-scores_V, kind="stable")
            best = int(order[0])
            second = float(scores_V[order[1]]) if len(order) > 1 else 0.0
            found.append(Likeness(values[best], float(scores_V[best]), float(scores_V[best]) - second))
        return found

    def _words_of(self, value: Value) -> tuple[str, ...]:
        if not self.is_boolean(value.column):
            return stems(value.text)
        return tuple(word for word in name_words(value.column) if word not in _NOISE and word != "in")


def _common_words(catalogue: Catalogue) -> frozenset[str]:
    """Stems that so many items have in title or description that they name what the catalogue holds: ``game``."""
    rows = range(0, len(catalogue), max(1, len(catalogue) // _SAMPLE))
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update(set(stems(f"{catalogue.titles[row]} {catalogue.descriptions[row][:_LEAD]}")))
    return frozenset(word for word, count in counts.items() if count > 0.3 * len(rows))


def name_words(column: str) -> tuple[str, ...]:
    """Stems of the words of a column's name: ``price_per_night``, ``pricePerNight`` and ``Price per night`` alike."""
    return tuple(stem(word) for word in re.findall(r"[^\W_]+|%", plain(shown_column(column))))


def entries_of(text: str, kind: str) -> list[str]:
    """The entries of a value of a column: several of a list, else one."""
    if kind != "list":
        return [text.strip()] if text.strip() else []
    return [entry.strip() for entry in text.split("|") if entry.strip()]


def _attribute(name: str, kind: str, texts: Sequence[str]) -> Attribute | None:
    counts: Counter[str] = Counter()
    rows = 0
    for text in texts:
        entries = entries_of(text, kind)
        rows += bool(entries)
        counts.update(entries)
        if len(counts) > MOST_VALUES:
            return None
    if not counts:
        return None
    # A sentence or an address among values is what somebody wrote there, not what customers ask for.
    values = tuple(value for value, _ in counts.most_common() if _is_short(value))
    if 10 * len(values) < 9 * len(counts):
        return None
    # A column in which hardly a value occurs twice holds names, which are found by their words alone.
    repeated = sum(counts.values()) >= 2 * len(counts) or len(counts) <= 30
    least = 2 if rows >= _FEW_ROWS else 1
    several = frozenset(value for value in values if counts[value] >= least)
    alike = repeated and len(counts) <= _MOST_ALIKE
    return Attribute(name, "list" if kind == "list" else "text", values, alike, several)


def _is_short(text: str) -> bool:
    """Whether a value is a name or a word or a few, in characters that are seen."""
    hidden = any(unicodedata.category(character) in ("Cf", "Cc", "Co") for character in text)
    return "://" not in text and not hidden and len(stems(text)) <= _LONGEST_VALUE


def _is_word(text: str) -> bool:
    return bool(re.search(r"[^\W\d_]{3}", text)) and not re.fullmatch(r"[A-Z0-9+\-. ]{1,5}", text)


def _measure(name: str, column: FilterColumn) -> Measure | None:
    numbers_N = column.numbers()
    present = numbers_N[~np.isnan(numbers_N)]
    if not len(present):
        return None
    words = name_words(name)
    low, high = float(present.min()), float(present.max())
    kind = "date" if column.family == "date" else "number"
    years = kind == "number" and low >= 1500 and high <= 2100 and bool(np.all(present == np.round(present)))
    unit, factor = _unit_of(words, high)
    quantities = tuple(
        quantity for quantity in vocabulary().quantities.values() if _holds(quantity, words, kind, years)
    )
    if "%" in column.units:
        unit, factor = "percent", 1.0
    return Measure(name, kind, frozenset(words), quantities, unit, factor, numbers_N, low, high, years)


def _holds(quantity: Quantity, words: tuple[str, ...], kind: str, years: bool) -> bool:
    if kind == "date" or years:
        return quantity.name == "date"
    if quantity.name == "date":
        return False
    for named in quantity.columns:
        parts = tuple(stem(part) for part in named.split())
        if all(part in words for part in parts):
            # A count of ratings is not a rating.
            counted = {"count", "number", "num", "vote", "total"} & set(words)
            return not (quantity.name == "rating" and counted) and not (quantity.name == "size" and "count" in words)
    return False


def _unit_of(words: tuple[str, ...], high: float) -> tuple[str, float]:
    table = vocabulary().table
    units = table["units"]
    for word in reversed(words):
        if (word in units and len(word) > 1) or (word in ("g", "h", "l", "w", "v") and word == words[-1]):
            return word, float(units[word][1])
    duration = vocabulary().quantities["duration"]
    if any(word in duration.columns for word in words):
        return ("hour", 60.0) if high <= 15 else ("minute", 1.0)
    return "", 1.0
