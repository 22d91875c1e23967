"""Pictures to vectors with any open_clip model: by name and tag, ``hf-hub:``, ``local-dir:``, or from a file.

Only the image tower is run, in eval mode, with the preprocessing the model was trained with. Weights are read
as safetensors, or by torch with ``weights_only``; a pickle that holds anything else is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmrec.device import resolve_device, resolve_dtype
from mmrec.errors import InvalidArgumentError, MissingExtraError, ModelNotAvailableError
from mmrec_encoders.preparation import ClipPreparation, check_pixels
from mmrec_encoders.protocols import Pixels, Vectors
from mmrec_encoders.quiet import quiet_loading
from mmrec_encoders.weights import cast_weights, fingerprint_of, unit_rows

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["OpenClipConfig", "OpenClipImageEncoder"]


@dataclass(frozen=True, slots=True)
class OpenClipConfig:
    """Which open_clip model, and how it is run.

    Attributes:
        model: Built-in name (``ViT-B-32``), ``hf-hub:org/name`` or ``local-dir:/folder``.
        pretrained: Tag (``laion2b_s34b_b79k``) or weights file for a built-in name; empty with a schema.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        batch_size: Pictures per forward pass, at least 1.
    """

    model: str
    pretrained: str = ""
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 32

    def __post_init__(self) -> None:
        if not self.model:
            raise InvalidArgumentError("model is empty; pass an open_clip model name", field="model")
        if self.batch_size < 1:
            raise InvalidArgumentError(f"batch_size is {self.batch_size}; it must be at least 1", field="batch_size")
        if self.pretrained and ":" in self.model:
            raise InvalidArgumentError(
                f"model is {self.model!r}, which names its own weights, and pretrained is "
                f"{self.pretrained!r}; "
                "leave pretrained empty",
                field="pretrained",
            )
        if not self.pretrained and ":" not in self.model:
            raise InvalidArgumentError(
                f"model is {self.model!r} and pretrained is empty: the weights would be random; pass a "
                f"tag such as "
                "laion2b_s34b_b79k or a weights file",
                field="pretrained",
            )


class OpenClipImageEncoder:
    """An `ImageEncoder` over an open_clip model.

    Raises:
        ModelNotAvailableError: the model is unknown, or its weights can be neither read nor fetched.
        DeviceNotAvailableError: the device is not here.
    """

    def __init__(self, config: OpenClipConfig) -> None:
        import torch

        self.config = config
        self.device = resolve_device(config.device)
        self._dtype = resolve_dtype(config.dtype, self.device)
        self._model = _load(config)
        self.preparation = ClipPreparation.of(self._model.visual.preprocess_cfg)
        name = config.model if not config.model.startswith("local-dir:") else Path(config.model).name
        self.fingerprint = fingerprint_of(name, self._model.visual.named_parameters())
        cast_weights(self._model, self._dtype)
        self._model.to(self.device)
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(1, 3, 1, 1)
            for values in (self.preparation.mean, self.preparation.std)
        )
        self.picture_size = self.preparation.size
        frame = (1, 3, self.preparation.height, self.preparation.width)
        self.dim = int(self._forward(np.zeros(frame, np.uint8)).shape[1])

    def encode(self, pictures: Sequence[Image]) -> Vectors:
        """One unit vector per RGB picture, in the same order. Shape: (N, dim), float32."""
        step = self.config.batch_size
        batches = [
            self._forward(np.stack([self.preparation(picture) for picture in pictures[at : at + step]]))
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
        step = self.config.batch_size
        batches = [self._forward(pixels_N3HW[at : at + step]) for at in range(0, len(pixels_N3HW), step)]
        return np.concatenate(batches) if batches else np.zeros((0, self.dim), np.float32)

    def _forward(self, pixels_N3HW: Pixels) -> Vectors:
        import torch

        with torch.inference_mode():
            bytes_N3HW = torch.from_numpy(pixels_N3HW).to(self.device)
            # In float32 and then rounded once, as open_clip's own transform does.
            inputs = ((bytes_N3HW.float() / 255.0 - self._mean) / self._std).to(self._dtype)
            return unit_rows(self._model.encode_image(inputs))


def _load(config: OpenClipConfig) -> Any:
    try:
        import open_clip
    except ImportError as err:
        raise MissingExtraError("open_clip is not installed; run: pip install 'mmrec[encoders]'") from err
    file = Path(config.pretrained).expanduser()
    where = f"{config.model} {config.pretrained}".strip()
    if config.pretrained.endswith((".safetensors", ".pt", ".bin")) and not file.is_file():
        raise ModelNotAvailableError(
            f"the weights file {config.pretrained!r} of image model {config.model} does not exist; "
            "pass an existing file, or the preset 'embedded', which needs no download"
        )
    try:
        with quiet_loading():
            model = open_clip.create_model_from_pretrained(
                config.model,
                pretrained=(str(file) if file.is_file() else config.pretrained) or None,
                device="cpu",
                weights_only=True,
                return_transform=False,
            )
    except Exception as err:
        raise ModelNotAvailableError(
            f"image model {where!r} cannot be loaded ({type(err).__name__}): it is unknown to open_clip, "
            f"or its weights "
            "are damaged, or not on this machine and the hub cannot be reached; pass a weights file "
            "(pretrained=FILE.safetensors), local-dir:FOLDER, or the preset 'embedded', which needs no "
            "download"
        ) from err
    return model.eval()
