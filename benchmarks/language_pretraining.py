"""Pre-training on several catalogues, fine-tuning on one, and prompting without training, on the same questions.

The catalogue is half of MovieLens' films; pre-training sees Amazon Beauty and the other half of the films, one after
the other, and none of the films that are asked for. Prompts go to SmolLM2-135M-Instruct, which is trained on neither.
"""

# Axes: Q questions, N items

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import call
from benchmarks.intervals import RESAMPLES, mean_estimate, resample_weights, shown
from benchmarks.kept import staged
from benchmarks.language_films import FILMS, films_in_words
from benchmarks.language_straightforward import BEAUTY, beauty_bundle
from benchmarks.language_tasks import FLOORS
from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.quality_fit import load_ranker
from benchmarks.quality_sets import EVERY_RATING
from benchmarks.report import WORK, Report, file_hashes
from benchmarks.rows import Rows
from mmrec.data.dataset import read_dataset
from mmrec.data.splits import leave_one_out
from mmrec.evaluation.metrics import Ranks, rank_targets
from mmrec.language.language_model import LanguageModel
from mmrec.runtime.packaged_models import SMOLLM2, checked_model
from mmrec.training.prompting import PromptingConfig, rank_by_prompting, ranking_questions

EPOCHS, QUESTIONS, SHOTS = 4, 60, 3
PROMPTS = {
    "prompted, zero-shot, history in words": (0, "words"),
    f"prompted, {SHOTS} examples, history in words": (SHOTS, "words"),
    "prompted, zero-shot, history in item tokens": (0, "tokens"),
}
COLUMNS = (
    "way",
    "trained on the catalogue",
    "20 candidates, NDCG@10",
    "20 candidates, first",
    "whole catalogue, NDCG@10",
)


def run(options: Options) -> None:
    """Measure, and publish the table."""
    epochs, questions = (1, 4) if options.quick else (EPOCHS, QUESTIONS)
    hashes = file_hashes(options.data / FILMS, "items.tsv", "events.tsv") | file_hashes(
        options.data / BEAUTY, "items.tsv", "events.tsv"
    )
    rows = Rows("language-pretraining", options, {"data": hashes, "epochs": epochs, "questions": questions})
    asked, others = (half(films_in_words(options), number) for number in range(2))
    bundles = {way: WORK / f"{asked.name}-{way}" for way in ("scratch", "zero", "tuned", "others")}
    steps = (
        ("others", others, epochs, str(beauty_bundle(options))),
        ("zero", asked, 0, str(bundles["others"])),
        ("tuned", asked, epochs, str(bundles["others"])),
        ("scratch", asked, epochs, ""),
    )
    for way, dataset, passes, start in steps:
        arguments: dict[str, Any] = {"dataset": str(dataset), "epochs": passes, "start_from": start}
        arguments["bundle"] = str(bundles[way])
        function = "benchmarks.language_straightforward:fit"
        rows.measure(f"fit {way}", partial(call, function, 1, device=options.device, **arguments))
    known: dict[str, Any] = {"dataset": str(asked), "questions": questions}
    contenders: dict[str, tuple[str, dict[str, Any]]] = {
        floor: (
            "counted",
            rows.measure(floor, partial(call, "benchmarks.language_pretraining:counted", 1, floor=floor, **known)),
        )
        for floor in FLOORS
    }
    for way, (shots, history) in PROMPTS.items():
        measure = partial(call, "benchmarks.language_pretraining:prompted", 1, shots=shots, history=history, **known)
        contenders[way] = ("no", rows.measure(way, measure))
    for way, (trained, title) in WAYS.items():
        measure = partial(
            call,
            "benchmarks.language_pretraining:by_generator",
            1,
            bundle=str(bundles[way]),
            device=options.device,
            **known,
        )
        contenders[title] = (trained, rows.measure(title, measure))
    Report(
        "language-pretraining",
        f"Half of MovieLens' films (by a hash of the id), words and no pictures, every rating an event: "
        f"{len(read_dataset(asked, min_rating=EVERY_RATING).catalogue)} films. Pre-training: the first customers of "
        f"Amazon Beauty, then the other half of the films, each for at most {epochs} epochs, by `mmrec fit` and `mmrec "
        f"fit --start-from`; fine-tuning and training from scratch likewise for at most {epochs} epochs on the films "
        "asked for. The item head alone ranks. Prompting: `mmrec prompt` with SmolLM2-135M-Instruct, titles by "
        f"pointwise mutual information, histories of 10 films. {questions} customers with 20 candidates each, the same "
        f"for all; whole catalogue: all customers, seen films removed. One seed; 95% bootstrap intervals over "
        f"customers ({RESAMPLES} resamples).",
        COLUMNS,
        [(way, trained, *_cells(measured)) for way, (trained, measured) in contenders.items()],
        data=hashes,
        rehearsal=options.quick,
    ).publish()
    rows.finish()


WAYS = {
    "zero": ("no", "pre-trained on other catalogues"),
    "tuned": ("yes", "pre-trained, fine-tuned"),
    "scratch": ("yes", "trained from scratch"),
}


def half(source: Path, number: int) -> Path:
    """A dataset folder with the items of one half, and their events."""
    target = WORK / f"{source.name}-half-{number}"
    if target.is_dir():
        return target

    def inside(item_id: str) -> bool:
        return hashlib.sha256(item_id.encode()).digest()[0] % 2 == number

    with staged(target) as staging:
        for name in ("items.tsv", "events.tsv"):
            head, *lines = (source / name).read_text(encoding="utf-8").splitlines()
            at = head.split("\t").index("item_id")
            kept = [line for line in lines if inside(line.split("\t")[at])]
            (staging / name).write_text("".join(f"{line}\n" for line in (head, *kept)), encoding="utf-8")
    return target


def counted(dataset: str, questions: int, floor: str) -> dict[str, Any]:
    """Gains of a floor."""
    data = read_dataset(Path(dataset), min_rating=EVERY_RATING)
    split = leave_one_out(data.interactions)
    scores_QN = FLOORS[floor](split.train, len(data.catalogue))(split.test.histories)
    return _gains(dataset, questions, scores_QN)


def by_generator(dataset: str, questions: int, bundle: str, device: str) -> dict[str, Any]:
    """Gains of a bundle's item head."""
    ranker = load_ranker(bundle, device)
    split = leave_one_out(ranker.parts.interactions)
    parts = [
        ranker.item_head(ranker.read(split.test.histories[chunk.begin : chunk.end]))
        for chunk in ranker.chunks(len(split.test.targets_U))
    ]
    return _gains(dataset, questions, np.concatenate(parts))


def prompted(dataset: str, questions: int, shots: int, history: str) -> dict[str, Any]:
    """Gains of a prompted language model."""
    model = LanguageModel.load(str(checked_model(SMOLLM2)))
    config = _questions(questions, shots, history)
    ranks = rank_by_prompting(Path(dataset), model, config, Lines(every=30)).ranks
    return {"ndcg": ranks.ndcg_at(10).tolist(), "first": ranks.recall_at(1).tolist()}


def _questions(questions: int, shots: int = 0, history: str = "words") -> PromptingConfig:
    return PromptingConfig(shots=shots, history=history, questions=questions, min_rating=EVERY_RATING)  # type: ignore[arg-type]


def _gains(dataset: str, questions: int, scores_QN: Any) -> dict[str, Any]:
    """Gains among the candidates of some questions, and among the whole catalogue for all."""
    data = read_dataset(Path(dataset), min_rating=EVERY_RATING)
    split = leave_one_out(data.interactions)
    rows = {item_id: row for row, item_id in enumerate(data.catalogue.item_ids)}
    places = {split.train.user_ids[user]: place for place, user in enumerate(split.test.users_U)}
    above, tied = [], []
    for question in ranking_questions(Path(dataset), _questions(questions))[0]:
        scores_N = scores_QN[places[question.user_id]]
        offered = scores_N[[rows[item] for item in question.candidates]]
        right = scores_N[rows[question.item_id]]
        above.append(int((offered > right).sum()))
        tied.append(int((offered == right).sum()) - 1)
    ranks = Ranks(np.array(above), np.array(tied))
    whole = rank_targets(scores_QN, split.test.targets_U, split.test.histories, remove_seen=True)
    return {
        "ndcg": ranks.ndcg_at(10).tolist(),
        "first": ranks.recall_at(1).tolist(),
        "whole": whole.ndcg_at(10).tolist(),
    }


def _cells(measured: dict[str, Any]) -> list[str | None]:
    cells: list[str | None] = []
    for name in ("ndcg", "first", "whole"):
        values = measured.get(name)
        cells.append(values and shown(mean_estimate(np.array(values), resample_weights(len(values)))))
    return cells
