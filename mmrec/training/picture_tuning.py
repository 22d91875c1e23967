"""Fine-tuning of the preset's image model during a fit, for catalogues with many pictures.

Held-out pairs decide: the fine-tuned model is taken if the pictures that it finds similar have more similar words than
those that the model as it came finds similar. Knows nothing about events.
"""

# Axes: H held-out pictures, D dimensions, T text dimensions, K neighbours

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.dataset import Dataset
from mmrec.errors import InvalidDatasetError
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import Progress
from mmrec.training.config import FitConfig
from mmrec.training.stage_keys import stage_key
from mmrec.training.work_folder import WorkFolder
from mmrec_encoders.aligned import AlignedPictures
from mmrec_encoders.efficientnet import EfficientNetEncoder
from mmrec_encoders.embedding.catalogue import EncodeOptions, encode_pictures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.sentence_texts import SentenceTextEncoder

if TYPE_CHECKING:
    from mmrec_encoders.protocols import ImageEncoder

TUNED = "fine-tuned"
"""Name of the fine-tuned model's folder in the work folder."""
CHOICE = "choice-of-image-encoder"
"""Name of the stage that chooses."""
_HELD = 1000
_NEIGHBOURS = 10


def is_tuned(catalogue: Catalogue, encoder: ItemEncoder, config: FitConfig) -> bool:
    """Whether a fit fine-tunes the image model: it is the preset's, alone, and there are enough pictures with words."""
    if not config.finetune_from or not config.finetune_minutes or config.modality == "words":
        return False
    if config.image_model or config.encoders_from:
        return False
    ours = isinstance(encoder.image, EfficientNetEncoder) and isinstance(encoder.text, SentenceTextEncoder)
    words_N = catalogue.has_words(config.words)
    pairs = sum(bool(ref) and bool(words) for ref, words in zip(catalogue.images, words_N, strict=True))
    # Several processes would have to do it together, while they wait for the first one here.
    return ours and pairs >= config.finetune_from and Processes(config.device).count == 1


def tuned_pictures(
    data: Dataset,
    encoder: ItemEncoder,
    text_NT: npt.NDArray[np.float32],
    key: str,
    config: FitConfig,
    work: WorkFolder,
    options: EncodeOptions,
    progress: Progress,
) -> ImageEncoder | None:
    """Fine-tune the image model, and return the better one.

    Args:
        data: The dataset.
        encoder: Of the preset.
        text_NT: Vectors of all items' words. Shape: (N, T).
        key: Cache key of pictures and words.
        config: Of the fit.
        work: The work folder.
        options: How pictures are encoded.
        progress: Reports every stage.
    """
    from mmrec_encoders.finetuning import finetune_encoders, finetuning_preset
    from mmrec_encoders.finetuning.pairs import find_pairs

    settings = finetuning_preset(
        text_model=config.text_model or MINILM,
        template=config.template or "",
        max_minutes=config.finetune_minutes,
        seed=config.seed,
        device=config.device,
        dtype=config.dtype,
    )
    folder = work.folder / TUNED
    try:
        report = finetune_encoders(data.root, folder, settings, progress, max_left_out=config.max_left_out)
    except InvalidDatasetError as err:
        # Pictures that are not here, or titles that are all the same, are no reason to fit nothing.
        progress.say(f"the image encoder is not fine-tuned: {err.message}")
        return encoder.image
    tuned = AlignedPictures.of(str(folder), device=config.device)

    def choose() -> dict[str, npt.NDArray[Any]]:
        pairs = find_pairs(data, settings)
        ids = [pairs.catalogue.item_ids[row] for row in pairs.held_rows[:_HELD].tolist()]
        rows = [row for name in ids if (row := data.catalogue.row_of(name)) is not None]
        some = data.catalogue.take(np.array(rows, np.int64))
        found = []
        for image in (encoder.image, tuned):
            encoded = encode_pictures(ItemEncoder(image, encoder.text), some, data.pictures, options, progress)
            found.append(alike(encoded.image_NI[encoded.has_image_N], text_NT[rows][encoded.has_image_N]))
        return {"alike": np.array(found)}

    choice = stage_key(
        CHOICE, before=key, frozen=encoder.image.fingerprint if encoder.image else "", **report.fingerprints
    )
    frozen, fine = work.tensors(CHOICE, choice, choose)["alike"].tolist()
    progress.start("choosing the image encoder")
    chosen = "the fine-tuned one" if fine > frozen else "the one as it came"
    progress.finish(f"words of similar pictures agree {fine:.3f} fine-tuned, {frozen:.3f} as it came: {chosen}")
    return tuned if fine > frozen else encoder.image


def alike(image_HD: npt.NDArray[np.float32], text_HT: npt.NDArray[np.float32]) -> float:
    """Mean cosine of the words of each picture and of the pictures most similar to it.

    Args:
        image_HD: Unit vectors of pictures. Shape: (H, D).
        text_HT: Unit vectors of their items' words. Shape: (H, T).

    Returns:
        In [-1, 1]; 0 for fewer than 2 pictures.
    """
    if len(image_HD) < 2:
        return 0.0
    score_HH = image_HD @ image_HD.T
    np.fill_diagonal(score_HH, -np.inf)
    count = min(_NEIGHBOURS, len(image_HD) - 1)
    near_HK = np.argpartition(-score_HH, count - 1, axis=1)[:, :count]
    return float(np.einsum("ht,hkt->hk", text_HT, text_HT[near_HK]).mean())
