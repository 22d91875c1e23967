"""Eligibility masks: sets of catalogue items, for scores and for the search on any device.

Unit of work: one immutable set. Knows nothing about filter expressions, requests and trees.
"""

# Axes: N rows of the catalogue, or places of a sorted table

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Bitmap = npt.NDArray[np.bool_]


class EligibilityMask:
    """A set of catalogue rows. What the search derives from it is cached in it.

    Args:
        rows_N: Whether each row is in the set; becomes read-only. Shape: (N,), bool.
    """

    def __init__(self, rows_N: Bitmap) -> None:
        rows_N.flags.writeable = False
        self.rows_N = rows_N
        self._counts: tuple[Tensor, Tensor] | None = None
        self._others: EligibilityMask | None = None

    def counts(self, items_N: Tensor) -> Tensor:
        """Number of members before each place of a sorted table of items, on the table's device.

        A range of places has a member exactly when the counts at its two ends differ.

        Args:
            items_N: Catalogue row at each place; rows that are not in it are not counted. Shape: (N,), int32.

        Returns:
            Shape: (N + 1,), int32.
        """
        known = self._counts
        if known is None or known[0] is not items_N:
            import torch

            # A copy, because torch warns about read-only arrays.
            rows_N = torch.from_numpy(self.rows_N.copy()).to(items_N.device)
            counts_N = torch.zeros(len(items_N) + 1, dtype=torch.int32, device=items_N.device)
            torch.cumsum(rows_N.index_select(0, items_N), 0, dtype=torch.int32, out=counts_N[1:])
            self._counts = known = items_N, counts_N
        return known[1]

    def others(self, every: EligibilityMask) -> EligibilityMask:
        """Items of a larger set that are not in this one; `every` must be the same in each call."""
        if self._others is None:
            self._others = EligibilityMask(every.rows_N & ~self.rows_N)
        return self._others
