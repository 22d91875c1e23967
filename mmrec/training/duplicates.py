"""Duplicates of a dataset folder: its pictures and words encoded, and its thumbnails laid over each other.

Brings together what `mmrec.understanding.duplicates` needs; what counts as a duplicate is said there.
"""

# Axes: N items

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmrec.runtime.files import new_array_file
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.understanding.duplicates import DuplicateConfig, DuplicateFeatures, Duplicates, find_duplicates
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE, thumbnail
from mmrec_encoders.picture_reading import PictureFailure, picture_batches

if TYPE_CHECKING:
    from mmrec.catalogue.catalogue import Catalogue
    from mmrec.data.dataset import Dataset
    from mmrec.data.pictures import PictureStore
    from mmrec_encoders.fusion import ItemFeatures
    from mmrec_encoders.item_encoder import ItemEncoder


def load_thumbnails(
    catalogue: Catalogue, pictures: PictureStore, *, path: Path | None = None, progress: Progress = NO_PROGRESS
) -> npt.NDArray[np.uint8]:
    """Thumbnails of all pictures, zero where there is none or it cannot be read.

    Args:
        catalogue: The items.
        pictures: Where their pictures are.
        path: Where to keep them, as an .npy file that is mapped into memory; None: in memory, 6,912 bytes an item.
        progress: Reports how far it is.

    Returns:
        Shape: (N, 3, 48, 48), uint8.
    """
    shape = (len(catalogue), 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    found: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8) if path is None else new_array_file(path, np.uint8, shape)
    progress.start("reading thumbnails", sum(bool(ref) for ref in catalogue.images), "pictures")
    unreadable = 0
    for batch in picture_batches(catalogue.images, pictures, size=2 * THUMBNAIL_SIDE):
        for row, picture in batch:
            if isinstance(picture, PictureFailure):
                unreadable += 1
            else:
                found[row] = thumbnail(picture)
        progress.advance(len(batch))
    progress.finish(f"{unreadable} pictures unreadable" if unreadable else "")
    return found


def find_dataset_duplicates(
    data: Dataset,
    encoder: ItemEncoder,
    config: DuplicateConfig | None = None,
    *,
    features: ItemFeatures | None = None,
    thumbnails: npt.NDArray[np.uint8] | None = None,
    progress: Progress = NO_PROGRESS,
) -> Duplicates:
    """Find the duplicates of a dataset by pictures, words and thumbnails.

    Args:
        data: The dataset.
        encoder: Encodes pictures and words, to find candidates with.
        config: See `DuplicateConfig`.
        features: Frozen vectors of the items, if they were computed before.
        thumbnails: Those of `load_thumbnails`, if they were made before.
        progress: Reports how far it is.

    Raises:
        InvalidArgumentError: features or thumbnails are not those of the dataset's items.
    """
    catalogue = data.catalogue
    if features is None:
        features = encoder.features(catalogue, data.pictures, progress).features
    if thumbnails is None:
        thumbnails = load_thumbnails(catalogue, data.pictures, progress=progress)
    # The title names the product; descriptions and attributes are shared by many.
    texts = [title or text for title, text in zip(catalogue.titles, catalogue.descriptions, strict=True)]
    known = DuplicateFeatures(
        np.where(features.has_image_N[:, None], features.image_NI, np.float32(0)),
        np.where(features.has_text_N[:, None], features.text_NT, np.float32(0)),
        texts,
        thumbnails,
    )
    return find_duplicates(known, config, progress)
