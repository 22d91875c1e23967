"""Which items come after which in the histories of users, counted."""

# Axes: N items, E events

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from mmrec.data.interactions import Interactions


def forward_pairs(
    train: Interactions, items: int, window: int, weight: Callable[[int], float] = lambda distance: 1.0 / distance
) -> sp.csr_array:
    """Pairs of items within `window` places of a history, each weighing by its distance. Shape: (N, N) CSR, float64.

    Args:
        train: The events.
        items: Items in the catalogue, N.
        window: Largest distance, 1 or more.
        weight: What a pair at a distance counts.
    """
    pairs = sp.csr_array((items, items), dtype=np.float64)
    for distance in range(1, window + 1):
        same_user = train.users_E[distance:] == train.users_E[:-distance]
        before, after = train.items_E[:-distance][same_user], train.items_E[distance:][same_user]
        weights = np.full(len(before), weight(distance))
        pairs = pairs + sp.coo_array((weights, (before, after)), shape=(items, items)).tocsr()
    return pairs
