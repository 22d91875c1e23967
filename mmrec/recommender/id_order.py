"""The rows of a catalogue sorted by item id, extended as the catalogue grows.

Unit of work: one catalogue and its changed versions. A row keeps its id through all changes (see
`mmrec.recommender.catalogue_update`), so a change only has to insert its new rows. Ids are compared by Unicode code
points. Knows nothing about requests.
"""

# Axes: N rows

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

Rows = npt.NDArray[np.int64]

MOST_INSERTED = 1_000
"""Most new rows that are inserted one by one; with more, all rows are sorted again."""
LEAST_WINDOW = 1_024


class IdOrder:
    """The order of one catalogue and its changed versions. Safe to call from several threads."""

    def __init__(self) -> None:
        self._rows_N: Rows = np.empty(0, np.int64)
        self._lock = threading.Lock()

    def rows(self, item_ids: Sequence[str]) -> Rows:
        """All rows of one version, by id. Shape: (N,), int64; must not be written to."""
        with self._lock:
            known, items = len(self._rows_N), len(item_ids)
            if items > known:
                self._rows_N = self._extended(item_ids, known)
            found_N = self._rows_N
        return found_N if items == len(found_N) else found_N[found_N < items]

    def after(self, item_ids: Sequence[str], last: str, passing_N: npt.NDArray[np.bool_], most: int) -> Rows:
        """The first rows after an id that pass, in the order of their ids.

        Args:
            item_ids: Ids of one version, by row. Length N.
            last: The id, which may be unknown; empty: from the beginning.
            passing_N: Rows that may be returned. Shape: (N,), bool.
            most: Most rows to return, at least 1.
        """
        rows_N = self.rows(item_ids)
        begin = bisect_right(rows_N, last, key=item_ids.__getitem__) if last else 0
        found: list[Rows] = []
        width, left = max(LEAST_WINDOW, 2 * most), most
        while begin < len(rows_N) and left > 0:
            window = rows_N[begin : begin + width]
            found.append(window[passing_N[window]][:left])
            begin, width, left = begin + width, 2 * width, left - len(found[-1])
        return np.concatenate(found) if found else rows_N[:0]

    def _extended(self, item_ids: Sequence[str], known: int) -> Rows:
        new = range(known, len(item_ids))
        if not known or len(new) > MOST_INSERTED:
            ids = pa.array(list(item_ids), pa.large_string())
            return np.asarray(pyarrow.compute.sort_indices(ids)).astype(np.int64)
        added = sorted(new, key=item_ids.__getitem__)
        places = [bisect_left(self._rows_N, item_ids[row], key=item_ids.__getitem__) for row in added]
        return np.insert(self._rows_N, places, added)
