"""The training loop by itself, on a line that is fitted to noisy points."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mmrec.errors import StoppedError
from mmrec.runtime.checkpoint import Position
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NoProgress
from mmrec.runtime.shutdown import StopRequest
from mmrec.runtime.trainer import StepResult, Trainer, TrainerConfig, TrainingRun

RUN = TrainingRun(Processes.alone(torch.device("cpu")))
CONFIG = TrainerConfig(epochs=4, weight_decay=0.01)


class Line:
    """Five steps a pass; `scores` are what validation finds, pass by pass."""

    losses = ("squares",)
    epoch_units = 5

    def __init__(self, scores: Sequence[float] = ()) -> None:
        self.module = nn.Linear(1, 1)
        self.module.weight.data.fill_(0.0)
        self.module.bias.data.fill_(0.0)
        self._scores = list(scores)

    def batches(self, epoch: int, done: int) -> Iterator[Tensor]:
        for step in range(done, 5):
            yield torch.randn(8, 1, generator=torch.Generator().manual_seed(100 * epoch + step))

    def optimizer_values(self, at: Position) -> Mapping[str, Any]:
        return {"lr": 0.1 / (1 + at.total)}

    def backward(self, batch: Tensor, at: Position, scale: Callable[[Tensor], Tensor]) -> StepResult:
        loss = (self.module(batch) - 3 * batch - 1).square().mean()
        scale(loss).backward()
        return StepResult(torch.tensor([[float(loss.detach()) * 8, 8.0]], dtype=torch.float64), 1)

    def validate(self) -> Mapping[str, float]:
        return {"score": self._scores.pop(0)} if self._scores else {}

    def describe(self, means: Sequence[float], at: Position) -> str:
        return f"{len(at.epochs)} passes, loss {means[0]:.1f}"

    @property
    def weights(self) -> list[float]:
        return [self.module.weight.item(), self.module.bias.item()]


class Progress(NoProgress):
    """Keeps what it is given, and does something at a step."""

    def __init__(self, at_step: int = -1, action: Callable[[], object] = lambda: None) -> None:
        self.lines: list[str] = []
        self.counts: list[int] = []
        self._at_step, self._action = at_step, action

    def advance(self, n: int = 1) -> None:
        self.counts.append(n)
        if sum(self.counts) == self._at_step:
            self._action()

    def say(self, text: str) -> None:
        self.lines.append(text)


def trained(
    config: TrainerConfig = CONFIG, run: TrainingRun = RUN, scores: Sequence[float] = ()
) -> tuple[Line, Position]:
    line = Line(scores)
    return line, Trainer(line, config, run).fit()


def test_every_pass_has_its_figures_and_the_last_one_is_kept() -> None:
    _, at = trained()
    assert (at.best_epoch, at.total, at.steps, at.units) == (4, 20, 0, 20)
    assert [sorted(epoch) for epoch in at.epochs] == [["seconds", "squares"]] * 4
    assert at.epochs[3]["squares"] < at.epochs[0]["squares"]


def test_the_best_pass_is_kept_and_training_ends_when_none_is_better() -> None:
    line, at = trained(replace(CONFIG, epochs=9, best_by="score", patience=2), scores=[0.1, 0.3, 0.2, 0.3, 0.9])
    assert (len(at.epochs), at.best_epoch) == (4, 2)
    assert line.weights == trained(replace(CONFIG, epochs=2))[0].weights


def test_averaged_weights_are_kept_where_they_are_asked_for() -> None:
    own, averaged = trained()[0].weights, trained(replace(CONFIG, ema_decay=0.9))[0].weights
    assert 0 < averaged[0] < own[0]


@pytest.mark.parametrize(("scores", "decay"), [([0.1, 0.5, 0.4, 0.3], 0.0), ([0.5, 0.1, 0.3, 0.4], 0.9)])
def test_after_each_pass_the_better_of_average_and_own_weights_counts(scores: list[float], decay: float) -> None:
    line, at = trained(replace(CONFIG, epochs=2, best_by="score", ema_decay=0.9), scores=scores)
    assert ([epoch["score"] for epoch in at.epochs], at.best_epoch) == ([0.5, 0.4], 1)
    assert line.weights == trained(replace(CONFIG, epochs=1, ema_decay=decay))[0].weights


def test_a_relative_learning_rate_holds_for_the_parameters_of_its_name() -> None:
    plain, slow = trained()[0].weights, trained(replace(CONFIG, rates={"wei": 0.0}))[0].weights
    assert slow[0] == 0.0
    assert slow[1] > 0.2
    assert trained(replace(CONFIG, rates={"wei": 1.0, "none of these": 0.0}))[0].weights == plain


@pytest.mark.parametrize(("cut", "steps"), [(False, 5), (True, 1)])
def test_time_that_is_over_ends_the_pass_or_cuts_it(cut: bool, steps: int) -> None:
    _, at = trained(replace(CONFIG, max_minutes=1e-9, cut_pass=cut))
    assert (len(at.epochs), at.total) == (1, steps)


class KilledError(Exception):
    pass


def kill() -> None:
    raise KilledError


@pytest.mark.parametrize("step", [1, 4, 5, 6, 19, 20])
def test_a_training_that_ended_anywhere_goes_on_to_the_same_weights(step: int, tmp_path: Path) -> None:
    config = replace(CONFIG, checkpoint_minutes=0.0, best_by="score", ema_decay=0.5)
    scores = [0.2, 0.1, 0.3, 0.4, 0.1, 0.2, 0.3, 0.3]
    run = replace(RUN, checkpoint=tmp_path / "work" / "line.safetensors")
    with pytest.raises(KilledError):
        trained(config, replace(run, progress=Progress(step, kill)), scores)
    line, at = trained(config, run, scores[2 * ((step - 1) // 5) :])
    whole, expected = trained(config, RUN, scores)
    assert line.weights == whole.weights
    assert [epoch["squares"] for epoch in at.epochs] == [epoch["squares"] for epoch in expected.epochs]
    assert at.best_epoch == expected.best_epoch == 2


def test_a_stop_that_is_asked_for_ends_after_the_next_step_and_is_saved(tmp_path: Path) -> None:
    run = replace(RUN, checkpoint=tmp_path / "line.safetensors")
    progress = Progress(7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with (
        StopRequest() as stop,
        pytest.raises(StoppedError, match="in pass 2 of the training, after step 3, which is saved; the same command"),
    ):
        trained(run=replace(run, stop=stop, progress=progress))
    again = Progress()
    assert trained(run=replace(run, progress=again))[0].weights == trained()[0].weights
    assert again.counts == [8, *[1] * 12]


def test_a_damaged_checkpoint_is_reported_and_one_of_another_training_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "line.safetensors"
    trained(run=replace(RUN, checkpoint=path, identity="one"))
    other = Progress()
    trained(run=replace(RUN, checkpoint=path, identity="another", progress=other))
    assert other.counts[0] == 0
    path.write_bytes(path.read_bytes()[:200])
    damaged = Progress()
    trained(run=replace(RUN, checkpoint=path, identity="another", progress=damaged))
    assert damaged.lines[0] == f"the checkpoint is not used: {path} is damaged and cannot be read as safetensors"
    assert damaged.counts[0] == 0
