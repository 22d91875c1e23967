"""Trains the small image encoder and the fusion of an item encoder on one catalogue.

Knows nothing about splits: the caller passes only histories of the training data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec_encoders.embedding.catalogue import EncodeOptions, encode_pictures, encode_words
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.fusion_training import FusionConfig, train_fusion
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.picture_reading import load_small_pictures
from mmrec_encoders.small_clip_training import SmallClipConfig, train_small_clip

if TYPE_CHECKING:
    from mmrec.catalogue.catalogue import Catalogue
    from mmrec.data.interactions import Interactions
    from mmrec.data.pictures import PictureStore


@dataclass(frozen=True, slots=True)
class ItemEncoderConfig:
    """How an item encoder is trained.

    Attributes:
        small_clip: Training of the small image encoder, if it is used.
        fusion: Training of the fusion.
        template: Template of an item's text; None: chosen from the catalogue's columns, see `mmrec.data.word_columns`.
    """

    small_clip: SmallClipConfig = field(default_factory=SmallClipConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    template: str | None = None


class TrainingItems(NamedTuple):
    """Items to train on.

    Attributes:
        catalogue: The items.
        pictures: Reads their pictures.
        pairs_P2: Rows of items that follow each other in the histories of the training data; see `following_pairs`.
            Shape: (P, 2), int64.
    """

    catalogue: Catalogue
    pictures: PictureStore
    pairs_P2: npt.NDArray[np.int64]


def train_item_encoder(
    frozen: ItemEncoder,
    items: TrainingItems,
    config: ItemEncoderConfig,
    *,
    device: str = "auto",
    seed: int = 0,
    progress: Progress = NO_PROGRESS,
) -> ItemEncoder:
    """Train the fusion, and the small image encoder if needed. The same seed and kind of device give the same encoder.

    Args:
        frozen: Encodes words and pictures; without an image encoder, a small one is trained if there are pictures.
        items: The items to train on.
        config: How to train.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        seed: Seed of all random choices.
        progress: Reports each stage.

    Returns:
        The encoder with a fusion.
    """
    catalogue, pictures, pairs_P2 = items
    encoder = ItemEncoder(frozen.image, frozen.text, None, frozen.words)
    options = EncodeOptions(device=device)
    words = encode_words(encoder, catalogue, options, progress)
    if encoder.image is None:
        small = load_small_pictures(catalogue, pictures, progress)
        if len(small.rows_M):
            encoder.image = train_small_clip(
                small.pixels_M3HW,
                words.text_NT[small.rows_M],
                config.small_clip,
                device=device,
                seed=seed,
                progress=progress,
            )
    images = encode_pictures(encoder, catalogue, pictures, options, progress)
    features = ItemFeatures(images.image_NI, images.has_image_N, words.text_NT, words.has_text_N)
    fusion = train_fusion(features, pairs_P2, config.fusion, seed=seed, device=device, progress=progress)
    return encoder.with_fusion(fusion)


def following_pairs(interactions: Interactions) -> npt.NDArray[np.int64]:
    """Catalogue rows of items that follow each other in a user's events. Shape: (P, 2), int64."""
    items_E = interactions.items_E.astype(np.int64)
    if len(items_E) < 2:
        return np.zeros((0, 2), np.int64)
    pairs = np.stack([items_E[:-1], items_E[1:]], axis=1)
    # The last event of one user and the first of the next are neighbours in the array only.
    follows = np.ones(len(pairs), np.bool_)
    borders = interactions.offsets_U[1:-1]
    follows[borders[(borders > 0) & (borders < len(items_E))] - 1] = False
    kept: npt.NDArray[np.int64] = pairs[follows & (pairs[:, 0] != pairs[:, 1])]
    return kept
