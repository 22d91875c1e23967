"""EfficientNet-Lite0 and a colour histogram as an image tower that is fine-tuned on a catalogue's pictures.

Batch normalisation is folded into the convolutions, so that its statistics stay. The stages up to the first one at a
sixteenth of the picture's size are frozen, and so are the depthwise kernels: they are general enough, and what the
frozen stages give for a picture need not be computed again at every pass. Nine tenths of the weights lie above them.
The network is convolutional: pictures may be smaller than those it was trained on.
"""

# Axes: B pictures, C channels of the frozen stages' maps, K bins of the histogram, F features

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mmrec_encoders.convolutions import Pointwise, fast_gradients
from mmrec_encoders.efficientnet import (
    COLOUR_BINS,
    FEATURES,
    colour_histogram,
    efficientnet_tower,
    fold_normalisation,
    untrained_network,
)

_FROZEN_STAGES = 4
STRIDE, CHANNELS = 16, 80
"""Pixels per side of a position of the frozen stages' maps, and their channels."""
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
        for part in (self.network.conv_stem, *self.network.blocks[:_FROZEN_STAGES]):
            part.requires_grad_(False)
        for part in (self.network.conv_head, *self.network.blocks[_FROZEN_STAGES:]):
            # Folding leaves the biases frozen.
            part.requires_grad_(True)
        for block in self.network.blocks[_FROZEN_STAGES:]:
            fast_gradients(block)
        self.network.conv_head, self.network.bn2 = Pointwise(self.network.conv_head), nn.ReLU6()

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
        return self.trained(*self.frozen(inputs_B3HW))

    def frozen(self, inputs_B3HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What does not depend on trained weights: feature maps, and the colour histogram.

        Args:
            inputs_B3HW: Standardised. Shape: (B, 3, S, S).

        Returns:
            Shapes: (B, C, S / 16, S / 16), channels last, and (B, K).
        """
        colours_B3HW = inputs_B3HW * self._std + self._mean
        scaled_B3HW = (colours_B3HW * 2.0 - 1.0).contiguous(memory_format=torch.channels_last)
        parts = scaled_B3HW.split(_PART)  # type: ignore[no-untyped-call]
        maps_BCHW = torch.cat([self._first_stages(part) for part in parts])
        with torch.autocast(inputs_B3HW.device.type, enabled=False):
            return maps_BCHW, colour_histogram(F.avg_pool2d(colours_B3HW.clamp(0.0, 1.0), 4))

    def trained(self, maps_BCHW: torch.Tensor, histogram_BK: torch.Tensor) -> torch.Tensor:
        """Vectors from what `frozen` gave. Shape: (B, dim)."""
        parts = maps_BCHW.split(_PART)  # type: ignore[no-untyped-call]
        features_BF = torch.cat([self._last_stages(part) for part in parts])
        # Both with values of about 1.
        both = (F.layer_norm(features_BF, (FEATURES,)), histogram_BK * COLOUR_BINS**1.5)
        rows: torch.Tensor = self.projection(torch.cat(both, dim=1))
        return rows

    def _first_stages(self, scaled_B3HW: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.network.bn1(self.network.conv_stem(scaled_B3HW))
        for block in self.network.blocks[:_FROZEN_STAGES]:
            maps = block(maps)
        return maps

    def _last_stages(self, maps_BCHW: torch.Tensor) -> torch.Tensor:
        for block in self.network.blocks[_FROZEN_STAGES:]:
            maps_BCHW = block(maps_BCHW)
        features: torch.Tensor = self.network.global_pool(self.network.bn2(self.network.conv_head(maps_BCHW)))
        return features
