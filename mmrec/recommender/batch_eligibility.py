"""What a batch of customers may be shown, once for the channels that score every item and once for the search.

Holds arrays only; knows nothing about requests, filters' words or models.
"""

# Axes: B customers, N items

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.semantic_ids.eligibility import Passing


class Tier(NamedTuple):
    """Items that one customer may be shown, in two equal forms: a mask, and a set with exceptions.

    Attributes:
        mask_N: The items, by catalogue row. Shape: (N,), bool.
        left_out: Catalogue rows that are left out of `within` one by one.
        within: The set they are left out of; None for the whole catalogue.
    """

    mask_N: npt.NDArray[np.bool_]
    left_out: npt.NDArray[np.integer[Any]]
    within: Passing | None


class Allowed(NamedTuple):
    """Tiers of a batch.

    Attributes:
        mask_BN: The items of each customer, by catalogue row. Shape: (B, N), bool.
        left_out: For each customer, catalogue rows that are left out one by one.
        within: For each customer, the set they are left out of; None for the whole catalogue.
    """

    mask_BN: npt.NDArray[np.bool_]
    left_out: Sequence[npt.NDArray[np.integer[Any]]]
    within: Sequence[Passing | None]

    @classmethod
    def of(cls, tiers: Sequence[Tier]) -> Allowed:
        """One tier for each customer, at least one."""
        return cls(
            np.stack([tier.mask_N for tier in tiers]),
            [tier.left_out for tier in tiers],
            [tier.within for tier in tiers],
        )

    @classmethod
    def alike(cls, mask_N: npt.NDArray[np.bool_], within: Passing, batch: int) -> Allowed:
        """The same items for every customer of a batch; `within` holds exactly those of `mask_N`."""
        nothing = np.empty(0, np.int64)
        return cls(np.broadcast_to(mask_N, (batch, len(mask_N))), [nothing] * batch, [within] * batch)
