import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmrec.evaluation.lists import ListTally, gini, top_lists


@given(arrays(np.float32, (3, 12), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0])), st.integers(1, 15))
def test_the_best_come_first_and_ties_go_to_the_lower_row(scores: np.ndarray, k: int) -> None:
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    assert top_lists(scores, None, k).tolist() == expected.tolist()


def test_seen_items_are_not_in_the_lists_and_short_lists_end_early() -> None:
    scores = np.array([[5.0, 4.0, 3.0]], dtype=np.float32)
    assert top_lists(scores, [np.array([1, 0, 1], dtype=np.int32)], 2).tolist() == [[2, -1]]
    assert scores.tolist() == [[5.0, 4.0, 3.0]]


def test_scores_that_are_a_view_of_one_row_are_left_alone() -> None:
    scores = np.broadcast_to(np.array([1.0, 3.0, 2.0], dtype=np.float32), (2, 3))
    assert top_lists(scores, None, 2).tolist() == [[1, 2], [1, 2]]


def tally(lists: list[list[int]], history: list[float], cutoffs: tuple[int, ...] = (2,)) -> ListTally:
    popularity = np.array([7.0, 3.0, 1.0, 0.0])
    fused = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], dtype=np.float32)
    made = ListTally(popularity, fused, cutoffs)
    for row, popular in zip(lists, history, strict=True):  # one by one: chunks add up
        made.add(np.array([row]), np.array([popular]))
    return made


def test_figures_of_two_lists() -> None:
    found = tally([[0, 1], [0, 2]], [7.0, 3.0]).figures()
    assert found.coverage == {2: 0.75}
    # 11 training events and 4 items: shares 8/15, 4/15 and 2/15.
    assert found.novelty[2] == pytest.approx((2 * math.log2(15 / 8) + math.log2(15 / 4) + math.log2(15 / 2)) / 4)
    assert found.popularity_ratio[2] == pytest.approx(((7 + 3 + 7 + 1) / 4) / 5)
    assert found.gini[2] == pytest.approx(gini(np.array([2, 1, 1, 0])))
    # The first list holds two equal items, the second two that have nothing in common.
    assert found.diversity[2] == pytest.approx(0.5)


def test_shorter_cut_offs_read_the_head_of_the_same_lists() -> None:
    found = tally([[0, 1, 2]], [7.0], (1, 2, 3)).figures()
    assert found.coverage == {1: 0.25, 2: 0.5, 3: 0.75}
    assert math.isnan(found.diversity[1])
    assert found.diversity[3] == pytest.approx((0 + 1 + 1) / 3)


def test_lists_that_end_early_count_what_they_hold() -> None:
    found = tally([[3, -1], [-1, -1]], [1.0, 1.0]).figures()
    assert found.coverage == {2: 0.25}
    assert found.popularity_ratio == {2: 0.0}
    assert found.as_json()["diversity@2"] is None


def test_gini_of_equal_and_of_one_sided_counts() -> None:
    assert gini(np.array([3, 3, 3, 3])) == 0.0
    assert gini(np.array([0, 0, 0, 8])) == 0.75
    assert gini(np.array([0, 0])) == 0.0
