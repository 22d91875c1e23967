"""Encoder protocols: pictures or texts in, unit vectors out.

The batch law: one vector per input, in the same order, and an input's vector does not depend on the other inputs of the
call. Any object with these members is an encoder; nothing has to be registered or inherited.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

Vectors: TypeAlias = npt.NDArray[np.float32]
"""Rows of unit norm. Shape: (N, dim), float32."""
Pixels: TypeAlias = npt.NDArray[np.uint8]
"""Pictures as bytes, one plane a colour. Shape: (N, 3, H, W), or (3, H, W) for one; uint8."""


class Preparation(Protocol):
    """Preprocessing of a picture for a model; can be pickled, and needs no torch."""

    @property
    def size(self) -> int:
        """Pixels that the shorter side of a picture should have at least; decoding more is wasted work."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the preparation: equal for two that give a model the same numbers."""
        ...

    def __call__(self, picture: Image) -> Pixels:
        """One picture as the input of the model, all of one shape. Shape: (3, H, W), uint8."""
        ...


class ImageEncoder(Protocol):
    """Turns pictures into vectors."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def picture_size(self) -> int:
        """Pixels of the shorter side the model looks at; decoding much larger than this is wasted work."""
        ...

    @property
    def preparation(self) -> Preparation:
        """Makes the pixels of a picture; `encode` is `encode_pixels` of what it makes."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the vector space: vectors of encoders that differ in it must not be mixed."""
        ...

    def encode_pixels(self, pixels_N3HW: Pixels) -> Vectors:
        """One unit vector per prepared picture, in the same order. Shape: (N, dim); (0, dim) for none."""
        ...

    def encode(self, pictures: Sequence[Image]) -> Vectors:
        """One unit vector per RGB picture, in the same order. Shape: (N, dim); (0, dim) for no pictures."""
        ...


class TextEncoder(Protocol):
    """Turns texts into vectors."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies the vector space: vectors of encoders that differ in it must not be mixed."""
        ...

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One unit vector per text, in the same order. Shape: (N, dim); (0, dim) for no texts.

        Args:
            texts: Words of items, or of searches when `query` is set.
            query: Whether the texts look for items rather than describe them; some models encode the two differently.
        """
        ...
