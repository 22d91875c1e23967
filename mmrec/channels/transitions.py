"""Transition graph: what customers take after what, counted over training histories.

Works on catalogue rows; knows nothing about embeddings or models. An edge i -> j is counted for every pair at distance
1, 2 or 3 in a history, weaker with distance, and backwards at a discount; rows are damped by the root of their degree
and columns by a power of popularity, so that best-sellers do not swallow everything; a share of the two-hop product
reaches items that never followed each other directly. No training: a floor that most published models stay below.
"""

# Axes: N items, B customers, T history places, E events

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.data.interactions import Interactions
from mmrec.errors import InvalidArgumentError

__all__ = ["TransitionConfig", "TransitionGraph", "count_transitions", "history_weights"]


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
        recent: History items that are read, the most recent ones.
    """

    window: int = 3
    backward: float = 0.7
    degree_power: float = 0.5
    popularity_power: float = 0.25
    two_hop: float = 0.4
    neighbours: int = 1000
    decay: float = 0.7
    recent: int = 10

    def __post_init__(self) -> None:
        if self.window < 1 or self.recent < 1 or self.neighbours < 1:
            raise InvalidArgumentError(
                f"window, recent and neighbours are {self.window}, {self.recent}, {self.neighbours}; "
                "each must be 1 or more"
            )
        if not 0 < self.decay <= 1 or not 0 <= self.backward <= 1 or self.two_hop < 0:
            raise InvalidArgumentError(
                f"decay {self.decay} must lie in (0, 1], backward {self.backward} in [0, 1], two_hop {self.two_hop} "
                "be 0 or more"
            )


class TransitionGraph(NamedTuple):
    """Damped transition strengths. ``edges[i, j]``: how strongly j follows i. Shape: (N, N) CSR, float32."""

    edges: sp.csr_array

    def scores(self, histories: Sequence[npt.NDArray[np.int32]], config: TransitionConfig) -> npt.NDArray[np.float32]:
        """Strength of every item after each history.

        Args:
            histories: Catalogue rows, oldest first, one array per customer.
            config: `decay` and `recent` are read.

        Returns:
            Shape: (B, N), float32, 0 where no path leads.
        """
        weights = history_weights(histories, self.edges.shape[0], decay=config.decay, recent=config.recent)
        return np.asarray((weights @ self.edges).toarray(), dtype=np.float32)


def history_weights(
    histories: Sequence[npt.NDArray[np.int32]], items: int, *, decay: float, recent: int
) -> sp.csr_array:
    """Weight of each history item, 1 for the last and `decay` times less per step back. Shape: (B, N) CSR."""
    tails = [history[-recent:] for history in histories]
    indptr = np.concatenate([[0], np.cumsum([len(tail) for tail in tails])]).astype(np.int64)
    columns = np.concatenate([*tails, np.empty(0, dtype=np.int32)])
    values = np.concatenate([decay ** np.arange(len(tail) - 1, -1, -1.0) for tail in tails] + [np.empty(0)])
    return sp.csr_array((values.astype(np.float32), columns, indptr), shape=(len(histories), items))


def count_transitions(train: Interactions, items: int, config: TransitionConfig) -> TransitionGraph:
    """Count, damp and widen the transitions of training histories.

    Args:
        train: Training events only; anything held out would leak into every score.
        items: Items in the catalogue.
        config: See `TransitionConfig`.
    """
    user_of_E = np.repeat(np.arange(len(train.user_ids)), np.diff(train.offsets_U))
    counts = sp.csr_array((items, items), dtype=np.float32)
    for distance in range(1, config.window + 1):
        same_user = user_of_E[distance:] == user_of_E[:-distance]
        before, after = train.items_E[:-distance][same_user], train.items_E[distance:][same_user]
        weight = np.full(len(before), 1.0 / distance, dtype=np.float32)
        forward = sp.coo_array((weight, (before, after)), shape=(items, items)).tocsr()
        counts = counts + forward + config.backward * forward.T.tocsr()
    counts.setdiag(0)
    counts.eliminate_zeros()

    degree = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1e-9)
    popularity = np.maximum(np.bincount(train.items_E, minlength=items), 1)
    damped = (
        sp.diags_array(degree**-config.degree_power)
        @ counts
        @ sp.diags_array(popularity.astype(np.float64) ** -config.popularity_power)
    ).tocsr()
    if config.two_hop:
        # Rows are normalised to one before the product, so that a hop through a hub does not outweigh a direct edge.
        row_sum = np.maximum(np.asarray(damped.sum(axis=1)).ravel(), 1e-9)
        two_hop = (sp.diags_array(1 / row_sum) @ damped @ damped).tocsr()
        two_hop.setdiag(0)
        damped = (damped + config.two_hop * two_hop).tocsr()
    return TransitionGraph(_strongest(damped, config.neighbours).astype(np.float32))


def _strongest(edges: sp.csr_array, keep: int) -> sp.csr_array:
    """Keep the `keep` largest values of each row; the lower column wins ties."""
    sizes = np.diff(edges.indptr)
    if not len(sizes) or sizes.max() <= keep:
        return edges
    rows = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((edges.indices, -edges.data, rows))
    place = np.arange(edges.nnz) - np.repeat(edges.indptr[:-1], sizes)
    chosen = order[place < keep]
    return sp.coo_array((edges.data[chosen], (rows[chosen], edges.indices[chosen])), shape=edges.shape).tocsr()
