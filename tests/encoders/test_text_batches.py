from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec_encoders.text_batches import token_batches


def batches(lengths: list[int], **limits: int) -> list[list[int]]:
    limits = {"token_budget": 100, "batch_size": 10, "padding_allowed": 1000} | limits
    return [rows.tolist() for rows in token_batches(np.array(lengths, np.int64), **limits)]


@pytest.mark.parametrize(
    ("lengths", "limits", "expected"),
    [
        ([], {}, []),
        ([5], {}, [[0]]),
        ([3, 9, 3, 9], {}, [[1, 3, 0, 2]]),
        # Padding of six each: another pass is cheaper than the second of them.
        ([3, 9, 3, 9], {"padding_allowed": 6}, [[1, 3, 0], [2]]),
        ([3, 9, 3, 9], {"padding_allowed": 0}, [[1, 3], [0, 2]]),
        ([50, 50, 50], {}, [[0, 1], [2]]),
        ([500, 1], {}, [[0], [1]]),
        ([1, 1, 1], {"batch_size": 2}, [[0, 1], [2]]),
    ],
)
def test_neighbours_in_length_share_a_pass(
    lengths: list[int], limits: dict[str, int], expected: list[list[int]]
) -> None:
    assert batches(lengths, **limits) == expected


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 500), st.integers(1, 8), st.integers(0, 100))
def test_every_text_is_in_one_batch_and_no_batch_is_over_a_limit(
    lengths: list[int], budget: int, size: int, padding: int
) -> None:
    found = batches(lengths, token_budget=budget, batch_size=size, padding_allowed=padding)
    assert sorted(row for rows in found for row in rows) == list(range(len(lengths)))
    for rows in found:
        longest = max(lengths[row] for row in rows)
        assert len(rows) <= size
        assert len(rows) == 1 or len(rows) * longest <= budget
        assert sum(longest - lengths[row] for row in rows) <= padding
