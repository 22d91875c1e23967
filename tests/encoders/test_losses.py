from __future__ import annotations

import math

import pytest
import torch

from mmrec_encoders.losses import agree, structure, two_views

AXES = torch.eye(3)


def test_rows_that_match_only_their_partner_cost_what_the_formula_says() -> None:
    # Three right angles: log(e + 2) - 1 for scale 1.
    assert float(agree(AXES, AXES, 1.0)) == pytest.approx(math.log(math.e + 2) - 1, abs=1e-6)


def test_rows_that_mean_the_same_are_no_wrong_answers() -> None:
    rows = AXES[[0, 0, 1]]
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    # Rows 0 and 1 have one wrong answer each (row 2); row 2 has two.
    expected = (2 * (math.log(math.e + 1) - 1) + (math.log(math.e + 2) - 1)) / 3
    assert float(agree(rows, rows, 1.0, same_BB=same)) == pytest.approx(expected, abs=1e-6)


def test_a_frequent_wrong_answer_counts_less() -> None:
    bias = torch.tensor([0.0, 0.0, 2.0])
    plain = agree(AXES[:2], AXES[:2], 1.0, symmetric=False)
    corrected = agree(AXES, AXES, 1.0, bias_B=bias, symmetric=False)
    first = math.log(math.e + 1 + math.exp(-2)) - 1
    third = math.log(math.exp(-1) + 2) + 1
    assert float(corrected) == pytest.approx((2 * first + third) / 3, abs=1e-6)
    assert first < math.log(math.e + 2) - 1
    assert float(plain) < float(corrected)


def test_two_views_look_for_each_other_among_all_views() -> None:
    # Two pictures, views identical: one right answer at cosine 1, two wrong ones at 0.
    assert float(two_views(AXES[:2] * 5, AXES[:2], 1.0)) == pytest.approx(math.log(math.e + 2) - 1, abs=1e-6)


def test_neighbourhoods_that_are_kept_cost_nothing() -> None:
    rows = torch.nn.functional.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    assert float(structure(rows, rows @ rows.T, 0.1)) == pytest.approx(0.0, abs=1e-6)
    assert float(structure(rows.flip(0), rows @ rows.T, 0.1)) > 0.1
