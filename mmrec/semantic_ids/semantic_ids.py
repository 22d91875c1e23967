"""Semantic IDs: one path of codes per item, made unique by a last code that numbers colliding items."""

# Axes: N items, L quantised levels, P = L + 1 levels of a semantic ID

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LAST_WIDTH = 1 << 20
"""Most items that may share all codes but the last."""


def assign_semantic_ids(codes_NL: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Append a code that makes equal paths unique.

    The first item of a path, in catalogue order, gets 0, the next 1, and so on, so semantic IDs do not change when
    items are appended.

    Args:
        codes_NL: Quantised paths. Shape: (N, L), int32.

    Returns:
        Unique paths. Shape: (N, L + 1), int32.
    """
    items = len(codes_NL)
    order_N = np.lexsort((np.arange(items), *codes_NL.T[::-1]))
    sorted_NL = codes_NL[order_N]
    is_first_N = np.ones(items, dtype=bool)
    is_first_N[1:] = (sorted_NL[1:] != sorted_NL[:-1]).any(axis=1)
    starts_N = np.maximum.accumulate(np.where(is_first_N, np.arange(items), 0))
    ordinal_N = np.empty(items, dtype=np.int32)
    ordinal_N[order_N] = np.arange(items) - starts_N
    return np.concatenate([codes_NL, ordinal_N[:, None]], axis=1).astype(np.int32)
