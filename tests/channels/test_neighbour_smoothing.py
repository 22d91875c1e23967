import numpy as np

from mmrec.catalogue.segments import Segmented
from mmrec.channels.neighbour_smoothing import NeighbourSmoothing
from mmrec.channels.sparse_scores import SparseScores

COLD = np.array([False, False, True, False, True])
ROWS = Segmented(np.array([[1, 0], [0, 0], [1, 3], [0, 0], [0, 0]]))
SHARES = Segmented(np.array([[1.0, 0.0], [1.0, 0.0], [0.75, 0.25], [0.0, 0.0], [0.0, 0.0]], dtype=np.float32))


def test_a_cold_item_is_given_the_mean_of_its_neighbours_and_a_warm_one_nothing() -> None:
    smoothed = NeighbourSmoothing(COLD, ROWS, SHARES).smooth(np.array([[1.0, 4.0, 0.0, 8.0, 0.0]], dtype=np.float32))
    assert smoothed.tolist() == [[1.0, 4.0, 5.0, 8.0, 0.0]]


def test_what_is_lent_is_added_to_events_that_came_later() -> None:
    smoothed = NeighbourSmoothing(COLD, ROWS, SHARES).smooth(np.array([[0.0, 4.0, 2.0, 0.0, 0.0]], dtype=np.float32))
    assert smoothed.tolist() == [[0.0, 4.0, 5.0, 0.0, 0.0]]


def test_parts_are_smoothed_as_scores_are() -> None:
    parts = np.array([[1.0, 4.0, 0.0, 8.0, 0.0], [0.0, 2.0, 1.0, 0.0, 3.0]], dtype=np.float32)
    smoothing = NeighbourSmoothing(COLD, ROWS, SHARES)
    asked = np.array([4, 2, 0])
    found = smoothing.parts(asked, lambda rows: parts[:, rows].copy())
    assert found.tolist() == smoothing.smooth(parts.copy())[:, asked].tolist()
    assert found.tolist() == [[0.0, 5.0, 1.0], [3.0, 2.5, 0.0]]


def test_where_every_item_has_events() -> None:
    smoothing = NeighbourSmoothing(np.zeros(5, bool), ROWS, SHARES)
    scores = np.ones((2, 5), dtype=np.float32)
    assert smoothing.smooth(scores.copy()).tolist() == scores.tolist()
    assert smoothing.parts(np.array([0, 4]), lambda rows: scores[:, rows].copy()).tolist() == [[1.0, 1.0]] * 2


def test_scores_of_a_few_items_are_those_of_all_items() -> None:
    scores = SparseScores(np.array([1, 3]), np.array([4.0, 8.0], np.float32))
    smoothing = NeighbourSmoothing(COLD, ROWS, SHARES)
    assert smoothing.at(np.array([0, 2, 3, 4]), scores.at).tolist() == [0.0, 5.0, 8.0, 0.0]


def test_several_scores_are_smoothed_at_once() -> None:
    scores = np.array([[1.0, 4.0, 0.0, 8.0, 0.0], [0.0, 2.0, 1.0, 0.0, 3.0]], dtype=np.float32)
    found = NeighbourSmoothing(COLD, ROWS, SHARES).at(np.array([0, 2]), lambda rows: scores[:, rows])
    assert found.tolist() == [[1.0, 5.0], [0.0, 2.5]]


def test_of_very_many_cold_neighbours_those_of_the_highest_scores_are_found() -> None:
    cold = np.arange(20_010) >= 10
    rows = Segmented(np.where(cold, np.arange(20_010) % 10, 0)[:, None])
    smoothing = NeighbourSmoothing(cold, rows, Segmented(cold.astype(np.float32)[:, None]))
    scores = SparseScores(np.arange(10), np.arange(10, dtype=np.float32))
    found = smoothing.lifted(scores, 2_000)
    assert len(set(found.tolist())) == 2_000
    assert set((found % 10).tolist()) == {9}


def test_cold_items_are_found_from_the_neighbours_that_have_a_score() -> None:
    smoothing = NeighbourSmoothing(COLD, ROWS, SHARES)
    assert smoothing.lifted(SparseScores(np.array([3]), np.array([8.0], np.float32)), 10).tolist() == [2]
    assert smoothing.lifted(SparseScores(np.array([0]), np.array([1.0], np.float32)), 10).tolist() == []


def test_cold_items_are_found_after_a_change_of_their_neighbours() -> None:
    before = NeighbourSmoothing(COLD, ROWS, SHARES)
    rows = ROWS.replaced(np.array([2, 5]), np.array([[1, 0], [0, 0]]))
    weights = SHARES.replaced(np.array([2, 5]), np.array([[1.0, 0.0], [1.0, 0.0]], np.float32))
    changed = NeighbourSmoothing(np.append(COLD, True), rows, weights, before, np.array([2, 5]))
    scores = SparseScores(np.array([0, 3]), np.array([1.0, 8.0], np.float32))
    assert sorted(changed.lifted(scores, 10).tolist()) == [5]
    assert sorted(changed.lifted(scores, 10, np.array([True] * 5 + [False])).tolist()) == []
