"""Random views of pictures for contrastive training: crop, flip, mild colour changes, all in whole batches.

Knows nothing about models. Colours are changed a little only and never removed, because in a catalogue the
colour is often what sets one item apart from the next.
"""

# Axes: B pictures, 3 channels, H height, W width, S side of the view

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def random_view(
    pixels_B3HW: torch.Tensor,
    size: int,
    generator: torch.Generator,
    *,
    min_area: float = 0.35,
    colour: float = 0.2,
    stretch: float = 0.29,
    flip: float = 0.5,
) -> torch.Tensor:
    """One random view of every picture.

    Args:
        pixels_B3HW: Pictures. Shape: (B, 3, H, W), float, in [0, 1].
        size: Side of the views, in pixels.
        generator: Source of chance, on the CPU, so that a seed means the same on every device.
        min_area: Smallest share of the picture a crop keeps, in (0, 1].
        colour: Largest relative change of brightness, contrast and saturation, in [0, 1).
        stretch: Largest change of the proportions, as the natural logarithm of width over height.
        flip: Share of the views that are mirrored, in [0, 1].

    Returns:
        Views in [0, 1]. Shape: (B, 3, S, S).
    """
    import torch
    import torch.nn.functional as F

    batch, device = pixels_B3HW.shape[0], pixels_B3HW.device

    def draw(low: float, high: float) -> torch.Tensor:
        return (low + (high - low) * torch.rand(batch, generator=generator)).to(device)

    area, ratio = draw(min_area, 1.0), torch.exp(draw(-stretch, stretch))
    width = (area * ratio).sqrt().clamp(max=1.0)
    height = (area / ratio).sqrt().clamp(max=1.0)
    mirror = torch.where(draw(0.0, 1.0) < flip, -1.0, 1.0)
    theta = torch.zeros(batch, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 0, 2] = width * mirror, (1.0 - width) * draw(-1.0, 1.0)
    theta[:, 1, 1], theta[:, 1, 2] = height, (1.0 - height) * draw(-1.0, 1.0)
    grid = F.affine_grid(theta, [batch, 3, size, size], align_corners=False)
    views = F.grid_sample(pixels_B3HW, grid, padding_mode="reflection", align_corners=False)

    def column(values: torch.Tensor) -> torch.Tensor:
        return values.view(batch, 1, 1, 1)

    views = views * column(draw(1 - colour, 1 + colour))
    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    views = mean + (views - mean) * column(draw(1 - colour, 1 + colour))
    grey = views.mean(dim=1, keepdim=True)
    return (grey + (views - grey) * column(draw(1 - colour, 1 + colour))).clamp(0.0, 1.0)
