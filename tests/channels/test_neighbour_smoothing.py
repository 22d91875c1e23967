import numpy as np

from mmrec.channels.neighbour_smoothing import neighbour_smoothing

COLD = np.array([False, False, True, False, True])
ROWS = np.array([[1, 0], [0, 0], [1, 3], [0, 0], [0, 0]])
SHARES = np.array([[1.0, 0.0], [1.0, 0.0], [0.75, 0.25], [0.0, 0.0], [0.0, 0.0]], dtype=np.float32)


def test_a_cold_item_is_given_the_mean_of_its_neighbours_and_a_warm_one_nothing() -> None:
    smoothed = neighbour_smoothing(COLD, ROWS, SHARES).smooth(np.array([[1.0, 4.0, 0.0, 8.0, 0.0]], dtype=np.float32))
    assert smoothed.tolist() == [[1.0, 4.0, 5.0, 8.0, 0.0]]


def test_what_is_lent_is_added_to_events_that_came_later() -> None:
    smoothed = neighbour_smoothing(COLD, ROWS, SHARES).smooth(np.array([[0.0, 4.0, 2.0, 0.0, 0.0]], dtype=np.float32))
    assert smoothed.tolist() == [[0.0, 4.0, 5.0, 0.0, 0.0]]


def test_parts_are_lent_as_scores_are() -> None:
    parts = np.array([[1.0, 4.0, 0.0, 8.0, 0.0], [0.0, 2.0, 1.0, 0.0, 3.0]], dtype=np.float32)
    smoothing = neighbour_smoothing(COLD, ROWS, SHARES)
    asked = np.array([4, 2, 0])
    found = smoothing.parts(asked, lambda rows: parts[:, rows].copy())
    assert found.tolist() == smoothing.smooth(parts.copy())[:, asked].tolist()
    assert found.tolist() == [[0.0, 5.0, 1.0], [3.0, 2.5, 0.0]]


def test_where_every_item_has_events() -> None:
    smoothing = neighbour_smoothing(np.zeros(5, bool), ROWS, SHARES)
    scores = np.ones((2, 5), dtype=np.float32)
    assert smoothing.smooth(scores.copy()).tolist() == scores.tolist()
    assert smoothing.parts(np.array([0, 4]), lambda rows: scores[:, rows].copy()).tolist() == [[1.0, 1.0]] * 2
