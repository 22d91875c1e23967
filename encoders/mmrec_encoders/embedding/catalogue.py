"""Encodes a catalogue in memory, with the windows, decoding workers and cache of an embedding job.

Cached vectors are not computed again. The others are computed in batches whose size and order do not depend on the
machine (texts by length, pictures by row), and are added to the cache.
"""

# Axes: N items, I picture dimensions, T text dimensions

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import OWN_COLUMNS, Catalogue
from mmrec.catalogue.item_words import check_words, words_of_item
from mmrec.data.pictures import PictureStore
from mmrec.runtime.device import resolve_device
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec_encoders.embedding.cache import VectorCache
from mmrec_encoders.embedding.encoding import Counts, EncodeSettings, Lookup, WindowFeatures, vector_fingerprints
from mmrec_encoders.embedding.local_engine import JobPlan, encoded_windows, suitable_workers
from mmrec_encoders.embedding.pictures import DecodeSetup, PictureTask
from mmrec_encoders.embedding.windows import WindowJob
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.picture_reading import PictureFailure
from mmrec_encoders.protocols import Vectors

_TEXTS, _PICTURES = 512, 256
"""Batch sizes."""
_FEW_PICTURES = 512
"""Up to this many are decoded by this process, as starting workers would take longer."""


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """Vector cache, and the settings that cached vectors depend on.

    Attributes:
        cache: Folder of the vector cache; None for none.
        device: Of the encoders: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Of the encoders: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        text_files: Hash of the text model's other files (tokenizer, prompts), if these may change; else empty.
    """

    cache: Path | None = None
    device: str = "auto"
    dtype: str = "auto"
    text_files: str = ""


_DEFAULT = EncodeOptions()


class EncodedWords(NamedTuple):
    """Words of a catalogue, encoded.

    Attributes:
        text_NT: Zero rows for items without words. Shape: (N, T), float32.
        has_text_N: Which items have words. Shape: (N,), bool.
    """

    text_NT: Vectors
    has_text_N: npt.NDArray[np.bool_]


class EncodedPictures(NamedTuple):
    """Pictures of a catalogue, encoded.

    Attributes:
        image_NI: Zero rows for items without a picture. Shape: (N, I), float32.
        has_image_N: Which items have a picture. Shape: (N,), bool.
        failures: Unreadable pictures; their items count as without a picture.
    """

    image_NI: Vectors
    has_image_N: npt.NDArray[np.bool_]
    failures: tuple[PictureFailure, ...]


def encode_words(
    encoder: ItemEncoder,
    catalogue: Catalogue,
    options: EncodeOptions = _DEFAULT,
    progress: Progress = NO_PROGRESS,
) -> EncodedWords:
    """Vectors of the words of a whole catalogue.

    Raises:
        InvalidArgumentError: the encoder's template names a column that is not there.
        FailedPreconditionError: the cache cannot be written.
    """
    check_words(encoder.words, (*OWN_COLUMNS, *catalogue.attributes))
    texts = [words_of_item(catalogue.record(row), encoder.words) for row in range(len(catalogue))]
    has_text_N = np.array([bool(text) for text in texts], np.bool_)
    # Sorted by length, to reduce padding.
    rows = sorted(np.flatnonzero(has_text_N).tolist(), key=lambda row: len(texts[row]))
    text_NT = np.zeros((len(catalogue), encoder.text.dim), np.float32)

    def jobs() -> Iterator[WindowJob]:
        for number, at in enumerate(range(0, len(rows), _TEXTS)):
            part = rows[at : at + _TEXTS]
            yield _job(number, catalogue, part, tuple(texts[row] for row in part))

    progress.start("encoding words", len(rows), "texts")
    counts = Counts()
    for job, found in _encoded(JobPlan(encoder, _settings(encoder, options), None), jobs(), options, progress):
        text_NT[list(job.lines)] = found.features.text_NT
        counts = counts.plus(found.counts)
    progress.finish(f"{counts.texts_encoded:,} texts encoded, {counts.texts_known:,} taken from earlier runs")
    return EncodedWords(text_NT, has_text_N)


def encode_pictures(
    encoder: ItemEncoder,
    catalogue: Catalogue,
    pictures: PictureStore,
    options: EncodeOptions = _DEFAULT,
    progress: Progress = NO_PROGRESS,
) -> EncodedPictures:
    """Vectors of the pictures of a whole catalogue; nothing is read when there is no image encoder.

    Raises:
        InvalidDatasetError: ``images.zip`` is damaged.
        FailedPreconditionError: the cache cannot be written.
    """
    image_NI = np.zeros((len(catalogue), encoder.image_dim), np.float32)
    has_image_N = np.zeros(len(catalogue), np.bool_)
    failures: list[PictureFailure] = []
    if encoder.image is None:
        return EncodedPictures(image_NI, has_image_N, ())
    rows = [row for row, ref in enumerate(catalogue.images) if ref]

    def jobs() -> Iterator[WindowJob]:
        for number, at in enumerate(range(0, len(rows), _PICTURES)):
            part = rows[at : at + _PICTURES]
            tasks = tuple(PictureTask(place, catalogue.images[row]) for place, row in enumerate(part))
            yield _job(number, catalogue, part, ("",) * len(part), tasks)

    settings = _settings(encoder, options)
    setup = DecodeSetup(pictures, encoder.image.preparation, settings.image_fingerprint, options.cache)
    workers = suitable_workers(resolve_device(options.device).type != "cpu") if len(rows) > _FEW_PICTURES else 0
    progress.start("encoding pictures", len(rows), "pictures")
    counts = Counts()
    for job, found in _encoded(JobPlan(encoder, settings, setup), jobs(), options, progress, workers):
        at = list(job.lines)
        image_NI[at], has_image_N[at] = found.features.image_NI, found.features.has_image_N
        failures += [PictureFailure(at[result.row], result.reason) for result in found.results if result.reason]
        counts = counts.plus(found.counts)
    progress.finish(
        f"{counts.pictures_encoded:,} pictures encoded, {counts.pictures_known:,} taken from earlier runs, "
        f"{len(failures):,} unreadable"
    )
    return EncodedPictures(image_NI, has_image_N, tuple(failures))


def _job(
    number: int,
    catalogue: Catalogue,
    rows: Sequence[int],
    texts: tuple[str, ...],
    tasks: tuple[PictureTask, ...] = (),
) -> WindowJob:
    ids = tuple(catalogue.item_ids[row] for row in rows)
    return WindowJob(number, len(rows), ids, tuple(rows), texts, tasks, ())


def _settings(encoder: ItemEncoder, options: EncodeOptions) -> EncodeSettings:
    image, text = vector_fingerprints(encoder, options.device, options.dtype)
    # A window is one batch, whatever its texts are.
    return EncodeSettings(image, text + options.text_files, batch_pictures=_PICTURES, batch_tokens=sys.maxsize)


def _encoded(
    plan: JobPlan, jobs: Iterator[WindowJob], options: EncodeOptions, progress: Progress, workers: int = 0
) -> Iterator[tuple[WindowJob, WindowFeatures]]:
    """Encode the windows in order, and add new vectors to the cache."""
    with ExitStack() as stack:
        cache = None if options.cache is None else stack.enter_context(VectorCache(options.cache))
        lookup: Lookup = (lambda keys, dim: {}) if cache is None else cache.get
        windows = encoded_windows(plan, jobs, lookup, workers=workers, advance=lambda _, count: progress.advance(count))
        for job, found in windows:
            if cache is not None and found.fresh:
                cache.put(found.fresh)
            yield job, found
