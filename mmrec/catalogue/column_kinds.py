"""Infers how a whole column is read: the kind that all of its values fit, or the reason why it stays text.

The module counts which kinds each value fits (see `mmrec.catalogue.written_values`); the kind follows from the counts
alone, so that changed values update it without reading the column again. A column has a kind if every value fits it and
the reading is unambiguous: where two readings disagree, some value must fit only one of them; amounts are in one
currency (a few may have none); percentages do not mix with other numbers. Otherwise the column is text, or a list where
values hold ``|``.

The unit of work is the values of one column. Knows nothing about catalogues and filters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mmrec.catalogue.written_values import FITS, Fit, fit_of

COLUMN_KINDS = ("text", "list", "boolean", "number", "number-comma", "date", "date-dmy", "date-mdy")
"""Ways to read a column: ``number-comma`` has a decimal comma (1.299,00), ``date-dmy`` the day first (31/05/2024),
``date-mdy`` the month first (05/31/2024)."""
TEXT_ALWAYS = ("item_id", "title", "description")
"""Columns that are text whatever they hold."""
FAMILIES = {
    "number": "number",
    "number-comma": "number",
    "date": "date",
    "date-dmy": "date",
    "date-mdy": "date",
    "boolean": "boolean",
    "list": "text",
    "text": "text",
}
"""What values of a kind are compared as."""
NAMES = {
    "number": "numbers",
    "number-comma": "numbers with a decimal comma",
    "date": "dates",
    "date-dmy": "dates with the day first",
    "date-mdy": "dates with the month first",
    "boolean": "true or false",
    "list": "lists",
    "text": "text",
}
"""Values of a kind in words."""
EXAMPLES = {
    "number": "a number such as 1299.5",
    "number-comma": "a number such as 1299,5",
    "date": "a date such as 2024-05-31",
    "date-dmy": "a date such as 31/05/2024",
    "date-mdy": "a date such as 05/31/2024",
    "boolean": "true or false",
}
"""A value of a kind that is not text, in words."""
_READING_WORDS = {
    "number": "with a decimal point",
    "number-comma": "with a decimal comma",
    "date-dmy": "with the day first",
    "date-mdy": "with the month first",
}
_TYPED = FITS[:-1]


@dataclass(frozen=True)
class Tally:
    """Counts of the values of a column by what they fit; blank values are not counted.

    Attributes:
        counts: Number of values by fit, always above 0.
        first_rows: A lower bound of the first row with that fit.
    """

    counts: Mapping[Fit, int] = field(default_factory=dict)
    first_rows: Mapping[Fit, int] = field(default_factory=dict)

    @cached_property
    def present(self) -> int:
        """Values that are not blank."""
        return sum(self.counts.values())

    def _fitting(self, kind: str) -> int:
        return sum(values for fit, values in self.counts.items() if kind in fit.kinds)

    def _disputed(self, kind: str) -> bool:
        """Whether some value has two readings and is not in a form that programs write."""
        return any(kind in fit.kinds and fit.disputed and not fit.plain for fit in self.counts)

    @cached_property
    def kind(self) -> str:
        """The kind of the column, one of `COLUMN_KINDS`."""
        agreed = [kind for kind in _TYPED if self.present and self._fitting(kind) == self.present]
        if not agreed or self.open_readings or (agreed[0] in ("number", "number-comma") and self.mixed_units):
            return "list" if any("list" in fit.kinds for fit in self.counts) else "text"
        return agreed[0]

    @cached_property
    def open_readings(self) -> tuple[str, ...]:
        """Two readings that every value fits and that disagree; empty if there are none or if some value decides."""
        for pair in (("number", "number-comma"), ("date-dmy", "date-mdy")):
            if self.present and all(self._fitting(kind) == self.present for kind in pair) and self._disputed(pair[0]):
                return pair
        return ()

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Currencies of the amounts, and ``%``, in alphabetical order; with '' if some have no unit."""
        return tuple(sorted({fit.unit for fit in self.counts if "number" in fit.kinds or "number-comma" in fit.kinds}))

    @property
    def mixed_units(self) -> bool:
        """Whether amounts of this column cannot be compared with each other."""
        named = [unit for unit in self.units if unit]
        return len(named) > 1 or (named == ["%"] and "" in self.units)

    @cached_property
    def leading(self) -> str:
        """The typed kind that most values fit; empty where none fits any."""
        counted = {kind: self._fitting(kind) for kind in _TYPED}
        best = max(_TYPED, key=lambda kind: counted[kind])
        return best if counted[best] else ""

    @cached_property
    def leading_count(self) -> int:
        """Number of values that fit the leading kind."""
        return self._fitting(self.leading) if self.leading else 0

    @cached_property
    def years(self) -> bool:
        """Whether there are numbers, dates or booleans among the values, and all of them are years."""
        typed = [fit for fit in self.counts if fit.kinds and "list" not in fit.kinds]
        return bool(typed) and all(fit.year for fit in typed)

    @cached_property
    def written_otherwise(self) -> frozenset[str]:
        """Families with values that programs would write in another form, such as ``12.99 USD`` or ``31/05/2024``."""
        return frozenset(FAMILIES[kind] for fit in self.counts if not fit.plain for kind in fit.kinds if kind != "list")

    @property
    def meaning(self) -> tuple[str, ...]:
        """Everything that the meaning of a comparison with the column depends on."""
        return (self.kind, *self.units, "but", *sorted(self.written_otherwise))

    def accepts(self, text: str) -> bool:
        """Whether the kind of a column of numbers, dates or booleans, and the unit of its amounts, would stay the same
        with this value as well; blank values always fit."""
        fit = fit_of(text)
        if fit is None:
            return True
        if FAMILIES[self.kind] == "number" and fit.unit not in self.units and (fit.unit or "%" in self.units):
            return False
        return self.updated([(0, text)], ()).kind == self.kind

    def updated(self, added: Iterable[tuple[int, str]], removed: Iterable[str]) -> Tally:
        """The tally after texts were added (with their rows) and removed."""
        counts, first_rows = Counter(self.counts), dict(self.first_rows)
        for row, text in added:
            if (fit := fit_of(text)) is not None:
                counts[fit] += 1
                first_rows[fit] = min(row, first_rows.get(fit, row))
        counts.subtract(fit for text in removed if (fit := fit_of(text)) is not None)
        return Tally({fit: values for fit, values in counts.items() if values}, first_rows)


def tally_of(texts: Sequence[str]) -> Tally:
    """What the values of a column fit."""
    first: dict[str, int] = {}
    distinct: Counter[str] = Counter()
    for row, text in enumerate(texts):
        if text not in first:
            first[text] = row
        distinct[text] += 1
    counts: Counter[Fit] = Counter()
    first_rows: dict[Fit, int] = {}
    for text, values in distinct.items():
        if (fit := fit_of(text)) is not None:
            counts[fit] += values
            first_rows[fit] = min(first[text], first_rows.get(fit, first[text]))
    return Tally(dict(counts), first_rows)


def example_of(tally: Tally, texts: Sequence[str], wanted: Callable[[Fit], bool]) -> int | None:
    """The first row whose fit satisfies `wanted`; None where there is none."""
    begin = min((tally.first_rows[fit] for fit in tally.counts if wanted(fit)), default=len(texts))
    for row in range(begin, len(texts)):
        fit = fit_of(texts[row])
        if fit is not None and wanted(fit):
            return row
    return None


def text_reason(tally: Tally, texts: Sequence[str]) -> tuple[str, int | None]:
    """Why a column is read as text although some values are numbers, dates or booleans, and a row as an example.

    Returns:
        A clause such as "it holds 'n/a'" and the row; an empty clause and the first row with a value where the column
        has only text.
    """
    if tally.open_readings:
        row = example_of(tally, texts, lambda fit: fit.disputed)
        readings = " and ".join(_READING_WORDS[kind] for kind in tally.open_readings)
        return f"{_quoted(texts, row)} and all others can be read {readings}", row
    leading = tally.leading
    if not leading:
        return "", example_of(tally, texts, lambda fit: True)
    if FAMILIES[leading] == "number" and tally.leading_count == tally.present and tally.mixed_units:
        units = [unit or "no unit" for unit in tally.units]
        last = tally.units[-1]
        row = example_of(tally, texts, lambda fit: fit.unit == last)
        return f"its amounts are in {', '.join(units[:-1])} and {units[-1]}", row
    row = example_of(tally, texts, lambda fit: leading not in fit.kinds)
    return f"it holds {_quoted(texts, row)}", row


def setting_for(tally: Tally) -> str:
    """The kind, or the kinds, that ``[columns]`` of ``dataset.toml`` would name to decide an undecided column."""
    return " or ".join(f'"{kind}"' for kind in tally.open_readings or (tally.leading or "number",))


def _quoted(texts: Sequence[str], row: int | None) -> str:
    return "nothing" if row is None else f"{texts[row].strip()!r:.60}"
