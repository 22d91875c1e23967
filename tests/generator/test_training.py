from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.errors import InvalidArgumentError
from mmrec.generator.config import GeneratorConfig, TrainingConfig
from mmrec.generator.training import TrainingResult, ValidationSet, train_generator
from mmrec.progress import NoProgress
from tests.generator.conftest import Small, make_small

CPU = torch.device("cpu")
CYCLE = [np.array([(start + step) % 12 for step in range(9)], dtype=np.int32) for start in range(12)]
"""Every item is followed by the next one: what comes after can be known for certain."""
VALIDATION = ValidationSet(CYCLE, np.array([(start + 9) % 12 for start in range(12)], dtype=np.int32))
QUICK = TrainingConfig(epochs=25, patience=25, batch_positions=32, warmup_steps=5, learning_rate=5e-3)


def train(small: Small, config: TrainingConfig = QUICK, **options: object) -> TrainingResult:
    return train_generator(
        small.model,
        small.index,
        CYCLE,
        VALIDATION,
        config,
        device=CPU,
        dtype=torch.float32,
        seed=0,
        **options,  # type: ignore[arg-type]
    )


def test_a_sequence_that_can_be_known_is_learned_by_both_heads() -> None:
    result = train(make_small(12, residual_dropout=0.0))
    assert result.epochs[-1].item_loss < 1.0 < result.epochs[0].item_loss
    assert result.epochs[-1].semantic_id_loss < 0.5 < result.epochs[0].semantic_id_loss
    assert max(record.ndcg_at_10 for record in result.epochs) == 1.0


def test_training_stops_when_the_metric_no_longer_grows() -> None:
    result = train(make_small(12), TrainingConfig(epochs=50, patience=2, learning_rate=1e-9))
    assert len(result.epochs) == 3
    assert result.best_epoch == 1


def test_without_validation_the_last_epoch_is_kept() -> None:
    small = make_small(12)
    result = train_generator(
        small.model,
        small.index,
        CYCLE,
        ValidationSet([], np.empty(0, dtype=np.int32)),
        TrainingConfig(epochs=3, patience=3),
        device=CPU,
        dtype=torch.float32,
        seed=0,
    )
    assert result.best_epoch == 3


class _KilledError(Exception):
    pass


class _KillAfter(NoProgress):
    """Ends training from inside, as a kill would, once `epochs` are finished and another has begun."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def say(self, text: str) -> None:
        self.left -= 1

    def advance(self, n: int = 1) -> None:
        if self.left < 0:
            raise _KilledError


def test_training_that_was_killed_and_started_again_makes_the_same_model(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=6, patience=6, batch_positions=32, learning_rate=5e-3)
    whole = make_small(12, dropout=0.2)
    expected = train(whole, config)

    killed = make_small(12, dropout=0.2)
    with pytest.raises(_KilledError):
        train(killed, config, checkpoint=tmp_path, progress=_KillAfter(2))
    again = make_small(12, dropout=0.2, seed=0)
    result = train(again, config, checkpoint=tmp_path)

    assert [record.item_loss for record in result.epochs] == [record.item_loss for record in expected.epochs]
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_training_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(123)
    expected = torch.rand(1)
    torch.manual_seed(123)
    train(make_small(12), TrainingConfig(epochs=1, patience=1))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [("hidden", 0), ("hidden", 30), ("architecture", "rnn"), ("dropout", 1.0), ("layers", 0), ("max_history", 0)],
)
def test_a_generator_that_cannot_be_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        GeneratorConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", 0), ("patience", 0), ("learning_rate", 0.0), ("label_smoothing", 1.0)]
)
def test_a_training_that_cannot_be_is_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        TrainingConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("transitions", "positions"), [(0, 128), (2_400, 128), (12_000, 500), (10**6, 4096)])
def test_a_small_set_is_cut_into_smaller_steps(transitions: int, positions: int) -> None:
    assert TrainingConfig().positions_for(transitions) == positions
