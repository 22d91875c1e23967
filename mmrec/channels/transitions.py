"""Transition graph: which items follow which, counted over training histories.

Works on catalogue rows; knows nothing about embeddings or models. An edge i -> j is counted for every pair within a
window of a history, with a weight that falls with distance, and backwards at a discount; rows are divided by a power of
their degree and columns by a power of popularity, so that best-sellers do not dominate; a share of the two-hop product
reaches items that never followed each other directly. Nothing is trained.

Only counts are stored. Damping scales rows and columns, and the second hop is a second product; both are computed only
for the rows of a request, so a new event changes only counts.
"""

# Axes: N items, C items with counts, B customers, T history places, E events, K requested items, X weighted histories

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.channels.sparse_scores import SparseScores, weighted_rows
from mmrec.data.interactions import Interactions
from mmrec.data.item_pairs import forward_pairs
from mmrec.runtime.limits import check_numbers

TINY = 1e-9
"""Replaces the sum of an empty row, to avoid a division by 0."""

MOST_MIDDLE = 2_000
"""Most items in the middle of two-hop paths, the strongest ones, where only reachable items are scored."""


@dataclass(frozen=True, slots=True)
class TransitionConfig:
    """How transitions are counted and damped.

    Attributes:
        window: Largest distance in a history that is counted; distance d weighs 1/d.
        backward: Weight of the reversed edge, 0 to 1.
        degree_power: Rows are divided by their degree to this power.
        popularity_power: Columns are divided by their popularity to this power.
        two_hop: Share of the two-hop product that is added, 0 for none.
        neighbours: Strongest edges kept per item, which bounds memory.
        decay: Weight of a history item relative to the one after it, above 0 to 1.
        recent: Number of most recent history items that are used.
    """

    window: int = 5
    backward: float = 0.5
    degree_power: float = 0.4
    popularity_power: float = 0.15
    two_hop: float = 0.3
    neighbours: int = 1000
    decay: float = 0.6
    recent: int = 10

    def __post_init__(self) -> None:
        check_numbers(self, "window", "recent", "neighbours", low=1)
        check_numbers(self, "decay", over=0, high=1)
        check_numbers(self, "backward", low=0, high=1)
        check_numbers(self, "two_hop", low=0)


WIDE = TransitionConfig(
    window=50, backward=1.0, degree_power=0.5, popularity_power=0.5, two_hop=0.0, decay=0.85, recent=50
)
"""Co-occurrence anywhere in a long history, in either order: useful where users have many items."""


class TransitionGraph(NamedTuple):
    """Counts and the scales that damp them: an immutable snapshot, safe to read from any thread.

    It has counts of the first C items of the catalogue; later ones have none yet.

    Attributes:
        forward: Pairs i then j, each weighing 1/distance. Shape: (C, C) CSR, float32.
        counts: `forward` and its reverse at a discount, the strongest neighbours of each row, no pair of an item with
            itself. Shape: (C, C) CSR, float32.
        popularity_C: Events of each item. Shape: (C,), float32.
        row_scale_C: What damps a row: its degree to a negative power. Shape: (C,), float32.
        column_scale_C: What damps a column: its popularity to a negative power. Shape: (C,), float32.
        hop_scale_C: Makes a row of `counts` with damped columns sum to one. Shape: (C,), float32.
        returns_C: Weight of the two-hop paths that return to the item itself. Shape: (C,), float32.
        items: Items in the catalogue, N.
    """

    forward: sp.csr_array
    counts: sp.csr_array
    popularity_C: npt.NDArray[np.float32]
    row_scale_C: npt.NDArray[np.float32]
    column_scale_C: npt.NDArray[np.float32]
    hop_scale_C: npt.NDArray[np.float32]
    returns_C: npt.NDArray[np.float32]
    items: int

    def scores(self, histories: Sequence[npt.NDArray[np.int32]], config: TransitionConfig) -> npt.NDArray[np.float32]:
        """Strength of every item after each history.

        Args:
            histories: Catalogue rows, oldest first, one array per customer.
            config: `decay`, `recent` and `two_hop` are read.

        Returns:
            Shape: (B, N), float32, 0 for unreachable items.
        """
        weights_BN = history_weights(histories, self.items, decay=config.decay, recent=config.recent)
        counted = self.counts.shape[0]
        scores_BC = np.asarray(self._strengths(weights_BN[:, :counted], config.two_hop).toarray(), dtype=np.float32)
        return scores_BC if counted == self.items else np.pad(scores_BC, ((0, 0), (0, self.items - counted)))

    def reachable(self, history: npt.NDArray[np.int32], config: TransitionConfig) -> SparseScores:
        """The strengths of `scores` after one history, only of items that can be reached from it.

        They are equal up to rounding, unless a history leads to more than `MOST_MIDDLE` items within one step.

        Args:
            history: Catalogue rows, oldest first.
            config: As in `scores`.
        """
        recent_T, weights_T = recent_weights(history, decay=config.decay, recent=config.recent)
        known_T = recent_T < self.counts.shape[0]
        tail_T, weights_T = recent_T[known_T].astype(np.int64), weights_T[known_T]

        def step(rows_M: npt.NDArray[np.int64], weights_M: npt.NDArray[np.float32]) -> SparseScores:
            columns_E, values_E = weighted_rows(self.counts, rows_M, weights_M)
            return SparseScores.summed(columns_E, values_E * self.column_scale_C[columns_E])

        direct = step(tail_T, weights_T * self.row_scale_C[tail_T])
        if not config.two_hop:
            return direct
        middle = step(tail_T, weights_T * self.hop_scale_C[tail_T])
        if len(middle.rows_S) > MOST_MIDDLE:
            strongest = np.argpartition(-middle.values_S, MOST_MIDDLE)[:MOST_MIDDLE]
            middle = SparseScores(middle.rows_S[strongest], middle.values_S[strongest])
        far = step(middle.rows_S, middle.values_S * self.row_scale_C[middle.rows_S])
        back_T = -weights_T * self.returns_C[tail_T]
        values_E = np.concatenate([direct.values_S, config.two_hop * far.values_S, config.two_hop * back_T])
        return SparseScores.summed(np.concatenate([direct.rows_S, far.rows_S, tail_T]), values_E)

    def parts(
        self, history: npt.NDArray[np.int32], rows_K: npt.NDArray[np.int64], config: TransitionConfig
    ) -> npt.NDArray[np.float32]:
        """What each recent history item adds to the strength of the requested items; sums to `scores`.

        Args:
            history: Catalogue rows, oldest first.
            rows_K: The requested items. Shape: (K,).
            config: As in `scores`.

        Returns:
            One row for each of the last `recent` history items. Shape: (T, K), float32.
        """
        tail_T, weights_T = recent_weights(history, decay=config.decay, recent=config.recent)
        alone = [self.reachable(tail_T[place : place + 1], config).at(rows_K) for place in range(len(tail_T))]
        return weights_T[:, None] * np.array(alone, np.float32).reshape(len(tail_T), len(rows_K))

    def after(self, rows_X: npt.NDArray[np.int64], config: TransitionConfig) -> sp.csr_array:
        """Strength of every item after each of the requested items alone.

        Args:
            rows_X: Catalogue rows. Shape: (X,).
            config: `two_hop` is read.

        Returns:
            Shape: (X, N) CSR, float32.
        """
        ones_X, places = np.ones(len(rows_X), dtype=np.float32), np.arange(len(rows_X) + 1)
        asked_XN = sp.csr_array((ones_X, rows_X, places), shape=(len(rows_X), self.items))
        found_XC = self._strengths(asked_XN[:, : self.counts.shape[0]], config.two_hop)
        shape = len(rows_X), self.items
        return sp.csr_array((found_XC.data, found_XC.indices, found_XC.indptr), shape=shape)

    def resized(self, items: int) -> TransitionGraph:
        """The graph of a catalogue with more items, which have no counts yet; shares all arrays."""
        return self._replace(items=items)

    def whole(self) -> TransitionGraph:
        """The same with a row for every item of the catalogue: C = N."""
        items, more = self.items, self.items - len(self.popularity_C)
        if not more:
            return self
        matrices = []
        for matrix in (self.forward, self.counts):
            ends = np.full(more, matrix.indptr[-1], dtype=matrix.indptr.dtype)
            parts = (matrix.data, matrix.indices, np.concatenate([matrix.indptr, ends]))
            matrices.append(sp.csr_array(parts, shape=(items, items)))
        vectors = (self.popularity_C, self.row_scale_C, self.column_scale_C, self.hop_scale_C, self.returns_C)
        # The scales of an item without events, as in `build_graph`.
        fill = (0.0, 1.0, 1.0, 1.0, 0.0)
        scales = [np.append(v, np.full(more, value, v.dtype)) for v, value in zip(vectors, fill, strict=True)]
        return TransitionGraph._make((*matrices, *scales, items))

    def _strengths(self, weights_XC: sp.csr_array, two_hop: float) -> sp.csr_array:
        direct_XC = self._hop(weights_XC, self.row_scale_C)
        if not two_hop:
            return direct_XC
        # Rows are normalised to one before the second hop, so that a hop through a hub does not outweigh a direct edge.
        two_hop_XC = self._hop(self._hop(weights_XC, self.hop_scale_C), self.row_scale_C)
        return (direct_XC + two_hop * (two_hop_XC - _scaled(weights_XC, self.returns_C))).tocsr()

    def _hop(self, weights_XC: sp.csr_array, scale_C: npt.NDArray[np.float32]) -> sp.csr_array:
        return _scaled(_scaled(weights_XC, scale_C) @ self.counts, self.column_scale_C)


def _scaled(matrix: sp.csr_array, columns_N: npt.NDArray[np.float32]) -> sp.csr_array:
    """The matrix with every column multiplied by its own number."""
    return sp.csr_array((matrix.data * columns_N[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)


def recent_weights(
    history: npt.NDArray[np.int32], *, decay: float, recent: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """The last items of a history and their weights: 1 for the last, `decay` times less per step back. Shapes: (T,)."""
    tail_T = history[-recent:]
    return tail_T, (decay ** np.arange(len(tail_T) - 1, -1, -1.0)).astype(np.float32)


def history_weights(
    histories: Sequence[npt.NDArray[np.int32]], items: int, *, decay: float, recent: int
) -> sp.csr_array:
    """Weight of each history item, 1 for the last and `decay` times less per step back. Shape: (B, N) CSR."""
    read = [recent_weights(history, decay=decay, recent=recent) for history in histories]
    indptr = np.concatenate([[0], np.cumsum([len(tail_T) for tail_T, _ in read])]).astype(np.int64)
    columns = np.concatenate([*(tail_T for tail_T, _ in read), np.empty(0, dtype=np.int32)])
    values = np.concatenate([*(weights_T for _, weights_T in read), np.empty(0, dtype=np.float32)])
    return sp.csr_array((values, columns, indptr), shape=(len(histories), items))


def count_transitions(train: Interactions, items: int, config: TransitionConfig) -> TransitionGraph:
    """Count the transitions of training histories.

    Args:
        train: Training events only; held-out events would leak into every score.
        items: Items in the catalogue.
        config: See `TransitionConfig`.
    """
    popularity_N = np.bincount(train.items_E, minlength=items).astype(np.float32)
    return build_graph(forward_pairs(train, items, config.window), popularity_N, config)


def build_graph(
    forward: sp.csr_array, popularity_N: npt.NDArray[np.float32], config: TransitionConfig
) -> TransitionGraph:
    """The graph of pairs that are already counted.

    Args:
        forward: From `forward_pairs`. Shape: (N, N).
        popularity_N: Events of each item. Shape: (N,).
        config: `window` is not read.
    """
    counts = (forward + config.backward * forward.T).tocsr()
    counts.setdiag(0)
    counts.eliminate_zeros()
    column_scale_N = np.maximum(popularity_N, 1.0).astype(np.float64) ** -config.popularity_power
    counts = keep_strongest(counts, column_scale_N, config.neighbours)
    row_scale_N = np.maximum(counts.sum(axis=1), TINY) ** -config.degree_power
    hop_scale_N = 1 / np.maximum(counts @ column_scale_N, TINY)
    round_trip_N = (counts * counts.T.tocsr()) @ (row_scale_N * column_scale_N)
    matrices = (forward.astype(np.float32), counts.astype(np.float32))
    vectors = (popularity_N, row_scale_N, column_scale_N, hop_scale_N, round_trip_N * hop_scale_N * column_scale_N)
    scales = [np.asarray(vector, dtype=np.float32) for vector in vectors]
    for array in (*scales, *(part for matrix in matrices for part in (matrix.data, matrix.indices, matrix.indptr))):
        array.flags.writeable = False
    return TransitionGraph._make((*matrices, *scales, forward.shape[0]))


def keep_strongest(counts: sp.csr_array, column_scale_N: npt.NDArray[np.float64], keep: int) -> sp.csr_array:
    """Keep the `keep` strongest neighbours of each row, by damped counts; the lower column wins ties."""
    sizes = np.diff(counts.indptr)
    if not len(sizes) or sizes.max() <= keep:
        return counts
    rows = np.repeat(np.arange(len(sizes)), sizes)
    # To 18 bits, because counts that were added up in another order, or in float32, differ in their last bits.
    mantissa, exponent = np.frexp(counts.data * column_scale_N[counts.indices])
    strength = np.ldexp(np.round(np.ldexp(mantissa, 18)), exponent)
    order = np.lexsort((counts.indices, -strength, rows))
    place = np.arange(counts.nnz) - np.repeat(counts.indptr[:-1], sizes)
    chosen = order[place < keep]
    return sp.coo_array((counts.data[chosen], (rows[chosen], counts.indices[chosen])), shape=counts.shape).tocsr()
