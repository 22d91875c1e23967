"""Training on an instruction set: a catalogue whose items follow one another in a circle, rated by their parity."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.cli.output import Output
from mmrec.cli.tables import print_tasks
from mmrec.data.interactions import Interactions
from mmrec.data.splits import leave_one_out
from mmrec.errors import InvalidArgumentError, InvalidDatasetError, NotFoundError
from mmrec.generator.backbone import build_backbone
from mmrec.generator.config import GeneratorConfig, TrainingConfig
from mmrec.generator.instruction_training import InstructionTrainingConfig
from mmrec.generator.model import Generator
from mmrec.language.instruction_files import InstructionStatistics, write_split
from mmrec.language.instruction_templates import read_tasks
from mmrec.language.instructions import InstructionBuilder, InstructionConfig, Part
from mmrec.recommender import Recommender
from mmrec.recommender.artefact import load_generator, save_generator
from mmrec.runtime.processes import Processes
from mmrec.runtime.trainer import TrainingRun
from mmrec.training import fit_dataset
from mmrec.training.instruction_set import PrepareConfig, prepare_instructions
from mmrec.training.instruction_tuning import InstructionSettings, InstructionTuning, TaskFigures, read_instructions
from tests.conftest import tiny_fit
from tests.generator.conftest import make_small
from tests.language.tiny_models import save_tiny

pytestmark = pytest.mark.slow(10)

ITEMS, USERS, LENGTH = 16, 60, 8
SHOP = Catalogue(
    item_ids=tuple(f"i{row}" for row in range(ITEMS)),
    titles=tuple(f"Thing {row}" for row in range(ITEMS)),
    descriptions=("",) * ITEMS,
    images=("",) * ITEMS,
    attributes={"shape": tuple("round" if row % 2 else "square" for row in range(ITEMS))},
)
STARTS = np.random.default_rng(0).integers(0, ITEMS, USERS)
EVENTS = [(f"u{user}", int(start + step) % ITEMS) for user, start in enumerate(STARTS) for step in range(LENGTH)]
INTERACTIONS = Interactions.from_columns(
    [user for user, _ in EVENTS],
    [row for _, row in EVENTS],
    [place % LENGTH for place in range(len(EVENTS))],
    [5.0 if row % 2 else 1.0 for _, row in EVENTS],
)
SPLIT = leave_one_out(INTERACTIONS)
TEMPLATES = (
    *("sequential-1", "sequential-2", "sequential-5"),
    *("straightforward-1", "straightforward-5", "straightforward-7"),
    *("wish-1", "wish-2", "wish-5"),
    *("ranking-1", "ranking-3", "ranking-4"),
    *("rating-1", "rating-3", "rating-4", "rating-5"),
    *("explanation-1", "explanation-4"),
)
"""Few enough to be learned in seconds."""
RUN = TrainingRun(Processes("cpu"))
QUICK = InstructionTrainingConfig(epochs=4, batch_examples=64, batch_positions=64, learning_rate=1e-2)


@cache
def vector_of(word: str) -> npt.NDArray[np.float64]:
    return np.random.default_rng(list(word.encode())).normal(size=24)


def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """A unit vector for each text: the sum of vectors of its words, random but the same wherever they stand."""
    rows = [np.sum([vector_of(word) for word in text.split() or ["."]], axis=0) for text in texts]
    return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An instruction set of the circle; only read."""
    folder = tmp_path_factory.mktemp("prepared")
    builder = InstructionBuilder(SHOP, INTERACTIONS, SPLIT, InstructionConfig(per_user=8))
    tasks = [
        replace(task, templates=tuple(template for template in task.templates if template.id in TEMPLATES))
        for task in read_tasks()
    ]
    write_split(folder, "train", builder.train(tasks), InstructionStatistics())
    write_split(folder, "test", builder.evaluation(tasks, "test"), InstructionStatistics())
    return folder


class Tuned:
    """A model that was trained on the set, and its figures by task and kind of templates."""

    def __init__(self, folder: Path, questions: int = 1000, **config: Any) -> None:
        small = make_small(ITEMS, hidden=32, heads=4, layers=2)
        self.model: Generator = small.model
        found = read_instructions(folder, SHOP, SPLIT)
        tuning = InstructionTuning(self.model, found, SHOP, encode)
        histories = [SPLIT.train.history(user) for user in range(SPLIT.train.users)]
        tuning.train(
            histories,
            small.index,
            replace(QUICK, **config),
            TrainingConfig(),
            RUN,
            seed=0,
        )
        self.figures: dict[tuple[str, bool], TaskFigures] = {
            (one.task, one.seen): one for one in tuning.evaluate(SPLIT, questions)
        }


@pytest.fixture(scope="module")
def tuned(prepared: Path) -> Tuned:
    """Only read."""
    return Tuned(prepared)


def test_one_model_answers_all_tasks(tuned: Tuned) -> None:
    means = {task: tuned.figures[task, True].as_json() for task, seen in tuned.figures if seen}
    assert means["sequential"]["ndcg@10"] > 0.65  # a guess among the items that are left has 0.45
    assert means["ranking"]["first"] > 0.2  # a guess among ten candidates has 0.1
    assert means["rating"]["rmse"] < 0.8  # the mean rating errs by 2
    assert 0.0 <= means["explanation"]["right"] <= 1.0
    assert means["straightforward"]["questions"] == USERS
    assert means["wish"]["ndcg@10"] > 0.65


def test_templates_that_training_did_not_use_are_answered_too(tuned: Tuned) -> None:
    assert tuned.figures["sequential", False].as_json()["ndcg@10"] > 0.6
    assert {task for task, seen in tuned.figures if not seen} == {task for task, seen in tuned.figures if seen}


def test_what_customers_chose_is_read_as_one_token(tuned: Tuned) -> None:
    figures = tuned.figures["straightforward", True]
    by_set = [template == "straightforward-5" for template in figures.templates]
    known = figures.figures["ndcg@10"]
    assert known[by_set].mean() > 0.6 > known[np.invert(by_set)].mean()


def test_the_reader_of_instructions_is_kept_with_the_generator(tuned: Tuned, tmp_path: Path) -> None:
    model = tuned.model
    save_generator(model, tmp_path)
    again = load_generator(tmp_path, model.config, model.catalogue.table(), model.widths)
    assert again.config.instructed == 24
    assert again.instructions is not None
    assert model.instructions is not None
    assert again.instructions.answer.weight.equal(model.instructions.answer.weight)


def test_the_same_seed_trains_the_same_model(prepared: Path) -> None:
    first, second = (Tuned(prepared, questions=1, epochs=1) for _ in range(2))
    for (name, weight), (_, other) in zip(
        first.model.state_dict().items(), second.model.state_dict().items(), strict=True
    ):
        assert weight.equal(other), name


def test_a_fit_trains_on_a_set_and_measures_its_tasks(
    demo_dataset: Path, demo_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_instructions(demo_dataset, tmp_path / "set", PrepareConfig(InstructionConfig(per_user=0.3)))
    config = tiny_fit()
    settings = InstructionSettings(str(tmp_path / "set"), InstructionTrainingConfig(epochs=1), questions=20)
    config = replace(
        config,
        start_from=str(demo_bundle),
        instructions=settings,
        training=replace(config.training, epochs=0),
        sentences=replace(config.sentences, epochs=0),
    )
    result = fit_dataset(demo_dataset, tmp_path / "bundle", config)
    metrics = json.loads((result.version / "metrics.json").read_text("utf-8"))
    asked = {(row["task"], row["seen"]) for row in metrics["tasks"]}
    assert {("sequential", True), ("sequential", False), ("ranking", True)} <= asked
    assert all(0 <= row["ndcg@10"] <= 1 for row in metrics["tasks"] if row["task"] == "sequential")
    assert Recommender.load(result.bundle).snapshot().parts.generator.config.instructed == 384
    assert "| sequential | unseen | 20 | ndcg@10 " in (result.version / "MODEL_CARD.md").read_text("utf-8")
    print_tasks(Output(), metrics["tasks"])
    assert "sequential" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_pretrained_model_reads_words_as_its_own_tokens(kind: str, prepared: Path, tmp_path: Path) -> None:
    folder = save_tiny(kind, tmp_path / kind)
    config = GeneratorConfig(pretrained=str(folder), tuning="full", dropout=0.0, max_history=8)
    small = make_small(ITEMS, backbone=build_backbone(config), pretrained=str(folder), hidden=32)
    found = read_instructions(prepared, SHOP, SPLIT)
    short = [one for one in found.examples if sum(len(part.words) for part in one.input) < 150]
    asked = [one for one in found.test if sum(len(part.words) for part in one.input) < 150]
    tuning = InstructionTuning(small.model, found._replace(examples=short[:64], test=asked[:16]), SHOP, encode)
    words = small.model.backbone.state_dict()
    before = {name: weight.clone() for name, weight in words.items()}
    histories = [SPLIT.train.history(user) for user in range(SPLIT.train.users)]
    tuning.train(histories, small.index, replace(QUICK, epochs=1), TrainingConfig(), RUN, seed=0)
    name = "model.shared.weight" if kind == "t5" else "model.embed_tokens.weight"
    read_tokens = sorted({*b"A customer chose"})
    assert (words[name][read_tokens] != before[name][read_tokens]).any(1).sum() > 5
    assert all(
        0 <= row.figures["ndcg@10"].mean() <= 1 for row in tuning.evaluate(SPLIT, 16) if "ndcg@10" in row.figures
    )


def test_sets_that_cannot_be_trained_on_are_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="mmrec prepare"):
        read_instructions(tmp_path, SHOP, SPLIT)
    rows = [json.loads(line) for line in (prepared / "train.jsonl").read_text("utf-8").splitlines()]
    (tmp_path / "test.jsonl").write_text((prepared / "test.jsonl").read_text("utf-8"), "utf-8")

    def write(*lines: str) -> None:
        (tmp_path / "train.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")

    write("{")
    with pytest.raises(InvalidArgumentError, match="no file of instructions"):
        read_instructions(tmp_path, SHOP, SPLIT)
    write()
    with pytest.raises(InvalidArgumentError, match="no example"):
        read_instructions(tmp_path, SHOP, SPLIT)
    held_out = SHOP.item_ids[SPLIT.test.targets_U[0]]
    write(json.dumps(rows[0] | {"user_id": "u0", "item_id": held_out}))
    with pytest.raises(InvalidArgumentError, match=f"{held_out}.*--split"):
        read_instructions(tmp_path, SHOP, SPLIT)
    write(json.dumps(rows[0] | {"input": [{"item": "elsewhere"}]}))
    with pytest.raises(InvalidDatasetError, match="'elsewhere', which the dataset does not have"):
        InstructionTuning(make_small(ITEMS).model, read_instructions(tmp_path, SHOP, SPLIT), SHOP, encode)


def test_an_instruction_longer_than_the_model_reads_is_refused(prepared: Path) -> None:
    found = read_instructions(prepared, SHOP, SPLIT)
    long = replace(found.examples[0], input=(Part(", ".join(f"word {number}" for number in range(2000))),))
    with pytest.raises(InvalidArgumentError, match=r"2,000 tokens long.*--max-history"):
        InstructionTuning(make_small(ITEMS).model, found._replace(examples=[long]), SHOP, encode)
