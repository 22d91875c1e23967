"""Prepares fine-tuning of an open_clip model, and writes the result as a folder that open_clip loads.

``full`` trains both towers, with pictures decoded as they are needed. ``locked-image`` trains the text tower alone
(Zhai et al. 2022, "LiT: Zero-Shot Transfer with Locked-image text Tuning", arXiv:2111.07991): the frozen picture
vectors are computed once.
"""

# Axes: M pairs, U texts, L tokens of a text, D dimensions

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmrec.data.dataset import Dataset
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.files import replace_file
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import Progress
from mmrec.runtime.quiet import quiet_loading
from mmrec_encoders.finetuning.config import FinetuningConfig
from mmrec_encoders.finetuning.kept_rows import Rows, keep_rows
from mmrec_encoders.finetuning.open_clip_model import OpenClip, OpenClipInputs, OpenClipModel
from mmrec_encoders.finetuning.pairs import Pairs
from mmrec_encoders.finetuning.pictures import StreamedPictures, check_pictures, kept_failures
from mmrec_encoders.finetuning.setup import Prepared, without_failures
from mmrec_encoders.finetuning.texts import draw_texts, true_texts
from mmrec_encoders.losses import siglip_loss
from mmrec_encoders.open_clip_models import load_open_clip, load_tokenizer, model_config, open_clip_config
from mmrec_encoders.preparation import ClipPreparation
from mmrec_encoders.weights import fingerprint_of

if TYPE_CHECKING:
    import torch

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
_FAILURES, _VECTORS = "pictures.failures.json", "pictures.npy"
_LARGER = 1.15
"""Training pictures are decoded this much larger than the model's input, so that crops are not upscaled."""
_FROZEN_BATCH = 64
_CALIBRATION = 512
_SAMPLES = ("a red mug", "Größe: 38, weiß", "two-piece set (women's)")


def prepare_open_clip(
    data: Dataset, pairs: Pairs, work: Path, config: FinetuningConfig, processes: Processes, progress: Progress
) -> Prepared:
    """Prepare model and data; the main process writes files into the work folder and the others wait.

    Raises:
        ModelNotAvailableError: the model or its tokenizer can be neither found nor fetched.
        InvalidArgumentError: the model has no text tower, or could not be loaded again after training.
    """
    source = open_clip_config(config.image_model, str(processes.device), config.dtype)
    model = load_open_clip(source).float()
    if not hasattr(model, "encode_text") or not hasattr(model, "logit_scale"):
        raise InvalidArgumentError(
            f"image_model is {config.image_model!r}, which has no text tower to train with; name a whole CLIP model",
            field="image_model",
        )
    tokenize = load_tokenizer(source)
    model_cfg = model_config(source)
    _check_round_trip(model_cfg, model, tokenize)
    model.to(processes.device)
    preparation = ClipPreparation.of(model.visual.preprocess_cfg)
    if processes.is_main and kept_failures(work / _FAILURES) is None:
        check_pictures(pairs.catalogue.images, data.pictures, work / _FAILURES, progress)
    processes.wait()
    left, unreadable = without_failures(pairs, kept_failures(work / _FAILURES) or ())
    refs = left.catalogue.images
    larger = replace(
        preparation, height=math.ceil(preparation.height * _LARGER), width=math.ceil(preparation.width * _LARGER)
    )
    held = StreamedPictures(refs, data.pictures, preparation)
    training = StreamedPictures(refs, data.pictures, larger)
    loaded = OpenClip(model, preparation, tokenize)
    locked = config.mode == "locked-image"
    if locked:
        _encode_frozen(work / _VECTORS, loaded, held, len(refs), processes, progress)
    inputs = OpenClipInputs(_tokens(left.train.texts, tokenize, progress), training, held)
    if locked:
        inputs = OpenClipInputs(inputs.tokens_UL, frozen_MD=np.load(work / _VECTORS, mmap_mode="r"))
    towers = OpenClipModel(config, loaded, inputs, processes.device)
    fresh_bias = config.loss == "siglip" and model_cfg.get("init_logit_bias") is None
    if fresh_bias:
        # open_clip creates the bias if the configuration has one; its value comes from the weights.
        model_cfg["init_logit_bias"] = -10.0

    def calibrate(step: int) -> None:
        if fresh_bias:
            _calibrate(towers, left, step, config.seed)

    def save(folder: Path) -> dict[str, str]:
        write_open_clip(folder, model, model_cfg, tokenize)
        words = (
            (name, value)
            for name, value in model.named_parameters()
            if not name.startswith(("visual.", "text_decoder."))
        )
        # Equal to those of the encoders loaded from the folder.
        return {
            "image": fingerprint_of(folder.name, model.visual.named_parameters()),
            "text": fingerprint_of(folder.name, words),
        }

    def close() -> None:
        training.close()
        held.close()

    return Prepared(towers, left, unreadable, save, close, calibrate)


def write_open_clip(folder: Path, model: Any, model_cfg: dict[str, Any], tokenize: Any) -> None:
    """Write a folder that ``local-dir:FOLDER`` names: configuration, tokenizer and weights.

    Args:
        folder: Where to; exists.
        model: The open_clip model.
        model_cfg: Its configuration.
        tokenize: Its tokenizer; one from Hugging Face is written too, open_clip's own comes with open_clip.
    """
    from safetensors.torch import save_file

    _write_config(folder, model, model_cfg, tokenize)
    # One copy of each tensor: safetensors refuses those that share memory.
    weights = {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}

    def write(path: Path) -> None:
        save_file(weights, path)
        # safetensors creates the file with mode 0600, unlike the other files.
        shutil.copymode(folder / CONFIG, path)

    replace_file(folder / WEIGHTS, write)


# --- the model and its tokenizer --------------------------------------------------------------------------------------


def _write_config(folder: Path, model: Any, model_cfg: dict[str, Any], tokenize: Any) -> None:
    inner: Any = getattr(tokenize, "tokenizer", None)
    if hasattr(inner, "save_pretrained"):
        inner.save_pretrained(folder)
        model_cfg.setdefault("text_cfg", {}).setdefault("hf_tokenizer_name", "tokenizer")
    described = {"model_cfg": model_cfg, "preprocess_cfg": dict(model.visual.preprocess_cfg)}
    text = json.dumps(described, indent=2) + "\n"
    replace_file(folder / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))


def _check_round_trip(model_cfg: dict[str, Any], model: Any, tokenize: Any) -> None:
    """Check before training that the saved tokenizer would give the same tokens when loaded again."""
    import open_clip

    with tempfile.TemporaryDirectory(prefix="mmrec-adapt-") as name, quiet_loading():
        _write_config(Path(name), model, model_cfg, tokenize)
        again = open_clip.get_tokenizer(f"local-dir:{name}")
        same = bool((again(list(_SAMPLES)) == tokenize(list(_SAMPLES))).all())
    if not same:
        raise InvalidArgumentError(
            "this model's tokenizer cannot be written so that open_clip reads it again; pass the model as a folder "
            "with its tokenizer files and hf_tokenizer_name in open_clip_config.json",
            field="image_model",
        )


# --- what is computed once --------------------------------------------------------------------------------------------


def _tokens(texts: Sequence[str], tokenize: Any, progress: Progress) -> npt.NDArray[np.int32]:
    progress.start("tokenising words", len(texts), "texts")
    found = []
    for at in range(0, len(texts), 4096):
        found.append(tokenize(list(texts[at : at + 4096])).numpy().astype(np.int32))
        progress.advance(len(found[-1]))
    progress.finish(f"{len(texts):,} texts tokenised")
    return np.concatenate(found)


def _encode_frozen(
    path: Path, loaded: OpenClip, pictures: StreamedPictures, count: int, processes: Processes, progress: Progress
) -> None:
    """Unit vectors of all pictures in a file, each process computing its share of the rows."""
    import torch
    import torch.nn.functional as F

    if path.is_file():
        return
    model, preparation, _ = loaded
    mean, std = (
        torch.tensor(values, device=processes.device).view(1, 3, 1, 1) for values in (preparation.mean, preparation.std)
    )
    model.eval()

    def vectors(rows: Rows, upcoming: Rows | None) -> npt.NDArray[np.float32]:
        if upcoming is not None:
            pictures.expect(upcoming)
        with torch.inference_mode():
            pixels = torch.from_numpy(pictures.read(rows)).to(processes.device).float() / 255.0
            return F.normalize(model.encode_image((pixels - mean) / std).float(), dim=1).cpu().numpy()

    length = vectors(np.zeros(1, np.int64), None).shape[1]
    share = math.ceil(count / processes.count)
    progress.start("encoding pictures", share, "pictures")
    keep_rows(path, (count, length), np.float32, vectors, processes, batch=_FROZEN_BATCH, done=progress.advance)
    progress.finish(f"{share:,} pictures encoded")


def _calibrate(towers: OpenClipModel, pairs: Pairs, step: int, seed: int) -> None:
    """Fit scale and bias of the sigmoid loss to the current vectors of some training pairs.

    A model trained with the softmax loss has no bias, and a badly initialised one takes longer to correct than a
    fine-tuning lasts.
    """
    import torch

    rng = np.random.default_rng(seed)
    # Whole steps, because the share of matching combinations depends on the batch size.
    steps = max(1, min(_CALIBRATION, len(pairs.training_rows)) // step)
    rows = rng.permutation(pairs.training_rows)[: steps * step]
    texts = draw_texts(pairs.train, rows, rng.random(len(rows)))
    towers.module.eval()
    with torch.no_grad():
        pictures = [
            towers.pictures(towers.view(towers.read(part), torch.Generator().manual_seed(seed)))
            for part in np.array_split(rows, max(1, len(rows) // _FROZEN_BATCH))
        ]
        words = [
            towers.words(towers.word_inputs(part))
            for part in np.array_split(texts, max(1, len(texts) // _FROZEN_BATCH))
        ]
        sides = [torch.split(torch.cat(side), step) for side in (pictures, words)]
    true = [
        torch.from_numpy(true_texts(pairs.train.ids_NS[part], drawn)).to(sides[0][0].device)
        for part, drawn in zip(np.split(rows, steps), np.split(texts, steps), strict=True)
    ]
    scale = towers.module.logit_scale.detach().reshape(()).clone().requires_grad_()
    # Half-way between the mean scores of matching and all combinations.
    scores = sides[1][0] @ sides[0][0].T
    middle = (scores.diagonal().mean() + scores.mean()) / 2
    bias = (-scale.detach().exp() * middle).clone().requires_grad_()
    search = torch.optim.LBFGS([scale, bias], max_iter=50, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        search.zero_grad()
        losses = [
            siglip_loss(picture, word, scale.exp(), bias, true_BB=same, share=towers.share)
            for picture, word, same in zip(*sides, true, strict=True)
        ]
        loss = torch.stack(losses).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    search.step(cost)  # type: ignore[no-untyped-call]
    if bool(torch.isfinite(scale) & torch.isfinite(bias)):
        with torch.no_grad():
            towers.module.logit_scale.fill_(float(scale.clamp(0.0, math.log(100.0))))
            towers.module.logit_bias.fill_(float(bias))
