"""The cache of a catalogue's filters, which the filters of the catalogues that are changed from it share.

The unit of work is one mask or one column. Each is kept with the state that it is of (see `mmrec.catalogue.lineage`);
whoever takes it knows whether that state led to their own. Knows nothing about what filters mean.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from mmrec.filters.columns import FilterColumn
from mmrec.filters.grammar import Condition
from mmrec.filters.mask import EligibilityMask


class CachedMask(NamedTuple):
    """The mask of a filter in one state of a catalogue.

    Attributes:
        state: Of the catalogue.
        mask: The rows that pass.
        condition: The filter, parsed.
        used: The columns that were compared, each with what decides the meaning of a comparison with it.
    """

    state: int
    mask: EligibilityMask
    condition: Condition
    used: tuple[tuple[str, ...], ...]


class FilterCache:
    """Masks by the text of their filter, and columns by name. For any number of threads.

    Args:
        size: Masks that are kept, up to 10 bytes per row each; the ones used longest ago are forgotten.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._masks: OrderedDict[str, CachedMask] = OrderedDict()
        self._columns: dict[str, tuple[int, FilterColumn]] = {}
        self._lock = threading.Lock()

    def mask(self, key: str) -> CachedMask | None:
        """The mask of a filter, by its text; None where there is none."""
        with self._lock:
            kept = self._masks.get(key)
            if kept is not None:
                self._masks.move_to_end(key)
            return kept

    def keep_mask(self, key: str, made: CachedMask) -> None:
        """Remember a mask, unless there is one of a later state."""
        with self._lock:
            kept = self._masks.get(key)
            if kept is not None and kept.state > made.state:
                return
            self._masks[key] = made
            self._masks.move_to_end(key)
            while len(self._masks) > self.size:
                self._masks.popitem(last=False)

    def column(self, name: str) -> tuple[int, FilterColumn] | None:
        """A column that was read, and the state it is of; None where there is none."""
        return self._columns.get(name)

    def keep_column(self, name: str, state: int, column: FilterColumn) -> None:
        """Remember a column, unless there is one of a later state."""
        with self._lock:
            if name not in self._columns or self._columns[name][0] < state:
                self._columns[name] = (state, column)
