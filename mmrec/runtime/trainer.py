"""The training loop: epochs, steps, checkpoints, early stopping, and data-parallel training in several processes.

A `TrainingTask` defines the batches, the losses and the validation metrics. If all random draws of a task are derived
from (seed, epoch, step), a training that is killed and resumed gives the same weights, bit for bit, as one that was
not. In a group of processes each computes its share of every step, and the gradients are summed.
"""

# Axes: L losses, P parameters

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from mmrec.errors import BundleError, FailedPreconditionError, StoppedError
from mmrec.runtime.checkpoint import (
    Checkpoint,
    Position,
    load_checkpoint,
    load_optimizer_tensors,
    optimizer_tensors,
    save_checkpoint,
)
from mmrec.runtime.event_file import EventFile
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.runtime.shutdown import StopRequest
from mmrec.runtime.weights import AveragedWeights, load_trained_weights, trained_weights

_REPORT_EVERY_S = 1.0
_SAVE_EVERY_S = 10.0
_LOG_EVERY_STEPS = 20

BatchT = TypeVar("BatchT")


class StepResult(NamedTuple):
    """Losses of one step in this process.

    Attributes:
        sums_L2: Sum and count of each loss. Shape: (L, 2), float64.
        units: Units of progress of the step, over all processes.
    """

    sums_L2: Tensor
    units: int


class TrainingTask(Protocol[BatchT]):
    """Model, batches, losses and validation of one kind of training."""

    @property
    def module(self) -> nn.Module:
        """The module with all trainable parameters, on the device."""
        ...

    @property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses."""
        ...

    @property
    def epoch_units(self) -> int:
        """Units of progress of an epoch."""
        ...

    def batches(self, epoch: int, done: int) -> Iterable[BatchT]:
        """Batches of an epoch (from 0) without the first `done`; the same in every process."""
        ...

    def optimizer_values(self, at: Position) -> Mapping[str, Any]:
        """``lr`` and any other optimiser option that changes from step to step."""
        ...

    def backward(self, batch: BatchT, at: Position, scale: Callable[[Tensor], Tensor]) -> StepResult:
        """Compute gradients of this process's share of the batch, with `scale` applied to the loss.

        The sum over all processes must be the gradient of the whole batch.
        """
        ...

    def validate(self) -> Mapping[str, float]:
        """Validation metrics, the same in every process; may leave the module in evaluation mode."""
        ...

    def describe(self, means: Sequence[float], at: Position) -> str:
        """One status line from the mean losses of the current epoch, or of the last one."""
        ...


@dataclass(frozen=True, slots=True)
class TrainerConfig:
    """Training options.

    Attributes:
        epochs: Maximum number of epochs.
        weight_decay: Of AdamW.
        betas: Of AdamW.
        decay_vectors: Whether weight decay also applies to biases and other vectors.
        clip_norm: Maximum gradient norm of a step; 0 for no limit.
        fused: Whether AdamW updates all parameters in one call and each in one pass over memory, which saves time for
            small models and for large embeddings. Only for parameters in contiguous layout, as a checkpoint keeps them.
        rates: Learning rates relative to that of all other parameters, by the beginning of a parameter's name.
        ema_decay: Decay of an exponential moving average of the weights; 0 for none. With `best_by`, the average and
            the weights themselves are both validated after each epoch, and the better of the two counts; without, the
            average is kept.
        best_by: Metric whose maximum selects the epoch that is kept; empty for the last epoch.
        patience: Epochs without improvement after which training stops; 0 for no limit.
        max_minutes: Training stops after the epoch in which this time is exceeded; 0 for no limit.
        cut_pass: Whether `max_minutes` stops after the current step instead.
        checkpoint_minutes: Time between checkpoints within an epoch; None for none. An epoch ends with one too, but for
            those that end within seconds of the one before; the training itself always does.
    """

    epochs: int
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    decay_vectors: bool = False
    clip_norm: float = 0.0
    fused: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)
    ema_decay: float = 0.0
    best_by: str = ""
    patience: int = 0
    max_minutes: float = 0.0
    cut_pass: bool = False
    checkpoint_minutes: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """Environment of one training: processes, dtype, progress, files.

    Attributes:
        processes: The process group; only the main process writes and reports.
        dtype: Number format of matrix products; weights stay in float32.
        progress: Receives units, and a status line once a second. The caller starts and finishes the stage.
        checkpoint: Checkpoint file, resumed from if it has the same identity; None for none.
        identity: Hash of everything the trained weights depend on besides shapes and `dtype`.
        log_dir: Folder for TensorBoard event files; None for none.
        stop: Checked after every step.
        started: Start of the measured time, on the monotonic clock; None for now.
    """

    processes: Processes
    dtype: torch.dtype = torch.float32
    progress: Progress = NO_PROGRESS
    checkpoint: Path | None = None
    identity: str = ""
    log_dir: Path | None = None
    stop: StopRequest | None = None
    started: float | None = None


class Trainer:
    """Runs one training.

    Args:
        task: What to train. Every process starts from the main one's weights.
        config: Training options.
        run: Environment.
        on_epoch: Called in the main process after each epoch.

    Attributes:
        at: Current position.
    """

    def __init__(
        self,
        task: TrainingTask[Any],
        config: TrainerConfig,
        run: TrainingRun,
        on_epoch: Callable[[Position], None] = lambda at: None,
    ) -> None:
        self._task, self._config, self._run, self._on_epoch = task, config, run, on_epoch
        self._processes = run.processes
        self._progress = run.progress if run.processes.is_main else NO_PROGRESS
        module, device = task.module, run.processes.device
        self._processes.broadcast_tensors([tensor for tensor in module.state_dict().values() if tensor.numel()])
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(module, config), betas=config.betas, fused=config.fused or None
        )
        self._scaler = torch.amp.GradScaler(device.type, enabled=run.dtype == torch.float16)
        self._average = AveragedWeights(module, config.ema_decay) if config.ema_decay else None
        # Without either option the module itself holds the weights to keep.
        self._best = trained_weights(module) if config.best_by or config.ema_decay else None
        shapes = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
        self._identity = hashlib.sha256(json.dumps([run.identity, str(run.dtype), shapes]).encode()).hexdigest()
        self._sums_L2 = torch.zeros(len(task.losses), 2, dtype=torch.float64, device=device)
        self._events: EventFile | None = None
        self._earlier_seconds = 0.0
        self._run_started = self._saved = self._reported = time.monotonic()
        self._started = self._run_started if run.started is None else run.started
        self._units_before = 0
        self.at = Position()

    @property
    def seconds(self) -> float:
        """Wall time so far, earlier runs included."""
        return self._earlier_seconds + time.monotonic() - self._started

    def fit(self) -> Position:
        """Train until a limit of the configuration is reached; the module then holds the kept weights.

        Raises:
            FailedPreconditionError: the processes see different checkpoints.
            StoppedError: a stop was requested; the checkpoint holds the last step.
        """
        self._resume()
        if self._run.log_dir and self._processes.is_main:
            self._events = EventFile(self._run.log_dir, self.at.total)
        self._progress.advance(self.at.units)
        self._units_before, self._run_started = self.at.units, time.monotonic()
        device = self._processes.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            while not self._is_over():
                self._epoch()
        if self._best is not None:
            load_trained_weights(self._task.module, self._best)
        self._task.module.eval()
        if self._events:
            self._events.close()
        return self.at

    # --- epoch --------------------------------------------------------------------------------------------------------

    def _epoch(self) -> None:
        config = self._config
        self._task.module.train()
        for batch in self._task.batches(len(self.at.epochs), self.at.steps):
            stopping = self._step(batch)
            if stopping:
                self._stop()
            if config.cut_pass and self._is_out_of_time():
                break
            every = config.checkpoint_minutes
            if every is not None and time.monotonic() - self._saved >= 60 * every:
                self._save()
        self._finish_epoch()
        due = _SAVE_EVERY_S if config.checkpoint_minutes is None else min(_SAVE_EVERY_S, 60 * config.checkpoint_minutes)
        if self._is_over() or time.monotonic() - self._saved >= due:
            self._save()

    def _step(self, batch: Any) -> bool:
        """One optimiser step. Returns whether any process was asked to stop."""
        values = self._task.optimizer_values(self.at)
        for group in self._optimizer.param_groups:
            group.update(values)
            group["lr"] *= group["rate"]
        self._optimizer.zero_grad(set_to_none=True)
        sums_L2, units = self._task.backward(batch, self.at, self._scaler.scale)
        stopping, seconds = self._reduce_gradients(sums_L2)
        self._scaler.unscale_(self._optimizer)
        if self._config.clip_norm:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._config.clip_norm)
        factor = self._scaler.get_scale()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._sums_L2 += sums_L2
        self.at = self.at._replace(
            total=self.at.total + 1,
            steps=self.at.steps + 1,
            units=self.at.units + units,
            seconds=seconds,
            skipped=self.at.skipped + (self._scaler.get_scale() < factor),
        )
        if self._average:
            self._average.update(self.at.total)
        if self._events and self.at.total % _LOG_EVERY_STEPS == 0:
            means = dict(zip(self._task.losses, _means(sums_L2), strict=True))
            scalars = {f"step/{name}": mean for name, mean in means.items()}
            self._events.add(self.at.total, {**scalars, "step/learning_rate": values["lr"]})
        self._progress.advance(units)
        self._report(_REPORT_EVERY_S)
        return stopping

    def _reduce_gradients(self, sums_L2: Tensor) -> tuple[bool, float]:
        """Sum gradients and losses over all processes; returns whether any was asked to stop, and the time."""
        stopping, seconds = bool(self._run.stop and self._run.stop.asked), self.seconds
        processes = self._processes
        if processes.count == 1:
            return stopping, seconds
        used_P = torch.tensor([float(p.grad is not None) for p in self._parameters], device=processes.device)
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        # All processes stop after the same step and use the main one's clock.
        shared_2 = torch.tensor([float(stopping), seconds if processes.is_main else 0.0], device=processes.device)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        processes.all_reduce([*gradients, used_P, sums_L2, shared_2])
        for parameter, used in zip(self._parameters, used_P.tolist(), strict=True):
            # A parameter unused in every process gets no update, not even weight decay, as in a single process.
            if not used:
                parameter.grad = None
        return bool(shared_2[0]), float(shared_2[1])

    def _finish_epoch(self) -> None:
        """Validate, keep the best weights, and log."""
        at, best_by = self.at, self._config.best_by
        best_epoch, figures = at.best_epoch, dict[str, float]()
        for weights in self._contenders():
            with weights:
                found = dict(self._task.validate())
                if figures and found[best_by] <= figures[best_by]:
                    continue
                figures = found
                if not best_by or not at.best_epoch or found[best_by] > at.epochs[at.best_epoch - 1][best_by]:
                    best_epoch = len(at.epochs) + 1
                    if self._best is not None:
                        self._best = trained_weights(self._task.module)
        seconds = self._processes.broadcast(self.seconds)
        own_seconds = seconds - sum(epoch["seconds"] for epoch in at.epochs)
        losses = dict(zip(self._task.losses, _means(self._sums_L2), strict=True))
        epochs = (*at.epochs, {**losses, **figures, "seconds": own_seconds})
        self.at = at._replace(epochs=epochs, best_epoch=best_epoch, steps=0, seconds=seconds)
        self._sums_L2.zero_()
        self._report(0.0)
        if self._events:
            scalars = {f"epoch/{name}": value for name, value in losses.items()}
            scalars |= {f"epoch/validation_{name}": value for name, value in figures.items()}
            self._events.add(self.at.total, {**scalars, "epoch/seconds": own_seconds})
            self._events.flush()
        if self._processes.is_main:
            self._on_epoch(self.at)

    def _contenders(self) -> list[AbstractContextManager[None]]:
        """Within each the module has weights that may be kept: the average, and its own where a metric selects."""
        own: list[AbstractContextManager[None]] = [nullcontext()]
        if not self._average:
            return own
        return [self._average.in_place(), *(own if self._config.best_by else [])]

    def _is_out_of_time(self) -> bool:
        return 0 < 60 * self._config.max_minutes <= self.at.seconds

    def _is_over(self) -> bool:
        at, config = self.at, self._config
        if at.steps:
            return False
        without_better = len(at.epochs) - at.best_epoch
        return len(at.epochs) >= config.epochs or bool(
            at.epochs and (self._is_out_of_time() or 0 < config.patience <= without_better)
        )

    def _stop(self) -> None:
        self._save()
        kept = "saved; the same command goes on" if self._run.checkpoint else "not kept"
        raise StoppedError(
            f"stopped as asked in pass {len(self.at.epochs) + 1} of the training, after step {self.at.steps}, "
            f"which is {kept}"
        )

    # --- checkpoint ---------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        path = self._run.checkpoint
        if not path:
            return
        try:
            checkpoint = load_checkpoint(path, self._identity)
        except BundleError as err:
            self._progress.say(f"the checkpoint is not used: {err.message}")
            checkpoint = None
        if checkpoint and self._reaches(checkpoint.position):
            self._restore(checkpoint)
        # Also a barrier: no process writes a checkpoint before all have read.
        steps = self._processes.gather(torch.tensor([[float(self.at.total)]], device=self._processes.device))
        if steps.min() != steps.max():
            raise FailedPreconditionError(
                f"one process goes on from step {int(steps.min())} and another from {int(steps.max())}; "
                f"keep {path.parent} on a disk that all processes see"
            )
        if self._processes.is_main:
            path.parent.mkdir(parents=True, exist_ok=True)
            for unfinished in path.parent.glob(f".{path.name}.*.tmp"):
                unfinished.unlink(missing_ok=True)

    def _reaches(self, position: Position) -> bool:
        """Whether a run with this time limit would have started the checkpoint's last epoch."""
        before = position.epochs if position.steps else position.epochs[:-1]
        return not before or not 0 < 60 * self._config.max_minutes < sum(epoch["seconds"] for epoch in before)

    def _restore(self, checkpoint: Checkpoint) -> None:
        device = self._processes.device
        load_trained_weights(self._task.module, checkpoint.parts["model"])
        load_optimizer_tensors(self._optimizer, checkpoint.parts.get("optimizer", {}))
        if self._average:
            for name, tensor in checkpoint.parts["average"].items():
                self._average.weights[name].copy_(tensor)
        if self._best is not None:
            self._best = {name: tensor.to(device) for name, tensor in checkpoint.parts["best"].items()}
        if checkpoint.scaler:
            self._scaler.load_state_dict(checkpoint.scaler)
        self.at = checkpoint.position
        self._earlier_seconds = self.at.seconds
        if self.at.sums:
            self._sums_L2.copy_(torch.tensor(self.at.sums, dtype=torch.float64))

    def _save(self) -> None:
        if self._run.checkpoint and self._processes.is_main:
            parts = {"model": trained_weights(self._task.module), "optimizer": optimizer_tensors(self._optimizer)}
            parts |= {"best": self._best} if self._best is not None else {}
            parts |= {"average": self._average.weights} if self._average else {}
            sums = tuple((total, count) for total, count in self._sums_L2.tolist())
            position = self.at._replace(sums=sums)
            checkpoint = Checkpoint(self._identity, position, self._scaler.state_dict(), parts)
            save_checkpoint(self._run.checkpoint, checkpoint)
        self._saved = time.monotonic()

    # --- progress -----------------------------------------------------------------------------------------------------

    def _report(self, every_s: float) -> None:
        now = time.monotonic()
        if now - self._reported < every_s or not self._processes.is_main:
            return
        self._reported = now
        at = self.at
        means = _means(self._sums_L2) if at.steps else [at.epochs[-1][name] for name in self._task.losses]
        self._progress.say(self._task.describe(means, at) + self._time_left(now))

    def _time_left(self, now: float) -> str:
        """Remaining time at the speed of this run: at most, and without further improvement."""
        at, config, epoch_units = self.at, self._config, max(self._task.epoch_units, 1)
        units = at.units - self._units_before
        if not units:
            return ""
        pace = (now - self._run_started) / units * epoch_units / 60
        passes = at.units / epoch_units
        most = pace * (config.epochs - passes)
        if config.max_minutes:
            to_go = 0.0 if config.cut_pass else pace * (len(at.epochs) + 1 - passes)
            most = min(most, config.max_minutes - at.seconds / 60 + to_go)
        text = f"; at most {max(most, 0):.0f} min left"
        if config.best_by and at.best_epoch:
            least = pace * (at.best_epoch + config.patience - passes)
            text += f", {min(max(least, 0), max(most, 0)):.0f} if it gets no better"
        return text


def _parameter_groups(module: nn.Module, config: TrainerConfig) -> list[dict[str, Any]]:
    """The parameters by weight decay and relative learning rate, as AdamW takes them."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            rate = next((rate for start, rate in config.rates.items() if name.startswith(start)), 1.0)
            groups.setdefault((rate, parameter.ndim > 1 or config.decay_vectors), []).append(parameter)
    return [
        {"params": parameters, "rate": rate, "weight_decay": config.weight_decay if decays else 0.0}
        for (rate, decays), parameters in groups.items()
    ]


def _means(sums_L2: Tensor) -> list[float]:
    return [total / max(count, 1) for total, count in sums_L2.tolist()]
