"""A filter against columns: which rows pass. What is wrong with it is an error that points at the character.

The unit of work is one filter over some rows; every row passes or does not for what it holds itself, so a few rows can
be asked about as well as all. `mmrec.filters.filter` defines what comparisons mean; knows nothing about catalogues.
"""

# Axes: N rows

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.catalogue.column_kinds import FAMILIES, NAMES, setting_for
from mmrec.catalogue.written_values import fit_of, number_of, read_value, unit_of
from mmrec.errors import InvalidArgumentError
from mmrec.filters.columns import TEXT, FilterColumn
from mmrec.filters.grammar import All, Comparison, Condition, Literal, Not, refusal

Bitmap = npt.NDArray[np.bool_]

_COMPARE = {
    "=": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WANTED = {
    "number": "a number",
    "number-comma": 'a number such as 1299.5, or "1.299,50" in quotes',
    "boolean": "true or false",
    "date": "a date such as 2024-05-31",
    "date-dmy": "a date such as 2024-05-31, or 31/05/2024 with the day first",
    "date-mdy": "a date such as 2024-05-31, or 05/31/2024 with the month first",
}


class Evaluation(NamedTuple):
    """One filter over columns of the same rows.

    Attributes:
        expression: Its text, for errors.
        names: Names of the columns.
        read: Gives a column by its name, one of `names`.
    """

    expression: str
    names: Iterable[str]
    read: Callable[[str], FilterColumn]

    def rows(self, condition: Condition) -> Bitmap:
        """Which rows pass. Shape: (N,), bool.

        Raises:
            InvalidArgumentError: the condition names a missing column, or compares a column with a value of
                another kind.
        """
        if isinstance(condition, Comparison):
            return self._compare(condition)
        if isinstance(condition, Not):
            return ~self.rows(condition.condition)
        # Every part is evaluated: an error in the last one is reported whatever the first ones evaluate to.
        parts = [self.rows(part) for part in condition.conditions]
        join = np.logical_and if isinstance(condition, All) else np.logical_or
        return np.asarray(join.reduce(parts), np.bool_)

    def _compare(self, comparison: Comparison) -> Bitmap:
        column = self._column(comparison.column)
        operator, value = comparison.operator, comparison.values[0]
        if operator == "IN":
            return self._in_list(column, comparison)
        if operator == ":" and value.pieces == ("", ""):
            return column.where(pc.is_valid)
        if value.text == "" and operator in ("=", "!="):
            return column.where(pc.is_null if operator == "=" else pc.is_valid)
        if column.family != "text":
            number = self._number(column, comparison, value)
            compare = _COMPARE["=" if operator == ":" else operator]
            return column.where(lambda values: compare(values, number))
        if operator == ":":
            phrase = self._phrase(value)
            return column.where(lambda values: pc.match_substring_regex(values, phrase))
        self._check_meant(column, comparison, value)
        if operator in ("=", "!="):
            same = _same(column, value)
            return column.where(same if operator == "=" else lambda values: pc.invert(same(values)))
        if value.wild:
            raise self._refusal(value.at, f"{operator} compares with one value; * goes with = and !=")
        return column.where(lambda values: _COMPARE[operator](values, value.text))

    def _in_list(self, column: FilterColumn, comparison: Comparison) -> Bitmap:
        found_N = np.zeros(len(column.values_N), np.bool_)
        if any(value.text == "" for value in comparison.values):
            found_N |= column.where(pc.is_null)
        present = [value for value in comparison.values if value.text != ""]
        plain: list[str] | list[float]
        if column.family == "text":
            for value in present:
                self._check_meant(column, comparison, value)
            patterns = [_pattern(column, value) for value in present]
            plain = [value.text for value, pattern in zip(present, patterns, strict=True) if not pattern]
            for pattern in filter(None, patterns):
                found_N |= column.where(partial(pc.match_substring_regex, pattern=pattern))
        else:
            plain = [self._number(column, comparison, value) for value in present]
        if plain:
            value_set = pa.array(plain, TEXT if column.family == "text" else pa.float64())
            found_N |= column.where(lambda values: pc.is_in(values, value_set=value_set))
        return found_N

    def _check_meant(self, column: FilterColumn, comparison: Comparison, value: Literal) -> None:
        """Refuse to compare a text column with a value that is meant as a number or a date."""
        family = _family_of(value)
        name, operator = comparison.column.text, comparison.operator
        orders = operator in ("<", "<=", ">", ">=")
        # Equality of texts is allowed, but a plainly written number finds nothing in a column that writes its numbers
        # in another way.
        if not family or value.wild or not (orders or (_plain(value) and family in column.written_otherwise)):
            return
        remedies = [*_column_remedies(column, name, family)]
        if family == "number" and orders:
            remedies.append(f'compare as texts with {operator} "{value.text:.60}"')
        elif not orders:
            remedies.append("give the value in quotes, as the column writes it")
        raise self._refusal(
            comparison.column.at,
            f"column {name!r:.60} is text, {column.why_text()}; {operator} a {family} needs a column of {family}s "
            f"only: {', or '.join(remedies) or 'compare with = or :'}",
        )

    def _number(self, column: FilterColumn, comparison: Comparison, value: Literal) -> float:
        name, operator, kind = comparison.column.text, comparison.operator, column.kind
        if kind == "boolean" and operator in ("<", "<=", ">", ">="):
            raise self._refusal(comparison.column.at, f"column {name!r:.60} is true or false; compare it with = or !=")
        number = None if value.wild else self._read(column, comparison, value)
        if number is None:
            remedy = "; * goes with columns of text alone, so compare with < and >" if value.wild else ""
            if column.family == "number" and read_value("date", value.text) is not None:
                remedy = f'; if they are days such as 20240531, say so: [columns] {_key(name)} = "date" in dataset.toml'
            raise self._refusal(
                value.at,
                f"column {name!r:.60} holds {_held(kind)}, received {value.text!r:.60}; give {_WANTED[kind]}{remedy}",
            )
        return number

    def _read(self, column: FilterColumn, comparison: Comparison, value: Literal) -> float | None:
        """The value as a number or date, written plainly or as the column writes it."""
        if column.family != "number":
            return column.value(value.text)
        name, text = comparison.column.text, value.text
        unit, known = unit_of(text), column.units
        if unit and column.tally is not None and unit not in known:
            currency = f"in {known[0]}" if known else "without a currency"
            raise self._refusal(
                value.at,
                f"the amounts of column {name!r:.60} are {currency}, received {text!r:.60}; give the number alone",
            )
        plain, own = number_of(text), column.value(text)
        if plain is None or own is None or plain == own:
            return own if plain is None else plain
        if not value.quoted:
            raise self._refusal(
                value.at,
                f"column {name!r:.60} holds {NAMES[column.kind]}, where {text!r:.60} can be {own:.15g} or "
                f'{plain:.15g}; write {own:.15g}, or "{plain:.15g}0" in quotes',
            )
        return own

    def _column(self, name: Literal) -> FilterColumn:
        if name.text not in self.names:
            raise self._refusal(name.at, f"there is no column {name.text!r:.60}; {instead(name.text, self.names)}")
        return self.read(name.text)

    def _phrase(self, value: Literal) -> str:
        """A pattern of the value as whole words; runs of white space count as one."""
        words = value.text.split()
        if not words:
            raise self._refusal(value.at, "':' needs a word to look for; write column:* for any value")
        if value.wild:
            raise self._refusal(value.at, "* goes with = and !=; ':' looks for whole words, or for any value with *")
        phrase = r"\s+".join(map(re.escape, words))
        edge = r"[^\pL\pM\pN_]"
        before = f"(?:^|{edge})" if _in_a_word(words[0][0]) else ""
        after = f"(?:{edge}|$)" if _in_a_word(words[-1][-1]) else ""
        return f"(?is){before}{phrase}{after}"

    def _refusal(self, at: int, message: str) -> InvalidArgumentError:
        return refusal(self.expression, at, message)


def instead(name: str, columns: Iterable[str]) -> str:
    """A hint for the message about a missing column: similar names, or all columns."""
    near = difflib.get_close_matches(name, list(columns), n=3, cutoff=0.5)
    known = near or list(columns)[:20]
    quoted = ", ".join(repr(column) for column in known)
    return f"did you mean {quoted}?" if near else f"the columns are {quoted}"


def _same(column: FilterColumn, value: Literal) -> Callable[[pa.Array], pa.Array]:
    """Whether texts of a column are equal to a value."""
    pattern = _pattern(column, value)
    if pattern:
        return partial(pc.match_substring_regex, pattern=pattern)
    return lambda values: pc.equal(values, value.text)


def _pattern(column: FilterColumn, value: Literal) -> str:
    """A pattern of the texts that equal a value: one with stars, which stand for any characters, or a plain number
    or day without quotes. Empty for a value that only equals itself."""
    if value.wild:
        return f"^(?s:{'.*'.join(map(re.escape, value.pieces))})$"
    if value.quoted or column.tally is None:
        return ""
    if _DAY.fullmatch(value.text):
        return rf"^\s*{value.text}(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:00)?)?\s*$"
    if number_of(value.text) is None:
        return ""
    number = Decimal(value.text)
    whole, _, decimals = f"{abs(number):f}".partition(".")
    whole, decimals = whole.lstrip("0"), decimals.rstrip("0")
    sign = "[+-]?" if not number else "-" if number < 0 else r"\+?"
    # A number has a digit on at least one side of the point; for zero that digit is 0.
    zeros = r"0+(?:\.0*)?|\.0+" if not number else ""
    digits = rf"0*{whole}\.{decimals}0*" if decimals else zeros or rf"0*{whole}(?:\.0*)?"
    return rf"^\s*{sign}(?:{digits})\s*$"


def _in_a_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _family_of(value: Literal) -> str:
    """The family of a value that is compared with texts: ``number``, ``date``, or empty for a text.

    A number in quotes is a text; a date may need quotes, for a colon or a space.
    """
    fit = fit_of(value.text)
    families = {FAMILIES[kind] for kind in fit.kinds} if fit is not None else set()
    if "date" in families:
        return "date"
    return "number" if "number" in families and not value.quoted else ""


def _plain(value: Literal) -> bool:
    return number_of(value.text) is not None or read_value("date", value.text) is not None


def _column_remedies(column: FilterColumn, name: str, family: str) -> Iterator[str]:
    """Remedies that make a text column one of numbers or dates."""
    tally = column.tally
    if tally is None:
        return
    if family == "number" and tally.mixed_units:
        yield "give each currency a column of its own"
    elif FAMILIES.get(tally.leading) == family:
        yield f"fix the column, or say how it is read: [columns] {_key(name)} = {setting_for(tally)} in dataset.toml"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name:.60}"'


def _held(kind: str) -> str:
    return "values that are true or false" if kind == "boolean" else NAMES[kind]
