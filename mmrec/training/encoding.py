"""The first stages of a fit: vectors of all texts and pictures, and training of the image encoder if it is trained.

Vectors are looked up in and added to the vector cache of embedding jobs. During a fit, the result of each stage is kept
in the work folder under a key of its inputs: texts and text model; pictures and image model; pictures, texts and
training configuration of the small image encoder. Knows nothing about events.
"""

# Axes: N items, T text dimensions

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.bundle import open_bundle
from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.dataset import Dataset
from mmrec.data.pictures import PictureStore
from mmrec.errors import InvalidArgumentError
from mmrec.recommender.artefact import ENCODERS
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.training.config import FitConfig
from mmrec.training.picture_tuning import CHOICE, TUNED, is_tuned, tuned_pictures
from mmrec.training.stage_keys import folder_digest, stage_key, texts_digest
from mmrec.training.work_folder import WorkFolder
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE, thumbnail
from mmrec_encoders.embedding.catalogue import EncodeOptions, encode_pictures, encode_words
from mmrec_encoders.fusion import Fusion, ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder
from mmrec_encoders.picture_reading import PictureFailure, load_small_pictures, picture_batches
from mmrec_encoders.presets import Encoders, build_encoders
from mmrec_encoders.protocols import ImageEncoder
from mmrec_encoders.small_clip import SmallClipEncoder
from mmrec_encoders.small_clip_training import train_small_clip

MOST_THUMBNAILS = 50_000
"""Most items of a catalogue whose bundle gets thumbnails, 7 kB each; in larger ones, duplicates are found by vectors
and words only."""

_WORDS, _PICTURES, _SMALL = "words", "pictures", "small-image-encoder"
CACHE = "cache"
"""Name of the vector cache in the work folder."""
KEPT = (CACHE, _SMALL, TUNED, CHOICE)
"""Results that are kept after a fit, because they depend neither on events nor on later stages."""


class Encoded(NamedTuple):
    """An encoded catalogue.

    Attributes:
        encoder: The encoder, without a fusion.
        fusion: That of `FitConfig.start_from`, which is kept; None: one is trained.
        features: Frozen vectors.
        unreadable: Number of unreadable pictures; their items have words only.
        key: Cache key of the features' inputs.
    """

    encoder: ItemEncoder
    features: ItemFeatures
    unreadable: int
    key: str
    fusion: Fusion | None = None


def encode_dataset(
    data: Dataset, pictures: str, config: FitConfig, work: WorkFolder, progress: Progress, cache: Path | None = None
) -> Encoded:
    """Frozen vectors of a dataset's catalogue.

    Args:
        data: The dataset.
        pictures: Its `stage_keys.pictures_digest`.
        config: Names the encoders.
        work: The work folder.
        progress: Reports every stage.
        cache: Folder of the vector cache; None for one in the work folder.

    Raises:
        InvalidArgumentError: the encoders of another bundle do not fit the catalogue.
        ModelNotAvailableError: a model can be neither found nor downloaded.
    """
    encoders, fusion = _encoders(data, config)
    options = EncodeOptions(
        cache=work.folder / CACHE if cache is None else cache,
        device=config.device,
        dtype=config.dtype,
        text_files=folder_digest(config.text_model),
    )
    encoder = ItemEncoder(encoders.image, encoders.text, None, config.words)
    numbers = number_settings(config)
    words_key = stage_key(
        _WORDS,
        texts=texts_digest(data.catalogue.texts(config.words), data.catalogue.has_words(config.words)),
        model=encoders.text.fingerprint,
        folder=options.text_files,
        numbers=numbers,
    )
    text = work.tensors(_WORDS, words_key, lambda: encode_words(encoder, data.catalogue, options, progress)._asdict())
    if not any(data.catalogue.images):
        encoder.image = None
    elif encoder.image is None:
        small_key = stage_key(
            _SMALL,
            pictures=pictures,
            words=words_key,
            config=asdict(config.small_clip),
            seed=config.seed,
            device=resolve_device(config.device).type,
        )
        encoder.image = _small_encoder(data, text["text_NT"], small_key, config, work, progress)
    elif is_tuned(data.catalogue, encoder, config):
        both = stage_key("pairs", pictures=pictures, words=words_key)
        encoder.image = tuned_pictures(data, encoder, text["text_NT"], both, config, work, options, progress)
    image = encoder.image
    pictures_key = stage_key(
        _PICTURES,
        pictures=pictures,
        model=image.fingerprint if image else "",
        preparation=image.preparation.fingerprint if image else "",
        numbers=numbers,
    )

    def pictures_found() -> dict[str, npt.NDArray[Any]]:
        found = encode_pictures(encoder, data.catalogue, data.pictures, options, progress)
        failed = np.array([len(found.failures)])
        return {"image_NI": found.image_NI, "has_image_N": found.has_image_N, "unreadable": failed}

    found = work.tensors(_PICTURES, pictures_key, pictures_found)
    unreadable = int(found.pop("unreadable")[0])
    key = stage_key("features", words=words_key, pictures=pictures_key)
    return Encoded(encoder, ItemFeatures(**found, **text), unreadable, key, fusion)


def keep_thumbnails(
    data: Dataset, pictures: str, config: FitConfig, work: WorkFolder, progress: Progress
) -> npt.NDArray[np.uint8] | None:
    """Thumbnails for finding duplicates; None for a catalogue without pictures, or with too many items."""
    if config.modality == "words" or not any(data.catalogue.images) or len(data.catalogue) > MOST_THUMBNAILS:
        return None
    made = work.tensors(
        "thumbnails",
        stage_key("thumbnails", pictures=pictures),
        lambda: {"pixels": load_thumbnails(data.catalogue, data.pictures, progress)},
    )
    return made["pixels"]


def load_thumbnails(
    catalogue: Catalogue, pictures: PictureStore, progress: Progress = NO_PROGRESS
) -> npt.NDArray[np.uint8]:
    """Thumbnails of all pictures, zero where there is none or it cannot be read.

    Args:
        catalogue: The items.
        pictures: Reads their pictures.
        progress: Reports the progress.

    Returns:
        Shape: (N, 3, 48, 48), uint8; 6,912 bytes per item.
    """
    found = np.zeros((len(catalogue), 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
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


def number_settings(config: FitConfig) -> list[str]:
    """Kind of device and number format, on which the last digits of vectors depend."""
    device = resolve_device(config.device)
    return [device.type, str(resolve_dtype(config.dtype, device))]


def _encoders(data: Dataset, config: FitConfig) -> tuple[Encoders, Fusion | None]:
    """The encoders of another bundle, else those of the preset; with the fusion of `config.start_from`."""
    field = "start_from" if config.start_from else "encoders_from"
    if not getattr(config, field):
        encoders = build_encoders(
            config.preset, config.device, config.dtype, config.image_model or None, config.text_model or None
        )
        return encoders, None
    folder = open_bundle(getattr(config, field)).folder / ENCODERS
    encoder = load_item_encoder(folder, config.device, config.dtype)
    if encoder.image is None and any(data.catalogue.images):
        raise InvalidArgumentError(
            f"{field} is {getattr(config, field)!r}, a bundle of a catalogue without pictures, and items of "
            f"{data.root} have some; name a bundle that was fitted with pictures, or none",
            field=field,
        )
    return Encoders(encoder.image, encoder.text), encoder.fusion if config.start_from else None


def _small_encoder(
    data: Dataset, text_NT: npt.NDArray[Any], key: str, config: FitConfig, work: WorkFolder, progress: Progress
) -> ImageEncoder | None:
    """The small image encoder, trained on the catalogue; None if no picture can be read."""
    found = work.load(_SMALL, key, lambda path: SmallClipEncoder.load(path, device=config.device))
    if found is not None:
        return found
    small = load_small_pictures(data.catalogue, data.pictures, progress=progress)
    if not len(small.rows_M):
        return None
    encoder = train_small_clip(
        small.pixels_M3HW,
        text_NT[small.rows_M],
        config.small_clip,
        device=config.device,
        seed=config.seed,
        progress=progress,
        checkpoint=work.folder / "small-image-encoder.checkpoint",
    )
    work.store(_SMALL, key, encoder.save)
    return encoder
