"""Measuring a recommender beside its parts and its floors, on one split, in one table.

Everything is learned from training events; weights are fitted on validation questions; the table is of test questions.
"""

# Axes: Q questions, B customers, N items, C channels, S candidates

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.channels.blend import Blend, BlendConfig, BlendSample, fit_blend
from mmrec.data.interactions import Interactions
from mmrec.data.splits import Split
from mmrec.evaluation.floors import Scorer, item_knn, last_item_transitions, popularity
from mmrec.evaluation.metrics import (
    MetricRow,
    Ranks,
    rank_targets,
    ranks_in_lists,
    summarise,
)
from mmrec.progress import NO_PROGRESS, Progress
from mmrec.recommender.ranker import CHANNELS, Ranker

__all__ = ["BLENDS", "Evaluation", "evaluate", "fit_blends"]

BLENDS: Mapping[str, tuple[str, ...]] = {
    "fused": CHANNELS,
    "generator": ("item-head", "semantic-id"),
    "graph-text": ("transitions", "lexical", "popularity"),
}
"""Rows that are blends, and the channels each may use: everything, the LLM alone, no LLM at all."""

PARTS = {"item-head": "item-head", "transition-graph": "transitions", "lexical": "lexical", "content": "content"}
"""Rows that are one channel."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A table of metrics.

    Attributes:
        rows: One per ranker and treatment of seen items.
        questions: Test users asked.
        items: Size of the catalogue that is ranked.
    """

    rows: tuple[MetricRow, ...]
    questions: int
    items: int

    def row(self, name: str, seen: str = "removed") -> MetricRow:
        """The row of a ranker."""
        return next(row for row in self.rows if (row.name, row.seen) == (name, seen))

    def as_json(self) -> dict[str, Any]:
        """``{"rows": [...], "questions": ..., "items": ...}``."""
        return {"rows": [row.as_json() for row in self.rows], "questions": self.questions, "items": self.items}


def fit_blends(
    ranker: Ranker, validation: Split, config: BlendConfig, progress: Progress = NO_PROGRESS
) -> dict[str, Blend]:
    """Weights of every blend of `BLENDS`, fitted on validation questions."""
    count = len(validation.targets_U)
    # Evenly spread rather than the first ones: files are often sorted.
    chosen = np.unique(np.linspace(0, max(count - 1, 0), min(config.questions, count)).astype(int))
    samples: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in BLENDS}
    progress.start("weigh channels", len(chosen), "users")
    for chunk in ranker.chunks(len(chosen)):
        rows = list(chosen[chunk.begin : chunk.end])
        histories = [validation.histories[row] for row in rows]
        eligible_BN = _unseen(histories, ranker.items)
        features = ranker.features(histories, eligible_BN).by_channel
        for place, row in enumerate(rows):
            target = int(validation.targets_U[row])
            if not eligible_BN[place, target]:
                continue
            own = {name: feature[place] for name, feature in features.items()}
            candidates = _candidates(own, eligible_BN[place], target, config.candidates)
            for name, channels in BLENDS.items():
                samples[name].append(np.stack([own[channel][candidates] for channel in channels]).astype(float))
        progress.advance(len(rows))
    progress.finish()
    return {name: fit_blend(BlendSample(samples[name], BLENDS[name]), config) for name in BLENDS}


def evaluate(
    ranker: Ranker,
    blends: Mapping[str, Blend],
    train: Interactions,
    test: Split,
    progress: Progress = NO_PROGRESS,
    *,
    only_fused: bool = False,
) -> Evaluation:
    """Rank every test target among the whole catalogue with everything there is.

    Args:
        ranker: The recommender.
        blends: From `fit_blends`.
        train: Training events, for the floors.
        test: Questions.
        progress: Told of every question.
        only_fused: Leave out the parts and the floors.
    """
    floors: dict[str, Scorer] = {}
    if not only_fused:
        floors = {
            "popularity": popularity(train, ranker.items),
            "transitions": last_item_transitions(train, ranker.items),
            "item-knn": item_knn(train, ranker.items),
        }
    gathered: dict[tuple[str, bool], list[Ranks]] = {}
    progress.start("evaluate", len(test.targets_U), "users")
    for chunk in ranker.chunks(len(test.targets_U)):
        histories = test.histories[chunk.begin : chunk.end]
        targets = test.targets_U[chunk.begin : chunk.end]
        floor_scores = {name: score(histories) for name, score in floors.items()}
        for remove_seen in (True, False):
            eligible_BN = _unseen(histories, ranker.items) if remove_seen else None
            channels = blends["fused"].channels if only_fused else CHANNELS
            features, generated_BW = ranker.features(histories, eligible_BN, channels=channels)
            scores = {"fused": blends["fused"].score(features)}
            if not only_fused:
                scores |= {name: blends[name].score(features) for name in BLENDS}
                scores |= {row: features[channel] for row, channel in PARTS.items()}
            if generated_BW is not None and not only_fused:
                gathered.setdefault(("semantic-id-beam", remove_seen), []).append(ranks_in_lists(generated_BW, targets))
            for name, score in (scores | floor_scores).items():
                gathered.setdefault((name, remove_seen), []).append(
                    rank_targets(score, targets, histories, remove_seen=remove_seen)
                )
        progress.advance(len(targets))
    progress.finish()
    order = ["fused", "generator", "item-head", "semantic-id-beam", "transition-graph", "lexical", "content"]
    order += ["graph-text", "item-knn", "transitions", "popularity"]
    rows = [
        summarise(name, _join(gathered[name, remove_seen]), remove_seen=remove_seen)
        for remove_seen in (True, False)
        for name in order
        if (name, remove_seen) in gathered
    ]
    return Evaluation(tuple(rows), len(test.targets_U), ranker.items)


def _unseen(histories: Sequence[npt.NDArray[np.int32]], items: int) -> npt.NDArray[np.bool_]:
    eligible_BN = np.ones((len(histories), items), dtype=bool)
    for row, history in enumerate(histories):
        eligible_BN[row, history] = False
    return eligible_BN


def _candidates(
    features: Mapping[str, npt.NDArray[np.float32]], eligible_N: npt.NDArray[np.bool_], target: int, keep: int
) -> npt.NDArray[np.int64]:
    """The answer first, then the eligible items that lead in any channel."""
    rows = np.flatnonzero(eligible_N)
    if len(rows) > keep:
        per_channel = max(1, keep // len(features))
        leaders = [rows[np.argpartition(-feature[rows], per_channel)[:per_channel]] for feature in features.values()]
        rows = np.unique(np.concatenate(leaders))
    return np.concatenate([[target], rows[rows != target]])


def _join(ranks: Sequence[Ranks]) -> Ranks:
    return Ranks(np.concatenate([part.above_Q for part in ranks]), np.concatenate([part.tied_Q for part in ranks]))
