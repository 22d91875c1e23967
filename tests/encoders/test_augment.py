from __future__ import annotations

import pytest
import torch

from mmrec_encoders.augment import Views, random_view

VIEWS = Views(min_area=0.35, stretch=0.29, colour=0.2)


def _pictures() -> torch.Tensor:
    return torch.rand(5, 3, 72, 72, generator=torch.Generator().manual_seed(1))


def test_a_view_has_the_asked_size_and_range() -> None:
    views = random_view(_pictures(), 64, torch.Generator().manual_seed(0), VIEWS)
    assert views.shape == (5, 3, 64, 64)
    assert 0.0 <= float(views.min()) <= float(views.max()) <= 1.0


def test_the_same_seed_gives_the_same_view_and_another_seed_another() -> None:
    first, again, other = (random_view(_pictures(), 64, torch.Generator().manual_seed(s), VIEWS) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_a_colour_stays_that_colour() -> None:
    """Colours that words do not mention must survive training, so a view may not turn red into blue or grey."""
    red = torch.tensor([0.8, 0.2, 0.1]).view(1, 3, 1, 1).expand(200, 3, 72, 72)
    means = random_view(red, 64, torch.Generator().manual_seed(0), VIEWS).mean(dim=(2, 3))
    assert bool((means[:, 0] > means[:, 1] + 0.2).all())
    assert bool((means[:, 1] > means[:, 2] + 0.02).all())


def test_without_chance_the_whole_picture_comes_back() -> None:
    pictures = _pictures()
    views = random_view(pictures, 72, torch.Generator().manual_seed(3), Views(1.0, stretch=0.29, colour=0.0))
    # Only the ratio and the flip are left; half of the views are mirrored.
    mirrored = [
        float((v - p.flip(-1)).abs().mean()) < float((v - p).abs().mean()) for v, p in zip(views, pictures, strict=True)
    ]
    assert 0 < sum(mirrored) < 5


@pytest.mark.parametrize(("flip", "mirrored"), [(0.0, False), (1.0, True)])
def test_none_or_all_of_the_views_are_mirrored(flip: float, mirrored: bool) -> None:
    pixels = torch.zeros(6, 3, 16, 16)
    pixels[..., :8] = 1.0
    views = random_view(pixels, 16, torch.Generator().manual_seed(0), Views(1.0, 0.0, 0.0, flip))
    expected = pixels.flip(3) if mirrored else pixels
    torch.testing.assert_close(views, expected, atol=1e-5, rtol=0)
