from __future__ import annotations

import numpy as np
import pytest

from mmrec_encoders.finetuning import retrieval as module
from mmrec_encoders.finetuning.retrieval import rank_of_right, retrieval

AXES = np.eye(4, dtype=np.float32)


def test_the_best_right_answer_is_ranked_among_the_wrong_ones() -> None:
    # Query 0 finds a right answer (label 7) first; query 1's only right one comes after two wrong ones.
    queries = np.array([[1, 0], [0, 1]], np.float32)
    candidates = np.array([[0.9, 0.1], [0.8, 0.3], [0.1, 0.2]], np.float32)
    ranks = rank_of_right(queries, candidates, np.array([7, 8]), np.array([7, 7, 8]))
    assert ranks.tolist() == [1.0, 2.0]
    ranks = rank_of_right(queries, candidates, np.array([8, 8]), np.array([7, 7, 8]))
    assert ranks.tolist() == [3.0, 2.0]


def test_vectors_that_are_all_alike_rank_in_the_middle() -> None:
    same = np.ones((5, 2), np.float32)
    found = retrieval(same[:1], same, np.array([0]), np.arange(5))
    assert (found.recall_1, found.recall_5, found.median_rank) == (0.0, 1.0, 3.0)


def test_figures_of_a_perfect_and_of_a_reversed_search() -> None:
    labels = np.arange(4)
    found = retrieval(AXES, AXES, labels, labels)
    assert (found.queries, found.candidates) == (4, 4)
    assert (found.recall_1, found.recall_5, found.recall_10, found.median_rank) == (1.0, 1.0, 1.0, 1.0)
    assert retrieval(-AXES, AXES, labels, labels).median_rank == 4.0


def test_blocks_do_not_change_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    queries, candidates = rng.normal(size=(2, 50, 8)).astype(np.float32)
    labels = rng.integers(0, 10, 50)
    whole = rank_of_right(queries, candidates, labels, labels)
    monkeypatch.setattr(module, "BLOCK_VALUES", 150)
    np.testing.assert_array_equal(rank_of_right(queries, candidates, labels, labels), whole)
