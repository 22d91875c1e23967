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
from mmrec_encoders.protocols import Vectors
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
        self.config = config
        self.device = resolve_device(config.device)
        self._dtype = resolve_dtype(config.dtype, self.device)
        self._model, self._preprocess = _load(config)
        name = config.model if not config.model.startswith("local-dir:") else Path(config.model).name
        self.fingerprint = fingerprint_of(name, self._model.visual.named_parameters())
        cast_weights(self._model, self._dtype)
        self._model.to(self.device)
        size = self._model.visual.image_size
        self.picture_size = int(min(size) if isinstance(size, tuple | list) else size)
        self.dim = int(self._forward([_blank()]).shape[1])

    def encode(self, pictures: Sequence[Image]) -> Vectors:
        """One unit vector per RGB picture, in the same order. Shape: (N, dim), float32."""
        step = self.config.batch_size
        batches = [self._forward(pictures[at : at + step]) for at in range(0, len(pictures), step)]
        return np.concatenate(batches) if batches else np.zeros((0, self.dim), np.float32)

    def _forward(self, pictures: Sequence[Image]) -> Vectors:
        import torch

        pixels_N3HW = torch.stack([self._preprocess(picture) for picture in pictures])
        with torch.inference_mode():
            return unit_rows(self._model.encode_image(pixels_N3HW.to(self.device, self._dtype)))


def _blank() -> Image:
    from PIL import Image

    return Image.new("RGB", (8, 8))


def _load(config: OpenClipConfig) -> tuple[Any, Any]:
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
            model, preprocess = open_clip.create_model_from_pretrained(
                config.model,
                pretrained=(str(file) if file.is_file() else config.pretrained) or None,
                device="cpu",
                weights_only=True,
            )
    except Exception as err:
        raise ModelNotAvailableError(
            f"image model {where!r} cannot be loaded ({type(err).__name__}): it is unknown to open_clip, "
            f"or its weights "
            "are damaged, or not on this machine and the hub cannot be reached; pass a weights file "
            "(pretrained=FILE.safetensors), local-dir:FOLDER, or the preset 'embedded', which needs no "
            "download"
        ) from err
    return model.eval(), preprocess
