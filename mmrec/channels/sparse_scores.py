"""Scores of a few rows of a large catalogue; every other row scores 0.

Works on catalogue rows; knows nothing about channels. No operation allocates an array with an entry for each item, so
the cost depends on what is scored and not on the size of the catalogue.
"""

# Axes: S scored rows, E entries before they are added up, X rows that are asked for, M rows of a matrix

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class SparseScores(NamedTuple):
    """Scores of some rows.

    Attributes:
        rows_S: Catalogue rows, ascending, none twice. Shape: (S,), int64.
        values_S: Their scores. Shape: (S,), float32.
    """

    rows_S: Rows
    values_S: Floats

    @classmethod
    def summed(cls, rows_E: npt.NDArray[np.integer[Any]], values_E: npt.NDArray[np.floating[Any]]) -> SparseScores:
        """The sum of all entries of each row. Shapes: (E,)."""
        if not len(rows_E):
            return cls(np.empty(0, np.int64), np.empty(0, np.float32))
        # Row and place in one number each: sorting numbers is several times as fast as a stable argsort.
        keys_E = (rows_E.astype(np.int64) << 32) + np.arange(len(rows_E))
        keys_E.sort()
        sorted_E, order_E = keys_E >> 32, keys_E & 0xFFFFFFFF
        first_S = np.flatnonzero(np.concatenate([[True], sorted_E[1:] != sorted_E[:-1]]))
        values_S = np.add.reduceat(values_E[order_E].astype(np.float64), first_S)
        return cls(sorted_E[first_S], values_S.astype(np.float32))

    def at(self, rows_X: npt.NDArray[np.integer[Any]]) -> Floats:
        """Scores of the asked rows. Shape: that of `rows_X`, float32."""
        if not len(self.rows_S):
            return np.zeros(rows_X.shape, np.float32)
        place_X = np.minimum(np.searchsorted(self.rows_S, rows_X), len(self.rows_S) - 1)
        return np.where(self.rows_S[place_X] == rows_X, self.values_S[place_X], np.float32(0.0))

    def best(self, most: int, eligible_N: npt.NDArray[np.bool_] | None = None) -> Rows:
        """The rows with the highest scores above 0, in no order.

        Args:
            most: How many at most.
            eligible_N: Rows that may be returned; None for all. Shape: (N,), bool.
        """
        keep_S = self.values_S > 0
        if eligible_N is not None:
            keep_S &= eligible_N[self.rows_S]
        rows, values = self.rows_S[keep_S], self.values_S[keep_S]
        return rows if len(rows) <= most else rows[np.argpartition(-values, most)[:most]]


def weighted_rows(
    matrix: sp.csr_array, rows_M: npt.NDArray[np.integer[Any]], weights_M: npt.NDArray[np.floating[Any]]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Columns and values of some rows of a matrix, each row multiplied by its weight.

    Args:
        matrix: Shape: (R, N) CSR.
        rows_M: May repeat. Shape: (M,).
        weights_M: Shape: (M,).

    Returns:
        Shape of both: (E,); columns may repeat.
    """
    begin_M = matrix.indptr[rows_M]
    many_M = matrix.indptr[rows_M + 1] - begin_M
    ends_M = np.cumsum(many_M)
    entry_E = np.arange(int(ends_M[-1]) if len(ends_M) else 0) + np.repeat(begin_M - (ends_M - many_M), many_M)
    return matrix.indices[entry_E], matrix.data[entry_E] * np.repeat(weights_M, many_M)
