"""What counting says of items that were never counted: lent by the items that are like them.

Works on catalogue rows; knows nothing about channels and models. An item without a training event has no transitions
and no popularity. Beside items that have them it would stay out of sight, however well its content fits. It is given
the mean of what its neighbours have, in their shares, until it has events of its own.
"""

# Axes: B customers, N items, C borrowing items, K asked items, T history places, M lenders of the asked items

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp


class Lending(NamedTuple):
    """Who lends to whom.

    Attributes:
        borrowers_C: Catalogue rows of the items that borrow, ascending. Shape: (C,), int64.
        shares_CN: Shares of their lenders; a row sums to one, or to zero for an item like no other. Shape: (C, N) CSR.
    """

    borrowers_C: npt.NDArray[np.int64]
    shares_CN: sp.csr_array

    def lend(self, scores_BN: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores with what is lent added. Shape: (B, N), float32; the given array may be changed."""
        if len(self.borrowers_C):
            scores_BN[:, self.borrowers_C] += (self.shares_CN @ scores_BN.T).T
        return scores_BN

    def parts(
        self,
        rows_K: npt.NDArray[np.int64],
        parts_of: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]],
    ) -> npt.NDArray[np.float32]:
        """What each history place says for the asked items, with what is lent.

        Args:
            rows_K: The asked items. Shape: (K,).
            parts_of: Gives the parts of any items by themselves, (T, M) for (M,) rows.

        Returns:
            Shape: (T, K), float32.
        """
        place_K = np.searchsorted(self.borrowers_C, rows_K)
        borrows_K = np.zeros(len(rows_K), dtype=bool)
        inside_K = place_K < len(self.borrowers_C)
        borrows_K[inside_K] = self.borrowers_C[place_K[inside_K]] == rows_K[inside_K]
        own_TK = parts_of(rows_K)
        if not borrows_K.any():
            return own_TK
        shares = self.shares_CN[place_K[borrows_K]].tocsc()
        lenders_M = np.flatnonzero(np.diff(shares.indptr))
        own_TK[:, borrows_K] += (shares[:, lenders_M] @ parts_of(lenders_M).T).T
        return own_TK


def lend_to(
    cold_N: npt.NDArray[np.bool_], rows_NK: npt.NDArray[np.int64], shares_NK: npt.NDArray[np.float32]
) -> Lending:
    """Lending from neighbours.

    Args:
        cold_N: Items without a training event. Shape: (N,), bool.
        rows_NK: Catalogue rows of each item's neighbours. Shape: (N, K).
        shares_NK: Their shares, 0 for no neighbour. Shape: (N, K).
    """
    borrowers_C = np.flatnonzero(cold_N)
    items, keep = rows_NK.shape
    row_E = np.repeat(np.arange(len(borrowers_C)), keep)
    lent = sp.coo_array(
        (shares_NK[borrowers_C].ravel(), (row_E, rows_NK[borrowers_C].ravel())), shape=(len(borrowers_C), items)
    ).tocsr()
    lent.eliminate_zeros()
    return Lending(borrowers_C, lent)
