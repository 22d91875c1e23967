"""Decodes one picture to what is needed of it: the input of a model, and a thumbnail. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from mmrec.data.pictures import decode_picture
from mmrec.errors import InvalidImageError
from mmrec_encoders.protocols import Pixels, Preparation

if TYPE_CHECKING:
    from PIL.Image import Image


class DecodedPicture(NamedTuple):
    """What is needed of a picture after it is decoded.

    Attributes:
        pixels: What the model looks at; an error for a picture that cannot be read.
        thumbnail: The thumbnail, if it was asked for and the picture can be read.
    """

    pixels: Pixels | InvalidImageError
    thumbnail: Pixels | None


class PictureSetup(NamedTuple):
    """How a picture is decoded; can be pickled.

    Attributes:
        preparation: Of the model.
        size: Pixels that the shorter side should have at least.
        thumbnail: Makes a thumbnail of the file and of what was decoded of it; None: none is needed.
    """

    preparation: Preparation
    size: int
    thumbnail: Callable[[bytes, Image], Pixels] | None


def decode_as(setup: PictureSetup, data: bytes) -> DecodedPicture:
    """Decode an encoded file."""
    try:
        picture = decode_picture(data, size_hint=setup.size)
        small = None if setup.thumbnail is None else setup.thumbnail(data, picture)
        return DecodedPicture(setup.preparation(picture), small)
    except InvalidImageError as err:
        return DecodedPicture(err, None)
