"""Gives items random ids and rows, so that neither shows when an item first appeared.

Many data files number items in order of first appearance: the next item of a user is then often the next number, and a
model could read targets from numbers. Works on catalogues and interactions; knows nothing of rankers.
"""

# Axes: N items

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.interactions import Interactions


def shuffled_rows(items: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """The new row of each item: a random permutation. Shape: (N,), int64."""
    return np.random.default_rng(seed).permutation(items)


def relabel_catalogue(catalogue: Catalogue, new_rows_N: npt.NDArray[np.int64], seed: int = 0) -> Catalogue:
    """The same items in their new rows, with random ids of equal length that are none of the old ones.

    Args:
        catalogue: The items.
        new_rows_N: From `shuffled_rows`. Shape: (N,), int64.
        seed: Seed of the ids, which depend only on it and on the number of items.
    """
    old_rows_N = np.argsort(new_rows_N)
    shuffled = catalogue.take(old_rows_N)
    # Random numbers also hide the new order from rankers that sort by id.
    numbers = np.random.default_rng([seed, 1]).permutation(len(catalogue))
    width = len(str(max(len(catalogue) - 1, 0)))
    prefix = "r"
    while any(item_id.startswith(prefix) for item_id in catalogue.item_ids):
        prefix += "r"
    return dataclasses.replace(shuffled, item_ids=tuple(f"{prefix}{number:0{width}d}" for number in numbers.tolist()))


def relabel_interactions(interactions: Interactions, new_rows_N: npt.NDArray[np.int64]) -> Interactions:
    """The same events of the same users, with items in their new rows."""
    return dataclasses.replace(interactions, items_E=new_rows_N.astype(np.int32)[interactions.items_E])
