"""The tables of recommendation quality: means over seeds with intervals, beside what must be and what is aimed at.

Works on ranks per question; knows nothing of how they came about.
"""

# Axes: Q questions, U users, R resamples

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.intervals import Estimate, mean_estimate, ratio_estimate, shown
from mmrec.evaluation.metrics import Ranks

K = 10
DIGITS = 4
"""The fourth counts here."""
COLUMNS = (
    "set",
    "ranked by",
    "seeds",
    "HR@10",
    "NDCG@10",
    "spread of NDCG@10",
    "NDCG@10 - everything fused",
    "HR@10, seen kept",
    "NDCG@10, seen kept",
    "must",
    "aim",
    "met",
)
COLD_COLUMNS = (
    "set",
    "contender",
    "ranked by",
    "seeds",
    "Recall@10",
    "x chance",
    "fused - this",
    "must",
    "aim",
    "met",
)
COLD_TIMES_CHANCE = 5.0


class Target(NamedTuple):
    """What a figure must be, and what is aimed at."""

    must: float
    aim: float


TARGETS: Mapping[tuple[str, str], Mapping[str, Target]] = {
    ("beauty", "everything fused"): {"NDCG@10": Target(0.0680, 0.0720)},
    ("beauty", "item head of the LLM alone"): {"NDCG@10": Target(0.0510, 0.0610)},
    ("beauty", "semantic-ID beam alone"): {"NDCG@10": Target(0.0400, 0.0531)},
    ("movielens", "everything fused"): {"HR@10": Target(0.215, 0.235), "NDCG@10": Target(0.115, 0.128)},
}
"""By set and row; metrics with seen items removed, means over seeds."""


class QualityRow(NamedTuple):
    """One ranker on one set.

    Attributes:
        set: The set.
        name: What it is called in the table.
        removed: Ranks by seed, seen items removed. The questions are the same for all rows of a set.
        kept: The same, seen items kept; empty where that was not asked.
    """

    set: str
    name: str
    removed: dict[int, Ranks]
    kept: dict[int, Ranks]


class ColdRow(NamedTuple):
    """One ranker for the cold items of one set.

    Attributes:
        set: The set.
        contender: What the fit could see of items.
        name: What ranked.
        ranks: By seed.
        users_Q: User of each question. Shape: (Q,).
        chance: Recall@10 of a blind ranking.
    """

    set: str
    contender: str
    name: str
    ranks: dict[int, Ranks]
    users_Q: npt.NDArray[np.int64]
    chance: float


class Cells(NamedTuple):
    """A row of a table, and the same in figures."""

    cells: tuple[Any, ...]
    details: dict[str, Any]


def met(figures: Mapping[str, float], targets: Mapping[str, Target]) -> str:
    """``aim``, ``must``, or what is missing of what must be; empty without targets."""
    if not targets:
        return ""
    short = [
        f"{1 - figures[name] / target.must:.1%} below must on {name}"
        for name, target in targets.items()
        if figures[name] < target.must
    ]
    if short:
        return "; ".join(short)
    return "aim" if all(figures[name] >= target.aim for name, target in targets.items()) else "must"


def quality_cells(row: QualityRow, fused: QualityRow | None, weights_RU: npt.NDArray[np.int64]) -> Cells:
    """One line of the table of warm questions.

    Args:
        row: The line.
        fused: What it is compared with, on the seeds that both have; None for the line that all are compared with.
        weights_RU: How often each user is drawn in each resample.
    """
    recall_SU, ndcg_SU = _by_seed(row.removed, "recall"), _by_seed(row.removed, "ndcg")
    recall, ndcg = mean_estimate(recall_SU.mean(0), weights_RU), mean_estimate(ndcg_SU.mean(0), weights_RU)
    by_seed = [float(value) for value in ndcg_SU.mean(1)]
    difference = None
    if fused is not None and (shared := sorted(set(row.removed) & set(fused.removed))):
        own_U = np.mean([row.removed[seed].ndcg_at(K) for seed in shared], axis=0)
        other_U = np.mean([fused.removed[seed].ndcg_at(K) for seed in shared], axis=0)
        difference = mean_estimate(own_U - other_U, weights_RU)
    kept = [float(_by_seed(row.kept, metric).mean()) if row.kept else None for metric in ("recall", "ndcg")]
    targets = TARGETS.get((row.set, row.name), {})
    figures = {"HR@10": recall.value, "NDCG@10": ndcg.value}
    cells = (
        row.set,
        row.name,
        len(row.removed),
        shown(recall, digits=DIGITS),
        shown(ndcg, digits=DIGITS),
        f"{np.std(by_seed, ddof=1):.4f}" if len(by_seed) > 1 else None,
        shown(difference, sign=True, digits=DIGITS) if difference else None,
        *(None if figure is None else f"{figure:.4f}" for figure in kept),
        _listed(targets, "must"),
        _listed(targets, "aim"),
        met(figures, targets),
    )
    details = {
        "set": row.set,
        "ranked by": row.name,
        "seeds": sorted(row.removed),
        "HR@10": recall.as_json(),
        "NDCG@10": ndcg.as_json(),
        "NDCG@10 by seed": by_seed,
        "NDCG@10 - everything fused": difference and difference.as_json(),
        "HR@10, seen kept": kept[0],
        "NDCG@10, seen kept": kept[1],
    }
    return Cells(cells, details)


def cold_cells(row: ColdRow, fused: ColdRow | None, weights_RU: npt.NDArray[np.int64]) -> Cells:
    """One line of the table of cold items: a mean over questions, with an interval over users.

    Args:
        row: The line.
        fused: Everything fused, asked the same questions; None for its own line, and where it was not measured.
        weights_RU: How often each user is drawn in each resample.
    """
    recall_Q = _by_seed(row.ranks, "recall").mean(0)
    recall = _over_users(recall_Q, row.users_Q, weights_RU)
    difference = None
    if fused is not None and (shared := sorted(set(row.ranks) & set(fused.ranks))):
        own_Q = np.mean([row.ranks[seed].recall_at(K) for seed in shared], axis=0)
        other_Q = np.mean([fused.ranks[seed].recall_at(K) for seed in shared], axis=0)
        difference = _over_users(other_Q - own_Q, row.users_Q, weights_RU)
    must, aim, verdict = "", "", ""
    if row.name == "fused":
        if row.contender == "fused":
            enough = recall.value >= COLD_TIMES_CHANCE * row.chance
            must = f"{COLD_TIMES_CHANCE:g} x chance = {COLD_TIMES_CHANCE * row.chance:.4f}"
            verdict = "must" if enough else f"{1 - recall.value / (COLD_TIMES_CHANCE * row.chance):.1%} below must"
        else:
            must, verdict = "above 0", "must" if recall.low > 0 else "not surely above 0"
        if difference is not None:
            aim = "fused is above"
            verdict += "; aim" if difference.low > 0 else "; not above" if difference.high < 0 else "; not sure"
    cells = (
        row.set,
        row.contender,
        row.name,
        len(row.ranks),
        shown(recall, digits=DIGITS),
        f"{recall.value / row.chance:.1f}",
        shown(difference, sign=True, digits=DIGITS) if difference else None,
        must,
        aim,
        verdict,
    )
    details = {
        "set": row.set,
        "contender": row.contender,
        "ranked by": row.name,
        "seeds": sorted(row.ranks),
        "Recall@10": recall.as_json(),
        "chance": row.chance,
        "fused - this": difference and difference.as_json(),
    }
    return Cells(cells, details)


def _by_seed(ranks: Mapping[int, Ranks], metric: str) -> npt.NDArray[np.float64]:
    """Shape: (seeds, Q)."""
    parts = [found.recall_at(K) if metric == "recall" else found.ndcg_at(K) for _, found in sorted(ranks.items())]
    return np.stack(parts)


def _over_users(
    values_Q: npt.NDArray[np.float64], users_Q: npt.NDArray[np.int64], weights_RU: npt.NDArray[np.int64]
) -> Estimate:
    _, place_Q, count_U = np.unique(users_Q, return_inverse=True, return_counts=True)
    sums_U = np.bincount(place_Q, weights=values_Q, minlength=len(count_U)).astype(np.float64)
    return ratio_estimate(sums_U, count_U.astype(np.float64), weights_RU)


def _listed(targets: Mapping[str, Target], which: str) -> str:
    return ", ".join(f"{name} {getattr(target, which):.4g}" for name, target in targets.items())


def fit_cells(name: str, record: Mapping[str, Any], most_minutes: float, most_gib: float) -> Cells:
    """One line of the table of fits: where the time went, and how much memory it took.

    Args:
        name: Of the piece.
        record: What the fit said of itself.
        most_minutes: What a fit may take; 0 for no limit.
        most_gib: The same of memory.
    """
    seconds: Mapping[str, float] = record["seconds"]
    total = sum(seconds.values()) / 60
    stages = ", ".join(f"{stage} {value / 60:.1f}" for stage, value in seconds.items() if value >= 0.6)
    epochs: Sequence[Mapping[str, Any]] = record["epochs"]
    best = record["best_epoch"]
    verdict = ""
    if most_minutes:
        over = [
            f"{total:.0f} minutes" if total > most_minutes else "",
            f"{record['peak_gib']:.1f} GiB" if record["peak_gib"] > most_gib else "",
        ]
        verdict = ("too much: " + ", ".join(filter(None, over))) if any(over) else "must"
    cells = (
        name,
        f"{total:.1f}",
        stages,
        f"{record['peak_gib']:.2f}",
        f"{best} of {len(epochs)}",
        f"{epochs[best - 1]['ndcg_at_10']:.4f}" if 0 < best <= len(epochs) else None,
        f"{most_minutes:g} min, {most_gib:g} GiB" if most_minutes else "",
        verdict,
    )
    return Cells(cells, {"piece": name, **record})
