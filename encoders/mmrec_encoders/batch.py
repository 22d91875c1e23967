"""Embeds a whole dataset into one Parquet file, with a bundle's encoders or with ones trained on the spot.

The file is there whole or not at all. Knows nothing about the command line.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmrec.bundle import open_bundle
from mmrec.data.dataset import Dataset, read_dataset
from mmrec.errors import InvalidArgumentError, NotFoundError
from mmrec.progress import NO_PROGRESS, Progress
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.picture_reading import PictureFailure
from mmrec_encoders.presets import build_encoders
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.training import ItemEncoderConfig, following_pairs, train_item_encoder

__all__ = ["EmbedConfig", "EmbedSummary", "embed_dataset"]

METADATA_KEY = b"mmrec"
"""Key of the Parquet schema's metadata; its value is a JSON object with `fingerprints` and `dimension`."""


@dataclass(frozen=True, slots=True)
class EmbedConfig:
    """What embeds.

    Attributes:
        bundle: A bundle whose encoders are used; None trains on the dataset itself.
        preset: Encoders to train with when there is no bundle.
        image_model: Instead of the preset's, or where the bundle's image model is now.
        text_model: Likewise for words.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        dimension: Length of the vectors; 0 for all, else a length the fusion was trained for.
        seed: Of training.
        training: How to train when there is no bundle.
    """

    bundle: Path | None = None
    preset: str = "embedded"
    image_model: str | None = None
    text_model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    dimension: int = 0
    seed: int = 0
    training: ItemEncoderConfig = field(default_factory=ItemEncoderConfig)

    def __post_init__(self) -> None:
        fusion = self.training.fusion
        lengths = (0, *fusion.prefixes, fusion.dimension)
        if self.bundle is None and self.dimension not in lengths:
            raise InvalidArgumentError(
                f"dimension is {self.dimension}; it must be one of {', '.join(map(str, lengths))} (0 means all)",
                field="dimension",
            )


@dataclass(frozen=True, slots=True)
class EmbedSummary:
    """What was embedded.

    Attributes:
        path: The Parquet file.
        items: Rows in it.
        with_picture: Items whose picture was read.
        with_words: Items that have words.
        unreadable: One entry per picture that could not be had: item id and reason.
        dimension: Length of a vector.
        fingerprints: What the vectors depend on, by part.
    """

    path: Path
    items: int
    with_picture: int
    with_words: int
    unreadable: tuple[tuple[str, str], ...]
    dimension: int
    fingerprints: dict[str, str]


def embed_dataset(
    dataset: Path, out: Path, config: EmbedConfig | None = None, progress: Progress = NO_PROGRESS
) -> EmbedSummary:
    """Embed every item of a dataset folder.

    Writes one row per item, in the dataset's order: `item_id`, `embedding` (fixed-size list of float32, unit
    norm), `has_picture`, `has_words`. A picture that cannot be read is reported in the result; its item is
    embedded from its words.

    Args:
        dataset: The dataset folder.
        out: The Parquet file to write; an existing one is replaced at the very end.
        config: What embeds.
        progress: Told about each stage.

    Raises:
        NotFoundError: the dataset, the bundle or the folder to write into does not exist.
        InvalidDatasetError: the dataset cannot be used.
        InvalidArgumentError: the length is not one that the fusion was trained for.
        BundleError: the bundle is damaged.
        ModelNotAvailableError: a model can be neither found nor fetched.
    """
    config = config or EmbedConfig()
    _check_target(out)
    data = read_dataset(dataset)
    encoder, features, failures = (
        _train(data, config, progress) if config.bundle is None else _use(data, config, config.bundle, progress)
    )
    assert encoder.fusion is not None
    vectors_ND = encoder.fusion.shorten(encoder.fusion.fuse(features), config.dimension)
    _write(out, data, vectors_ND, features, encoder.fingerprints)
    return EmbedSummary(
        path=out,
        items=len(data.catalogue),
        with_picture=int(features.has_image_N.sum()),
        with_words=int(features.has_text_N.sum()),
        unreadable=tuple((data.catalogue.item_ids[failure.row], failure.message) for failure in failures),
        dimension=vectors_ND.shape[1],
        fingerprints=encoder.fingerprints,
    )


def _check_target(out: Path) -> None:
    """Before hours of work, not after."""
    if out.is_dir():
        raise InvalidArgumentError(f"out is {str(out)!r}, which is a folder; name a file in it", field="out")
    if not out.absolute().parent.is_dir():
        raise NotFoundError(f"the folder {str(out.absolute().parent)!r} to write into does not exist; make it first")


_Embedded = tuple[ItemEncoder, ItemFeatures, tuple[PictureFailure, ...]]


def _train(data: Dataset, config: EmbedConfig, progress: Progress) -> _Embedded:
    encoders = build_encoders(config.preset, config.device, config.dtype, config.image_model, config.text_model)
    trained = train_item_encoder(
        data.catalogue,
        data.pictures,
        following_pairs(data.interactions),
        encoders,
        config.training,
        device=config.device,
        seed=config.seed,
        progress=progress,
    )
    return trained.encoder, trained.features, trained.failures


def _use(data: Dataset, config: EmbedConfig, bundle: Path, progress: Progress) -> _Embedded:
    encoder = ItemEncoder.load(
        open_bundle(bundle).folder / "encoders",
        config.device,
        config.dtype,
        image_model=config.image_model,
        text_model=config.text_model,
    )
    if encoder.fusion is not None:
        encoder.fusion.check_dimension(config.dimension)
    features, failures = encoder.features(data.catalogue, data.pictures, progress)
    return encoder, features, failures


def _write(out: Path, data: Dataset, vectors_ND: Vectors, features: ItemFeatures, fingerprints: dict[str, str]) -> None:
    count, length = vectors_ND.shape
    table = pa.table(
        {
            "item_id": pa.array(data.catalogue.item_ids, pa.string()),
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(vectors_ND)), length),
            "has_picture": pa.array(features.has_image_N),
            "has_words": pa.array(features.has_text_N),
        }
    )
    note = {
        "format": 1,
        "dataset": data.name,
        "items": count,
        "dimension": length,
        "fingerprints": fingerprints,
    }
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(note, sort_keys=True).encode()})
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(table, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(out)
    except OSError as err:
        raise NotFoundError(f"cannot write {str(out)!r}: {err.strerror or 'the disk refused'}") from err
    finally:
        temporary.unlink(missing_ok=True)
