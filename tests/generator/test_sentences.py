"""Sentences behind histories: read as one soft token, learned without a change to lists that have none."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.generator.backbone import build_backbone
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.model import Generator
from mmrec.generator.sentence_bank import SentenceBank
from mmrec.generator.sentence_training import SentenceConfig, train_sentences
from mmrec.generator.validation import ValidationSet
from mmrec.recommender.artefact import load_generator, save_generator
from mmrec.runtime.processes import Processes
from mmrec.runtime.trainer import TrainingRun
from tests.generator.conftest import make_small
from tests.language.tiny_models import save_tiny

ITEMS = 20
HISTORIES = [np.random.default_rng(user).integers(0, ITEMS, 9).astype(np.int32) for user in range(30)]
EVEN_AND_ODD = SentenceBank(
    sentences=("even", "odd"),
    vectors_SD=np.eye(2, dtype=np.float32),
    begin_N1=np.arange(ITEMS + 1),
    sentences_E=np.arange(ITEMS) % 2,
    weights_E=np.ones(ITEMS, np.float32),
)


def untrained() -> Generator:
    """A generator over items whose content tells even from odd ones."""
    model = make_small(ITEMS).model
    model.catalogue.content_NC[:, 0] = 2.0 * (torch.arange(ITEMS) % 2) - 1
    return model


def trained(**config: object) -> Generator:
    model = untrained()
    validation = ValidationSet([history[:-1] for history in HISTORIES], np.array([h[-1] for h in HISTORIES]))
    train_sentences(
        model,
        [history[:-1] for history in HISTORIES],
        EVEN_AND_ODD,
        validation,
        SentenceConfig(epochs=5, patience=5, learning_rate=1e-2, noise=0.1, **config),  # type: ignore[arg-type]
        TrainingRun(Processes("cpu")),
        seed=0,
    )
    return model


def top(model: Generator, history: list[int], sentence: list[float], k: int = 8) -> list[int]:
    valid = torch.ones(1, len(history), dtype=torch.bool)
    with torch.inference_mode():
        tokens = model.item_tokens()
        rows = torch.tensor([history], dtype=torch.long)
        encoded = model.read_sentences(rows, valid, tokens, torch.tensor([sentence]))
        logits = model.item_logits(encoded.last(), tokens)
        if reader := model.sentences:
            answers = reader.answers(model.catalogue.content_NC)
            logits += model.item_logits(reader.asked(torch.tensor([sentence])), answers)
        return logits[0].topk(k).indices.tolist()


@pytest.fixture(scope="module")
def reading() -> Generator:
    """Trained on `HISTORIES` with `EVEN_AND_ODD`; only read."""
    return trained()


def test_the_wish_for_a_kind_of_item_is_followed_with_and_without_a_history(reading: Generator) -> None:
    for history in ([3, 8, 5], [2, 4, 6], []):
        assert [row % 2 for row in top(reading, history, [1.0, 0.0])] == [0] * 8
        assert [row % 2 for row in top(reading, history, [0.0, 1.0])] == [1] * 8


def test_sampled_negatives_teach_it_as_well() -> None:
    model = trained(full_softmax_items=5, negatives=10)
    assert [row % 2 for row in top(model, [3, 8, 5], [1.0, 0.0])] == [0] * 8


def test_what_is_read_without_a_sentence_stays_bit_for_bit_the_same(reading: Generator) -> None:
    before, after = untrained().eval(), reading.eval()
    history, valid = torch.tensor([[1, 2, 3]]), torch.ones(1, 3, dtype=torch.bool)
    with torch.inference_mode():
        assert torch.equal(before.item_tokens(), after.item_tokens())
        states = [model.read(history, valid, model.item_tokens()).states_BTH for model in (before, after)]
    assert torch.equal(*states)
    assert set(after.state_dict()) - set(before.state_dict()) == {
        name for name in after.state_dict() if name.startswith("sentences.")
    }


def test_training_computes_at_every_position_what_serving_computes_at_the_last() -> None:
    model = make_small(ITEMS).model.eval()
    reader = model.learn_sentences(3).eval()
    inputs, sentences = torch.randn(2, 4, 16), torch.randn(2, 5, 3)
    with torch.inference_mode():
        together = reader.at_every_position(inputs, sentences)
        for length in range(5):
            valid = torch.arange(4).expand(2, 4) < length
            alone = reader(inputs, valid, sentences[:, length])
            assert torch.allclose(together[:, length], alone.last(), atol=1e-5)
            assert alone.valid_BT.sum(1).tolist() == [length + 1] * 2


def test_a_generator_that_reads_sentences_comes_back_from_disk(reading: Generator, tmp_path: Path) -> None:
    save_generator(reading, tmp_path)
    loaded = load_generator(tmp_path, reading.config, reading.catalogue.table(), reading.widths).eval()
    assert loaded.config.sentence == 2
    assert top(loaded, [3, 8], [1.0, 0.0]) == top(reading, [3, 8], [1.0, 0.0])


def test_a_generator_that_reads_none() -> None:
    with pytest.raises(FailedPreconditionError, match="trained without sentences"):
        top(make_small(ITEMS).model, [1], [1.0, 0.0])


def test_a_pretrained_model_has_no_reader_of_soft_sentences(tmp_path: Path) -> None:
    backbone = build_backbone(GeneratorConfig(pretrained=str(save_tiny("llama", tmp_path))))
    with pytest.raises(InvalidArgumentError, match="reads words as its own tokens"):
        make_small(ITEMS, backbone=backbone).model.learn_sentences(2)


def test_draws_follow_the_weights_and_items_without_a_sentence_have_none() -> None:
    bank = SentenceBank(
        "abcd",
        np.eye(4, dtype=np.float32),
        np.array([0, 2, 2, 3]),
        np.array([0, 1, 3]),
        np.array([3, 1, 0.2], np.float32),
    )
    rng = np.random.default_rng(0)
    assert bank.draw(np.array([1, 2, 1]), rng).tolist() == [-1, 3, -1]
    drawn = bank.draw(np.zeros(4000, np.int64), rng)
    assert np.bincount(drawn).tolist() == pytest.approx([3000, 1000], abs=100)


def test_a_bank_without_sentences() -> None:
    empty = SentenceBank(
        (), np.zeros((0, 2), np.float32), np.zeros(3, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    )
    assert empty.draw(np.array([0, 1]), np.random.default_rng(0)).tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("field", "value"), [("epochs", -1), ("noise", -0.1), ("most", 0), ("learning_rate", 0), ("patience", 0)]
)
def test_a_training_that_cannot_be_is_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{field} is {value}"):
        SentenceConfig(**{field: value})  # type: ignore[arg-type]
