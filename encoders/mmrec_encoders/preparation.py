"""Preprocessing of pictures for a model: resize, crop, convert to RGB; one uint8 array per picture.

Separate from the model, so that worker processes need no torch; everything here can be pickled. Normalisation by mean
and standard deviation is done on the model's device, as uint8 is a quarter of the traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_choice, check_numbers

if TYPE_CHECKING:
    from PIL.Image import Image

_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_RESIZE_MODES = ("shortest", "longest", "squash")
# open_clip scores with bicubic where it trains with a random choice.
_INTERPOLATIONS = ("bicubic", "bilinear", "random")


@dataclass(frozen=True, slots=True)
class ClipPreparation:
    """The preprocessing of open_clip, bit for bit, without torch.

    A picture that is not RGB is converted before it is resized, which open_clip does after; RGB pictures, the
    only ones that `mmrec.data.pictures.decode_picture` gives, come out the same.

    Attributes:
        height: Pixels the model looks at, downwards.
        width: Pixels the model looks at, across.
        resize_mode: ``shortest`` fills the frame and cuts what sticks out, ``longest`` fits into the frame and
            pads, ``squash`` gives up the proportions.
        interpolation: ``bicubic`` or ``bilinear``; ``random`` is bicubic.
        fill: Grey of the padding, 0 to 255.
        mean: Of red, green and blue in the training pictures, 0 to 1. Applied by the encoder, not here.
        std: Their deviations. Applied by the encoder, not here.
    """

    height: int
    width: int
    resize_mode: str = "shortest"
    interpolation: str = "bicubic"
    fill: int = 0
    mean: tuple[float, float, float] = _CLIP_MEAN
    std: tuple[float, float, float] = _CLIP_STD

    def __post_init__(self) -> None:
        check_numbers(self, "height", "width", low=1)
        check_choice("resize_mode", self.resize_mode, _RESIZE_MODES)
        check_choice("interpolation", self.interpolation, _INTERPOLATIONS)
        check_numbers(self, "fill", low=0, high=255)
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InvalidArgumentError(
                f"mean is {self.mean} and std is {self.std}; each must be three numbers, those of std above 0",
                field="std",
            )

    @classmethod
    def of(cls, preprocess_cfg: Mapping[str, Any]) -> ClipPreparation:
        """The preparation that an open_clip model's ``preprocess_cfg`` describes.

        Raises:
            InvalidArgumentError: it describes one that open_clip would not know either.
        """
        size = preprocess_cfg.get("size", 224)
        height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
        return cls(
            int(height),
            int(width),
            preprocess_cfg.get("resize_mode") or "shortest",
            preprocess_cfg.get("interpolation") or "bicubic",
            int(preprocess_cfg.get("fill_color") or 0),
            _three(preprocess_cfg.get("mean") or _CLIP_MEAN),
            _three(preprocess_cfg.get("std") or _CLIP_STD),
        )

    @property
    def size(self) -> int:
        """Pixels that the shorter side of a picture should have at least; more is wasted work."""
        return max(self.height, self.width)

    @property
    def fingerprint(self) -> str:
        """Identifies the preparation: equal for two that give a model the same numbers."""
        numbers = ",".join(f"{value:.8g}" for value in (*self.mean, *self.std))
        interpolation = "bilinear" if self.interpolation == "bilinear" else "bicubic"
        return f"clip-1:{self.height}x{self.width}:{self.resize_mode}:{interpolation}:{self.fill}:{numbers}"

    def __call__(self, picture: Image) -> npt.NDArray[np.uint8]:
        """The picture as the model looks at it. Shape: (3, height, width), uint8."""
        whole = picture if picture.mode == "RGB" else picture.convert("RGB")
        return pixels_of(self._framed(self._resized(whole)))

    def _resized(self, picture: Image) -> Image:
        from PIL.Image import Resampling

        bilinear = self.interpolation == "bilinear"
        width, height = picture.size
        if self.resize_mode == "squash":
            wanted = (self.width, self.height)
        elif self.resize_mode == "shortest" and self.height == self.width:
            side = self.width
            wanted = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
        else:
            ratios = (height / self.height, width / self.width)
            ratio = max(ratios) if self.resize_mode == "longest" else min(ratios)
            # At least one pixel, where open_clip would fail on a long strip.
            wanted = (max(1, round(width / ratio)), max(1, round(height / ratio)))
            # open_clip forgets the interpolation here; what the model saw in training is what counts.
            bilinear = bilinear and self.resize_mode == "longest"
        if wanted == picture.size:
            return picture
        return picture.resize(wanted, Resampling.BILINEAR if bilinear else Resampling.BICUBIC)

    def _framed(self, picture: Image) -> Image:
        """Centre-crop or pad to the frame."""
        from PIL.Image import new

        width, height = picture.size
        if (width, height) == (self.width, self.height):
            return picture
        if width < self.width or height < self.height:
            padded = (max(width, self.width), max(height, self.height))
            ground = new("RGB", padded, (self.fill,) * 3)
            ground.paste(picture, ((padded[0] - width) // 2, (padded[1] - height) // 2))
            picture, (width, height) = ground, padded
        left, top = round((width - self.width) / 2.0), round((height - self.height) / 2.0)
        return picture.crop((left, top, left + self.width, top + self.height))


@dataclass(frozen=True, slots=True)
class Squeeze:
    """The whole picture squeezed into a square, as the small image encoder looks at it.

    Attributes:
        size: Pixels a side.
    """

    size: int

    def __post_init__(self) -> None:
        check_numbers(self, "size", low=1)

    @property
    def height(self) -> int:
        """Pixels downwards, as many as across."""
        return self.size

    width = height

    @property
    def fingerprint(self) -> str:
        """Identifies the preparation: equal for two that give a model the same numbers."""
        return f"squeeze-1:{self.size}"

    def __call__(self, picture: Image) -> npt.NDArray[np.uint8]:
        """The picture as the model looks at it. Shape: (3, size, size), uint8."""
        return shrink(picture, self.size)


def shrink(picture: Image, size: int) -> npt.NDArray[np.uint8]:
    """The whole picture, squeezed to ``size`` x ``size`` so that nothing is cut off. Shape: (3, S, S)."""
    from PIL import Image

    small = picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return pixels_of(small)


def pixels_of(picture: Image) -> npt.NDArray[np.uint8]:
    """An RGB picture's bytes, one plane a colour. Shape: (3, H, W), uint8."""
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))


def check_pixels(pixels_N3HW: npt.NDArray[np.uint8], height: int, width: int) -> None:
    """Raise `InvalidArgumentError` unless the pixels are what a preparation makes."""
    if pixels_N3HW.dtype != np.uint8 or pixels_N3HW.ndim != 4 or pixels_N3HW.shape[1:] != (3, height, width):
        raise InvalidArgumentError(
            f"pixels have shape {pixels_N3HW.shape} and type {pixels_N3HW.dtype}; they must be "
            f"(N, 3, {height}, {width}) uint8, as the encoder's preparation makes them",
            field="pixels",
        )


def _three(values: Any) -> tuple[float, float, float]:
    numbers = tuple(float(value) for value in values) if isinstance(values, list | tuple) else (float(values),) * 3
    return numbers  # type: ignore[return-value]  # the length is checked in __post_init__
