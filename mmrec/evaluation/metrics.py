"""Ranking metrics over a whole catalogue, fair to ties.

Works on scores and targets; knows nothing about where scores come from. An item tied with g others takes each of the
g + 1 places with equal chance, and the metric is its expectation: a ranker that gives everything one score gets
exactly what chance gets.
"""

# Axes: Q questions, N items, K list length

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["CUTOFFS", "MetricRow", "Ranks", "rank_targets", "ranks_in_lists", "summarise"]

CUTOFFS = (5, 10)
"""List lengths the tables report."""

NOT_FOUND = np.iinfo(np.int32).max
"""Items above a target that cannot be recommended at all."""


class Ranks(NamedTuple):
    """Where the targets landed.

    Attributes:
        above_Q: Eligible items with a higher score than the target. Shape: (Q,), int64.
        tied_Q: Other eligible items with the target's own score. Shape: (Q,), int64.
    """

    above_Q: npt.NDArray[np.int64]
    tied_Q: npt.NDArray[np.int64]

    def recall_at(self, k: int) -> npt.NDArray[np.float64]:
        """Chance that each target is among the first `k`. With one target, Recall@K equals HR@K. Shape: (Q,)."""
        return np.clip((k - self.above_Q) / (self.tied_Q + 1), 0.0, 1.0)

    def ndcg_at(self, k: int) -> npt.NDArray[np.float64]:
        """Expected 1 / log2(rank + 1) inside the first `k`, ranks from 1; the ideal is 1. Shape: (Q,)."""
        gain = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(k) + 2.0))])
        begin = np.minimum(self.above_Q, k)
        end = np.minimum(self.above_Q + self.tied_Q + 1, k)
        return np.asarray((gain[end] - gain[begin]) / (self.tied_Q + 1))


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One line of an evaluation table.

    Attributes:
        name: What was ranked with, e.g. ``fused``.
        seen: ``removed`` when items of the history cannot be recommended, else ``kept``.
        recall: By cut-off, 0 to 1.
        ndcg: By cut-off, 0 to 1.
        users: Questions asked.
    """

    name: str
    seen: str
    recall: dict[int, float]
    ndcg: dict[int, float]
    users: int

    def as_json(self) -> dict[str, object]:
        """Flat mapping with keys like ``recall@10``."""
        return {
            "name": self.name,
            "seen": self.seen,
            **{f"recall@{k}": value for k, value in self.recall.items()},
            **{f"ndcg@{k}": value for k, value in self.ndcg.items()},
            "users": self.users,
        }


def rank_targets(
    scores_QN: npt.NDArray[np.float32],
    targets_Q: npt.NDArray[np.int32],
    histories: Sequence[npt.NDArray[np.int32]],
    *,
    remove_seen: bool,
) -> Ranks:
    """Rank each target among all items.

    Args:
        scores_QN: Higher is better. Shape: (Q, N), float32; not changed.
        targets_Q: Catalogue row of the right answer. Shape: (Q,), int32.
        histories: Items seen before, one array per question.
        remove_seen: Whether seen items leave the ranking. A target that was seen before is then never found, which
            is what happens to it in service.
    """
    target_Q1 = scores_QN[np.arange(len(targets_Q)), targets_Q][:, None]
    above_Q = (scores_QN > target_Q1).sum(1)
    tied_Q = (scores_QN == target_Q1).sum(1) - 1
    if remove_seen:
        for row, history in enumerate(histories):
            seen = np.unique(history)
            if targets_Q[row] in seen:
                above_Q[row], tied_Q[row] = NOT_FOUND, 0
                continue
            above_Q[row] -= (scores_QN[row, seen] > target_Q1[row]).sum()
            tied_Q[row] -= (scores_QN[row, seen] == target_Q1[row]).sum()
    return Ranks(above_Q.astype(np.int64), tied_Q.astype(np.int64))


def ranks_in_lists(lists_QK: npt.NDArray[np.int64], targets_Q: npt.NDArray[np.int32]) -> Ranks:
    """Ranks from ranked lists, which know no ties; a target that is not in its list counts as past its end.

    Args:
        lists_QK: Catalogue rows, best first, -1 past the end. Shape: (Q, K), int64.
        targets_Q: Shape: (Q,), int32.
    """
    hit_QK = lists_QK == targets_Q[:, None]
    above_Q = np.where(hit_QK.any(1), hit_QK.argmax(1), NOT_FOUND)
    return Ranks(above_Q.astype(np.int64), np.zeros(len(targets_Q), dtype=np.int64))


def summarise(name: str, ranks: Ranks, *, remove_seen: bool) -> MetricRow:
    """Mean metrics at every cut-off of `CUTOFFS`."""
    return MetricRow(
        name=name,
        seen="removed" if remove_seen else "kept",
        recall={k: float(ranks.recall_at(k).mean()) for k in CUTOFFS},
        ndcg={k: float(ranks.ndcg_at(k).mean()) for k in CUTOFFS},
        users=len(ranks.above_Q),
    )
