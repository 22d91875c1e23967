from __future__ import annotations

import pytest
import torch

from mmrec.runtime.schedule import cosine_to_a_tenth, cosine_to_zero, one_cycle


@pytest.mark.parametrize(
    ("done", "share"),
    [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.55, 0.5), (1.0, 0.0), (1.5, 0.0), (-0.1, 0.0)],
)
def test_a_rise_and_half_a_cosine(done: float, share: float) -> None:
    assert cosine_to_zero(done, 0.1) == pytest.approx(share, abs=1e-12)


def test_without_a_rise_it_starts_at_the_peak() -> None:
    assert cosine_to_zero(0.0, 0.0) == 1.0


@pytest.mark.parametrize(("step", "rate"), [(0, 0.5), (3, 2.0), (4, 1.9929), (50, 1.1), (100, 0.2), (150, 0.2)])
def test_a_rise_and_a_cosine_down_to_a_tenth(step: int, rate: float) -> None:
    assert cosine_to_a_tenth(step, 2.0, warmup_steps=4, total_steps=100) == pytest.approx(rate, abs=1e-3)


@pytest.mark.parametrize("steps", [2, 8, 41, 121])
def test_one_cycle_is_that_of_torch_to_the_last_bit(steps: int) -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.05)
    optimizer.step()
    for step in range(steps - 1):
        group = optimizer.param_groups[0]
        assert group["lr"] == one_cycle(step, steps, 0.05, 2e-3 / 25, 2e-3, 2e-3 / 25 / 1e4)
        assert group["betas"][0] == one_cycle(step, steps, 0.05, 0.95, 0.85, 0.95)
        schedule.step()


def test_one_cycle_whose_rise_is_a_single_step_starts_at_the_peak() -> None:
    assert [one_cycle(step, 20, 0.05, 0.0, 1.0, 0.0) for step in (0, 19)] == pytest.approx([1.0, 0.0])
