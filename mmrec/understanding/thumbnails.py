"""Makes the thumbnails on which duplicates are compared. Knows nothing about items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmrec.data.pictures import decode_picture, picture_format

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


def thumbnail_of_file(data: bytes) -> npt.NDArray[np.uint8]:
    """As `thumbnail`, of an encoded file."""
    return thumbnail(decode_picture(data, size_hint=2 * THUMBNAIL_SIDE))


def thumbnail_beside(data: bytes, picture: Image) -> npt.NDArray[np.uint8]:
    """As `thumbnail_of_file`, of a file that was decoded to `picture` for a model."""
    # A JPEG was decoded at another fraction of its size, so that its thumbnail would differ a little.
    return thumbnail_of_file(data) if picture_format(data) == "JPEG" else thumbnail(picture)
