"""The passes over the training pairs: what is shown when, the learning rate, checkpoints, and figures of each pass.

What is shown in a step follows from the seed, the pass and the step alone, so a training that was killed goes on as
if it had not been, and ends with the same weights. Knows nothing about what the towers are.
"""

# Axes: G pairs of a step over all processes, B of one chunk

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mmrec.errors import FailedPreconditionError, StoppedError
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import Progress
from mmrec.runtime.shutdown import StopRequest
from mmrec_encoders.finetuning.checkpoint import Position, load_checkpoint, save_checkpoint
from mmrec_encoders.finetuning.config import AdaptConfig
from mmrec_encoders.finetuning.model import Trainee
from mmrec_encoders.finetuning.pairs import Pairs
from mmrec_encoders.finetuning.schedule import rate_at
from mmrec_encoders.finetuning.scoring import HeldOutFigures
from mmrec_encoders.finetuning.step import Chunk, contrastive_step
from mmrec_encoders.finetuning.texts import draw_texts, true_texts
from mmrec_encoders.losses import clip_loss, siglip_loss

if TYPE_CHECKING:
    import torch

_LARGEST_SCALE = 100.0


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """Figures of one pass.

    Attributes:
        epoch: Its number, from 1.
        loss: Mean over its steps.
        recall_1: Text to image, held-out titles among held-out pictures.
        recall_10: Likewise.
        image_recall_10: Image to text.
        seconds: Since the training began, scoring included.
    """

    epoch: int
    loss: float
    recall_1: float
    recall_10: float
    image_recall_10: float
    seconds: float


class Training:
    """One training.

    Args:
        config: How to train.
        trainee: What to train.
        pairs: On what.
        batch_size: Pairs of a chunk.
        processes: Who takes part.
        dtype: Number format of the towers' arithmetic.
        score: Held-out figures of the trainee as it is; called in the first process alone.
        clock: Seconds since this run began, preparation included.
    """

    def __init__(
        self,
        config: AdaptConfig,
        trainee: Trainee,
        pairs: Pairs,
        batch_size: int,
        processes: Processes,
        dtype: torch.dtype,
        score: Callable[[], HeldOutFigures],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        import torch

        self.config, self.trainee, self.pairs, self.processes = config, trainee, pairs, processes
        self._dtype, self._score, self._clock = dtype, score, clock
        self._chunk = batch_size
        self.global_batch = batch_size * config.accumulate * processes.count
        self.steps_per_epoch = len(pairs.training_rows) // self.global_batch
        self.steps = self.steps_per_epoch * config.epochs
        processes.broadcast_tensors(list(trainee.module.state_dict().values()))
        self._parameters = [p for p in trainee.module.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in self._parameters if p.ndim > 1], "weight_decay": config.weight_decay},
                {"params": [p for p in self._parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, config.beta2),
        )
        self._scaler = torch.amp.GradScaler(processes.device.type, enabled=dtype == torch.float16)
        self.position = Position()
        self._before_s = 0.0

    @property
    def epochs(self) -> tuple[EpochFigures, ...]:
        """Figures of the passes that are over; of the first process alone."""
        return tuple(EpochFigures(**epoch) for epoch in self.position.epochs)

    @property
    def seconds(self) -> float:
        """Time spent so far, by this run and by those before it that it goes on from."""
        return self._before_s + self._clock()

    def precision(self) -> AbstractContextManager[Any]:
        """The number format of the towers' arithmetic."""
        import torch

        return torch.autocast(self.processes.device.type, self._dtype, enabled=self._dtype != torch.float32)

    def run(self, checkpoint: Path, identity: str, stop: StopRequest, progress: Progress) -> None:
        """Train to the end, from a checkpoint where there is one.

        Raises:
            StoppedError: a stop was asked for; the checkpoint is written.
            FailedPreconditionError: the loss is no longer a number.
        """
        import torch

        found = load_checkpoint(checkpoint, identity, self.trainee.module, self._optimiser, self._scaler)
        progress.start("training", self.steps * self.global_batch, "pairs")
        if isinstance(found, Position):
            self.position = found
            self._before_s = found.seconds
            progress.advance(found.steps * self.global_batch)
        elif found:
            progress.say(found)
        saved = self._clock()
        self.trainee.module.train()
        for epoch, step, rows_G, upcoming_G in self._plan():
            loss = self._step(epoch, step, rows_G, upcoming_G)
            seconds = self.seconds if self.processes.is_main else 0.0
            shared_2 = torch.tensor([float(stop.asked), seconds], device=self.processes.device)
            self.processes.all_reduce([shared_2])
            asked, seconds = shared_2.tolist()
            ended = bool(self.config.max_minutes) and seconds >= 60 * self.config.max_minutes
            self.position = self.position._replace(
                steps=self.position.steps + 1, seconds=seconds, loss=self.position.loss + loss
            )
            progress.advance(self.global_batch)
            last_of_pass = step + 1 == self.steps_per_epoch or ended
            if last_of_pass:
                self._end_pass(epoch, step + 1, progress)
            due = self._clock() - saved >= 60 * self.config.save_minutes
            if last_of_pass or asked or due:
                self._save(checkpoint, identity)
                saved = self._clock()
            if ended:
                break
            if asked and self.position.steps < self.steps:
                share = self.position.steps / self.steps
                raise StoppedError(
                    f"stopped as asked after {share:.0%} of the training, which is saved; the same command goes on"
                )
        told = _told(self.epochs[-1], self.config.epochs) if self.epochs else ""
        left_out = (
            f", {self.position.skipped:,} steps left out for too large gradients" if self.position.skipped else ""
        )
        progress.finish(told + left_out)

    # --- what is shown when ---------------------------------------------------------------------------------------

    def _plan(self) -> Iterator[tuple[int, int, npt.NDArray[np.int64], npt.NDArray[np.int64] | None]]:
        """Pass, step in it, pairs of the step, and those of the next one if it is of the same pass."""
        rows = self.pairs.training_rows
        batch = self.global_batch
        # A clock may have ended it before: then there is no time left either.
        if self.config.max_minutes and self.position.seconds >= 60 * self.config.max_minutes:
            return
        for epoch in range(self.position.steps // self.steps_per_epoch, self.config.epochs):
            order = rows[_chance(self.config.seed, "order", epoch).permutation(len(rows))]
            for step in range(self.position.steps - epoch * self.steps_per_epoch, self.steps_per_epoch):
                upcoming = order[(step + 1) * batch : (step + 2) * batch]
                yield (
                    epoch,
                    step,
                    order[step * batch : (step + 1) * batch],
                    upcoming if step + 1 < self.steps_per_epoch else None,
                )

    def _step(
        self, epoch: int, step: int, rows_G: npt.NDArray[np.int64], upcoming_G: npt.NDArray[np.int64] | None
    ) -> float:
        """One step of the optimiser; the loss."""
        import torch

        table = self.pairs.train
        chance_G = _chance(self.config.seed, "texts", epoch, step).random(len(rows_G))
        texts_G = draw_texts(table, rows_G, chance_G)
        true_GG = torch.from_numpy(true_texts(table.ids_NS[rows_G], texts_G)).to(self.processes.device)
        own = self._own_chunks()
        chunks = [self._make_chunk(epoch, step, number, rows_G, texts_G) for number in own]
        if upcoming_G is not None:
            for number in own:
                self.trainee.expect(upcoming_G[number * self._chunk : (number + 1) * self._chunk])
        self._set_rate()
        self._optimiser.zero_grad(set_to_none=True)
        loss = contrastive_step(
            self.trainee,
            chunks,
            partial(self._loss, true_GG),
            self.processes,
            precision=self.precision,
            scale_loss=self._scaler.scale,
        )
        value = float(loss)
        if not math.isfinite(value):
            raise FailedPreconditionError(
                f"the loss is {value} after {self.position.steps:,} steps; pass a smaller learning rate or float32"
            )
        self._scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(self._parameters, self.config.clip_norm)
        self._scaler.step(self._optimiser)
        factor = self._scaler.get_scale()
        self._scaler.update()
        if self._scaler.get_scale() < factor:
            # Gradients that the format cannot hold: it left this step out and tries a smaller factor.
            self.position = self.position._replace(skipped=self.position.skipped + 1)
        return value

    def _own_chunks(self) -> range:
        count = self.config.accumulate
        return range(self.processes.index * count, (self.processes.index + 1) * count)

    def _make_chunk(
        self, epoch: int, step: int, number: int, rows_G: npt.NDArray[np.int64], texts_G: npt.NDArray[np.int64]
    ) -> Chunk:
        import torch

        at = slice(number * self._chunk, (number + 1) * self._chunk)
        seed = _seed(self.config.seed, "chunk", epoch, step, number)
        read = self.trainee.read(rows_G[at])

        def pictures() -> torch.Tensor:
            return self.trainee.view(read, torch.Generator().manual_seed(seed))

        return Chunk(pictures, self.trainee.word_inputs(texts_G[at]), self._chunk, seed)

    def _loss(self, true_GG: torch.Tensor, pictures_GD: torch.Tensor, words_GD: torch.Tensor) -> torch.Tensor:
        log_scale, *bias = self.trainee.loss_parameters
        scale = log_scale.exp().clamp(max=_LARGEST_SCALE)
        share = self.config.share
        if self.config.loss == "siglip":
            return siglip_loss(pictures_GD, words_GD, scale, bias[0], true_BB=true_GG, share=share)
        return clip_loss(pictures_GD, words_GD, scale, true_BB=true_GG, share=share)

    def _set_rate(self) -> None:
        done = (self.position.steps + 0.5) / self.steps
        if self.config.max_minutes:
            done = max(done, self.position.seconds / (60 * self.config.max_minutes))
        for group in self._optimiser.param_groups:
            group["lr"] = self.config.learning_rate * rate_at(done, self.config.warmup)

    # --- after a pass ---------------------------------------------------------------------------------------------

    def _end_pass(self, epoch: int, steps: int, progress: Progress) -> None:
        loss = self.position.loss / steps
        self.position = self.position._replace(loss=0.0)
        if not self.processes.is_main:
            return
        self.trainee.module.eval()
        found = self._score()
        self.trainee.module.train()
        figures = EpochFigures(
            epoch + 1,
            loss,
            found.text_to_image.recall_1,
            found.text_to_image.recall_10,
            found.image_to_text.recall_10,
            self.seconds,
        )
        self.position = self.position._replace(epochs=(*self.position.epochs, asdict(figures)), seconds=self.seconds)
        progress.say(_told(figures, self.config.epochs))

    def _save(self, checkpoint: Path, identity: str) -> None:
        if self.processes.is_main:
            save_checkpoint(checkpoint, identity, self.position, self.trainee.module, self._optimiser, self._scaler)


def _told(figures: EpochFigures, epochs: int) -> str:
    return (
        f"pass {figures.epoch}/{epochs}, loss {figures.loss:.3f}, held-out text to image R@1 {figures.recall_1:.3f} "
        f"R@10 {figures.recall_10:.3f}, image to text R@10 {figures.image_recall_10:.3f}"
    )


def _seed(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def _chance(*parts: object) -> np.random.Generator:
    return np.random.default_rng(_seed(*parts))
