"""Counts the rows of a dataset's tables: used, left out as unusable, or usable and excluded for a reason.

Unit of work: one dataset. A summary is printed, stored in the bundle and shown on its model card. Knows
nothing of how tables are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mmrec.errors import InvalidArgumentError, InvalidDatasetError


@dataclass(frozen=True, slots=True)
class TableSummary:
    """Rows of one table. ``rows`` is the sum of ``used``, of `left_out` and of `set_aside`.

    Attributes:
        file: Name of the file.
        rows: Rows that it has.
        used: Rows that are used.
        left_out: Rows that cannot be used, by the kind of the first problem of each.
        set_aside: Usable rows that are excluded, such as negative events, by the reason.
    """

    file: str
    rows: int
    used: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    set_aside: Mapping[str, int] = field(default_factory=dict)

    @property
    def left_out_rows(self) -> int:
        """Rows that cannot be used."""
        return sum(self.left_out.values())

    def __str__(self) -> str:
        words = f"{self.file}: {self.used:,} of {self.rows:,} rows are used"
        if self.left_out:
            share = self.left_out_rows / self.rows
            words += f"; left out are {self.left_out_rows:,} ({share:.1%}): {_counted(self.left_out)}"
        if self.set_aside:
            words += f"; excluded are {sum(self.set_aside.values()):,}: {_counted(self.set_aside)}"
        return words


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """How a column is used.

    Attributes:
        column: Its name.
        words: How it is read, as a sentence.
        used: Whether it has any effect.
    """

    column: str
    words: str
    used: bool = True


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """Row counts of a dataset and the use of its event columns.

    Attributes:
        tables: Of items and events, where the dataset has them.
        event_columns: How the columns of the events are read, in the order of the file.
    """

    tables: tuple[TableSummary, ...] = ()
    event_columns: tuple[ColumnUse, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Sentences about tables that are not used whole, and about unused columns."""
        lines = [str(table) for table in self.tables if table.used != table.rows]
        unused = [column.column for column in self.event_columns if not column.used]
        if unused:
            verb = "has" if len(unused) == 1 else "have"
            lines.append(f"{', '.join(unused)} of the events {verb} no effect")
        return tuple(lines)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> DatasetSummary:
        """The inverse of `dataclasses.asdict`.

        Raises:
            KeyError: an entry is missing.
            TypeError: an entry is of another kind.
        """
        return cls(
            tables=tuple(TableSummary(**table) for table in found["tables"]),
            event_columns=tuple(ColumnUse(**column) for column in found["event_columns"]),
        )

    def with_excluded(self, items: int, events: int, reason: str) -> DatasetSummary:
        """The summary after items, and the events of these items, are excluded for a reason."""
        tables = []
        for table, rows in zip(self.tables, (items, events), strict=False):
            excluded = {**table.set_aside, reason: rows} if rows else table.set_aside
            tables.append(replace(table, used=table.used - rows, set_aside=excluded))
        return replace(self, tables=tuple(tables))


def checked_share(max_left_out: float | None) -> float | None:
    """`max_left_out` when it is a share, or None.

    Raises:
        InvalidArgumentError: it is outside [0, 1].
    """
    if max_left_out is not None and not 0.0 <= max_left_out <= 1.0:
        raise InvalidArgumentError(
            f"max_left_out is {max_left_out:g}; it is a share of the rows, so it must lie in [0, 1]",
            field="max_left_out",
        )
    return max_left_out


def raise_if_too_few_used(root: object, summary: DatasetSummary, max_left_out: float) -> None:
    """Refuse a dataset with too large a share of unusable rows.

    Raises:
        InvalidDatasetError: a larger share than `max_left_out` of a table's rows is left out.
    """
    for table in summary.tables:
        if table.left_out_rows > max_left_out * table.rows:
            share = table.left_out_rows / table.rows
            raise InvalidDatasetError(
                f"the dataset {str(root)!r} cannot be used: {table.left_out_rows:,} of the {table.rows:,} rows of "
                f"{table.file} ({share:.1%}) would be left out: {_counted(table.left_out)}; at most {max_left_out:.1%} "
                f"may be. Fix them (`mmrec check {root}` shows how), or allow it: max_left_out = "
                f"{min(1.0, int(share * 100 + 1) / 100):g} below [events] in dataset.toml"
            )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
