"""Training of the generator on histories: the task for `Trainer`.

All random draws of a step are derived from (seed, epoch, step), so a run that is killed and resumed gives the same
model, bit for bit, as one that was not. In a group of processes each computes its share of the windows of every step;
the result equals that of a single process up to rounding and random draws.
"""

# Axes: P levels, N items

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.errors import StoppedError
from mmrec.generator.batches import Batch, epoch_batches, epoch_turns, transitions_of
from mmrec.generator.config import TrainingConfig
from mmrec.generator.curves import draw_curves
from mmrec.generator.losses import compute_losses, nodes_by_depth
from mmrec.generator.model import Generator
from mmrec.generator.negatives import ItemSampler
from mmrec.generator.training_log import EpochRecord, TrainingResult
from mmrec.generator.validation import ValidationSet, ndcg_at_10
from mmrec.runtime.checkpoint import Position
from mmrec.runtime.device import autocast
from mmrec.runtime.schedule import cosine_to_a_tenth, step_seed
from mmrec.runtime.shutdown import StopRequest
from mmrec.runtime.trainer import StepResult, Trainer, TrainerConfig, TrainingRun
from mmrec.semantic_ids.decode_index import DecodeIndex

_DRAW_EVERY_S = 20.0


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Training data of the generator.

    Attributes:
        index: The decode index, on the model's device.
        histories: Training histories as catalogue rows, oldest first.
        validation: Users for early stopping. Empty: the last epoch is kept.
    """

    index: DecodeIndex
    histories: Sequence[npt.NDArray[np.int32]]
    validation: ValidationSet


def train_generator(
    model: Generator, data: TrainingData, config: TrainingConfig, run: TrainingRun, *, seed: int
) -> TrainingResult:
    """Train `model` in place; afterwards it holds the weights of the best epoch.

    Args:
        model: On the device of `run.processes`.
        data: Training and validation histories.
        config: Training options.
        run: `identity` is a hash of the model's inputs and the validation set. A checkpoint is resumed under a longer
            time limit, but not under one shorter than the time it has used, nor with another number of epochs, which
            changes the learning rate. `curves.png` is written beside the checkpoint.
        seed: Of batch order, cuts, dropout and negatives.

    Raises:
        FailedPreconditionError: the processes see different checkpoints.
        StoppedError: one of the processes received SIGTERM; the checkpoint holds the last step.
    """
    task = _GeneratorTask(model, data, config, run, seed)
    trainer_config = TrainerConfig(
        epochs=config.epochs,
        weight_decay=config.weight_decay,
        betas=(0.9, 0.98),
        clip_norm=1.0,
        fused=True,
        ema_decay=config.ema_decay,
        best_by="ndcg_at_10" if len(data.validation.targets_U) else "",
        patience=config.patience,
        max_minutes=config.max_minutes,
        checkpoint_minutes=config.checkpoint_minutes or None,
    )
    picture = run.checkpoint.with_name("curves.png") if run.checkpoint else None
    drawn = time.monotonic()

    def draw(at: Position) -> None:
        nonlocal drawn
        if picture and time.monotonic() - drawn > _DRAW_EVERY_S:
            draw_curves(_result(at), picture)
            drawn = time.monotonic()

    with StopRequest() as stop:
        run = replace(run, stop=stop, identity=training_identity(data.histories, config, seed, run.identity))
        trainer = Trainer(task, trainer_config, run, draw)
        if run.processes.is_main:
            run.progress.start("train", config.epochs * task.epoch_units, "events")
        result = _result(trainer.fit())
        if run.processes.is_main:
            if picture:
                draw_curves(result, picture)
            run.progress.finish(f"best epoch {result.best_epoch} of {len(result.epochs)}")
    if stop.asked:
        raise StoppedError("stopped as asked after the training, which is saved; the same command goes on")
    return result


def training_identity(
    histories: Sequence[npt.NDArray[np.int32]], config: TrainingConfig, seed: int, inputs: str = ""
) -> str:
    """Hash of what the trained weights depend on, besides the model's shapes. 64 hex digits.

    Args:
        histories: Training histories.
        config: All but the time limit and the checkpoint interval, which do not change a step.
        seed: Of all random draws.
        inputs: Hash of everything else: the model's inputs and the validation set.
    """
    settings = asdict(config)
    del settings["max_minutes"], settings["checkpoint_minutes"]
    digest = hashlib.sha256(json.dumps([settings, seed, inputs], sort_keys=True).encode())
    for history in histories:
        digest.update(len(history).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(history).tobytes())
    return digest.hexdigest()


class _GeneratorTask:
    losses = ("item_loss", "semantic_id_loss")

    def __init__(
        self, model: Generator, data: TrainingData, config: TrainingConfig, run: TrainingRun, seed: int
    ) -> None:
        self.module = self._model = model
        self._data, self._config, self._seed = data, config, seed
        self._processes, self._dtype = run.processes, run.dtype
        self._turns = epoch_turns(data.histories, config.epoch_events, seed)
        self.epoch_units = config.transitions_of_epoch(transitions_of(data.histories))
        self._nodes_PN = nodes_by_depth(data.index)
        items, device = self._nodes_PN.shape[1], run.processes.device
        self._positions = config.positions_for(self.epoch_units, 0 if model.config.pretrained else items)
        self._steps_per_epoch = max(1, math.ceil(self.epoch_units / self._positions))
        self._sampler = ItemSampler.of_histories(data.histories, items, device) if config.samples(items) else None

    def batches(self, epoch: int, done: int) -> Iterator[Batch]:
        return epoch_batches(
            self._turns[epoch % len(self._turns)],
            longest=self._model.config.max_history,
            positions=self._positions,
            seed=self._seed,
            epoch=epoch + 1,
            done=done,
        )

    def optimizer_values(self, at: Position) -> Mapping[str, Any]:
        step, longest = len(at.epochs) * self._steps_per_epoch + at.steps, self._config.epochs * self._steps_per_epoch
        return {"lr": cosine_to_a_tenth(step, self._config.learning_rate, self._config.warmup_steps, longest)}

    def backward(self, batch: Batch, at: Position, scale: Callable[[Tensor], Tensor]) -> StepResult:
        processes, config = self._processes, self._config
        torch.manual_seed(step_seed(self._seed, len(at.epochs) + 1, at.steps, processes.index))
        own = batch.share(processes.index, processes.count) if processes.count > 1 else batch
        losses = None
        # With fewer windows than processes, some processes have none.
        if len(own.valid_BT):
            drawn = self._sampler.draw(config.negatives) if self._sampler else None
            own = own.on(processes.device)._replace(drawn=drawn)
            with autocast(processes.device, self._dtype):
                losses = compute_losses(self._model, own, self._data.index, self._nodes_PN, config)
        places = [losses.item_places, losses.semantic_id_places] if losses else [0, 0]
        counts_2 = torch.tensor(places, dtype=torch.float32, device=processes.device)
        total_2 = counts_2.clone()
        processes.all_reduce([total_2])
        sums_22 = torch.zeros(2, 2, dtype=torch.float64, device=processes.device)
        if losses:
            # Weighted so that the sum over processes is the mean over all positions.
            share_2 = counts_2 / total_2
            loss = share_2[0] * losses.item + config.semantic_id_weight * share_2[1] * losses.semantic_id
            scale(loss).backward()  # type: ignore[no-untyped-call]
            means_2 = torch.stack((losses.item.detach(), losses.semantic_id.detach())).double()
            sums_22[:, 0], sums_22[:, 1] = means_2 * counts_2, counts_2.double()
        return StepResult(sums_22, int(batch.valid_BT.sum()))

    def validate(self) -> Mapping[str, float]:
        users = self._config.validation_users
        return {"ndcg_at_10": ndcg_at_10(self._model, self._data.validation, users, self._processes)}

    def describe(self, means: Sequence[float], at: Position) -> str:
        epochs = at.epochs
        text = f"epoch {len(epochs) + (at.steps > 0)}: loss {means[0]:.3f} + {means[1]:.3f}"
        if epochs:
            best = epochs[at.best_epoch - 1]["ndcg_at_10"]
            text += f", validation NDCG@10 {epochs[-1]['ndcg_at_10']:.4f} (best {best:.4f} at {at.best_epoch})"
        return text


def _result(at: Position) -> TrainingResult:
    records = tuple(EpochRecord(epoch=number, **figures) for number, figures in enumerate(at.epochs, 1))
    return TrainingResult(records, at.best_epoch)
