"""Reads and decodes the pictures of a catalogue in several threads, a bounded number at a time.

An unreadable picture gives a failure with its row and reason; the others are not affected.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.data.pictures import PictureStore, decode_picture
from mmrec.errors import InvalidImageError
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec_encoders.embedding.pictures import missing_picture
from mmrec_encoders.preparation import shrink
from mmrec_encoders.small_clip import TRAINING_SIZE

if TYPE_CHECKING:
    from PIL.Image import Image

    from mmrec.catalogue.catalogue import Catalogue

_THREADS = 16


class PictureFailure(NamedTuple):
    """A picture that could not be read.

    Attributes:
        row: Row of the item in the catalogue.
        message: What is wrong and what to do.
    """

    row: int
    message: str


class SmallPictures(NamedTuple):
    """Pictures shrunk for training, in memory.

    Attributes:
        pixels_M3HW: Shape: (M, 3, 72, 72), uint8; 15,552 bytes a picture.
        rows_M: Catalogue row of each. Shape: (M,), int64, ascending.
        failures: Pictures that could not be read.
    """

    pixels_M3HW: npt.NDArray[np.uint8]
    rows_M: npt.NDArray[np.int64]
    failures: tuple[PictureFailure, ...]


def picture_batches(
    refs: Sequence[str], pictures: PictureStore, *, size: int, batch_size: int = 256
) -> Iterator[list[tuple[int, Image | PictureFailure]]]:
    """Decoded pictures of all rows that have one, in row order, `batch_size` rows at a time.

    Args:
        refs: One reference per row, empty for none.
        pictures: Resolves the references.
        size: Side in pixels that is needed; JPEGs are decoded at a reduced size if that suffices.
        batch_size: Rows decoded at a time, which bounds the memory in use.
    """
    rows = [row for row, ref in enumerate(refs) if ref]

    def one(row: int) -> tuple[int, Image | PictureFailure]:
        try:
            data = pictures.read(refs[row])
            if data is None:
                return row, PictureFailure(row, missing_picture(refs[row]))
            return row, decode_picture(data, size_hint=size)
        except InvalidImageError as err:
            return row, PictureFailure(row, err.message)

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), thread_name_prefix="mmrec-pictures") as pool:
        for at in range(0, len(rows), batch_size):
            yield list(pool.map(one, rows[at : at + batch_size]))


def load_small_pictures(
    catalogue: Catalogue, pictures: PictureStore, progress: Progress = NO_PROGRESS
) -> SmallPictures:
    """All pictures of a catalogue, shrunk to what the small image encoder is trained on."""
    wanted = sum(bool(ref) for ref in catalogue.images)
    pixels = np.zeros((wanted, 3, TRAINING_SIZE, TRAINING_SIZE), np.uint8)
    rows: list[int] = []
    failures: list[PictureFailure] = []
    progress.start("reading pictures", wanted, "pictures")
    for batch in picture_batches(catalogue.images, pictures, size=TRAINING_SIZE):
        for row, picture in batch:
            if isinstance(picture, PictureFailure):
                failures.append(picture)
                continue
            pixels[len(rows)] = shrink(picture, TRAINING_SIZE)
            rows.append(row)
        progress.advance(len(batch))
    progress.finish(f"{len(rows)} pictures read, {len(failures)} unreadable")
    return SmallPictures(pixels[: len(rows)], np.array(rows, np.int64), tuple(failures))
