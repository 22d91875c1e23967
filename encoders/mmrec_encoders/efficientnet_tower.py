"""EfficientNet-Lite0 and a colour histogram as an image tower that is fine-tuned on a catalogue's pictures.

Batch normalisation is folded into the convolutions, so that its statistics stay. The first stages and the depthwise
kernels are frozen: they are most of the backward pass on a CPU, and general enough. The network is convolutional:
pictures may be smaller than those it was trained on.
"""

# Axes: B pictures, F features

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mmrec_encoders.efficientnet import (
    COLOUR_BINS,
    FEATURES,
    colour_histogram,
    efficientnet_tower,
    fold_normalisation,
    untrained_network,
)

_FROZEN_STAGES = 3
_PART = 64
"""Pictures at a time, whose activations stay in a CPU's cache; does not change results."""


class EfficientNetTower(nn.Module):
    """The network, the histogram, and a projection of both.

    Args:
        dim: Length of a vector.
        mean: Subtracted from pictures of 0 to 1 before they come here.
        std: What they were divided by then.
    """

    def __init__(self, dim: int, mean: float, std: float) -> None:
        super().__init__()
        self._mean, self._std = mean, std
        self.network = untrained_network()
        fold_normalisation(self.network)
        self.projection = nn.Linear(FEATURES + COLOUR_BINS**3, dim)
        for layer in self.network.modules():
            if isinstance(layer, nn.Conv2d):
                # Folding leaves the biases frozen.
                layer.requires_grad_(True)
                layer.weight.requires_grad_(layer.groups == 1)
        for part in (self.network.conv_stem, *self.network.blocks[:_FROZEN_STAGES]):
            part.requires_grad_(False)

    def load_published(self) -> None:
        """Take the weights of the package.

        Raises:
            MissingExtraError: the package, or timm, is not installed.
            ModelNotAvailableError: the weights are not the published ones.
        """
        published: Any = efficientnet_tower()
        fold_normalisation(published)
        self.network.load_state_dict(published.state_dict())

    def forward(self, inputs_B3HW: torch.Tensor) -> torch.Tensor:
        """Shape: (B, 3, S, S), standardised, to (B, dim)."""
        colours_B3HW = inputs_B3HW * self._std + self._mean
        scaled_B3HW = (colours_B3HW * 2.0 - 1.0).contiguous(memory_format=torch.channels_last)
        parts = scaled_B3HW.split(_PART)  # type: ignore[no-untyped-call]
        features_BF = torch.cat([self.network(part) for part in parts])
        histogram_BF = colour_histogram(F.avg_pool2d(colours_B3HW.clamp(0.0, 1.0), 4))
        # Both with values of about 1.
        both = (F.layer_norm(features_BF, (FEATURES,)), histogram_BF * COLOUR_BINS**1.5)
        rows: torch.Tensor = self.projection(torch.cat(both, dim=1))
        return rows
