"""Random views of pictures for contrastive training: crop, flip, mild colour changes, in whole batches.

Colours are changed only slightly and never removed, because in a catalogue items often differ by colour alone.
"""

# Axes: B pictures, 3 channels, H height, W width, S side of the view

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmrec.runtime.limits import check_numbers

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Views:
    """Augmentation options.

    Attributes:
        min_area: Minimum share of the picture's area in a random crop, above 0; 1 keeps all.
        stretch: Maximum change of the aspect ratio, as a natural logarithm.
        colour: Maximum relative change of brightness, contrast and saturation, 0 to 1.
        flip: Share of the views that are mirrored.
    """

    min_area: float = 0.5
    stretch: float = 0.2
    colour: float = 0.1
    flip: float = 0.5

    def __post_init__(self) -> None:
        check_numbers(self, "min_area", over=0, high=1)
        check_numbers(self, "colour", "flip", low=0, high=1)
        check_numbers(self, "stretch", low=0)


def random_view(pixels_B3HW: torch.Tensor, size: int, generator: torch.Generator, views: Views) -> torch.Tensor:
    """One random view of every picture.

    Args:
        pixels_B3HW: Pictures. Shape: (B, 3, H, W), float, in [0, 1].
        size: Side of the views, in pixels.
        generator: Random generator on the CPU, so that a seed gives the same views on every device.
        views: Augmentation options.

    Returns:
        Views in [0, 1]. Shape: (B, 3, S, S).
    """
    import torch
    import torch.nn.functional as F

    stretch, colour = views.stretch, views.colour
    batch, device = pixels_B3HW.shape[0], pixels_B3HW.device

    def draw(low: float, high: float) -> torch.Tensor:
        return (low + (high - low) * torch.rand(batch, generator=generator)).to(device)

    area, ratio = draw(views.min_area, 1.0), torch.exp(draw(-stretch, stretch))
    width = (area * ratio).sqrt().clamp(max=1.0)
    height = (area / ratio).sqrt().clamp(max=1.0)
    mirror = torch.where(draw(0.0, 1.0) < views.flip, -1.0, 1.0)
    theta = torch.zeros(batch, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 0, 2] = width * mirror, (1.0 - width) * draw(-1.0, 1.0)
    theta[:, 1, 1], theta[:, 1, 2] = height, (1.0 - height) * draw(-1.0, 1.0)
    grid = F.affine_grid(theta, [batch, 3, size, size], align_corners=False)
    pixels = F.grid_sample(pixels_B3HW, grid, padding_mode="reflection", align_corners=False)

    def column(values: torch.Tensor) -> torch.Tensor:
        return values.view(batch, 1, 1, 1)

    pixels = pixels * column(draw(1 - colour, 1 + colour))
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * column(draw(1 - colour, 1 + colour))
    grey = pixels.mean(dim=1, keepdim=True)
    return (grey + (pixels - grey) * column(draw(1 - colour, 1 + colour))).clamp(0.0, 1.0)
