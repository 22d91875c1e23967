"""From ids to rows: an immutable base and one small delta segment (see `mmrec.catalogue.segments`).

An id never loses its row, so a change only adds to a table. Unit of work: one lookup or one change. Knows nothing about
the content of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmrec.catalogue.segments import most_in_delta


class RowTable:
    """Rows of one catalogue by id; immutable.

    Args:
        item_ids: In the order of the rows.
    """

    __slots__ = ("_base", "_delta")

    def __init__(self, item_ids: Sequence[str]) -> None:
        self._base: Mapping[str, int] = {item_id: row for row, item_id in enumerate(item_ids)}
        self._delta: Mapping[str, int] = {}

    def __len__(self) -> int:
        """Number of distinct ids, which is the number of rows when no id is repeated."""
        return len(self._base) + len(self._delta)

    def __contains__(self, item_id: str) -> bool:
        return self.row(item_id) is not None

    def row(self, item_id: str) -> int | None:
        """The row of an id; None if it has none."""
        row = self._base.get(item_id)
        return self._delta.get(item_id) if row is None else row

    def with_ids(self, item_ids: Sequence[str]) -> RowTable:
        """A new table with more ids, which get the next rows in this order."""
        made = RowTable.__new__(RowTable)
        rows = range(len(self), len(self) + len(item_ids))
        made._base, made._delta = self._base, {**self._delta, **dict(zip(item_ids, rows, strict=True))}
        if len(made._delta) > most_in_delta(len(made._base)):
            made._base, made._delta = {**made._base, **made._delta}, {}
        return made
