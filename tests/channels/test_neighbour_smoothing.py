import numpy as np

from mmrec.channels.neighbour_smoothing import lend_to

COLD = np.array([False, False, True, False, True])
ROWS = np.array([[1, 0], [0, 0], [1, 3], [0, 0], [0, 0]])
SHARES = np.array([[1.0, 0.0], [1.0, 0.0], [0.75, 0.25], [0.0, 0.0], [0.0, 0.0]], dtype=np.float32)


def test_a_cold_item_is_given_the_mean_of_its_neighbours_and_a_warm_one_nothing() -> None:
    lent = lend_to(COLD, ROWS, SHARES).lend(np.array([[1.0, 4.0, 0.0, 8.0, 0.0]], dtype=np.float32))
    assert lent.tolist() == [[1.0, 4.0, 5.0, 8.0, 0.0]]


def test_what_is_lent_is_added_to_events_that_came_later() -> None:
    lent = lend_to(COLD, ROWS, SHARES).lend(np.array([[0.0, 4.0, 2.0, 0.0, 0.0]], dtype=np.float32))
    assert lent.tolist() == [[0.0, 4.0, 5.0, 0.0, 0.0]]


def test_parts_are_lent_as_scores_are() -> None:
    parts = np.array([[1.0, 4.0, 0.0, 8.0, 0.0], [0.0, 2.0, 1.0, 0.0, 3.0]], dtype=np.float32)
    lending = lend_to(COLD, ROWS, SHARES)
    asked = np.array([4, 2, 0])
    found = lending.parts(asked, lambda rows: parts[:, rows].copy())
    assert found.tolist() == lending.lend(parts.copy())[:, asked].tolist()
    assert found.tolist() == [[0.0, 5.0, 1.0], [3.0, 2.5, 0.0]]


def test_where_every_item_has_events() -> None:
    lending = lend_to(np.zeros(5, bool), ROWS, SHARES)
    scores = np.ones((2, 5), dtype=np.float32)
    assert lending.lend(scores.copy()).tolist() == scores.tolist()
    assert lending.parts(np.array([0, 4]), lambda rows: scores[:, rows].copy()).tolist() == [[1.0, 1.0]] * 2
