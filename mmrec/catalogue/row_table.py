"""Which row an id has, for a catalogue and every one that was changed from it, in one table.

An id never loses its row, so a table is only ever added to, and each catalogue passes over the rows that came after it.
When two different changes are made of one catalogue, the second gets a table of its own for what has come since the
first one was read. The unit of work is one look-up or one change; knows nothing about what the rows hold.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

_CLAIMING = threading.Lock()
"""Held while ids are added, which takes as long as there are new ids; no look-up waits for it."""


class _Rows:
    """What several catalogues share.

    Attributes:
        first: Rows of the catalogue that was read; never written to, so that adding an id never makes it grow.
        added: Rows of what has come since.
        size: Rows that are given away.
    """

    __slots__ = ("added", "first", "size")

    def __init__(self, first: dict[str, int], added: dict[str, int], size: int) -> None:
        self.first = first
        self.added = added
        self.size = size


class RowTable:
    """Rows of one catalogue by id. Safe to read from any thread while others are made of it.

    Args:
        item_ids: In the order of the rows.
    """

    __slots__ = ("_rows", "_size")

    def __init__(self, item_ids: Sequence[str]) -> None:
        self._rows = _Rows({item_id: row for row, item_id in enumerate(item_ids)}, {}, len(item_ids))
        self._size = len(item_ids)

    @property
    def ids(self) -> int:
        """Different ids that the catalogue was read with."""
        return len(self._rows.first)

    def __contains__(self, item_id: str) -> bool:
        return self.row(item_id) is not None

    def row(self, item_id: str) -> int | None:
        """The row of an id, or None where it has none."""
        row = self._rows.first.get(item_id)
        if row is None:
            row = self._rows.added.get(item_id)
        return None if row is None or row >= self._size else row

    def with_ids(self, item_ids: Sequence[str]) -> RowTable:
        """The table with ids that it does not have, at the next rows in this order; this one stays as it is."""
        if not item_ids:
            return self
        made = RowTable.__new__(RowTable)
        with _CLAIMING:
            rows = self._rows
            if rows.size != self._size:
                # Someone else has added to the same catalogue: what they added is theirs.
                own = {item_id: row for item_id, row in rows.added.items() if row < self._size}
                rows = _Rows(rows.first, own, self._size)
            for item_id in item_ids:
                rows.added[item_id] = rows.size
                rows.size += 1
            made._rows, made._size = rows, rows.size
        return made
