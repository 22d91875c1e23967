import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.errors import InvalidArgumentError
from mmrec.generator.batches import pad_histories
from mmrec.generator.config import GeneratorConfig, Softmax, TrainingConfig
from mmrec.generator.training import TrainingData, train_generator
from mmrec.generator.training_log import TrainingResult
from mmrec.generator.validation import ValidationSet
from mmrec.runtime.processes import Processes
from mmrec.runtime.progress import NoProgress
from mmrec.runtime.trainer import TrainingRun
from tests.generator.conftest import Small, make_small

ALONE = Processes.alone(torch.device("cpu"))
CYCLE = [np.array([(start + step) % 12 for step in range(9)], dtype=np.int32) for start in range(12)]
"""Every item is followed by the next one: what comes after can be known for certain."""
VALIDATION = ValidationSet(CYCLE, np.array([(start + 9) % 12 for start in range(12)], dtype=np.int32))
QUICK = TrainingConfig(epochs=25, patience=25, batch_positions=32, warmup_steps=5, learning_rate=5e-3)


def train(small: Small, config: TrainingConfig = QUICK, **options: object) -> TrainingResult:
    run = TrainingRun(ALONE, **options)  # type: ignore[arg-type]
    return train_generator(small.model, TrainingData(small.index, CYCLE, VALIDATION), config, run, seed=0)


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
    data = TrainingData(small.index, CYCLE, ValidationSet([], np.empty(0, dtype=np.int32)))
    result = train_generator(small.model, data, TrainingConfig(epochs=3, patience=3), TrainingRun(ALONE), seed=0)
    assert result.best_epoch == 3


class _KilledError(Exception):
    pass


class _KillAfter(NoProgress):
    """Ends training from inside once places have been told of this often."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def advance(self, n: int = 1) -> None:
        self.left -= n > 0
        if self.left < 0:
            raise _KilledError


def test_training_that_was_killed_and_started_again_makes_the_same_model(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=6, patience=6, batch_positions=32, learning_rate=5e-3)
    whole = make_small(12, dropout=0.2)
    expected = train(whole, config)

    killed = make_small(12, dropout=0.2)
    with pytest.raises(_KilledError):
        train(killed, config, checkpoint=tmp_path / "training.safetensors", progress=_KillAfter(8))
    again = make_small(12, dropout=0.2, seed=0)
    result = train(again, config, checkpoint=tmp_path / "training.safetensors")

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
    [
        ("hidden", 0),
        ("hidden", 30),
        ("dropout", 1.0),
        ("layers", 0),
        ("max_history", 0),
        ("max_history", 1001),
    ],
)
def test_a_generator_that_cannot_be_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        GeneratorConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", -1),
        ("patience", 0),
        ("learning_rate", 0.0),
        ("label_smoothing", 1.0),
        ("softmax", "half"),
        ("negatives", 0),
        ("full_softmax_items", 0),
        ("ema_decay", 1.0),
        ("checkpoint_minutes", -1.0),
        ("max_minutes", -1.0),
    ],
)
def test_a_training_that_cannot_be_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        TrainingConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("softmax", "items", "sampled"),
    [("auto", 50_000, False), ("auto", 50_001, True), ("full", 10**7, False), ("sampled", 10, True)],
)
def test_a_large_catalogue_is_sampled(softmax: Softmax, items: int, sampled: bool) -> None:
    assert TrainingConfig(softmax=softmax).samples(items) is sampled


def test_histories_of_a_thousand_items_are_trained_on_and_read_to_their_first_item() -> None:
    rng = np.random.default_rng(0)
    histories = [rng.integers(0, 40, size=size).astype(np.int32) for size in (1200, 900, 3)]
    small = make_small(40, max_history=1000)
    validation = ValidationSet(histories, np.array([1, 2, 3], dtype=np.int32))
    config = TrainingConfig(epochs=1, batch_positions=1000, semantic_id_share=0.1)
    data = TrainingData(small.index, histories, validation)
    result = train_generator(small.model, data, config, TrainingRun(ALONE), seed=0)
    assert np.isfinite(result.epochs[0].item_loss)

    def last_state(history: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            read = pad_histories([np.array(history, dtype=np.int32)], 1000)
            return small.model.read(*read, small.model.item_tokens()).last()

    tail = [int(item) for item in rng.integers(0, 40, size=999)]
    assert not torch.equal(last_state([1, *tail]), last_state([2, *tail]))
    assert torch.equal(last_state([1, 5, *tail]), last_state([2, 5, *tail]))


def test_weights_stay_in_float32_when_products_are_in_bfloat16() -> None:
    small, exact = make_small(12), make_small(12)
    config = TrainingConfig(epochs=2, batch_positions=32, semantic_id_share=1.0)
    found, expected = (
        train(made, config, dtype=dtype).epochs[-1] for made, dtype in ((small, torch.bfloat16), (exact, torch.float32))
    )
    assert {parameter.dtype for parameter in small.model.parameters()} == {torch.float32}
    assert found.item_loss != expected.item_loss
    assert found.item_loss == pytest.approx(expected.item_loss, rel=0.02)


def test_averaged_weights_are_the_ones_that_are_kept() -> None:
    plain, averaged = make_small(12), make_small(12)
    config = TrainingConfig(epochs=3, batch_positions=32, learning_rate=5e-3)
    nothing = ValidationSet([], np.empty(0, dtype=np.int32))
    for small, decay in ((plain, 0.0), (averaged, 0.9)):
        data, decaying = TrainingData(small.index, CYCLE, nothing), replace(config, ema_decay=decay)
        train_generator(small.model, data, decaying, TrainingRun(ALONE), seed=0)
    start = make_small(12).model.state_dict()
    moved = [
        sum(float((tensor - start[name]).square().sum()) for name, tensor in small.model.state_dict().items())
        for small in (plain, averaged)
    ]
    # The average lags behind, on the way from where training began.
    assert 0 < moved[1] < moved[0]


def test_progress_tells_loss_metric_and_time_left() -> None:
    said: list[str] = []

    class Words(NoProgress):
        def say(self, text: str) -> None:
            said.append(text)

    train(make_small(12), TrainingConfig(epochs=3, patience=2), progress=Words())
    assert re.fullmatch(
        r"epoch 1: loss \d+\.\d{3} \+ \d+\.\d{3}, validation NDCG@10 \d\.\d{4} \(best \d\.\d{4} at 1\); "
        r"at most \d+ min left, \d+ if it gets no better",
        said[0],
    ), said


@pytest.mark.parametrize(
    ("transitions", "items", "positions"),
    [
        (0, 0, 128),
        (2_400, 100, 128),
        (12_000, 100, 500),
        (10**6, 50_000, 2048),
        (10**6, 150_000, 6144),
        (10**6, 10**6, 16_384),
    ],
)
def test_small_sets_have_small_steps_and_large_catalogues_large_ones(
    transitions: int, items: int, positions: int
) -> None:
    assert TrainingConfig().positions_for(transitions, items) == positions


@pytest.mark.parametrize(
    ("transitions", "of_epoch"), [(0, 0), (500_000, 500_000), (500_001, 250_001), (10**6, 500_000)]
)
def test_an_epoch_has_a_share_of_a_large_set(transitions: int, of_epoch: int) -> None:
    assert TrainingConfig().transitions_of_epoch(transitions) == of_epoch


def test_epochs_take_shares_of_the_histories_in_turn() -> None:
    config = TrainingConfig(epochs=5, patience=5, batch_positions=32, epoch_events=20)

    class Told(NoProgress):
        def __init__(self) -> None:
            self.events = 0

        def advance(self, n: int = 1) -> None:
            self.events += n

    shares, whole = Told(), Told()
    assert len(train(make_small(12), config, progress=shares).epochs) == 5
    assert len(train(make_small(12), replace(config, epoch_events=10_000), progress=whole).epochs) == 5
    # Twelve histories of eight transitions: five epochs have each of them once, or five times.
    assert (shares.events, whole.events) == (96, 480)
