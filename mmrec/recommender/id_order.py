"""The rows of a catalogue in the order of their ids, brought on as the catalogue grows.

Unit of work: one catalogue and all that are changed from it. A row keeps its id for as long as the parts are carried on
(see `mmrec.recommender.catalogue_update`), so what a change costs here is a place for each new row. Ids are compared by
Unicode code points. Knows nothing about requests.
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

MOST_PLACED = 1_000
"""New rows that are given their places one by one; with more, all are sorted anew."""
LEAST_LOOKED_AT = 1_024


class IdOrder:
    """The order of one line of catalogues. Safe to call from several threads."""

    def __init__(self) -> None:
        self._rows_N: Rows = np.empty(0, np.int64)
        self._lock = threading.Lock()

    def rows(self, item_ids: Sequence[str]) -> Rows:
        """All rows of a catalogue of the line, by id. Shape: (N,), int64. Not to be written to."""
        with self._lock:
            known, items = len(self._rows_N), len(item_ids)
            if items > known:
                self._rows_N = self._longer(item_ids, known)
            found_N = self._rows_N
        return found_N if items == len(found_N) else found_N[found_N < items]

    def after(self, item_ids: Sequence[str], last: str, passing_N: npt.NDArray[np.bool_], most: int) -> Rows:
        """The first rows after an id that pass, at most so many, by id.

        Args:
            item_ids: Of a catalogue of the line. Length N.
            last: The id; empty for the beginning. The catalogue need not have it.
            passing_N: Rows that may be found. Shape: (N,), bool.
            most: At least 1.
        """
        rows_N = self.rows(item_ids)
        begin = bisect_right(rows_N, last, key=item_ids.__getitem__) if last else 0
        found: list[Rows] = []
        width, left = max(LEAST_LOOKED_AT, 2 * most), most
        while begin < len(rows_N) and left > 0:
            window = rows_N[begin : begin + width]
            found.append(window[passing_N[window]][:left])
            begin, width, left = begin + width, 2 * width, left - len(found[-1])
        return np.concatenate(found) if found else rows_N[:0]

    def _longer(self, item_ids: Sequence[str], known: int) -> Rows:
        new = range(known, len(item_ids))
        if not known or len(new) > MOST_PLACED:
            ids = pa.array(list(item_ids), pa.large_string())
            return np.asarray(pyarrow.compute.sort_indices(ids)).astype(np.int64)
        added = sorted(new, key=item_ids.__getitem__)
        places = [bisect_left(self._rows_N, item_ids[row], key=item_ids.__getitem__) for row in added]
        return np.insert(self._rows_N, places, added)
