"""Scores cold items by their neighbours' scores.

Works on catalogue rows; knows nothing about channels and models. An item without a training event has no transitions
and no popularity, so a channel of counts would never rank it, however well its content fits. Until it has events of
its own it gets the weighted mean of the scores of the items most similar to it.
"""

# Axes: B users, N items, C cold items, K requested items, T history positions, M neighbours of the requested items

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp


class NeighbourSmoothing(NamedTuple):
    """Cold items and the weights of their neighbours.

    Attributes:
        cold_C: Catalogue rows of the cold items, ascending. Shape: (C,), int64.
        weights_CN: Weights of their neighbours; a row sums to one, or to zero for an item without neighbours. Shape:
            (C, N) CSR.
    """

    cold_C: npt.NDArray[np.int64]
    weights_CN: sp.csr_array

    def smooth(self, scores_BN: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Add the neighbours' scores to those of the cold items, in place. Shape: (B, N), float32."""
        if len(self.cold_C):
            scores_BN[:, self.cold_C] += (self.weights_CN @ scores_BN.T).T
        return scores_BN

    def parts(
        self,
        rows_K: npt.NDArray[np.int64],
        parts_of: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]],
    ) -> npt.NDArray[np.float32]:
        """Contribution of each history position to the smoothed scores of the requested items.

        Args:
            rows_K: The requested items. Shape: (K,).
            parts_of: Contributions to the scores before smoothing, (T, M) for (M,) rows.

        Returns:
            Shape: (T, K), float32.
        """
        place_K = np.searchsorted(self.cold_C, rows_K)
        cold_K = np.zeros(len(rows_K), dtype=bool)
        inside_K = place_K < len(self.cold_C)
        cold_K[inside_K] = self.cold_C[place_K[inside_K]] == rows_K[inside_K]
        own_TK = parts_of(rows_K)
        if not cold_K.any():
            return own_TK
        weights = self.weights_CN[place_K[cold_K]].tocsc()
        neighbours_M = np.flatnonzero(np.diff(weights.indptr))
        own_TK[:, cold_K] += (weights[:, neighbours_M] @ parts_of(neighbours_M).T).T
        return own_TK


def neighbour_smoothing(
    cold_N: npt.NDArray[np.bool_], rows_NK: npt.NDArray[np.int64], weights_NK: npt.NDArray[np.float32]
) -> NeighbourSmoothing:
    """Smoothing of the cold items of a catalogue.

    Args:
        cold_N: Items without a training event. Shape: (N,), bool.
        rows_NK: Catalogue rows of each item's neighbours. Shape: (N, K).
        weights_NK: Their weights, 0 for no neighbour. Shape: (N, K).
    """
    cold_C = np.flatnonzero(cold_N)
    items, keep = rows_NK.shape
    row_E = np.repeat(np.arange(len(cold_C)), keep)
    weights = sp.coo_array(
        (weights_NK[cold_C].ravel(), (row_E, rows_NK[cold_C].ravel())), shape=(len(cold_C), items)
    ).tocsr()
    weights.eliminate_zeros()
    return NeighbourSmoothing(cold_C, weights)
