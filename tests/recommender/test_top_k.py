import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.recommender.rerank import top_k


@pytest.mark.parametrize(
    ("k", "rows", "scores"),
    [
        (1, [3], [4]),
        (3, [3, 0, 4], [4, 2, 2]),  # row 5 has as much as row 4
        (4, [3, 0, 4, 5], [4, 2, 2, 2]),
        (6, [3, 0, 4, 5, 2], [4, 2, 2, 2, -1]),  # fewer than asked for
    ],
)
def test_the_best_eligible_items_come_best_first_with_ties_to_the_lower_row(
    k: int, rows: list[int], scores: list[float]
) -> None:
    found = top_k(np.array([2, 9, -1, 4, 2, 2], np.float32), np.array([True, False, True, True, True, True]), k)
    assert (found.rows_K.tolist(), found.scores_K.tolist()) == (rows, scores)


def test_the_best_of_a_large_catalogue() -> None:
    scores_N, eligible_N = np.zeros(5000, np.float32), np.ones(5000, bool)
    scores_N[[7, 8, 9, 3000, 4999]] = 1, 3, 9, 2, 2
    eligible_N[9] = False
    assert top_k(scores_N, eligible_N, 2).rows_K.tolist() == [8, 3000]
    assert top_k(scores_N, eligible_N, 3).rows_K.tolist() == [8, 3000, 4999]
    assert top_k(scores_N, eligible_N, 6).rows_K.tolist() == [8, 3000, 4999, 7, 0, 1]
    assert top_k(scores_N, scores_N == 9, 2).rows_K.tolist() == [9]
    assert top_k(scores_N, scores_N > 9, 2).rows_K.tolist() == []


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=50), st.integers(1, 60))
def test_it_equals_sorting_everything_with_ties_by_row(rows: list[tuple[int, bool]], k: int) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float32)
    eligible = np.array([is_eligible for _, is_eligible in rows])
    expected = sorted((row for row in range(len(rows)) if eligible[row]), key=lambda row: (-scores[row], row))[:k]
    assert top_k(scores, eligible, k).rows_K.tolist() == expected


def test_no_place_to_fill_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="k is 0"):
        top_k(np.zeros(3, dtype=np.float32), np.ones(3, dtype=bool), 0)
