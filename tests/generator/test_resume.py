"""A training that is killed, for real and anywhere, ends in the same weights as one that is not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mmrec.errors import FailedPreconditionError
from mmrec.generator.config import TrainingConfig
from mmrec.generator.training import TrainingData, train_generator, training_identity
from mmrec.generator.training_log import TrainingResult
from mmrec.generator.validation import ValidationSet
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NoProgress
from mmrec.runtime.trainer import TrainingRun
from tests.commands import run_program
from tests.generator.conftest import Small, make_small

pytestmark = pytest.mark.slow

ALONE = Processes.alone(torch.device("cpu"))
HISTORIES = [np.array([(start + step) % 12 for step in range(9)], dtype=np.int32) for start in range(12)]
VALIDATION = ValidationSet(HISTORIES, np.array([(start + 9) % 12 for start in range(12)], dtype=np.int32))
CONFIG = TrainingConfig(epochs=2, patience=2, batch_positions=32, checkpoint_minutes=1e-9)


def train(small: Small, config: TrainingConfig = CONFIG, seed: int = 0, **options: object) -> TrainingResult:
    run = TrainingRun(**{"processes": ALONE, **options})  # type: ignore[arg-type]
    return train_generator(small.model, TrainingData(small.index, HISTORIES, VALIDATION), config, run, seed=seed)


class Steps(NoProgress):
    """Counts places that were trained on in this run."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def advance(self, n: int = 1) -> None:
        self.calls.append(n)


def test_a_training_killed_ten_times_on_its_way_makes_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    done = run_program(Path(__file__).parent / "train_and_die.py", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("full", "sampled"):
        whole, broken = (tmp_path / name / kind for kind in ("whole", "broken"))
        assert json.loads((whole / "records.json").read_text()) == json.loads((broken / "records.json").read_text())
        weights, found = (load_file(folder / "weights.safetensors") for folder in (whole, broken))
        assert weights.keys() == found.keys()
        for key, tensor in weights.items():
            assert torch.equal(tensor, found[key]), (name, key)


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first, again, steps = make_small(12), make_small(12, seed=0), Steps()
    expected = train(first, checkpoint=tmp_path / "training.safetensors")
    assert train(again, checkpoint=tmp_path / "training.safetensors", progress=steps) == expected
    assert steps.calls == [2 * 96]
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


@pytest.mark.parametrize("harm", ["cut", "garbage", "other seed", "other settings", "other shape", "other format"])
def test_a_checkpoint_that_is_damaged_or_of_another_training_is_not_used(harm: str, tmp_path: Path) -> None:
    train(make_small(12), checkpoint=tmp_path / "training.safetensors")
    path, config, seed = tmp_path / "training.safetensors", CONFIG, 0
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif harm == "garbage":
        path.write_bytes(b"not a checkpoint")
    elif harm == "other seed":
        seed = 1
    elif harm == "other settings":
        config = replace(CONFIG, weight_decay=0.0)
    layers = 2 if harm == "other shape" else 1
    options = {"dtype": torch.bfloat16 if harm == "other format" else torch.float32}
    found, fresh, steps = make_small(12, layers=layers), make_small(12, layers=layers), Steps()
    train(found, config, seed, checkpoint=path, progress=steps, **options)
    train(fresh, config, seed, **options)
    assert steps.calls[0] == 0
    for name, tensor in fresh.model.state_dict().items():
        assert torch.equal(tensor, found.model.state_dict()[name]), name


def test_how_often_to_write_and_how_long_to_train_do_not_make_another_training() -> None:
    longer = replace(CONFIG, max_minutes=7.0, checkpoint_minutes=3.0)
    same = [training_identity(HISTORIES, config, 0) for config in (CONFIG, longer)]
    assert same[0] == same[1]
    others = [
        training_identity(HISTORIES, CONFIG, 1),
        training_identity(HISTORIES[1:], CONFIG, 0),
        training_identity(HISTORIES, replace(CONFIG, epochs=3), 0),
        training_identity(HISTORIES, CONFIG, 0, "another catalogue"),
    ]
    assert len({same[0], *others}) == 5


class Disagreeing(Processes):
    """A group in which another process has done 5 steps."""

    def gather(self, rows_BD: torch.Tensor) -> torch.Tensor:
        return torch.cat([rows_BD, torch.full_like(rows_BD, 5.0)])


def test_processes_that_see_different_checkpoints_are_told(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="disk that all processes see"):
        train(
            make_small(12),
            checkpoint=tmp_path / "training.safetensors",
            processes=Disagreeing.alone(torch.device("cpu")),
        )


def test_a_longer_limit_of_time_goes_on_to_what_a_training_with_that_limit_makes(tmp_path: Path) -> None:
    short, long = replace(CONFIG, max_minutes=1e-9), replace(CONFIG, max_minutes=600.0)
    stopped, went_on, whole, steps = make_small(12), make_small(12), make_small(12), Steps()
    assert len(train(stopped, short, checkpoint=tmp_path / "a" / "training.safetensors").epochs) == 1
    result = train(went_on, long, checkpoint=tmp_path / "a" / "training.safetensors", progress=steps)
    assert steps.calls[0] == 96
    assert len(result.epochs) == 2
    train(whole, long, checkpoint=tmp_path / "b" / "training.safetensors")
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, went_on.model.state_dict()[name]), name


def test_a_limit_of_time_that_the_checkpoint_is_past_starts_anew(tmp_path: Path) -> None:
    assert len(train(make_small(12), checkpoint=tmp_path / "training.safetensors").epochs) == 2
    steps = Steps()
    result = train(
        make_small(12), replace(CONFIG, max_minutes=1e-9), checkpoint=tmp_path / "training.safetensors", progress=steps
    )
    assert (steps.calls[0], len(result.epochs)) == (0, 1)


def test_a_checkpoint_of_a_model_that_was_made_of_something_else_is_not_used(tmp_path: Path) -> None:
    train(make_small(12), checkpoint=tmp_path / "training.safetensors", identity="one catalogue")
    for identity, done in (("another catalogue", 0), ("another catalogue", 2 * 96)):
        steps = Steps()
        train(make_small(12), checkpoint=tmp_path / "training.safetensors", identity=identity, progress=steps)
        assert steps.calls[0] == done
