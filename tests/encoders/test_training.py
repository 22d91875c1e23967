from __future__ import annotations

import numpy as np
import pytest

from mmrec.data.interactions import Interactions
from mmrec_encoders.training import following_pairs


@pytest.mark.parametrize(
    ("offsets", "items", "pairs"),
    [
        ([0, 3, 5], [1, 2, 3, 4, 5], [[1, 2], [2, 3], [4, 5]]),
        ([0, 1, 2], [1, 2], []),
        ([0, 0, 2, 2, 4, 4], [1, 2, 3, 4], [[1, 2], [3, 4]]),
        ([0, 3], [1, 1, 2], [[1, 2]]),
        ([0], [], []),
        ([0, 1], [1], []),
    ],
)
def test_only_items_of_one_user_follow_each_other(offsets: list[int], items: list[int], pairs: list[list[int]]) -> None:
    interactions = Interactions(
        tuple(f"u{n}" for n in range(len(offsets) - 1)),
        np.array(offsets, np.int64),
        np.array(items, np.int32),
        np.arange(len(items), dtype=np.int64),
    )
    found = following_pairs(interactions)
    assert (found.shape, found.dtype) == ((len(pairs), 2), np.int64)
    assert found.tolist() == pairs
