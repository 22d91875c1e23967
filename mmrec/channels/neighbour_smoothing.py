"""Scores cold items by their neighbours' scores.

Works on catalogue rows; knows nothing about channels and models. An item without a training event has no transitions
and no popularity, so a channel of counts would never rank it, however well its content fits. Until it has events of
its own it gets the weighted mean of the scores of the items most similar to it.
"""

# Axes: B users, N items, C cold items, X scored items, T history positions, M neighbours of the scored items, K
# neighbours of an item, S rows with a score

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.catalogue.segments import Segmented
from mmrec.channels.sparse_scores import SparseScores, weighted_rows

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

MOST_LENT = 4_096
"""Most pairs of an item with a score and a cold neighbour that are read to find the cold items with the highest scores;
those of the highest scores come first."""


class NeighbourSmoothing:
    """Cold items and their neighbours. Safe to read from any thread.

    Args:
        cold_N: Items without a training event. Shape: (N,), bool.
        rows_NK: Catalogue rows of each item's neighbours, which are warm. Shape: (N, K), int32.
        weights_NK: Their weights, which sum to one, 0 for no neighbour. Shape: (N, K), float32.
        before: The smoothing of the catalogue before a change, whose tables this one takes over as far as they hold.
        changed_M: Rows that this change replaced or added. Shape: (M,).
    """

    def __init__(
        self,
        cold_N: npt.NDArray[np.bool_],
        rows_NK: Segmented[npt.NDArray[np.int32]],
        weights_NK: Segmented[Floats],
        before: NeighbourSmoothing | None = None,
        changed_M: Rows | None = None,
    ) -> None:
        self._cold_N = cold_N
        self._rows_NK, self._weights_NK = rows_NK, weights_NK
        self._first: NeighbourSmoothing = self if before is None else before._first
        self._changed_R: Rows = np.empty(0, np.int64) if before is None else before._changed_R
        if changed_M is not None:
            self._changed_R = np.union1d(self._changed_R, changed_M)
            if "_cold_by_neighbour" in vars(self._first):
                _ = self._changed_by_neighbour  # computed here, so that no request has to wait for it

    @cached_property
    def _weights_CN(self) -> sp.csr_array:
        """Weights of the neighbours of every cold item. Shape: (C, N) CSR."""
        rows_CK, weights_CK = self._neighbours(self._cold_C)
        row_E = np.repeat(np.arange(len(rows_CK)), rows_CK.shape[1])
        shape = (len(rows_CK), len(self._cold_N))
        weights = sp.coo_array((weights_CK.ravel(), (row_E, rows_CK.ravel())), shape=shape).tocsr()
        weights.eliminate_zeros()
        return weights

    @cached_property
    def _cold_C(self) -> Rows:
        return np.flatnonzero(self._cold_N)

    @cached_property
    def _cold_by_neighbour(self) -> sp.csr_array:
        """Index among the cold items of every item that each row is a neighbour of. Shape: (N, C) CSR."""
        return self._weights_CN.T.tocsr()

    @cached_property
    def _changed_by_neighbour(self) -> tuple[npt.NDArray[np.bool_], Rows, Rows, sp.csr_array]:
        """Which items are cold and not changed; cold changed ones; their neighbours, ascending; weights of these.

        Shapes: (N,), (C,), (M,) and (M, C) CSR.
        """
        others_N = self._cold_N.copy()
        others_N[self._changed_R] = False
        cold_C = self._changed_R[self._cold_N[self._changed_R]]
        rows_CK, weights_CK = self._neighbours(cold_C)
        row_E = np.repeat(np.arange(len(cold_C)), rows_CK.shape[1])
        real_E = weights_CK.ravel() != 0
        neighbours_M, place_E = np.unique(rows_CK.ravel()[real_E], return_inverse=True)
        weights = (weights_CK.ravel()[real_E], (place_E, row_E[real_E]))
        return others_N, cold_C, neighbours_M, sp.coo_array(weights, shape=(len(neighbours_M), len(cold_C))).tocsr()

    def _neighbours(self, rows_X: Rows) -> tuple[Rows, Floats]:
        """Neighbours of some items, and their weights. Shapes: (X, K)."""
        return self._rows_NK[rows_X], self._weights_NK[rows_X]

    def smooth(self, scores_BN: Floats) -> Floats:
        """Add the neighbours' scores to those of the cold items, in place. Shape: (B, N), float32."""
        if len(self._cold_C):
            scores_BN[:, self._cold_C] += (self._weights_CN @ scores_BN.T).T
        return scores_BN

    def at(self, rows_X: Rows, score: Callable[[Rows], Floats]) -> Floats:
        """Smoothed scores of some items.

        Args:
            rows_X: The items. Shape: (X,).
            score: Scores before smoothing, of an array of rows of any shape, whose axes are the last ones.

        Returns:
            Shape: (..., X), float32.
        """
        scores_X = score(rows_X).astype(np.float32)
        cold_X = np.flatnonzero(self._cold_N[rows_X])
        if len(cold_X):
            rows_CK, weights_CK = self._neighbours(rows_X[cold_X])
            scores_X[..., cold_X] += (weights_CK * score(rows_CK)).sum(axis=-1)
        return scores_X

    def lifted(self, scores: SparseScores, most: int, eligible_N: npt.NDArray[np.bool_] | None = None) -> Rows:
        """Cold items that smoothing gives a score above 0, those with the highest scores.

        Of many scored items with many cold neighbours, the ones with low scores are not read.

        Args:
            scores: Before smoothing.
            most: How many at most.
            eligible_N: Items that may be returned; None for all. Shape: (N,), bool.
        """
        first = self._first
        places_E, values_E = _lent(first._cold_by_neighbour, scores)
        rows_E = first._cold_C[places_E]
        if len(self._changed_R):
            others_N, cold_C, neighbours_M, weights_MC = self._changed_by_neighbour
            stay_E = others_N[rows_E]
            place_S = np.searchsorted(neighbours_M, scores.rows_S)
            here_S = np.append(neighbours_M, -1)[place_S] == scores.rows_S
            places_F, values_F = weighted_rows(weights_MC, place_S[here_S], scores.values_S[here_S])
            rows_E = np.concatenate([rows_E[stay_E], cold_C[places_F]])
            values_E = np.concatenate([values_E[stay_E], values_F])
        return SparseScores.summed(rows_E, values_E).best(most, eligible_N)

    def parts(self, rows_X: Rows, parts_of: Callable[[Rows], Floats]) -> Floats:
        """Contribution of each history position to the smoothed scores of some items.

        Args:
            rows_X: The items. Shape: (X,).
            parts_of: Contributions to the scores before smoothing, (T, M) for (M,) rows.

        Returns:
            Shape: (T, X), float32.
        """
        own_TX = parts_of(rows_X)
        cold_X = np.flatnonzero(self._cold_N[rows_X])
        if not len(cold_X):
            return own_TX
        rows_CK, weights_CK = self._neighbours(rows_X[cold_X])
        neighbours_M, place_E = np.unique(rows_CK, return_inverse=True)
        parts_TCK = parts_of(neighbours_M)[:, place_E.reshape(rows_CK.shape)]
        own_TX[:, cold_X] += (weights_CK * parts_TCK).sum(axis=2)
        return own_TX


def _lent(cold_by_neighbour: sp.csr_array, scores: SparseScores) -> tuple[npt.NDArray[np.int32], Floats]:
    """Index among the cold items and part of the score, for each pair of a scored item and a cold neighbour.

    Shape of both: (E,).
    """
    known_S = scores.rows_S < cold_by_neighbour.shape[0]
    rows_S, values_S = scores.rows_S[known_S], scores.values_S[known_S]
    ends = cold_by_neighbour.indptr
    many_S = ends[rows_S + 1] - ends[rows_S]
    if int(many_S.sum()) > MOST_LENT:
        order_S = np.argsort(-values_S, kind="stable")
        chosen = order_S[np.cumsum(many_S[order_S]) <= MOST_LENT]
        rows_S, values_S = rows_S[chosen], values_S[chosen]
    return weighted_rows(cold_by_neighbour, rows_S, values_S)
