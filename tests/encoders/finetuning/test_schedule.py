from __future__ import annotations

import pytest

from mmrec_encoders.finetuning.schedule import rate_at


@pytest.mark.parametrize(
    ("done", "share"),
    [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.55, 0.5), (1.0, 0.0), (1.5, 0.0), (-0.1, 0.0)],
)
def test_a_rise_and_half_a_cosine(done: float, share: float) -> None:
    assert rate_at(done, 0.1) == pytest.approx(share, abs=1e-12)


def test_without_a_rise_it_starts_at_the_peak() -> None:
    assert rate_at(0.0, 0.0) == 1.0
