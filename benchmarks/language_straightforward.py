"""Amazon Beauty: straightforward and sequential recommendation side by side, by one model.

Straightforward: the customer is one token, all that was chosen before without its order. Sequential: the history item
by item. Both are asked by templates of an instruction set, beside what needs no instructions.
"""

# Axes: U users, N items

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.child import call
from benchmarks.intervals import RESAMPLES, mean_estimate, resample_weights, shown
from benchmarks.language_films import fit_for_ranking, kept_bundle
from benchmarks.language_tasks import form_of, instruction_set
from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.quality_fit import load_ranker
from benchmarks.quality_sets import derive
from benchmarks.report import WORK, Report, file_hashes
from benchmarks.rows import Rows
from mmrec.contract.replies import UserEmbedding
from mmrec.contract.requests import EmbedUserRequest
from mmrec.data.splits import leave_one_out
from mmrec.evaluation.floors import item_knn, last_item_transitions, popularity
from mmrec.evaluation.metrics import rank_targets
from mmrec.generator.config import TrainingConfig
from mmrec.generator.instruction_training import InstructionTrainingConfig
from mmrec.language.instruction_templates import Task, read_tasks
from mmrec.recommender import Recommender
from mmrec.recommender.ranking_model import RankingModel
from mmrec.runtime.processes import Processes
from mmrec.runtime.trainer import TrainingRun
from mmrec.training import FitConfig
from mmrec.training.instruction_tuning import InstructionTuning
from mmrec_encoders.presets import build_encoders

BEAUTY, CUSTOMERS, EPOCHS, PASSES = "amazon-beauty", 4000, 4, 1
_AT_ONCE = 256
_WHOLE = 10_000
COLUMNS = ("task", "ranked by", "NDCG@10", "Recall@10")

Vectors = npt.NDArray[np.float32]


def run(options: Options) -> None:
    """Measure, and publish the table."""
    hashes = file_hashes(options.data / BEAUTY, "items.tsv", "events.tsv")
    conditions = {"data": hashes, "customers": CUSTOMERS, "epochs": EPOCHS, "passes": PASSES}
    rows = Rows("language-straightforward", options, conditions)
    dataset, bundle = beauty(options), beauty_bundle(options)
    asked: dict[str, Any] = {"dataset": str(dataset), "bundle": str(bundle), "device": options.device}
    measured = rows.measure("all", partial(call, "benchmarks.language_straightforward:measure", 1, **asked))
    users = len(measured["rows"][0]["ndcg"])
    weights_RU = resample_weights(users)
    Report(
        "language-straightforward",
        f"Amazon Beauty, the first {users:,} customers of the file and the {measured['items']:,} products of their "
        f"events; a short training: at most {EPOCHS} epochs on histories, then {PASSES} pass(es) over an instruction "
        f"set of both tasks ({measured['examples']:,} examples) together with histories, one seed. Each customer's "
        "last product among the whole catalogue, seen ones removed; what is named ranks alone, and only 'fused' is all "
        f"channels, with the weights of the fit. 95% bootstrap intervals over customers ({RESAMPLES} resamples).",
        COLUMNS,
        [
            (row["task"], row["name"], *(shown(mean_estimate(np.array(row[key]), weights_RU)) for key in KEYS))
            for row in measured["rows"]
        ],
        data=hashes,
        rehearsal=options.quick,
    ).publish()
    rows.finish()


KEYS = ("ndcg", "recall")


def beauty(options: Options) -> Path:
    """The dataset folder of the first customers, and of a few in a rehearsal."""
    name = "language-beauty" + ("-quick" if options.quick else "")
    return derive(options.data / BEAUTY, WORK / name, users=150 if options.quick else CUSTOMERS)


def beauty_bundle(options: Options) -> Path:
    """Its bundle; fitted when it is not there, or with `options.fresh`."""
    dataset = beauty(options)
    epochs = 1 if options.quick else EPOCHS
    arguments: dict[str, Any] = {"dataset": str(dataset), "epochs": epochs, "device": options.device}
    return kept_bundle(
        WORK / f"{dataset.name}-bundle",
        options,
        lambda folder: call("benchmarks.language_straightforward:fit", 1, bundle=str(folder), **arguments),
    )


def fit(dataset: str, bundle: str, epochs: int, device: str, start_from: str = "") -> dict[str, Any]:
    """Fit a bundle shortly, without sentences behind histories."""
    result = fit_for_ranking(dataset, bundle, FitConfig(device=device, start_from=start_from), epochs)
    return {"train_minutes": result.seconds["train"] / 60, "best_epoch": result.best_epoch}


def measure(dataset: str, bundle: str, device: str) -> dict[str, Any]:
    """Every row's gains by customer."""
    ranker = load_ranker(bundle, device)
    parts = ranker.parts
    split, items = leave_one_out(parts.interactions), ranker.items
    begins = range(0, len(split.test.targets_U), _AT_ONCE)
    chunks = [split.test.histories[begin : begin + _AT_ONCE] for begin in begins]
    targets = [split.test.targets_U[begin : begin + _AT_ONCE] for begin in begins]
    rows: list[dict[str, Any]] = []

    def add(task: str, name: str, scores: Iterable[npt.NDArray[np.float32]]) -> None:
        found = [
            rank_targets(scores_BN, targets_B, chunk, remove_seen=True)
            for scores_BN, targets_B, chunk in zip(scores, targets, chunks, strict=True)
        ]
        ndcg, recall = (np.concatenate([getattr(ranks, f"{key}_at")(10) for ranks in found]) for key in KEYS)
        rows.append({"task": task, "name": name, "ndcg": ndcg.tolist(), "recall": recall.tolist()})

    knn = item_knn(split.train, items, recent=_WHOLE)
    add("straightforward", "popularity", map(popularity(split.train, items), chunks))
    add("straightforward", "item-kNN over the whole history", map(knn, chunks))
    add("straightforward", "nearest to the customer's vector (EmbedUser)", _nearest(bundle, device, chunks))
    add("sequential", "last-item transitions", map(last_item_transitions(split.train, items), chunks))
    alone = (ranker.item_head(ranker.read(chunk)) for chunk in chunks)
    add("sequential", "item head on histories, no instructions", alone)
    add("sequential", "fused, no instructions", (_fused(ranker, chunk) for chunk in chunks))

    found_set = instruction_set(Path(dataset), 1.0, _tasks(), ("sequential", "straightforward"))
    text = build_encoders("embedded", device).text
    tuning = InstructionTuning(parts.generator, found_set, parts.catalogue, partial(text.encode, query=True))
    run = TrainingRun(Processes(device), progress=Lines(every=30))
    learned = [split.train.history(user) for user in range(split.train.users)]
    config = InstructionTrainingConfig(epochs=PASSES)
    tuning.train(learned, parts.decode_index, config, TrainingConfig(), run, seed=0)
    for figures in tuning.evaluate(split, _WHOLE * 100):
        templates = np.array(figures.templates)
        names = np.unique(templates)
        gains = {
            key: np.mean([figures.figures[f"{key}@10"][templates == name] for name in names], axis=0) for key in KEYS
        }
        way = "one token" if figures.task == "straightforward" else "item by item"
        name = f"{'seen' if figures.seen else 'unseen'} templates, {way}"
        rows.append({"task": figures.task, "name": name} | {key: gains[key].tolist() for key in KEYS})
    return {
        "rows": sorted(rows, key=lambda row: row["task"] != "straightforward"),
        "items": items,
        "examples": len(found_set.examples),
    }


def _tasks() -> list[Task]:
    """Both tasks in equal parts, by templates that name items by tokens and no customer by words: there are none."""
    tasks = [task for task in read_tasks() if task.name in ("sequential", "straightforward")]
    return [
        replace(
            task,
            weight=1.0,
            templates=tuple(
                template
                for template in task.templates
                if form_of(template) == "tokens"
                and "user" not in template.input[1::2]
                and ("customer" in template.input[1::2]) is (task.name == "straightforward")
            ),
        )
        for task in tasks
    ]


def _fused(ranker: RankingModel, histories: Sequence[npt.NDArray[np.int32]]) -> Vectors:
    blend = ranker.parts.blend
    return ranker.blend(blend, ranker.features(histories, channels=blend.channels).by_channel)


def _nearest(bundle: str, device: str, chunks: Sequence[Sequence[npt.NDArray[np.int32]]]) -> Iterator[Vectors]:
    """Cosines of all items to the vector of each customer."""
    now = Recommender.load(bundle, device=device).snapshot()
    items_ND, ids = now.parts.fused_ND.whole(), now.parts.catalogue.item_ids
    for chunk in chunks:
        embedded = now.embed_user_many([EmbedUserRequest(tuple(ids[row] for row in history)) for history in chunk])
        assert all(isinstance(one, UserEmbedding) for one in embedded)
        yield np.stack([one.vector for one in embedded if isinstance(one, UserEmbedding)]) @ items_ND.T
