"""What the filters of a catalogue have worked out, for those of the catalogues that are changed from it to go on with.

The unit of work is one bitmap or one column. Each is kept with the state that it is of (see `mmrec.catalogue.lineage`);
whoever takes it knows whether that state led to their own. Knows nothing about what filters mean.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.filters.columns import FilterColumn
from mmrec.filters.grammar import Condition


class KeptBitmap(NamedTuple):
    """The bitmap of a filter in one state of a catalogue.

    Attributes:
        state: Of the catalogue.
        items: Its rows.
        packed: The bitmap, eight rows a byte.
        condition: The filter, parsed.
        used: The columns that were compared, each with what decides what a comparison with it means.
    """

    state: int
    items: int
    packed: npt.NDArray[np.uint8]
    condition: Condition
    used: tuple[tuple[str, ...], ...]


class FilterShelf:
    """What the filters of a catalogue, and of all that were changed from it, have worked out. Safe to use from several
    threads: what is taken from it is never written to.

    Args:
        size: Bitmaps that are kept; the ones used longest ago are forgotten.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._bitmaps: OrderedDict[str, KeptBitmap] = OrderedDict()
        self._columns: dict[str, tuple[int, FilterColumn]] = {}
        self._lock = threading.Lock()

    def bitmap(self, key: str) -> KeptBitmap | None:
        """The bitmap of a filter, by its text; None where there is none."""
        with self._lock:
            kept = self._bitmaps.get(key)
            if kept is not None:
                self._bitmaps.move_to_end(key)
            return kept

    def keep_bitmap(self, key: str, made: KeptBitmap) -> None:
        """Remember a bitmap, unless there is one of a later state."""
        with self._lock:
            kept = self._bitmaps.get(key)
            if kept is not None and kept.state > made.state:
                return
            self._bitmaps[key] = made
            self._bitmaps.move_to_end(key)
            while len(self._bitmaps) > self.size:
                self._bitmaps.popitem(last=False)

    def column(self, name: str) -> tuple[int, FilterColumn] | None:
        """A column that was read, and the state it is of; None where there is none."""
        return self._columns.get(name)

    def keep_column(self, name: str, state: int, column: FilterColumn) -> None:
        """Remember a column, unless there is one of a later state."""
        with self._lock:
            if name not in self._columns or self._columns[name][0] < state:
                self._columns[name] = (state, column)
