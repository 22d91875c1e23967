"""Constraints: conditions on columns that a sentence states, and how they are written as filters.

Unit of work: one constraint. Knows nothing about sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from mmrec.filters.grammar import Comparison, Condition, Not

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYWORDS = ("AND", "OR", "NOT", "IN")
NEGATED = "lacks"
"""Operator of a constraint that names what is not wanted."""


@dataclass(frozen=True, slots=True)
class StatedConstraint:
    """One condition that words state.

    Attributes:
        column: A column of the catalogue.
        operator: ``has`` one of the values, or ``lacks`` all of them; ``<``, ``<=``, ``>``, ``>=`` or ``=`` a number or
            a day.
        values: Values as the catalogue writes them; one number, or one day as ISO 8601.
        words: The words that state it.
        confidence: How sure the reading is, 0 to 1.
        is_list: Whether the column holds lists.
        relative: Whether it compares with an item that was shown.
        alike: Whether a value was found by its likeness rather than by its words.
    """

    column: str
    operator: str
    values: tuple[str, ...]
    words: str
    confidence: float
    is_list: bool = False
    relative: bool = False
    alike: bool = False

    @property
    def negated(self) -> bool:
        """Whether it names what is not wanted."""
        return self.operator == NEGATED

    @property
    def condition(self) -> str:
        """The condition in the language of `mmrec.filters`."""
        column = column_name(self.column)
        if self.operator not in ("has", NEGATED):
            return f"{column} {self.operator} {self.values[0]}"
        if self.values in (("true",), ("false",)):
            return f"{column} = {self.values[0]}"
        if self.is_list:
            parts = [f"{column}:{quoted(value)}" for value in self.values]
            joined = parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"
        elif len(self.values) == 1:
            joined = f"{column} = {quoted(self.values[0])}"
        else:
            joined = f"{column} IN ({', '.join(map(quoted, self.values))})"
        return f"NOT {joined}" if self.negated else joined


def column_name(name: str) -> str:
    """A column as a filter names it, in quotes where it must be."""
    return name if _BARE.fullmatch(name) and name not in _KEYWORDS else quoted(name)


def quoted(value: str) -> str:
    r"""A value in quotes, with ``\`` before quotes, backslashes and stars."""
    return '"' + re.sub(r'(["\\*])', r"\\\1", value) + '"'


def number_text(value: float) -> str:
    """A number as filters read it."""
    return f"{round(value, 6):.15g}"


def day_text(seconds: float) -> str:
    """A moment as a day, in ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")


def day_seconds(year: int, month: int = 1) -> float:
    """Begin of a month in seconds since 1970; months past December are of later years."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return datetime(max(1, min(9999, year)), month, 1, tzinfo=UTC).timestamp()


class Statement(NamedTuple):
    """A condition on one column, taken apart.

    Attributes:
        column: The column; empty where the condition is about several.
        way: ``upper`` or ``lower`` bound, ``has`` or ``lacks`` one of the values.
        values: The values that it compares with.
    """

    column: str
    way: str
    values: frozenset[str]


_WAYS = {"<": "upper", "<=": "upper", ">": "lower", ">=": "lower", "!=": "lacks"}
_OPPOSITE = {"has": "lacks", "lacks": "has", "upper": "lower", "lower": "upper"}


def statement_of(condition: Condition) -> Statement:
    """What a parsed condition says of which column."""
    if isinstance(condition, Not):
        inner = statement_of(condition.condition)
        return inner._replace(way=_OPPOSITE[inner.way])
    if isinstance(condition, Comparison):
        values = frozenset(value.text for value in condition.values)
        return Statement(condition.column.text, _WAYS.get(condition.operator, "has"), values)
    parts = [statement_of(part) for part in condition.conditions]
    columns, ways = {part.column for part in parts}, {part.way for part in parts}
    if len(columns) == len(ways) == 1:
        return Statement(columns.pop(), ways.pop(), frozenset().union(*(part.values for part in parts)))
    return Statement("", "has", frozenset())


def columns_in(condition: Condition) -> frozenset[str]:
    """Every column that a parsed condition names."""
    if isinstance(condition, Not):
        return columns_in(condition.condition)
    if isinstance(condition, Comparison):
        return frozenset([condition.column.text])
    return frozenset().union(*map(columns_in, condition.conditions))


def joined_filter(conditions: Sequence[str]) -> str:
    """Conditions as one filter; empty for none. OR binds tighter than AND, so each is put in parentheses."""
    kept = [condition for condition in conditions if condition.strip()]
    return kept[0] if len(kept) == 1 else " AND ".join(f"({condition})" for condition in kept)
