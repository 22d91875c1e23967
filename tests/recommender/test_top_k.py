import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.recommender.rerank import top_k


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=50), st.integers(1, 60))
def test_it_equals_sorting_everything_with_ties_by_row(rows: list[tuple[int, bool]], k: int) -> None:
    scores = np.array([score for score, _ in rows], dtype=np.float32)
    eligible = np.array([is_eligible for _, is_eligible in rows])
    expected = sorted((row for row in range(len(rows)) if eligible[row]), key=lambda row: (-scores[row], row))[:k]
    found = top_k(scores, eligible, k)
    assert found.rows_K.tolist() == expected
    assert found.scores_K.tolist() == scores[expected].tolist()


def test_no_place_to_fill_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="k is 0"):
        top_k(np.zeros(3, dtype=np.float32), np.ones(3, dtype=bool), 0)
