"""Describes for a person how the columns of a catalogue are read: kind, examples, and doubtful readings.

The unit of work is one column. Pure functions of the catalogue; knows nothing about files and terminals.
"""

# Axes: N items

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.column_kinds import FAMILIES, NAMES, Tally, example_of, setting_for, tally_of, text_reason
from mmrec.catalogue.item_words import ItemWords, item_text
from mmrec.catalogue.written_values import read_value

_EXAMPLES = 3
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """How one attribute is read.

    Attributes:
        name: Of the column.
        kind: One of `mmrec.catalogue.column_kinds.COLUMN_KINDS`.
        configured: Whether ``dataset.toml`` sets the kind.
        words: Whether the column is among the words of an item.
        distinct: Different values, blank ones not counted.
        missing: Share of the items without a value, 0 to 1.
        examples: Up to three different values, each with its reading.
        misfits: Values that do not fit the kind in ``dataset.toml``; comparisons treat them as missing.
        misfit: The first of them; empty for none.
        misfit_row: Its row in the items table (line, or row of a Parquet file); 0 for none.
        remark: What is doubtful, and the setting that decides it; empty for nothing.
    """

    name: str
    kind: str
    configured: bool
    words: bool
    distinct: int
    missing: float
    examples: tuple[tuple[str, str], ...]
    misfits: int
    misfit: str
    misfit_row: int
    remark: str


@dataclass(frozen=True, slots=True)
class WordsExample:
    """The words of one item.

    Attributes:
        item_id: Of the item.
        text: As the text encoder gets it; empty for none.
    """

    item_id: str
    text: str


def describe_columns(
    catalogue: Catalogue, words: ItemWords, lines_N: npt.NDArray[np.int64]
) -> tuple[ColumnReport, ...]:
    """Describe how every attribute is read.

    Args:
        catalogue: The items.
        words: Which columns are words.
        lines_N: Line of each item in the table, for remarks. Shape: (N,), int64.
    """
    return tuple(
        _describe_column(name, values, catalogue.kinds.get(name, ""), words, lines_N)
        for name, values in catalogue.attributes.items()
    )


def words_examples(catalogue: Catalogue, words: ItemWords) -> tuple[WordsExample, ...]:
    """The words of the first, the middle and the last item.

    Raises:
        InvalidArgumentError: the template names a column that is not there, or is not a format string.
    """
    rows = sorted({0, len(catalogue) // 2, len(catalogue) - 1} & {*range(len(catalogue))})
    records = [catalogue.record(row) for row in rows]
    return tuple(WordsExample(record.item_id, item_text(record, words)) for record in records)


def _describe_column(
    name: str, values: Sequence[str], configured: str, words: ItemWords, lines_N: npt.NDArray[np.int64]
) -> ColumnReport:
    first_rows: dict[str, int] = {}
    present = 0
    for row, value in enumerate(values):
        if text := value.strip():
            present += 1
            first_rows.setdefault(text, row)
    tally = tally_of(values)
    kind = configured or tally.kind
    misfits, misfit_row = _misfits(values, configured)
    return ColumnReport(
        name=name,
        kind=kind,
        configured=bool(configured),
        words=name in words.named if words.template is not None else words.columns is None or name in words.columns,
        distinct=len(first_rows),
        missing=1.0 - present / len(values) if len(values) else 0.0,
        examples=tuple(_examples(list(first_rows), kind, configured=bool(configured))),
        misfits=misfits,
        misfit=values[misfit_row].strip() if misfit_row is not None else "",
        misfit_row=int(lines_N[misfit_row]) if misfit_row is not None else 0,
        remark=_configured_remark(tally, configured) if configured else _remark(name, tally, values, lines_N),
    )


def _misfits(values: Sequence[str], configured: str) -> tuple[int, int | None]:
    if FAMILIES.get(configured, "text") == "text":
        return 0, None
    fitting = {text: read_value(configured, text, configured=True) is not None for text in set(values)}
    rows = [row for row, text in enumerate(values) if text.strip() and not fitting[text]]
    return len(rows), rows[0] if rows else None


def _examples(distinct: Sequence[str], kind: str, *, configured: bool) -> Iterator[tuple[str, str]]:
    """Values with their readings; those whose reading differs from the text come first."""
    fits = {text: _read_as(kind, text, configured=configured) for text in distinct[:1000]}
    chosen = sorted(fits, key=lambda text: fits[text] == text)[:_EXAMPLES]
    return ((text, fits[text]) for text in chosen)


def _read_as(kind: str, text: str, *, configured: bool) -> str:
    family = FAMILIES[kind]
    if family == "text":
        return ", ".join(entry.strip() for entry in text.split("|") if entry.strip()) if kind == "list" else text
    value = read_value(kind, text, configured=configured)
    if value is None:
        return ""
    if family == "boolean":
        return "true" if value else "false"
    if family == "number":
        return f"{value:.15g}"
    moment = datetime.fromtimestamp(value, UTC)
    return moment.strftime("%Y-%m-%d" if value % _DAY == 0 else "%Y-%m-%dT%H:%M:%SZ")


def _remark(name: str, tally: Tally, values: Sequence[str], lines_N: npt.NDArray[np.int64]) -> str:
    """What is doubtful about an inferred kind."""
    family = FAMILIES[tally.kind]
    if family != "text":
        return _typed_remark(name, tally, values)
    if not tally.leading or (2 * tally.leading_count < tally.present and not tally.open_readings):
        return ""
    clause, row = text_reason(tally, values)
    place = f" (row {lines_N[row]})" if row is not None else ""
    counted = f"{tally.leading_count:,} of {tally.present:,} values are {NAMES[tally.leading]}"
    remedy = f"dataset.toml decides: [columns] {name} = {setting_for(tally)}"
    if tally.open_readings:
        return f"text, for {clause}{place}; {remedy}"
    if tally.leading_count == tally.present and tally.mixed_units:
        return f"text, for {clause}{place}; give each a column of its own"
    return f"text, for {clause}{place}; {counted}; {remedy}"


def _typed_remark(name: str, tally: Tally, values: Sequence[str]) -> str:
    if tally.kind == "number" and all("number-comma" in fit.kinds for fit in tally.counts):
        row = example_of(tally, values, lambda fit: fit.disputed)
        if row is not None:
            return f'if {values[row].strip()} has no decimals: [columns] {name} = "number-comma"'
    named = [unit for unit in tally.units if unit]
    if named and "" in tally.units:
        bare = sum(count for fit, count in tally.counts.items() if not fit.unit)
        return f"without {named[0]}, and taken for it: {bare:,} of {tally.present:,} values"
    if tally.kind == "number" and tally.present and _all_compact(values):
        return f'if these are days: [columns] {name} = "date"'
    return ""


def _configured_remark(tally: Tally, configured: str) -> str:
    if FAMILIES[configured] == "number" and tally.mixed_units:
        return f"amounts in {', '.join(unit or 'no unit' for unit in tally.units)} are compared as if they were one"
    return ""


def _all_compact(values: Sequence[str]) -> bool:
    """Whether all numbers look like 20240531."""
    distinct = {text.strip() for text in values} - {""}
    return all(len(text) == 8 and read_value("date", text, configured=True) is not None for text in distinct)
