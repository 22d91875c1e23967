"""What the filters of a catalogue have computed, for those of the catalogues that are changed from it to go on with.

The unit of work is one bitmap or one column. Each is kept with the column of texts that it is of, which tells whoever
takes it in which rows their own differs (`TextColumn.changed_since`). Knows nothing about what filters mean.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.text_columns import TextColumn
from mmrec.filters.columns import FilterColumn


class KeptBitmap(NamedTuple):
    """The bitmap of a filter over one value of a catalogue, deleted items among its rows.

    Attributes:
        item_ids: Of the catalogue.
        packed: The bitmap, eight rows a byte.
        used: The columns that were compared, each with what decides what a comparison with it means.
    """

    item_ids: TextColumn
    packed: npt.NDArray[np.uint8]
    used: tuple[tuple[str, ...], ...]


class FilterCache:
    """What the filters of a catalogue, and of all that were changed from it, have computed last. Safe to use from
    several threads: what is taken from it is never written to.

    Args:
        size: Bitmaps that are kept; the ones used longest ago are forgotten.

    Attributes:
        columns: Columns that were read, by name.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.columns: dict[str, FilterColumn] = {}
        self._bitmaps: OrderedDict[str, KeptBitmap] = OrderedDict()
        self._lock = threading.Lock()

    def bitmap(self, key: str) -> KeptBitmap | None:
        """The bitmap of a filter, by its text; None where there is none."""
        with self._lock:
            kept = self._bitmaps.get(key)
            if kept is not None:
                self._bitmaps.move_to_end(key)
            return kept

    def keep_bitmap(self, key: str, made: KeptBitmap) -> None:
        """Remember a bitmap in place of the one before."""
        with self._lock:
            self._bitmaps[key] = made
            self._bitmaps.move_to_end(key)
            while len(self._bitmaps) > self.size:
                self._bitmaps.popitem(last=False)
