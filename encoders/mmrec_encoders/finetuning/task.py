"""The contrastive fine-tuning task for `Trainer`: batches, loss, and validation.

All random draws are derived from seed, epoch and step.
"""

# Axes: G pairs of a step over all processes

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.errors import FailedPreconditionError
from mmrec.runtime.checkpoint import Position
from mmrec.runtime.device import autocast
from mmrec.runtime.schedule import cosine_to_zero
from mmrec.runtime.trainer import StepResult, TrainingRun
from mmrec_encoders.finetuning.config import FinetuningConfig
from mmrec_encoders.finetuning.model import ContrastiveModel
from mmrec_encoders.finetuning.pairs import Pairs
from mmrec_encoders.finetuning.scoring import HeldOutFigures, score
from mmrec_encoders.finetuning.step import Chunk, contrastive_step
from mmrec_encoders.finetuning.texts import draw_texts, true_texts
from mmrec_encoders.losses import clip_loss, siglip_loss

_LARGEST_SCALE = 100.0

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """Figures of one epoch.

    Attributes:
        epoch: Number, from 1.
        loss: Mean over its steps.
        recall_1: Text to image, held-out titles among held-out pictures.
        recall_10: Likewise.
        image_recall_10: Image to text.
        seconds: Since training began, evaluation included.
    """

    epoch: int
    loss: float
    recall_1: float
    recall_10: float
    image_recall_10: float
    seconds: float


def epoch_figures(at: Position) -> tuple[EpochFigures, ...]:
    """Figures of the finished epochs."""
    seconds = accumulate(epoch["seconds"] for epoch in at.epochs)
    return tuple(
        EpochFigures(epoch=number, **{**figures, "seconds": total})
        for number, (figures, total) in enumerate(zip(at.epochs, seconds, strict=True), 1)
    )


class ContrastiveTask:
    """Contrastive training on picture-text pairs, each compared with all others of its step.

    Args:
        config: Training options.
        model: The towers.
        pairs: Training and held-out pairs.
        chunk: Pairs computed at once.
        run: Environment.
    """

    losses = ("loss",)

    def __init__(
        self, config: FinetuningConfig, model: ContrastiveModel, pairs: Pairs, chunk: int, run: TrainingRun
    ) -> None:
        self.module = model.module
        self._config, self._model, self._pairs, self._chunk, self._run = config, model, pairs, chunk, run
        self.pairs_per_step = chunk * config.accumulate * run.processes.count
        self._steps_per_epoch = len(pairs.training_rows) // self.pairs_per_step
        self.epoch_units = self._steps_per_epoch * self.pairs_per_step

    def batches(self, epoch: int, done: int) -> Iterator[tuple[Rows, Rows | None]]:
        """Pairs of each step, and those of the next step of the same epoch, if any."""
        rows, size = self._pairs.training_rows, self.pairs_per_step
        order = rows[_generator(self._config.seed, "order", epoch).permutation(len(rows))]
        steps = [order[at : at + size] for at in range(0, self.epoch_units, size)]
        yield from list(zip(steps, [*steps[1:], None], strict=True))[done:]

    def optimizer_values(self, at: Position) -> Mapping[str, Any]:
        """A learning rate that reaches 0 at the last step or at the time limit, whichever comes first."""
        return {"lr": self._config.learning_rate * cosine_to_zero(self._done(at), self._config.warmup)}

    def _done(self, at: Position) -> float:
        """Share of the training that is done, in steps or in time."""
        done = (at.total + 0.5) / (self._steps_per_epoch * self._config.epochs)
        if self._config.max_minutes:
            done = max(done, at.seconds / (60 * self._config.max_minutes))
        return done

    def backward(self, batch: tuple[Rows, Rows | None], at: Position, scale: Callable[[Tensor], Tensor]) -> StepResult:
        """Raises FailedPreconditionError: the loss is not finite."""
        (rows_G, upcoming_G), device = batch, self._run.processes.device
        epoch, step, table, count = len(at.epochs), at.steps, self._pairs.train, self._config.accumulate
        chance_G = _generator(self._config.seed, "texts", epoch, step).random(len(rows_G))
        texts_G = draw_texts(table, rows_G, chance_G)
        true_GG = torch.from_numpy(true_texts(table.ids_NS[rows_G], texts_G)).to(device)
        own = range(self._run.processes.index * count, (self._run.processes.index + 1) * count)
        places = [slice(number * self._chunk, (number + 1) * self._chunk) for number in own]
        seeds = [_seed(self._config.seed, "chunk", epoch, step, number) for number in own]
        chunks = [
            self._make_chunk(rows_G[place], texts_G[place], seed, at) for seed, place in zip(seeds, places, strict=True)
        ]
        if upcoming_G is not None:
            for place in places:
                self._model.expect(upcoming_G[place])
        loss = contrastive_step(
            self._model,
            chunks,
            partial(self._loss, true_GG),
            self._run.processes,
            precision=partial(autocast, device, self._run.dtype),
            scale_loss=scale,
        )
        value = float(loss)
        if not math.isfinite(value):
            raise FailedPreconditionError(
                f"the loss is {value} after {at.total:,} steps; pass a smaller learning rate or float32"
            )
        return StepResult(torch.tensor([[value, 1.0]], dtype=torch.float64, device=device), len(rows_G))

    def validate(self) -> Mapping[str, float]:
        """Retrieval among the held-out pairs."""
        figures = None
        if self._run.processes.is_main:
            found = self.held_out()
            figures = {
                "recall_1": found.text_to_image.recall_1,
                "recall_10": found.text_to_image.recall_10,
                "image_recall_10": found.image_to_text.recall_10,
            }
        return self._run.processes.broadcast(figures)

    def describe(self, means: Sequence[float], at: Position) -> str:
        """Epoch, loss, and metrics of the last finished epoch."""
        text = f"pass {len(at.epochs) + (at.steps > 0)}/{self._config.epochs}, loss {means[0]:.3f}"
        if at.epochs:
            last = at.epochs[-1]
            text += (
                f", held-out text to image R@1 {last['recall_1']:.3f} R@10 {last['recall_10']:.3f}, "
                f"image to text R@10 {last['image_recall_10']:.3f}"
            )
        return text

    def held_out(self, columns: Sequence[str] = ()) -> HeldOutFigures:
        """Figures of the current model, which is left in evaluation mode."""
        self.module.eval()
        with torch.no_grad(), autocast(self._run.processes.device, self._run.dtype):
            return score(self._model, self._pairs, columns, self._config.prompts)

    def _make_chunk(self, rows_B: Rows, texts_B: Rows, seed: int, at: Position) -> Chunk:
        read, done = self._model.read(rows_B, len(at.epochs)), self._done(at)

        def pictures() -> Tensor:
            return self._model.view(read, torch.Generator().manual_seed(seed), done)

        return Chunk(pictures, self._model.word_inputs(texts_B), self._chunk, seed)

    def _loss(self, true_GG: Tensor, pictures_GD: Tensor, words_GD: Tensor) -> Tensor:
        log_scale, *bias = self._model.loss_parameters
        scale = log_scale.exp().clamp(max=_LARGEST_SCALE)
        share = self._config.share
        if self._config.loss == "siglip":
            return siglip_loss(pictures_GD, words_GD, scale, bias[0], true_BB=true_GG, share=share)
        return clip_loss(pictures_GD, words_GD, scale, true_BB=true_GG, share=share)


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def _generator(*parts: object) -> np.random.Generator:
    return np.random.default_rng(_seed(*parts))
