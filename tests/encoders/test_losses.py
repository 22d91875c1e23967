from __future__ import annotations

import math

import pytest
import torch

from mmrec_encoders.losses import agree, clip_loss, neighbours, siglip_loss, structure, two_views

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
    teacher = neighbours(rows @ rows.T, 0.1)
    assert float(structure(rows, teacher, 0.1)) == pytest.approx(0.0, abs=1e-6)
    assert float(structure(rows.flip(0), teacher, 0.1)) > 0.1


# --- CLIP and SigLIP --------------------------------------------------------------------------------------------------

TRUE = torch.tensor([[True, True, False], [False, True, False], [False, False, True]])
"""Text 0 is true of picture 1 as well."""


def _random_sides() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.nn.functional.normalize(torch.randn(7, 5, generator=generator), dim=1) for _ in range(2))  # type: ignore[return-value]


def test_clip_loss_is_open_clips_when_nothing_but_the_pairs_is_true() -> None:
    from open_clip.loss import ClipLoss

    pictures, words = _random_sides()
    assert float(clip_loss(pictures, words, 9.0)) == pytest.approx(float(ClipLoss()(pictures, words, 9.0)), abs=1e-6)
    nothing = torch.zeros(7, 7, dtype=torch.bool)
    for share in (False, True):
        found = clip_loss(pictures, words, 9.0, true_BB=nothing, share=share)
        assert float(found) == pytest.approx(float(ClipLoss()(pictures, words, 9.0)), abs=1e-6)


def test_siglip_loss_is_open_clips_when_nothing_but_the_pairs_is_true() -> None:
    from open_clip.loss import SigLipLoss

    pictures, words = _random_sides()
    expected = float(SigLipLoss()(pictures, words, 10.0, -10.0))
    assert float(siglip_loss(pictures, words, 10.0, -10.0)) == pytest.approx(expected, abs=1e-5)


def test_clip_loss_leaves_true_non_pairs_out_of_the_wrong_answers() -> None:
    # Text 0 has one wrong picture, texts 1 and 2 have two; picture 1 has one wrong text, pictures 0 and 2 two.
    one, two = math.log(math.e + 1) - 1, math.log(math.e + 2) - 1
    found = clip_loss(AXES, AXES, 1.0, true_BB=TRUE)
    assert float(found) == pytest.approx((one + 2 * two) / 3, abs=1e-6)


def test_clip_loss_shares_the_weight_among_right_answers() -> None:
    # Text 0 points at pictures 0 (cosine 1) and 1 (cosine 0) with half a weight each.
    normal = math.log(math.e + 2)
    halves = normal - 0.5
    found = clip_loss(AXES, AXES, 1.0, true_BB=TRUE, share=True)
    assert float(found) == pytest.approx((halves + 2 * (normal - 1)) / 3, abs=1e-6)


def test_siglip_loss_asks_about_each_couple_by_itself() -> None:
    # Three pairs at logit 2 - 1 and six others at -1: softplus(-1) + 2 softplus(-1) per text.
    cost = math.log(1 + math.exp(-1))
    assert float(siglip_loss(AXES, AXES, 2.0, -1.0)) == pytest.approx(3 * cost, abs=1e-6)


def test_siglip_loss_does_not_ask_about_true_non_pairs_or_says_yes_to_them() -> None:
    cost, other = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    left_out = siglip_loss(AXES, AXES, 2.0, -1.0, true_BB=TRUE)
    assert float(left_out) == pytest.approx(8 * cost / 3, abs=1e-6)
    shared = siglip_loss(AXES, AXES, 2.0, -1.0, true_BB=TRUE, share=True)
    assert float(shared) == pytest.approx((8 * cost + other) / 3, abs=1e-6)
