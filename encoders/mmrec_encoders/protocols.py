"""What an encoder is: pictures or texts in, unit vectors out, under the batch law.

Knows nothing about models.

The batch law: one vector per input, in the same order, and an input's vector does not depend on what else is
in the call. Any object with these members will do; nothing has to be registered or inherited.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ImageEncoder", "TextEncoder", "Vectors"]

Vectors: TypeAlias = npt.NDArray[np.float32]
"""Rows of unit norm. Shape: (N, dim), float32."""


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
    def fingerprint(self) -> str:
        """Tells encoders apart whose vectors must not be mixed; equal on every device and number format."""
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
        """Tells encoders apart whose vectors must not be mixed; equal on every device and number format."""
        ...

    def encode(self, texts: Sequence[str], *, query: bool = False) -> Vectors:
        """One unit vector per text, in the same order. Shape: (N, dim); (0, dim) for no texts.

        Args:
            texts: Words of items, or of searches when `query` is set.
            query: Whether the texts look for items rather than describe them; some models tell the two apart.
        """
        ...
