"""The encoders of an embedding job: loaded from a bundle or a folder, pretrained, or trained on the catalogue.

Encoders that are trained for a job are saved in its output folder before anything is embedded, so that a resumed or
later run uses the same ones. Knows nothing about shards.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mmrec.bundle import open_bundle
from mmrec.catalogue.item_words import ItemWords
from mmrec.data.settings import WordSettings, read_settings
from mmrec.data.word_columns import find_words
from mmrec.errors import BundleError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec.runtime.progress import Progress
from mmrec_encoders.embedding.config import EmbedConfig
from mmrec_encoders.embedding.encoding import EncodeSettings, vector_fingerprints
from mmrec_encoders.embedding.failpoints import Failpoint
from mmrec_encoders.embedding.folder import OutputFolder, refuse_differences
from mmrec_encoders.embedding.pictures import Fetcher
from mmrec_encoders.embedding.sample import draw_sample
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder, save_item_encoder
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.presets import PRESETS, SMALL, build_encoders
from mmrec_encoders.training import TrainingItems, train_item_encoder

_RECIPE = "recipe.json"
_CPU_PIXELS, _GPU_PIXELS = 32 * 224 * 224, 256 * 224 * 224
# Per call; the encoder splits a call into forward passes by its own limit.
_CPU_TOKENS, _GPU_TOKENS = 2**17, 2**20


def load_encoder(config: EmbedConfig, trained: Path | None = None) -> ItemEncoder:
    """Load the encoders of a job. Without a bundle or a folder, `words.job_words` chooses the word columns.

    Args:
        config: See `EmbedConfig`.
        trained: Folder of encoders trained for the job; needed if `config.trains`.

    Raises:
        NotFoundError: the bundle or the folder does not exist.
        BundleError: it is damaged, or its models are not the ones it was made with.
        ModelNotAvailableError: a model can be neither found nor downloaded.
        InvalidArgumentError: the encoders do not support the configuration.
    """
    folder = trained if config.trains else config.encoders
    if config.bundle is not None:
        folder = open_bundle(config.bundle).folder / "encoders"
    elif config.encoders is not None and not config.encoders.is_dir():
        raise NotFoundError(f"the encoders {str(config.encoders)!r} are not a folder; name one with encoders.json")
    if folder is None:
        return _with_batch_size(_frozen(config), config)
    encoder = load_item_encoder(
        folder,
        config.device,
        config.dtype,
        image_model=config.image_model,
        text_model=config.text_model,
        compile=config.compile,
    )
    if not config.trains and config.template is not None and config.template != encoder.words.template:
        if config.vectors == "fused":
            raise InvalidArgumentError(
                f"template is {config.template!r}, but the encoders in {str(folder)!r} were trained with "
                f"{encoder.words.template!r}; leave it out",
                field="template",
            )
        encoder = encoder.with_words(ItemWords(config.template))
    if config.vectors == "fused":
        if encoder.fusion is None:
            raise BundleError(
                f"the encoders in {str(folder)!r} have no fusion; run mmrec fit, or ask for vectors image"
            )
        encoder.fusion.check_dimension(config.dimension)
    if config.vectors == "image" and encoder.image is None:
        raise InvalidArgumentError(
            f"vectors is 'image', but the encoders in {str(folder)!r} were made for a catalogue without pictures",
            field="vectors",
        )
    return _with_batch_size(encoder, config)


def _with_batch_size(encoder: ItemEncoder, config: EmbedConfig) -> ItemEncoder:
    """The encoder, with the batch size of an open_clip model set from the limit of pixels."""
    if isinstance(encoder.image, OpenClipImageEncoder):
        encoder.image.batch_size = settings_of(encoder, config).batch_pictures
    return encoder


def _frozen(config: EmbedConfig) -> ItemEncoder:
    """A pretrained encoder of one modality; the other modality gets the smallest encoder, which is not used."""
    if config.vectors == "text":
        encoders = build_encoders(
            config.preset, config.device, config.dtype, SMALL, config.text_model, compile=config.compile
        )
        return ItemEncoder(None, encoders.text, None)
    if (config.image_model or PRESETS.get(config.preset, (SMALL,))[0]) == SMALL:
        raise InvalidArgumentError(
            "vectors is 'image', but the small image encoder must be trained first; pass a bundle, a folder of "
            "encoders, or an image model",
            field="vectors",
        )
    encoders = build_encoders(
        config.preset, config.device, config.dtype, config.image_model, MINILM, compile=config.compile
    )
    return ItemEncoder(encoders.image, encoders.text, None)


def train_encoder(
    dataset: Path,
    config: EmbedConfig,
    folder: OutputFolder,
    fetcher: Fetcher | None,
    progress: Progress,
    failpoint: Failpoint,
) -> ItemEncoder:
    """Train encoders on the catalogue, or load those that this job trained before.

    Raises:
        InvalidArgumentError: the folder has encoders that were trained with other settings.
    """
    settings = read_settings(dataset).words
    recipe = _recipe(config, settings)
    if folder.encoders.is_dir():
        try:
            found = json.loads((folder.encoders / _RECIPE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise BundleError(
                f"{str(folder.encoders / _RECIPE)!r} is missing or damaged; pass --overwrite to train again"
            ) from err
        refuse_differences(folder.path, found, recipe)
        return load_encoder(replace(config, image_model=None, text_model=None), folder.encoders)
    failpoint("before-training")
    encoders = build_encoders(config.preset, config.device, config.dtype, config.image_model, config.text_model)
    kept, made = folder.path / ".sample.tmp", folder.path / ".encoders.tmp"
    try:
        kept.mkdir()
        sample = draw_sample(
            dataset, config.training_items, config.seed, kept, fetcher, folder.path / ".training-ids.tmp"
        )
        template = config.template if config.template is not None else config.training.template
        words = find_words(sample.catalogue, settings, template)
        trained = train_item_encoder(
            ItemEncoder(encoders.image, encoders.text, None, words),
            TrainingItems(sample.catalogue, sample.pictures, sample.pairs_P2),
            config.training,
            device=config.device,
            seed=config.seed,
            progress=progress,
        )
        sample.pictures.close()
        save_item_encoder(trained, made)
        (made / _RECIPE).write_text(json.dumps(recipe, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as err:
        raise FailedPreconditionError(
            f"cannot write {str(made)!r}: {err.strerror or 'write error'}; free disk space, or choose a folder that "
            "can be written to, then run the same command again"
        ) from err
    finally:
        shutil.rmtree(kept, ignore_errors=True)
    failpoint("before-encoders-renamed")
    folder.keep_encoders(made)
    return _with_batch_size(trained, config)


def _recipe(config: EmbedConfig, settings: WordSettings) -> dict[str, Any]:
    """Everything that training depends on, except the catalogue."""
    images, texts = PRESETS.get(config.preset, ("", ""))
    training = asdict(config.training)
    given = config.template if config.template is not None else config.training.template
    training["template"] = given if given is not None else settings.template
    training["leave_out"] = settings.leave_out
    recipe = {
        "image_model": config.image_model or images,
        "text_model": config.text_model or texts,
        "seed": config.seed,
        "training_items": config.training_items,
        "training": training,
    }
    # Comparable with the file: JSON turns tuples into lists.
    plain: dict[str, Any] = json.loads(json.dumps(recipe))
    return plain


def settings_of(encoder: ItemEncoder, config: EmbedConfig) -> EncodeSettings:
    """How windows are encoded."""
    on_gpu = resolve_device(config.device).type != "cpu"
    image_fingerprint, text_fingerprint = vector_fingerprints(encoder, config.device, config.dtype)
    pictures = 0
    if encoder.image is not None:
        side = encoder.image.preparation.size
        pixels = config.batch_pixels or (_GPU_PIXELS if on_gpu else _CPU_PIXELS)
        pictures = max(1, pixels // (side * side))
    return EncodeSettings(
        vectors=config.vectors,
        dimension=config.dimension,
        image_fingerprint=image_fingerprint,
        text_fingerprint=text_fingerprint,
        batch_pictures=pictures,
        batch_tokens=config.batch_tokens or (_GPU_TOKENS if on_gpu else _CPU_TOKENS),
    )


def describe_job(encoder: ItemEncoder, config: EmbedConfig) -> dict[str, Any]:
    """What the output depends on, except the catalogue: jobs with equal descriptions can share a folder."""
    dtype = str(resolve_dtype(config.dtype, resolve_device(config.device))).removeprefix("torch.")
    uses_image, uses_text = config.vectors in ("fused", "image"), config.vectors in ("fused", "text")
    fingerprints = {**encoder.fingerprints}
    fingerprints["preparation"] = encoder.image.preparation.fingerprint if encoder.image is not None else ""
    if not uses_image:
        fingerprints["image"] = fingerprints["preparation"] = ""
    if not uses_text:
        fingerprints["text"] = fingerprints["words"] = ""
    if config.vectors == "fused":
        assert encoder.fusion is not None  # checked by `load_encoder`, made by `train_encoder`
        dimension = config.dimension or encoder.fusion.dimension
    else:
        fingerprints["fusion"] = ""
        dimension = encoder.image_dim if config.vectors == "image" else encoder.text.dim
    return {
        "vectors": config.vectors,
        "dimension": dimension,
        "store": config.store,
        "shard_rows": config.shard_rows,
        "dtype": dtype,
        "fingerprints": fingerprints,
    }
