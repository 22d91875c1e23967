"""Exact search: brute force, order, and independence of the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.understanding.nearest import check_vectors, nearest_exactly
from tests.understanding.vectors import brute_force, unit_rows


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 60),
    k=st.integers(1, 70),
    share=st.sampled_from([0.0, 0.2, 0.9, 1.0]),
    copies=st.booleans(),
)
def test_as_brute_force_says(seed: int, count: int, k: int, share: float, copies: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit_rows(rng, count, 8)
    if copies:
        vectors = vectors[rng.integers(0, max(1, count // 4), count)]
    queries = unit_rows(rng, 3, 8)
    eligible = rng.random(count) < share
    found = nearest_exactly(vectors, queries, k, eligible)
    expected = brute_force(vectors, queries, k, eligible)
    assert found.rows_QK.tolist() == expected.rows_QK.tolist()
    np.testing.assert_allclose(found.scores_QK, expected.scores_QK, atol=1e-6)


def test_a_query_does_not_depend_on_its_company() -> None:
    rng = np.random.default_rng(0)
    vectors = unit_rows(rng, 40, 64)[rng.integers(0, 40, 3_000)]
    queries = unit_rows(rng, 33, 64)
    together = nearest_exactly(vectors, queries, 100)
    for place in range(len(queries)):
        alone = nearest_exactly(vectors, queries[place : place + 1], 100)
        assert alone.rows_QK[0].tolist() == together.rows_QK[place].tolist()
        assert alone.scores_QK[0].tolist() == together.scores_QK[place].tolist()


def test_of_equal_rows_the_lower_comes_first() -> None:
    vectors = np.repeat(unit_rows(np.random.default_rng(1), 1, 16), 5_000, axis=0)
    assert nearest_exactly(vectors, vectors[:1], 4).rows_QK.tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (np.zeros(3, np.float32), "must be a matrix"),
        (np.zeros((2, 0), np.float32), "must be a matrix"),
        (np.ones((2, 2), np.int64), "must be a matrix"),
        (np.array([[1.0, 0.0], [2.0, 0.0]]), r"things\[1\] has norm 2"),
        (np.array([[np.nan, 0.0]]), r"things\[0\] has norm nan"),
        (np.array([[np.inf, 0.0]]), r"things\[0\] has norm inf"),
        (np.eye(3, dtype=np.float32), "has 3 dimensions, and 2 are needed"),
    ],
)
def test_what_is_no_matrix_of_unit_rows_is_refused(vectors: np.ndarray, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says) as caught:
        check_vectors(vectors, "things", dimension=2)
    assert caught.value.violations[0].field == "things"


def test_zero_rows_and_half_precision_are_fine() -> None:
    checked = check_vectors(np.array([[0, 0], [0.6, 0.8]], np.float16), "things")
    assert checked.dtype == np.float32
    assert checked.shape == (2, 2)
