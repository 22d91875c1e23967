"""Image encoder over the image tower of any open_clip model, with its own preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec_encoders.compiling import compiled
from mmrec_encoders.open_clip_models import OpenClipConfig, load_open_clip, short_name
from mmrec_encoders.preparation import ClipPreparation, check_pixels
from mmrec_encoders.protocols import Pixels, Vectors
from mmrec_encoders.weights import cast_weights, fingerprint_of, unit_rows

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

# Pixels of a pass: 32 pictures of 224 x 224 on a CPU, 256 on a GPU.
_CPU_PIXELS, _GPU_PIXELS = 32 * 224 * 224, 256 * 224 * 224


class OpenClipImageEncoder:
    """An `ImageEncoder` over an open_clip model.

    Raises:
        ModelNotAvailableError: the model is unknown, or its weights can be neither read nor fetched.
        DeviceNotAvailableError: the device is not here.
        FailedPreconditionError: it is to be compiled, and there is no compiler.
    """

    def __init__(self, config: OpenClipConfig) -> None:
        import torch

        self.config = config
        self.device = resolve_device(config.device)
        self._dtype = resolve_dtype(config.dtype, self.device)
        tower = load_open_clip(config).visual
        self.preparation = ClipPreparation.of(tower.preprocess_cfg)
        self.picture_size = self.preparation.size
        self.fingerprint = fingerprint_of(short_name(config), tower.named_parameters())
        cast_weights(tower, self._dtype)
        self._tower = tower.to(self.device)
        if config.compile:
            self._tower.forward = compiled(self._tower.forward)
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) * 255.0
            for values in (self.preparation.mean, self.preparation.std)
        )
        pixels = config.pixel_budget or (_CPU_PIXELS if self.device.type == "cpu" else _GPU_PIXELS)
        frame = self.preparation.height * self.preparation.width
        self.batch_size = config.batch_size or max(1, pixels // frame)
        # Two pictures, because a batch of one would be compiled separately.
        blank = np.zeros((2, 3, self.preparation.height, self.preparation.width), np.uint8)
        self.dim = int(self._encode(blank).shape[1])

    def encode(self, pictures: Sequence[Image]) -> Vectors:
        """One unit vector per RGB picture, in the same order. Shape: (N, dim), float32."""
        step = self.batch_size
        batches = [
            self._encode(np.stack([self.preparation(picture) for picture in pictures[at : at + step]]))
            for at in range(0, len(pictures), step)
        ]
        return np.concatenate(batches) if batches else np.zeros((0, self.dim), np.float32)

    def encode_pixels(self, pixels_N3HW: Pixels) -> Vectors:
        """Like `encode`, for pictures that `preparation` made. Shape: (N, dim), float32.

        Args:
            pixels_N3HW: Shape: (N, 3, height, width), uint8.

        Raises:
            InvalidArgumentError: the pixels have another shape or type.
        """
        check_pixels(pixels_N3HW, self.preparation.height, self.preparation.width)
        step = self.batch_size
        batches = [self._encode(pixels_N3HW[at : at + step]) for at in range(0, len(pixels_N3HW), step)]
        return np.concatenate(batches) if batches else np.zeros((0, self.dim), np.float32)

    def _encode(self, pixels_N3HW: Pixels) -> Vectors:
        """Vectors of one batch. Shape: (N, dim), float32."""
        import torch

        lone = self.config.compile and len(pixels_N3HW) == 1
        with torch.inference_mode():
            # torch warns of read-only arrays, so copy them.
            bytes_N3HW = torch.from_numpy(pixels_N3HW if pixels_N3HW.flags.writeable else pixels_N3HW.copy())
            rows_ND = self._forward(bytes_N3HW.repeat(2, 1, 1, 1) if lone else bytes_N3HW)
            return unit_rows(rows_ND[:1] if lone else rows_ND)

    def _forward(self, bytes_N3HW: torch.Tensor) -> torch.Tensor:
        # Computed in float32 and cast once, as in open_clip's own transform.
        inputs_N3HW = bytes_N3HW.to(self.device).float().sub_(self._mean).div_(self._std).to(self._dtype)
        found = self._tower(inputs_N3HW)
        # Some towers return patch vectors too.
        rows_ND: torch.Tensor = found[0] if isinstance(found, tuple) else found
        return rows_ND
