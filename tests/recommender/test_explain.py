import numpy as np
import pytest

from mmrec.recommender.explain import divide_shares


def test_a_share_is_divided_in_proportion_to_what_speaks_for_it() -> None:
    parts = divide_shares(np.array([6.0]), np.array([[1.0], [2.0], [-5.0]]))
    assert parts[:, 0].tolist() == pytest.approx([2.0, 4.0, 0.0])


def test_a_share_below_zero_is_divided_over_what_speaks_against() -> None:
    parts = divide_shares(np.array([-6.0]), np.array([[1.0], [-2.0], [-1.0]]))
    assert parts[:, 0].tolist() == pytest.approx([0.0, -4.0, -2.0])


def test_where_nothing_speaks_for_a_share_it_is_divided_evenly() -> None:
    parts = divide_shares(np.array([3.0, -3.0]), np.array([[-1.0, 0.0], [0.0, 0.0], [-2.0, 0.5]]))
    assert parts.T.tolist() == [pytest.approx([1.0, 1.0, 1.0]), pytest.approx([-1.0, -1.0, -1.0])]
