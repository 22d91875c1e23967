"""Prepares training of an image tower over a frozen text encoder: shrunk pictures and encoded texts as files.

``small`` trains a small tower from scratch, ``efficientnet`` goes on with the packaged EfficientNet-Lite0.

The files are kept in the work folder, so that a resumed run does not compute them again.
"""

# Axes: M pairs

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmrec.data.dataset import Dataset
from mmrec.runtime.packaged_models import EFFICIENTNET_LITE0, checked_model
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import Progress
from mmrec_encoders.aligned import WEIGHTS, AlignedPictures, AlignedTexts, describe_text
from mmrec_encoders.finetuning.config import FinetuningConfig
from mmrec_encoders.finetuning.pairs import Pairs
from mmrec_encoders.finetuning.pictures import KeptPictures, failures_file, keep_pictures, kept_failures
from mmrec_encoders.finetuning.setup import Prepared, without_failures
from mmrec_encoders.finetuning.small_model import SmallClipModel, encode_once, split_once
from mmrec_encoders.preparation import Squeeze
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.two_tower import write_two_tower

_TRAINING, _HELD, _TEXTS, _PIECES = "pictures.npy", "held.npy", "texts.npy", "pieces.npy"


def prepare_small(
    data: Dataset, pairs: Pairs, work: Path, config: FinetuningConfig, processes: Processes, progress: Progress
) -> Prepared:
    """Prepare model and data; the main process writes the files and the others wait.

    Raises:
        ModelNotAvailableError: the text encoder can be neither found nor fetched, or the image tower's weights are not
            the published ones.
        MissingExtraError: the package with the image tower's weights is not installed.
    """
    if config.mode == "efficientnet":
        # Before minutes of preparation.
        checked_model(EFFICIENTNET_LITE0)
    text = SentenceTextEncoder(SentenceTextConfig(config.text_model, device=str(processes.device), dtype=config.dtype))
    describe_text(text)
    towers = config.towers
    keep, use = Squeeze(towers.keep_size), Squeeze(towers.shape.image_size)
    if processes.is_main and kept_failures(failures_file(work / _TRAINING)) is None:
        keep_pictures(
            pairs.catalogue.images,
            data.pictures,
            [
                (work / _TRAINING, keep, (keep.size, keep.size), ~pairs.held_M),
                (work / _HELD, use, (use.size, use.size), pairs.held_M),
            ],
            progress,
        )
    processes.wait()
    failures = kept_failures(failures_file(work / _TRAINING))
    assert failures is not None, "they have just been kept"
    # The files have a place for every pair, unreadable ones included.
    left, unreadable = without_failures(pairs, failures)
    readable_M = np.ones(len(pairs.held_M), np.bool_)
    readable_M[[failure.row for failure in failures]] = False
    if processes.is_main and not (work / _TEXTS).is_file():
        if towers.text_words:
            split_once(work / _PIECES, left.train.texts, text, towers.text_words)
        # Written last: its presence marks the texts as complete.
        encode_once(work / _TEXTS, left.train.texts, text, progress)
    processes.wait()
    model = SmallClipModel(
        config,
        text,
        KeptPictures(work / _TRAINING, (np.cumsum(~pairs.held_M) - 1)[readable_M]),
        KeptPictures(work / _HELD, (np.cumsum(pairs.held_M) - 1)[readable_M]),
        np.load(work / _TEXTS, mmap_mode="r"),
        np.load(work / _PIECES, mmap_mode="r") if towers.text_words else None,
        processes.device,
    )
    model.keep_maps(left, work, processes)

    def save(folder: Path) -> dict[str, str]:
        file = folder / WEIGHTS
        write_two_tower(file, model.module, model.shape, describe_text(text))
        return {
            "image": AlignedPictures(file, device="cpu").fingerprint,
            "text": AlignedTexts(file, text, device="cpu").fingerprint,
        }

    return Prepared(model, left, unreadable, save)
