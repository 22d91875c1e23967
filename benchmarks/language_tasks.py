"""One model on all tasks of an instruction set beside the model of one task, by seen and unseen templates.

Both start from the same trained decoder and take as many steps on instructions; the model of one task sees sequential
examples alone. Every test question is put by every template.
"""

# Axes: Q questions, N items, B questions of a chunk, U users, R resamples

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.child import call
from benchmarks.intervals import RESAMPLES, Estimate, mean_estimate, resample_weights, shown
from benchmarks.language_backbones import EPOCHS, SHAPES, bundle_of
from benchmarks.language_films import FILMS, films_in_words, kept_bundle
from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.quality_fit import item_head_ranks, load_ranker
from benchmarks.quality_sets import EVERY_RATING
from benchmarks.report import WORK, Report, file_hashes
from benchmarks.rows import Rows
from mmrec.data.dataset import read_dataset
from mmrec.data.splits import leave_one_out
from mmrec.evaluation.floors import item_knn, last_item_transitions, popularity
from mmrec.evaluation.metrics import Ranks, rank_targets
from mmrec.evaluation.ratings import KnownRatings, simple_predictions
from mmrec.generator.config import TrainingConfig
from mmrec.generator.instruction_training import InstructionTrainingConfig
from mmrec.language.instruction_templates import Task, Template, read_tasks
from mmrec.language.instructions import InstructionBuilder, InstructionConfig
from mmrec.recommender.ranking_model import RankingModel
from mmrec.runtime.processes import Processes
from mmrec.runtime.trainer import TrainingRun
from mmrec.training.instruction_set import words_about_users
from mmrec.training.instruction_tuning import Encode, InstructionSet, InstructionTuning
from mmrec_encoders.presets import build_encoders

PER_USER, PASSES, QUESTIONS, POSITIONS = 2.0, 2, 100_000, 512
MODELS = {"sequential alone": ("sequential",), "all tasks": ()}
"""Tasks that a model is trained on; none for all."""
MAIN = {
    "sequential": "ndcg@10",
    "straightforward": "ndcg@10",
    "wish": "ndcg@10",
    "ranking": "ndcg@10",
    "rating": "squared_error",
    "explanation": "right",
}
"""The figure of each task that the table shows."""
SHOWN = {"ndcg@10": "NDCG@10", "squared_error": "RMSE", "right": "right one of 20"}
COLUMNS = (
    "task",
    "figure",
    "model",
    "seen templates",
    "unseen templates",
    "unseen to seen, both by item tokens",
    "unseen to seen, both by titles",
    "unseen to seen, both without history",
    "floors",
)

FORMS = ("tokens", "titles", "no history")
"""How templates name what the customer chose before, in the order of the columns."""

FLOORS = {"popularity": popularity, "last-item transitions": last_item_transitions, "item-kNN": item_knn}
"""Rankers by counting, by name."""

Floats = npt.NDArray[np.float64]


def run(options: Options) -> None:
    """Measure, and publish the table."""
    seeds = 1 if options.quick else options.seeds
    hashes = file_hashes(options.data / FILMS, "items.tsv", "events.tsv", "users.tsv")
    rows = Rows("language-tasks", options, {"data": hashes, "per user": PER_USER, "passes": PASSES})
    dataset, shape = films_in_words(options), list(SHAPES)[-1]
    bundle = kept_bundle(
        bundle_of(dataset, shape, seed=0),
        options,
        lambda folder: call(
            "benchmarks.language_backbones:fit",
            1,
            dataset=str(dataset),
            bundle=str(folder),
            shape=shape,
            seed=0,
            epochs=1 if options.quick else EPOCHS,
            device=options.device,
        ),
    )
    asked: dict[str, Any] = {"dataset": str(dataset), "bundle": str(bundle), "device": options.device}
    asked |= {"per_user": 1.0 if options.quick else PER_USER, "passes": 1 if options.quick else PASSES}
    measured = {
        model: [
            rows.measure(
                f"{model}, seed {seed}",
                partial(call, "benchmarks.language_tasks:measure", 1, model=model, seed=seed, **asked),
            )
            for seed in range(seeds)
        ]
        for model in MODELS
    }
    known = rows.measure("floors", partial(call, "benchmarks.language_tasks:floors", 1, dataset=str(dataset)))
    Report(
        "language-tasks",
        "MovieLens-100K, words and no pictures, every rating an event. One small decoder (128 wide, 2 layers), trained "
        f"on histories for at most {EPOCHS} epochs, then on an instruction set of `mmrec prepare` (built-in templates, "
        f"{PER_USER:g} examples per user and weight, {PASSES} passes) together with histories; the model of one task "
        f"takes as many steps on sequential examples alone. {seeds} seed(s) of that training. Each user's last film "
        "(of every second user but for the sequential task) is asked for by every template: by the item head or, where "
        "the answer is a title, by vectors of titles; whole catalogue, seen items removed, or 10 candidates. Figures "
        f"are means over users of the mean over templates, 95% bootstrap intervals over users ({RESAMPLES} resamples); "
        "'unseen to seen' is the relative difference, negative where unseen templates lose (of RMSE: positive): each "
        "unseen template beside the seen ones that have the same slots in the same order, as the right item is found "
        "more easily where the history comes last than where candidates do. "
        "'histories without words' is the same model's item head on plain histories. Nothing but the named head ranks: "
        "no other channel.",
        COLUMNS,
        _table(measured, known),
        data=hashes,
        details={"measured": {model: [_means(one) for one in own] for model, own in measured.items()}},
        rehearsal=options.quick,
    ).publish()
    rows.finish()


# --- one model --------------------------------------------------------------------------------------------------------


def measure(
    dataset: str, bundle: str, model: str, seed: int, per_user: float, passes: int, device: str
) -> dict[str, Any]:
    """Train one model, and ask all questions: the figure of every task, template and user, and of plain histories."""
    ranker = load_ranker(bundle, device)
    split = leave_one_out(ranker.parts.interactions)
    found = instruction_set(Path(dataset), per_user, read_tasks())
    only, asked = (
        [example for example in examples if not MODELS[model] or example.task in MODELS[model]]
        for examples in (found.examples, found.test)
    )
    before = item_head_ranks(ranker, split.test).ndcg_at(10)
    epochs = round(passes * len(found.examples) / len(only))
    config = InstructionTrainingConfig(epochs=epochs, batch_positions=POSITIONS)
    generator = ranker.parts.generator
    text = build_encoders("embedded", device).text
    encode = kept(partial(text.encode, query=True), WORK / "language-words", text.fingerprint)
    tuning = InstructionTuning(generator, found._replace(examples=only, test=asked), ranker.parts.catalogue, encode)
    run = TrainingRun(Processes(device), progress=Lines(every=30))
    histories = [split.train.history(user) for user in range(split.train.users)]
    tuning.train(histories, ranker.parts.decode_index, config, TrainingConfig(), run, seed=seed)
    figures = tuning.evaluate(split, QUESTIONS)
    after = item_head_ranks(RankingModel(ranker.parts, ranker.device, ranker.dtype), split.test).ndcg_at(10)
    return {
        "histories before": before.tolist(),
        "histories": after.tolist(),
        "examples": len(only),
        "passes": config.epochs,
        "tasks": [
            {
                "task": one.task,
                "seen": one.seen,
                "users": one.users,
                "templates": one.templates,
                "values": one.figures[MAIN[one.task]].tolist(),
            }
            for one in figures
        ],
    }


def instruction_set(
    dataset: Path, per_user: float, tasks: Sequence[Task], whole: Sequence[str] = ("sequential",)
) -> InstructionSet:
    """Training examples as `mmrec prepare` makes them, and every test question by every template.

    Every second customer is asked, and all of them in the tasks of `whole`.
    """
    data = read_dataset(dataset, min_rating=EVERY_RATING)
    split = leave_one_out(data.interactions)
    builder = InstructionBuilder(
        data.catalogue, data.interactions, split, InstructionConfig(per_user=per_user), words_about_users(data.root)
    )
    by_template = [replace(task, templates=(template,)) for task in tasks if task.weight for template in task.templates]
    test = [example for task in by_template for example in builder.evaluation([task], "test")]
    half = set(list(dict.fromkeys(example.user_id for example in test))[::2])
    test = [example for example in test if example.task in whole or example.user_id in half]
    return InstructionSet(list(builder.train(tasks)), test, "")


def kept(encode: Encode, folder: Path, model: str) -> Encode:
    """The encoder, with vectors of the same list of texts read from a folder: seeds differ in no word."""

    def found(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        digest = hashlib.sha256(json.dumps([model, *texts]).encode()).hexdigest()
        path = folder / f"{digest[:16]}.npy"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            np.save(path, encode(texts))
        return np.asarray(np.load(path), np.float32)

    return found


# --- floors -----------------------------------------------------------------------------------------------------------


def floors(dataset: str) -> dict[str, dict[str, float]]:
    """Figures that need no training, by task and name."""
    data = read_dataset(Path(dataset), min_rating=EVERY_RATING)
    split, items = leave_one_out(data.interactions), len(data.catalogue)
    found: dict[str, dict[str, float]] = defaultdict(dict)
    examples = instruction_set(Path(dataset), 0.01, read_tasks()).test
    rows = {item_id: row for row, item_id in enumerate(data.catalogue.item_ids)}
    template = next(example.template for example in examples if example.candidates)
    offered = {one.user_id: [rows[item] for item in one.candidates] for one in examples if one.template == template}
    for name, floor in FLOORS.items():
        scores_QN = floor(split.train, items)(split.test.histories)
        ranks = rank_targets(scores_QN, split.test.targets_U, split.test.histories, remove_seen=True)
        found["sequential"][name] = float(ranks.ndcg_at(10).mean())
        gains = []
        for scores_N, user, target in zip(scores_QN, split.test.users_U, split.test.targets_U, strict=True):
            if split.train.user_ids[user] not in offered:
                continue
            others = scores_N[offered[split.train.user_ids[user]]]
            above, tied = (others > scores_N[target]).sum(), (others == scores_N[target]).sum() - 1
            gains.append(float(Ranks(np.array([above]), np.array([tied])).ndcg_at(10)[0]))
        found["ranking"][name] = float(np.mean(gains))
    found["straightforward"]["popularity"] = found["sequential"]["popularity"]
    found["explanation"]["a guess"] = 1 / 20
    rated, train = data.interactions, split.train
    assert rated.ratings_E is not None  # MovieLens has ratings
    assert train.ratings_E is not None
    last_E = rated.offsets_U[1:][split.test.users_U] - 1
    known = KnownRatings(train.users_E, train.items_E, train.ratings_E)
    for name, predicted in simple_predictions(known, split.test.users_U, split.test.targets_U).items():
        found["rating"][name] = float(np.sqrt(np.mean((predicted - rated.ratings_E[last_E]) ** 2)))
    return found


# --- the table --------------------------------------------------------------------------------------------------------


def _table(
    measured: Mapping[str, list[dict[str, Any]]], floors: Mapping[str, Mapping[str, float]]
) -> list[tuple[Any, ...]]:
    before = np.mean([one["histories before"] for own in measured.values() for one in own], axis=0)
    weights_RU = resample_weights(len(before))
    table: list[tuple[Any, ...]] = []
    plain = {f"{model}, histories without words": [one["histories"] for one in own] for model, own in measured.items()}
    for name, gains in {"histories alone, no instructions": [before], **plain}.items():
        estimate = shown(mean_estimate(np.mean(gains, axis=0), weights_RU))
        table.append(("sequential", "NDCG@10", name, estimate, None, None, None, None, _floors(floors["sequential"])))
    for task, figure in MAIN.items():
        for model, own in measured.items():
            values = by_template(own, task)
            if values:
                cells = cells_of(values, figure)
                table.append((task, SHOWN[figure], model, *cells, _floors(floors.get(task, {}))))
    return table


def by_template(measured: Sequence[Mapping[str, Any]], task: str) -> dict[str, Floats]:
    """Figures of every user, by template, means over seeds; users are in the order of the set."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    for one in measured:
        values: dict[str, list[float]] = defaultdict(list)
        for group in one["tasks"]:
            if group["task"] == task:
                for template, value in zip(group["templates"], group["values"], strict=True):
                    values[template].append(value)
        for template, own in values.items():
            found[template].append(own)
    return {template: np.mean(own, axis=0) for template, own in found.items()}


def cells_of(values: Mapping[str, Floats], figure: str) -> list[str | None]:
    """Seen, unseen, and by form how unseen ones compare with the seen ones of the same slots in the same order."""
    templates = [template for task in read_tasks() for template in task.templates if template.id in values]
    users = len(next(iter(values.values())))
    weights_RU = resample_weights(users)

    def mean(chosen: Sequence[Template]) -> Floats:
        return np.asarray(np.mean([values[template.id] for template in chosen], axis=0))

    def estimate(values_U: Floats) -> Estimate:
        resampled_R = weights_RU @ values_U / users
        if figure == "squared_error":
            return Estimate.of(float(np.sqrt(values_U.mean())), np.sqrt(resampled_R))
        return Estimate.of(float(values_U.mean()), resampled_R)

    cells: list[str | None] = []
    for seen in (True, False):
        own = [template for template in templates if template.seen is seen]
        cells.append(shown(estimate(mean(own))) if own else None)
    for form in FORMS:
        pairs = [(template, peers_of(template, templates)) for template in templates if form_of(template) == form]
        pairs = [(template, peers) for template, peers in pairs if not template.seen and peers]
        if not pairs:
            cells.append(None)
            continue
        new_U = mean([template for template, _ in pairs])
        known_U = np.mean([mean(peers) for _, peers in pairs], axis=0)
        known_R, new_R = (weights_RU @ own_U / users for own_U in (known_U, new_U))
        power = 0.5 if figure == "squared_error" else 1.0
        ratio = Estimate.of(float((new_U.mean() / known_U.mean()) ** power - 1), (new_R / known_R) ** power - 1)
        cells.append(f"{ratio.value:+.1%} [{ratio.low:+.1%}, {ratio.high:+.1%}]")
    return cells


def form_of(template: Template) -> str:
    """How a template names the history and candidates: one of `FORMS`."""
    slots = {*template.input[1::2], *template.output[1::2]}
    if slots & {"history_words", "candidates_words"}:
        return "titles"
    return "tokens" if slots & {"history", "customer"} else "no history"


def peers_of(template: Template, templates: Sequence[Template]) -> list[Template]:
    """Seen templates that read and answer the same slots in the same order."""
    return [one for one in templates if one.seen and _slots(one) == _slots(template)]


def _slots(template: Template) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return template.input[1::2], template.output[1::2]


def _floors(floors: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in floors.items())


def _means(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Without the figures of every user."""
    return {
        "examples": measured["examples"],
        "passes": measured["passes"],
        "histories before": float(np.mean(measured["histories before"])),
        "histories": float(np.mean(measured["histories"])),
        "templates": {
            template: float(values.mean())
            for task in MAIN
            for template, values in by_template([measured], task).items()
        },
    }
