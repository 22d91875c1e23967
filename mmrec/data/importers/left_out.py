"""Counts what an importer leaves out of a source, by kind, with the first example of each.

Unit of work: one import. Knows nothing of formats and files: the caller names the kind and the place of each row.
"""

from __future__ import annotations

from typing import Any

from mmrec.data.problems import quoted
from mmrec.data.writing import LeftOut

_SHOWN = 60


class LeftOutTally:
    """Counts of what was left out so far."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._examples: dict[tuple[str, str], str] = {}

    def row(self, what: str, place: str, count: int = 1) -> None:
        """Rows that are not in the dataset.

        Args:
            what: Which rows, in the plural: ``reviews without a user``.
            place: Where the first of them stands: ``reviews.jsonl:12``.
            count: Number of rows.
        """
        self._add(("row", what), place, count)

    def value(self, what: str, value: object, place: str, count: int = 1) -> None:
        """Values that could not be read, of rows that stay: ``prices that are no numbers``."""
        self._add(("value", what), f"{quoted(value, _SHOWN)} at {place}", count)

    def column(self, name: str, value: object, place: str, count: int = 1) -> None:
        """Values of a column that is not in the dataset; count only those that are not empty."""
        key = ("column", name)
        if self._examples.get(key):  # only the first one is described, since there can be millions
            self._counts[key] += count
        else:
            self._add(key, f"{quoted(value, _SHOWN)} at {place}", count)

    def empty_column(self, name: str) -> None:
        """A column that is not in the dataset and has no values."""
        self._counts.setdefault(("column", name), 0)
        self._examples.setdefault(("column", name), "")

    def file(self, name: str) -> None:
        """A file of the source that is not imported."""
        self._counts["file", name] = 1
        self._examples["file", name] = ""

    def _add(self, key: tuple[str, str], example: str, count: int) -> None:
        if count:
            self._counts[key] = self._counts.get(key, 0) + count
            if not self._examples.get(key):
                self._examples[key] = example

    def reasons(self, before: tuple[LeftOut, ...] = ()) -> str:
        """Why rows were left out, in words; '' where none was.

        Args:
            before: An earlier value of `found`; only later findings are reported.
        """
        known = {(entry.what, entry.count) for entry in before}
        lines = [entry for entry in self.found if entry.kind == "row" and (entry.what, entry.count) not in known]
        return "; ".join(map(str, lines))

    @property
    def rows(self) -> int:
        """Rows left out so far."""
        return sum(count for (kind, _), count in self._counts.items() if kind == "row")

    @property
    def found(self) -> tuple[LeftOut, ...]:
        """One entry a kind: rows, values, columns and files, each in the order in which they were first found."""
        order = ("row", "value", "column", "file")
        keys = sorted(self._counts, key=lambda key: order.index(key[0]))
        return tuple(LeftOut(kind, what, self._counts[kind, what], self._examples[kind, what]) for kind, what in keys)

    def summary(self, *notes: str) -> dict[str, Any]:
        """The fields `dropped`, `notes` and `left_out` of an `ImportSummary`.

        Args:
            notes: Further notes, printed first.
        """
        found = self.found
        empty = [entry.what for entry in found if not entry.count]
        files = [entry.what for entry in found if entry.kind == "file"]
        lines = [str(entry) for entry in found if entry.count and entry.kind != "file"]
        if empty:
            lines.append(f"left out columns without values: {', '.join(empty)}")
        if files:
            lines.append(f"left out files: {', '.join(files)}")
        return {"dropped": self.rows, "notes": (*notes, *lines), "left_out": found}
