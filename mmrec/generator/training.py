"""Training the generator on histories: passes, early stopping, checkpoints, and several processes as one.

Works on catalogue rows. All randomness of a step follows from (seed, epoch, step), so a run that is killed anywhere
and started again makes the same model, bit for bit, as one that was not. In a group of processes each computes its
share of the windows of every step, and gradients are added up, so that the model is the one that a single process
makes, to rounding (and but for what is drawn).
"""

# Axes: P levels, N items

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.errors import FailedPreconditionError, StoppedError
from mmrec.generator.batches import Batch, epoch_batches
from mmrec.generator.checkpoint import Checkpoint, Position, Trained, training_identity
from mmrec.generator.config import TrainingConfig
from mmrec.generator.curves import Curves
from mmrec.generator.losses import compute_losses, nodes_by_depth
from mmrec.generator.model import Generator
from mmrec.generator.negatives import ItemSampler
from mmrec.generator.schedule import learning_rate, step_seed
from mmrec.generator.training_log import EpochRecord, TrainingResult
from mmrec.generator.validation import ValidationSet, ndcg_at_10
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.runtime.shutdown import StopRequest
from mmrec.runtime.weights import AveragedWeights, put_weights, trained_weights
from mmrec.semantic_ids.decode_index import DecodeIndex

_SAY_EVERY_S = 1.0


def train_generator(
    model: Generator,
    index: DecodeIndex,
    histories: Sequence[npt.NDArray[np.int32]],
    validation: ValidationSet,
    config: TrainingConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
    progress: Progress = NO_PROGRESS,
    checkpoint: Path | None = None,
    inputs: str = "",
    log_dir: Path | None = None,
    processes: Processes | None = None,
) -> TrainingResult:
    """Train `model` in place; afterwards it holds the weights of the best epoch.

    Args:
        model: On `device`.
        index: The decode index, on `device`.
        histories: Training histories as catalogue rows, oldest first.
        validation: What early stopping watches. Empty: the last epoch is kept.
        config: See `TrainingConfig`.
        device: Where to compute.
        dtype: Number format of the matrix products; weights stay in float32.
        seed: Of order, cuts, dropout and negatives.
        progress: Reports every step.
        checkpoint: Folder for the checkpoint, continued from if it holds one of the same run, and for `curves.png`.
            With a longer limit of time it is the same run; with a shorter one than the checkpoint has taken, or another
            number of passes, which the learning rate follows, it is another.
        inputs: Key of what `model` was made of and `validation` is; a checkpoint of another is not continued from.
        log_dir: Folder for TensorBoard's event files; None for none.
        processes: Who takes part, all with the same arguments; the first one alone writes and speaks. None: this
            process alone.

    Raises:
        FailedPreconditionError: not every process sees the same checkpoint.
        StoppedError: SIGTERM came to one of the processes; the checkpoint holds the last step.
    """
    processes = processes or Processes.alone(device)
    if not processes.is_main:
        progress = NO_PROGRESS
    run = _Run(model, index, histories, validation, config, dtype, seed, progress, processes)
    with run.stop:
        run.go(checkpoint, inputs, log_dir)
    if run.stop.asked:
        raise StoppedError("stopped as asked after the training, which is saved; the same command goes on")
    return TrainingResult(run.at.epochs, run.at.best_epoch)


class _Run:
    def __init__(
        self,
        model: Generator,
        index: DecodeIndex,
        histories: Sequence[npt.NDArray[np.int32]],
        validation: ValidationSet,
        config: TrainingConfig,
        dtype: torch.dtype,
        seed: int,
        progress: Progress,
        processes: Processes,
    ) -> None:
        self.model, self.index, self.histories, self.validation = model, index, histories, validation
        self.config, self.dtype, self.seed, self.progress, self.processes = config, dtype, seed, progress, processes
        self.device = processes.device
        processes.same([tensor for tensor in model.state_dict().values() if tensor.numel()])
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        matrices, vectors = [[p for p in self.parameters if (p.ndim >= 2) is matrix] for matrix in (True, False)]
        optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
        )
        self.trained = Trained(
            model,
            optimizer,
            torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16),
            AveragedWeights(model, config.ema_decay) if config.ema_decay else None,
        )
        self.transitions = sum(max(0, len(history) - 1) for history in histories)
        self.positions = config.positions_for(self.transitions)
        self.steps_per_epoch = max(1, math.ceil(self.transitions / self.positions))
        self.nodes_PN = nodes_by_depth(index)
        items = self.nodes_PN.shape[1]
        self.sampler = ItemSampler.of_histories(histories, items, self.device) if config.samples(items) else None
        self.at = Position()
        self.best = trained_weights(model)
        self.sums_4 = torch.zeros(4, dtype=torch.float64, device=self.device)
        self.checkpoint: Checkpoint | None = None
        self.stop = StopRequest()
        self.asked = False
        self.curves = Curves(None, None)
        self.seen = 0
        self.begun = self.started = self.saved = self.said = self.epoch_started = time.monotonic()

    def go(self, folder: Path | None, inputs: str, log_dir: Path | None) -> None:
        """Train until there is nothing more to gain, or no more time."""
        if folder:
            self.checkpoint = Checkpoint(
                folder, training_identity(self.model, self.histories, self.config, self.seed, self.dtype, inputs)
            )
            self._resume(self.checkpoint)
        if self.processes.is_main:
            if self.checkpoint:
                self.checkpoint.prepare()
            self.curves = Curves(folder / "curves.png" if folder else None, log_dir, self.at.total)
        self.started -= sum(record.seconds for record in self.at.epochs) + self.at.seconds
        self.progress.start("train", self.config.epochs * self.transitions, "events")
        self.progress.advance(len(self.at.epochs) * self.transitions)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            while not self._over():
                self._epoch(len(self.at.epochs) + 1)
        put_weights(self.model, self.best)
        self.model.eval()
        if self.processes.is_main:
            self.curves.close(self.at.epochs, self.at.best_epoch)
        self.progress.finish(f"best epoch {self.at.best_epoch} of {len(self.at.epochs)}")

    def _resume(self, checkpoint: Checkpoint) -> None:
        found = checkpoint.load(self.trained, self._comes_to)
        if found:
            self.at, self.best = found[0], {name: tensor.to(self.device) for name, tensor in found[1].items()}
            self.sums_4 += torch.tensor(self.at.sums, dtype=torch.float64, device=self.device)
        # They also wait for each other here: nobody writes a checkpoint before all have read.
        most, least = (sign * self.processes.agree(False, sign * self.at.total)[1] for sign in (1, -1))
        if most != least:
            raise FailedPreconditionError(
                f"one process goes on from step {int(least)} and another from {int(most)}; "
                f"keep {checkpoint.path.parent} on a disk that all processes see"
            )

    def _comes_to(self, position: Position) -> bool:
        """Whether a run with this limit of time begins the last pass that was begun."""
        seconds = [record.seconds for record in position.epochs]
        before = seconds if position.steps else seconds[:-1]
        return not before or not 0 < 60 * self.config.max_minutes < sum(before)

    def _over(self) -> bool:
        at, config = self.at, self.config
        if at.steps:
            return False
        stop = len(at.epochs) >= config.epochs
        stop |= bool(at.best_epoch) and len(at.epochs) - at.best_epoch >= config.patience
        stop |= bool(at.epochs) and 0 < 60 * config.max_minutes < time.monotonic() - self.started
        return self.processes.agree(stop, 0.0)[0]

    def _epoch(self, epoch: int) -> None:
        self.epoch_started = time.monotonic() - self.at.seconds
        self.model.train()
        batches = epoch_batches(
            self.histories,
            longest=self.model.config.max_history,
            positions=self.positions,
            seed=self.seed,
            epoch=epoch,
            done=self.at.steps,
        )
        self.progress.advance(int(self.sums_4[1]))
        for batch in batches:
            torch.manual_seed(step_seed(self.seed, epoch, self.at.steps, self.processes.index))
            self._step(batch, epoch)
            self._tell(int(batch.valid_BT.sum()))
            if self.asked:
                self._leave(epoch)
            if self.config.checkpoint_minutes and time.monotonic() - self.saved > 60 * self.config.checkpoint_minutes:
                self._save()
        self._close(epoch)

    def _leave(self, epoch: int) -> None:
        """End in the middle of a pass, as was asked for."""
        self._save()
        kept = "saved; the same command goes on" if self.checkpoint else "not kept"
        raise StoppedError(
            f"stopped as asked in pass {epoch} of the training, after step {self.at.steps}, which is {kept}"
        )

    def _step(self, batch: Batch, epoch: int) -> None:
        """One step of the optimiser, the same in every process."""
        optimizer, scaler = self.trained.optimizer, self.trained.scaler
        rate = learning_rate((epoch - 1) * self.steps_per_epoch + self.at.steps, self.config, self.steps_per_epoch)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        sums_4 = self._gradients(batch)
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        scaler.step(optimizer)
        scaler.update()
        self.sums_4 += sums_4
        self.at = self.at._replace(total=self.at.total + 1, steps=self.at.steps + 1)
        if self.trained.average:
            self.trained.average.update(self.at.total)
        losses = (("step/item_loss", sums_4[0] / sums_4[1]), ("step/semantic_id_loss", sums_4[2] / sums_4[3]))
        self.curves.step(self.at.total, (*losses, ("step/learning_rate", rate)))

    def _gradients(self, batch: Batch) -> Tensor:
        """Gradients of the step's loss, left in the parameters; sums and counts of its losses over all processes."""
        processes = self.processes
        own = batch.share(processes.index, processes.count) if processes.count > 1 else batch
        losses = None
        # A step of fewer windows than processes leaves some of them without any.
        if len(own.valid_BT):
            own = own.on(self.device)._replace(drawn=self.sampler.draw(self.config.negatives) if self.sampler else None)
            with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
                losses = compute_losses(self.model, own, self.index, self.nodes_PN, self.config)
        counts_2 = torch.zeros(2, device=self.device)
        if losses:
            counts_2 += torch.tensor([losses.item_places, losses.semantic_id_places], device=self.device)
        total_2, asked = counts_2.clone(), torch.tensor(float(self.stop.asked), device=self.device)
        # All leave after the same step, whichever of them is asked to.
        processes.add_up([total_2, asked])
        self.asked = self.stop.asked if processes.count == 1 else bool(asked)
        sums_4 = torch.zeros(4, dtype=torch.float64, device=self.device)
        if losses:
            # Means over this process's places, weighed so that their sum is the mean over everyone's.
            share_2 = counts_2 / total_2
            loss = share_2[0] * losses.item + self.config.semantic_id_weight * share_2[1] * losses.semantic_id
            self.trained.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            means_2 = torch.stack((losses.item.detach(), losses.semantic_id.detach())).double()
            sums_4[0::2], sums_4[1::2] = means_2 * counts_2, counts_2.double()
        if processes.count > 1:
            used = torch.tensor([float(p.grad is not None) for p in self.parameters], device=self.device)
            for parameter in self.parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
            processes.add_up([*(p.grad for p in self.parameters if p.grad is not None), used, sums_4])
            for parameter, by in zip(self.parameters, used.tolist(), strict=True):
                # What no process used stays as it is, as in a single process, and does not even decay.
                if not by:
                    parameter.grad = None
        return sums_4

    def _close(self, epoch: int) -> None:
        """Validate, keep the best weights, and write everything down."""
        average = self.trained.average
        with average.in_place() if average else nullcontext():
            ndcg = ndcg_at_10(self.model, self.validation, self.config.validation_users, self.processes)
            best = not self.at.epochs or not self.at.best_epoch or not len(self.validation.targets_U)
            if best or ndcg > self.at.epochs[self.at.best_epoch - 1].ndcg_at_10:
                self.best = trained_weights(self.model)
                self.at = self.at._replace(best_epoch=epoch)
        item, item_places, path, path_places = self.sums_4.tolist()
        _, seconds = self.processes.agree(False, time.monotonic() - self.epoch_started)
        record = EpochRecord(epoch, item / max(item_places, 1), path / max(path_places, 1), ndcg, seconds)
        self.sums_4.zero_()
        self.at = Position((*self.at.epochs, record), self.at.best_epoch, self.at.total)
        self.said = float("-inf")
        self._tell(0)
        if self.processes.is_main:
            self.curves.epoch(self.at.epochs, self.at.best_epoch, self.at.total)
        self._save()

    def _save(self) -> None:
        if self.checkpoint and self.processes.is_main:
            now = time.monotonic()
            seconds = now - self.epoch_started if self.at.steps else 0.0
            position = self.at._replace(sums=tuple(self.sums_4.tolist()), seconds=seconds)
            self.checkpoint.save(position, self.trained, self.best)
        self.saved = time.monotonic()

    def _tell(self, places: int) -> None:
        """Progress of `places` more; now and then loss, metric, and how long it can take at most."""
        self.progress.advance(places)
        self.seen += places
        now = time.monotonic()
        if now - self.said < _SAY_EVERY_S or not self.processes.is_main:
            return
        self.said = now
        epochs = self.at.epochs
        if self.at.steps:
            item, item_places, path, path_places = self.sums_4.tolist()
            losses = (item / max(item_places, 1), path / max(path_places, 1))
        else:
            losses = (epochs[-1].item_loss, epochs[-1].semantic_id_loss)
        text = f"epoch {len(epochs) + (self.at.steps > 0)}: loss {losses[0]:.3f} + {losses[1]:.3f}"
        if epochs:
            best = self.at.best_epoch
            text += (
                f", validation NDCG@10 {epochs[-1].ndcg_at_10:.4f} (best {epochs[best - 1].ndcg_at_10:.4f} at {best})"
            )
        self.progress.say(text + self._time_left(now))

    def _time_left(self, now: float) -> str:
        """How long training goes on at the speed of this run: at most, and if no pass gets better."""
        at, config = self.at, self.config
        if not self.seen:
            return ""
        pace = (now - self.begun) / self.seen * self.transitions / 60
        under_way = float(self.sums_4[1]) / max(self.transitions, 1)
        most = pace * (config.epochs - len(at.epochs) - under_way)
        if config.max_minutes:
            most = min(most, config.max_minutes - (now - self.started) / 60 + pace * (1 - under_way))
        text = f"; at most {max(most, 0):.0f} min left"
        if at.best_epoch and len(self.validation.targets_U):
            least = pace * (at.best_epoch + config.patience - len(at.epochs) - under_way)
            text += f", {min(max(least, 0), max(most, 0)):.0f} if it gets no better"
        return text
