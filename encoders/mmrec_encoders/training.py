"""Trains what is to be trained of an item encoder on one catalogue: the small image encoder, and the fusion.

Knows nothing about splits: whoever calls it decides which histories may be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    """How the trained parts are trained.

    Attributes:
        small_clip: Of the small image encoder, where it is used.
        fusion: Of the fusion.
        template: How an item's words are put together; None: as the catalogue's columns suggest. See
            `mmrec.data.word_columns`.
    """

    small_clip: SmallClipConfig = field(default_factory=SmallClipConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    template: str | None = None


def train_item_encoder(
    frozen: ItemEncoder,
    catalogue: Catalogue,
    pictures: PictureStore,
    pairs_P2: npt.NDArray[np.int64],
    config: ItemEncoderConfig,
    *,
    device: str = "auto",
    seed: int = 0,
    progress: Progress = NO_PROGRESS,
) -> ItemEncoder:
    """Train on a catalogue. The same seed gives the same encoder on the same kind of device.

    Args:
        frozen: Encodes words, and pictures unless an image encoder is trained here for a catalogue that has some.
        catalogue: The items.
        pictures: Where their pictures are.
        pairs_P2: Items that follow each other in histories that may be seen; see `following_pairs`. Shape:
            (P, 2).
        config: How to train.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        seed: Of everything left to chance.
        progress: Reports each stage.

    Returns:
        With a fusion.
    """
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
    # The last event of one user and the first of the next stand side by side and do not follow each other.
    follows = np.ones(len(pairs), np.bool_)
    borders = interactions.offsets_U[1:-1]
    follows[borders[(borders > 0) & (borders < len(items_E))] - 1] = False
    kept: npt.NDArray[np.int64] = pairs[follows & (pairs[:, 0] != pairs[:, 1])]
    return kept
