"""Baselines ("floors" in reports) by counting. A trained recommender must be better than these.

Each baseline turns training events into a scorer of histories; none is trained.
"""

# Axes: B customers, N items, U users

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.channels.transitions import history_weights, keep_strongest
from mmrec.data.interactions import Interactions
from mmrec.data.item_pairs import forward_pairs

Scorer = Callable[[Sequence[npt.NDArray[np.int32]]], npt.NDArray[np.float32]]
"""Histories (catalogue rows, oldest first) in; scores of all items out. Shape: (B, N), float32."""


def popularity(train: Interactions, items: int) -> Scorer:
    """Training events per item, the same for every user."""
    counts_N = np.bincount(train.items_E, minlength=items).astype(np.float32)
    return lambda histories: np.tile(counts_N, (len(histories), 1))


def last_item_transitions(train: Interactions, items: int) -> Scorer:
    """How often an item came directly after the last history item; popularity breaks ties."""
    follows = forward_pairs(train, items, window=1)
    counts_N = np.bincount(train.items_E, minlength=items).astype(np.float32)
    tie_break_N = counts_N / (2 * max(1.0, float(counts_N.sum())))

    def score(histories: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.float32]:
        last = np.array([history[-1] for history in histories], dtype=np.int64)
        return np.asarray(follows[last].toarray() + tie_break_N, dtype=np.float32)

    return score


def item_knn(train: Interactions, items: int, *, recent: int = 10) -> Scorer:
    """Cosine between items' sets of users, summed over the last `recent` history items."""
    ones = np.ones(train.events, dtype=np.float32)
    by_user = sp.coo_array((ones, (train.users_E, train.items_E)), shape=(train.users, items)).tocsr()
    by_user.data[:] = 1.0
    norm_N = np.sqrt(np.maximum(np.asarray(by_user.sum(axis=0)).ravel(), 1.0))
    unit = (by_user @ sp.diags_array(1.0 / norm_N)).tocsr()
    cosine = (unit.T @ unit).tocsr()
    cosine.setdiag(0)

    def score(histories: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.float32]:
        rows = [np.unique(history[-recent:]) for history in histories]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        columns = np.concatenate([*rows, np.empty(0, dtype=np.int32)])
        histories_BN = sp.csr_array(
            (np.ones(len(columns), dtype=np.float32), columns, indptr), shape=(len(rows), items)
        )
        return np.asarray((histories_BN @ cosine).toarray(), dtype=np.float32)

    return score


def pair_counts(
    train: Interactions, items: int, *, tau: float = 1000.0, popularity_power: float = 0.3, neighbours: int = 80
) -> Scorer:
    """Pair counts with a logarithm (PCTM, arXiv 2608.19833): the strongest published recommender without training.

    A pair at a distance of 1 to 5 counts 0.7 to the power of the distance less 1; of each item the strongest
    `neighbours` are kept. A history item weighs 0.7 times the one after it and adds log(1 + N count / tau), where the
    count is divided by a power of the following item's popularity. The defaults are the best of a grid on the
    validation events of Amazon Beauty.

    Args:
        train: Training events.
        items: Items in the catalogue, N.
        tau: The smaller, the more a first pair counts beside further ones.
        popularity_power: 0 for no correction.
        neighbours: Pairs kept per item.
    """
    counts = forward_pairs(train, items, window=5, weight=lambda distance: 0.7 ** (distance - 1))
    popularity_N = np.maximum(np.bincount(train.items_E, minlength=items), 1.0)
    counts.data = np.log1p(items * counts.data / (tau * popularity_N[counts.indices] ** popularity_power))
    counts.setdiag(0)
    counts.eliminate_zeros()
    follows = keep_strongest(counts, np.ones(items), neighbours)

    def score(histories: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.float32]:
        weights_BN = history_weights(histories, items, decay=0.7, recent=max(map(len, histories), default=1))
        return np.asarray((weights_BN @ follows).toarray(), dtype=np.float32)

    return score
