"""Cache of filter masks and columns, shared by a catalogue and its changed versions.

Unit of work: one mask or one column. Each is stored with the column of texts that it was computed from, so that a
changed catalogue recomputes only the rows that differ (`TextColumn.changed_since`). Knows nothing about the meaning of
filters.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.text_columns import TextColumn
from mmrec.contract.engine import CacheUse
from mmrec.filters.columns import FilterColumn
from mmrec.filters.mask import EligibilityMask


class CachedMask(NamedTuple):
    """The mask of a filter over one value of a catalogue.

    Attributes:
        item_ids: Ids of the catalogue.
        packed: Which rows pass, deleted rows included, eight rows per byte.
        used: Names of the compared columns, each with its `FilterColumn.meaning`.
        every: The items of the catalogue.
        mask: The items that pass, with what the search derives from them.
    """

    item_ids: TextColumn
    packed: npt.NDArray[np.uint8]
    used: tuple[tuple[str, ...], ...]
    every: EligibilityMask
    mask: EligibilityMask


class FilterCache:
    """Least-recently-used cache of masks, and the last columns that were read. Thread-safe: entries are immutable.

    Args:
        size: Most masks, each up to 10 bytes per row.

    Attributes:
        columns: Columns that were read, by name.
        use: How often masks were found; one of the catalogue before a change is found too.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.columns: dict[str, FilterColumn] = {}
        self.use = CacheUse()
        self._masks: OrderedDict[str, CachedMask] = OrderedDict()
        self._lock = threading.Lock()

    def mask(self, key: str) -> CachedMask | None:
        """The mask of a filter by its text; None if there is none."""
        with self._lock:
            kept = self._masks.get(key)
            if kept is None:
                self.use.misses += 1
            else:
                self.use.hits += 1
                self._masks.move_to_end(key)
            return kept

    def keep_mask(self, key: str, made: CachedMask) -> None:
        """Store a mask in place of an older one."""
        with self._lock:
            self._masks[key] = made
            self._masks.move_to_end(key)
            while len(self._masks) > self.size:
                self._masks.popitem(last=False)
