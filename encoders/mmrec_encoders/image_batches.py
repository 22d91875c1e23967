"""Batches of pictures for an image tower.

Subclasses of `BatchedImageEncoder` give a tower's vectors of one batch; preparation, checks and batches are here.
"""

# Axes: N pictures, H height, W width

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from mmrec.runtime.background import between_steps
from mmrec_encoders.preparation import ClipPreparation, Squeeze, check_pixels
from mmrec_encoders.protocols import Pixels, Vectors

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

P = TypeVar("P", ClipPreparation, Squeeze)


class BatchedImageEncoder(Generic[P]):
    """Batching of an `ImageEncoder` over a tower.

    Attributes:
        dim: Length of a vector.
        preparation: Makes a picture into the tower's pixels.
        picture_size: Larger side of these pixels.
        batch_size: Pictures per forward pass.
    """

    dim: int

    def __init__(self, preparation: P, batch_size: int) -> None:
        self.preparation: P = preparation
        self.picture_size = preparation.size
        self.batch_size = batch_size

    def encode(self, pictures: Sequence[Image]) -> Vectors:
        """One unit vector per RGB picture, in the same order. Shape: (N, dim), float32."""
        step = self.batch_size
        batches = [
            self.encode_pixels(np.stack([self.preparation(picture) for picture in pictures[at : at + step]]))
            for at in range(0, len(pictures), step)
        ]
        return np.concatenate(batches) if batches else np.zeros((0, self.dim), np.float32)

    def encode_pixels(self, pixels_N3HW: Pixels) -> Vectors:
        """Like `encode`, for pictures that `preparation` made. Shape: (N, dim), float32.

        Args:
            pixels_N3HW: Shape: (N, 3, height, width) of the preparation, uint8.

        Raises:
            InvalidArgumentError: the pixels have another shape or type.
        """
        import torch

        check_pixels(pixels_N3HW, self.preparation.height, self.preparation.width)
        batches = []
        with torch.inference_mode():
            for at in range(0, len(pixels_N3HW), self.batch_size):
                between_steps()
                # torch warns of read-only arrays, so copy them.
                pixels_B3HW = np.require(pixels_N3HW[at : at + self.batch_size], requirements=("C", "W"))
                batches.append(self._forward(torch.from_numpy(pixels_B3HW)))
        return np.concatenate(batches) if batches else np.zeros((0, self.dim), np.float32)

    def _forward(self, pixels_N3HW: torch.Tensor) -> Vectors:
        """Unit vectors of one batch. Shape: (N, dim), float32."""
        raise NotImplementedError
