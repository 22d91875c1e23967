"""What the filters of a catalogue have computed, for those of the catalogues that are changed from it to go on with.

The unit of work is one mask or one column. Each is kept with the column of texts that it is of, which tells whoever
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
from mmrec.filters.mask import EligibilityMask


class CachedMask(NamedTuple):
    """The mask of a filter over one value of a catalogue.

    Attributes:
        item_ids: Of the catalogue.
        packed: Which rows pass, deleted ones among them, eight rows a byte.
        used: The columns that were compared, each with what decides the meaning of a comparison with it.
        every: The items of the catalogue.
        mask: Those of them that pass, with all that the search needs of it.
    """

    item_ids: TextColumn
    packed: npt.NDArray[np.uint8]
    used: tuple[tuple[str, ...], ...]
    every: EligibilityMask
    mask: EligibilityMask


class FilterCache:
    """What the filters of a catalogue, and of all that were changed from it, have computed last. Safe to use from
    several threads: what is taken from it is never written to.

    Args:
        size: Masks that are kept, up to 10 bytes per row each; the ones used longest ago are forgotten.

    Attributes:
        columns: Columns that were read, by name.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.columns: dict[str, FilterColumn] = {}
        self._masks: OrderedDict[str, CachedMask] = OrderedDict()
        self._lock = threading.Lock()

    def mask(self, key: str) -> CachedMask | None:
        """The mask of a filter, by its text; None where there is none."""
        with self._lock:
            kept = self._masks.get(key)
            if kept is not None:
                self._masks.move_to_end(key)
            return kept

    def keep_mask(self, key: str, made: CachedMask) -> None:
        """Remember a mask in place of the one before."""
        with self._lock:
            self._masks[key] = made
            self._masks.move_to_end(key)
            while len(self._masks) > self.size:
                self._masks.popitem(last=False)
