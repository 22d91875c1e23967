"""Ranking metrics over a whole catalogue, in expectation over ties.

Works on scores and targets; knows nothing about where scores come from. An item tied with g others has each of the
g + 1 places with equal probability, and the metric is the expectation: a ranker with constant scores has exactly the
value of a random one.
"""

# Axes: Q questions, N items, K list length

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.intervals import Interval
from mmrec.evaluation.lists import ListFigures

CUTOFFS = (5, 10, 20)
"""List lengths the tables report."""

MAIN_CUTOFF = 10
"""The list length of tables with room for one."""

NOT_FOUND = np.iinfo(np.int32).max
"""Items above a target that cannot be recommended at all."""


class Ranks(NamedTuple):
    """Ranks of the targets.

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
        return self._expected(1.0 / np.log2(np.arange(k) + 2.0))

    def mrr_at(self, k: int) -> npt.NDArray[np.float64]:
        """Expected 1 / rank inside the first `k`, ranks from 1. Shape: (Q,)."""
        return self._expected(1.0 / (np.arange(k) + 1.0))

    def _expected(self, gain_K: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Mean gain over the places that a target shares with the items it is tied with; 0 past the last place."""
        k = len(gain_K)
        total = np.concatenate([[0.0], np.cumsum(gain_K)])
        begin = np.minimum(self.above_Q, k)
        end = np.minimum(self.above_Q + self.tied_Q + 1, k)
        return np.asarray((total[end] - total[begin]) / (self.tied_Q + 1))

    def per_question(self, cutoffs: Sequence[int] = CUTOFFS) -> dict[str, npt.NDArray[np.float64]]:
        """Every metric of every question, with keys like ``recall@10``. Shape of each: (Q,)."""
        return {
            f"{name}@{k}": metric(k)
            for name, metric in (("recall", self.recall_at), ("ndcg", self.ndcg_at), ("mrr", self.mrr_at))
            for k in cutoffs
        }

    def take(self, chosen: npt.NDArray[Any]) -> Ranks:
        """The ranks of chosen questions. Shape: (Q,) booleans, or (M,) integers."""
        return Ranks(self.above_Q[chosen], self.tied_Q[chosen])


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One line of an evaluation table.

    Attributes:
        name: What was ranked with, e.g. ``fused``.
        seen: ``removed`` when items of the history cannot be recommended, else ``kept``.
        recall: By cut-off, 0 to 1.
        ndcg: By cut-off, 0 to 1.
        users: Questions asked.
        mrr: By cut-off, 0 to 1.
        intervals: 95% bootstrap interval over questions of each metric, by keys like ``ndcg@10``.
        lists: List metrics; None where there are no lists.
    """

    name: str
    seen: str
    recall: dict[int, float]
    ndcg: dict[int, float]
    users: int
    mrr: dict[int, float] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    lists: ListFigures | None = None

    def as_json(self) -> dict[str, object]:
        """Flat mapping with keys like ``recall@10``; ``intervals`` holds [low, high] by the same keys."""
        return {
            "name": self.name,
            "seen": self.seen,
            **{f"recall@{k}": value for k, value in self.recall.items()},
            **{f"ndcg@{k}": value for k, value in self.ndcg.items()},
            **{f"mrr@{k}": value for k, value in self.mrr.items()},
            **(self.lists.as_json() if self.lists is not None else {}),
            **({"intervals": {key: list(pair) for key, pair in self.intervals.items()}} if self.intervals else {}),
            "users": self.users,
        }


def checked_cutoffs(cutoffs: Sequence[int], items: int) -> tuple[int, ...]:
    """`cutoffs` in ascending order.

    Raises:
        InvalidArgumentError: there are none, or one is below 1 or above the number of items.
    """
    found = tuple(sorted(set(cutoffs)))
    if not found or found[0] < 1 or found[-1] > items:
        raise InvalidArgumentError(
            f"the cut-offs are {', '.join(map(str, cutoffs)) or 'empty'}; each must lie between 1 and the "
            f"catalogue's {items:,} items, because a longer list cannot be filled",
            field="cutoffs",
        )
    return found


def main_cutoff(cutoffs: Sequence[int]) -> int:
    """The list length of tables with room for one: 10, or the longest when 10 is not among them."""
    return MAIN_CUTOFF if MAIN_CUTOFF in cutoffs else max(cutoffs)


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
        remove_seen: Whether seen items are removed from the ranking. A target seen before is then never found, as in
            service.
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


def summarise(
    name: str,
    ranks: Ranks,
    *,
    seen: str,
    cutoffs: Sequence[int] = CUTOFFS,
    intervals: Mapping[str, Interval] | None = None,
) -> MetricRow:
    """Mean metrics at every cut-off."""
    return MetricRow(
        name=name,
        seen=seen,
        recall={k: float(ranks.recall_at(k).mean()) for k in cutoffs},
        ndcg={k: float(ranks.ndcg_at(k).mean()) for k in cutoffs},
        mrr={k: float(ranks.mrr_at(k).mean()) for k in cutoffs},
        users=len(ranks.above_Q),
        intervals=intervals or {},
    )


def join_ranks(parts: Sequence[Ranks]) -> Ranks:
    """Ranks of consecutive chunks of questions as one."""
    return Ranks(np.concatenate([part.above_Q for part in parts]), np.concatenate([part.tied_Q for part in parts]))
