"""Makes the thumbnails on which duplicates are compared. Knows nothing about items and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL_SIDE = 48
"""Pixels a side; larger thumbnails are slower and not more accurate."""


def thumbnail(picture: Image) -> npt.NDArray[np.uint8]:
    """The picture stretched to the size at which duplicates are compared. Shape: (3, 48, 48), uint8."""
    from PIL import Image

    size = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = picture.convert("RGB").resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.ascontiguousarray(np.asarray(small, np.uint8).transpose(2, 0, 1))
