"""Baselines ("floors" in reports) by counting. A trained recommender must be better than these.

Each baseline turns training events into a scorer of histories; none is trained.
"""

# Axes: B customers, N items, U users

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.data.interactions import Interactions

Scorer = Callable[[Sequence[npt.NDArray[np.int32]]], npt.NDArray[np.float32]]
"""Histories (catalogue rows, oldest first) in; scores of all items out. Shape: (B, N), float32."""


def popularity(train: Interactions, items: int) -> Scorer:
    """Training events per item, the same for every user."""
    counts_N = np.bincount(train.items_E, minlength=items).astype(np.float32)
    return lambda histories: np.tile(counts_N, (len(histories), 1))


def last_item_transitions(train: Interactions, items: int) -> Scorer:
    """How often an item came directly after the last history item; popularity breaks ties."""
    same_user_E = train.users_E[1:] == train.users_E[:-1]
    before, after = train.items_E[:-1][same_user_E], train.items_E[1:][same_user_E]
    ones = np.ones(len(before), dtype=np.float32)
    follows = sp.coo_array((ones, (before, after)), shape=(items, items)).tocsr()
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
