"""Image encoder over the image tower of any open_clip model, with its own preprocessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec_encoders.compiling import compiled
from mmrec_encoders.image_batches import BatchedImageEncoder
from mmrec_encoders.open_clip_models import OpenClipConfig, load_open_clip, short_name
from mmrec_encoders.preparation import ClipPreparation
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.weights import cast_weights, fingerprint_of, unit_rows

if TYPE_CHECKING:
    import torch

# Pixels of a pass: 32 pictures of 224 x 224 on a CPU, 256 on a GPU.
_CPU_PIXELS, _GPU_PIXELS = 32 * 224 * 224, 256 * 224 * 224


class OpenClipImageEncoder(BatchedImageEncoder[ClipPreparation]):
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
        preparation = ClipPreparation.of(tower.preprocess_cfg)
        pixels = _CPU_PIXELS if self.device.type == "cpu" else _GPU_PIXELS
        frame = preparation.height * preparation.width
        super().__init__(preparation, config.batch_size or max(1, pixels // frame))
        self.fingerprint = fingerprint_of(short_name(config), tower.named_parameters())
        cast_weights(tower, self._dtype)
        self._tower = tower.to(self.device)
        if config.compile:
            self._tower.forward = compiled(self._tower.forward)
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1) * 255.0
            for values in (self.preparation.mean, self.preparation.std)
        )
        # Two pictures, because a batch of one would be compiled separately.
        blank = np.zeros((2, 3, preparation.height, preparation.width), np.uint8)
        self.dim = int(self.encode_pixels(blank).shape[1])

    def _forward(self, pixels_N3HW: torch.Tensor) -> Vectors:
        lone = self.config.compile and len(pixels_N3HW) == 1
        rows_ND = self._tower_rows(pixels_N3HW.repeat(2, 1, 1, 1) if lone else pixels_N3HW)
        return unit_rows(rows_ND[:1] if lone else rows_ND)

    def _tower_rows(self, bytes_N3HW: torch.Tensor) -> torch.Tensor:
        # Computed in float32 and cast once, as in open_clip's own transform.
        inputs_N3HW = bytes_N3HW.to(self.device).float().sub_(self._mean).div_(self._std).to(self._dtype)
        found = self._tower(inputs_N3HW)
        # Some towers return patch vectors too.
        rows_ND: torch.Tensor = found[0] if isinstance(found, tuple) else found
        return rows_ND
