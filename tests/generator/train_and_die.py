"""Trains in forked processes that end themselves with SIGKILL, and goes on from what they left.

Usage: python train_and_die.py FOLDER. Writes the weights and figures of a training that nothing broke, and of one that
was killed at every one of `PLACES` on its way, to FOLDER. Forked rather than started, to import torch once.
"""

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import numpy as np
import torch
from safetensors.torch import save_file

import mmrec.generator.training as training_module
import mmrec.runtime.checkpoint as checkpoint_module
from mmrec.generator.config import TrainingConfig
from mmrec.generator.training import TrainingData, train_generator
from mmrec.generator.validation import ValidationSet
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NoProgress
from mmrec.runtime.trainer import TrainingRun
from tests.children import die, end_of
from tests.generator.conftest import make_small

HISTORIES = [
    np.array([(start + step * (1 + start % 2)) % 12 for step in range(9)], dtype=np.int32) for start in range(24)
]
VALIDATION = ValidationSet(HISTORIES, np.array([start % 12 for start in range(24)], dtype=np.int32))
CONFIG = TrainingConfig(
    epochs=3, patience=2, batch_positions=32, warmup_steps=4, learning_rate=5e-3, ema_decay=0.9, checkpoint_minutes=1e-9
)
SAMPLED = replace(CONFIG, softmax="sampled", negatives=8, ema_decay=0.0, checkpoint_minutes=0.0)

PLACES = (
    ("step", 2),
    ("half-written", 3),
    ("written", 1),
    ("renamed", 2),
    ("step", 1),
    ("validation", 0),
    ("half-written", 0),
    ("step", 5),
    ("renamed", 1),
    ("validation", 0),
)
"""Where a run is killed, and after how many times of passing there; each goes on from the one before."""


class Counted:
    """Dies when it is passed once more than `left` times."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> None:
        self.left -= 1
        if self.left < 0:
            die()


class Deadly(NoProgress):
    def __init__(self, passed: Callable[[], None]) -> None:
        self.passed = passed

    def advance(self, n: int = 1) -> None:
        if n:
            self.passed()


def arm(place: str, left: int) -> NoProgress:
    """Put the trap in place."""
    passed = Counted(left)
    save, move, validate = checkpoint_module.save_file, checkpoint_module.replace_file, training_module.ndcg_at_10

    def half_written(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
        save(tensors, path, metadata)
        if passed.left == 0:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        passed()

    def written(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
        save(tensors, path, metadata)
        passed()

    def renamed(path: Path, write: Callable[[Path], object]) -> None:
        move(path, write)
        passed()

    def validation(*arguments: object) -> float:
        found = validate(*arguments)  # type: ignore[arg-type]
        passed()
        return found

    if place == "half-written":
        checkpoint_module.save_file = half_written
    elif place == "written":
        checkpoint_module.save_file = written
    elif place == "renamed":
        checkpoint_module.replace_file = renamed
    elif place == "validation":
        training_module.ndcg_at_10 = validation
    return Deadly(passed) if place == "step" else NoProgress()


def train(folder: Path, config: TrainingConfig, checkpoint: Path | None, progress: NoProgress) -> None:
    small = make_small(12, dropout=0.2)
    run = TrainingRun(
        Processes.alone(torch.device("cpu")),
        progress=progress,
        checkpoint=checkpoint / "training.safetensors" if checkpoint else None,
    )
    result = train_generator(small.model, TrainingData(small.index, HISTORIES, VALIDATION), config, run, seed=3)
    save_file(small.model.state_dict(), folder / "weights.safetensors")
    records = [{**asdict(record), "seconds": 0} for record in result.epochs]
    (folder / "records.json").write_text(json.dumps([records, result.best_epoch]), encoding="utf-8")


def forked(place: str, left: int, folder: Path, config: TrainingConfig, checkpoint: Path | None) -> None:
    ended = end_of(lambda: train(folder, config, checkpoint, arm(place, left)))
    assert ended == (0 if place == "-" else -signal.SIGKILL), f"{place} {left}: ended with {ended}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    root = Path(sys.argv[1])
    for name, config in (("full", CONFIG), ("sampled", SAMPLED)):
        whole, broken = root / name / "whole", root / name / "broken"
        whole.mkdir(parents=True)
        broken.mkdir()
        train(whole, config, None, NoProgress())
        for place, left in PLACES if name == "full" else (("step", 8), ("validation", 1)):
            forked(place, left, broken, config, broken / "checkpoint")
        forked("-", 0, broken, config, broken / "checkpoint")
        left_over = sorted(path.name for path in (broken / "checkpoint").iterdir())
        assert left_over == ["curves.png", "training.safetensors"], left_over
