"""Metrics of recommendation lists beyond accuracy: coverage, novelty, popularity bias, diversity.

Works on lists of catalogue rows, chunk by chunk, and keeps only sums; knows nothing about where lists come from.
"""

# Axes: B questions of a chunk, N items, K list places, D embedding dimensions

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch

LISTS_AT_ONCE = 4096
"""Lists whose embeddings are held at a time; bounds memory, changes nothing else."""


@dataclass(frozen=True, slots=True)
class ListFigures:
    """Metrics of all lists of a ranker, each by cut-off K.

    Attributes:
        coverage: Share of the catalogue that is in the first K of at least one list, 0 to 1.
        novelty: Mean self-information of the recommended items in bits, -log2 of each item's share of training events
            (one event is added to every item); Zhou et al. 2010, Vargas and Castells 2011. Higher is less obvious.
        popularity_ratio: Mean training events of the recommended items over that of the items of the histories they
            were recommended for; Abdollahpouri et al. 2019. Above 1 the list is more popular than its customer's taste.
        gini: Gini coefficient of how often each item is recommended: 0 for equal counts, near 1 for a single item.
        diversity: Mean of 1 - cosine between fused embeddings over the pairs of a list; Ziegler et al. 2005. NaN when
            no list has a pair.
    """

    coverage: dict[int, float]
    novelty: dict[int, float]
    popularity_ratio: dict[int, float]
    gini: dict[int, float]
    diversity: dict[int, float]

    def as_json(self) -> dict[str, float | None]:
        """Flat mapping with keys like ``coverage@10``; undefined values are None."""
        return {
            f"{name.replace('_', '-')}@{k}": value if math.isfinite(value) else None
            for name, values in asdict(self).items()
            for k, value in values.items()
        }


class ListTally:
    """Accumulates the lists of one ranker.

    Args:
        popularity_N: Training events of each item. Shape: (N,).
        fused_ND: Fused embeddings, unit norm; None leaves diversity out. Shape: (N, D), float32.
        cutoffs: Ascending list lengths.
    """

    def __init__(
        self,
        popularity_N: npt.NDArray[np.floating],
        fused_ND: npt.NDArray[np.float32] | None,
        cutoffs: Sequence[int],
    ) -> None:
        self.cutoffs = tuple(cutoffs)
        self._popularity_N = popularity_N.astype(np.float64)
        total = float(self._popularity_N.sum()) + len(popularity_N)
        self._information_N = math.log2(total) - np.log2(self._popularity_N + 1.0)
        self._fused_ND = fused_ND
        self._counts = {k: np.zeros(len(popularity_N), dtype=np.int64) for k in self.cutoffs}
        self._diversity = dict.fromkeys(self.cutoffs, 0.0)
        self._paired = dict.fromkeys(self.cutoffs, 0)
        self._history_popularity = 0.0
        self._questions = 0

    def add(self, lists_BK: npt.NDArray[np.int64], history_popularity_B: npt.NDArray[np.floating]) -> None:
        """Count a chunk.

        Args:
            lists_BK: Catalogue rows, best first, -1 past the end. Shape: (B, K), K at least min(largest cut-off, N).
            history_popularity_B: Mean training events of the items of each question's history. Shape: (B,).
        """
        self._history_popularity += float(history_popularity_B.sum())
        self._questions += len(lists_BK)
        for k in self.cutoffs:
            head_BK = lists_BK[:, :k]
            self._counts[k] += np.bincount(head_BK[head_BK >= 0], minlength=len(self._popularity_N))
        for begin in range(0, len(lists_BK) if self._fused_ND is not None else 0, LISTS_AT_ONCE):
            self._add_pairs(lists_BK[begin : begin + LISTS_AT_ONCE])

    def _add_pairs(self, lists_BK: npt.NDArray[np.int64]) -> None:
        assert self._fused_ND is not None
        begin, total_BD = 0, np.zeros((len(lists_BK), self._fused_ND.shape[1]))
        for k in self.cutoffs:
            part_BK = lists_BK[:, begin:k]
            there_BK = part_BK >= 0
            part_BKD = self._fused_ND[part_BK]
            if not there_BK.all():
                part_BKD *= there_BK[..., None]
            total_BD += part_BKD.sum(1)
            begin = k
            # |sum of unit vectors|^2 is their number plus twice the sum of the pairs' cosines.
            length_B = (lists_BK[:, :k] >= 0).sum(1)
            paired_B = length_B > 1
            cosine_B = ((total_BD**2).sum(1) - length_B) / np.maximum(length_B * (length_B - 1.0), 1.0)
            self._diversity[k] += float((1.0 - cosine_B)[paired_B].sum())
            self._paired[k] += int(paired_B.sum())

    def figures(self) -> ListFigures:
        """Metrics of all added lists."""
        history = self._history_popularity / max(self._questions, 1)
        totals = {k: max(int(counts_N.sum()), 1) for k, counts_N in self._counts.items()}
        return ListFigures(
            coverage={k: float((counts_N > 0).mean()) for k, counts_N in self._counts.items()},
            novelty={k: float(counts_N @ self._information_N / totals[k]) for k, counts_N in self._counts.items()},
            popularity_ratio={
                k: float(counts_N @ self._popularity_N / totals[k]) / history if history else math.nan
                for k, counts_N in self._counts.items()
            },
            gini={k: gini(counts_N) for k, counts_N in self._counts.items()},
            diversity={k: self._diversity[k] / self._paired[k] if self._paired[k] else math.nan for k in self.cutoffs},
        )


def gini(counts_N: npt.NDArray[np.int64]) -> float:
    """Gini coefficient of counts, 0 when all are equal, (N - 1) / N when only one is above 0."""
    total = int(counts_N.sum())
    if not total:
        return 0.0
    count = len(counts_N)
    weight_N = 2.0 * np.arange(1, count + 1) - count - 1
    return float(weight_N @ np.sort(counts_N)) / (count * total)


def unseen_items(histories: Sequence[npt.NDArray[np.int32]], items: int) -> npt.NDArray[np.bool_]:
    """Which of all `items` are not in each history. Shape: (B, N), bool."""
    unseen_BN = np.ones((len(histories), items), dtype=bool)
    for row, history in enumerate(histories):
        unseen_BN[row, history] = False
    return unseen_BN


def top_lists(
    scores_BN: npt.NDArray[np.float32], histories: Sequence[npt.NDArray[np.int32]] | None, k: int
) -> npt.NDArray[np.int64]:
    """The `k` best items of each question; ties go to the lower row, as in service.

    Args:
        scores_BN: Higher is better, never NaN. Shape: (B, N), float32; not changed.
        histories: Items that may not be in the lists, one array per question; None for no such items.
        k: List length.

    Returns:
        Catalogue rows, best first, -1 past the end. Shape: (B, min(k, N)), int64.
    """
    if histories is not None:
        scores_BN = scores_BN.copy()
        for row, history in enumerate(histories):
            scores_BN[row, history] = -np.inf
    k = min(k, scores_BN.shape[1])
    # A copy where numpy has a read-only view (popularity is one row for all), which torch must not write to.
    scores = torch.from_numpy(np.require(scores_BN, requirements=["C", "W"]))
    best = torch.topk(scores, min(k + 1, scores_BN.shape[1]), dim=1)
    values_BK, rows_BK = best.values.numpy()[:, :k].copy(), best.indices.numpy()[:, :k].copy()
    # torch chooses arbitrarily among items that tie with the last place; here the lower rows win. There is such a tie
    # where the place after the last has the same score.
    last_B1 = values_BK[:, -1:]
    ambiguous_B = (best.values.numpy()[:, k:] == last_B1).any(1)
    for row in np.flatnonzero(ambiguous_B & np.isfinite(last_B1[:, 0])).tolist():
        kept = int((values_BK[row] > last_B1[row]).sum())
        rows_BK[row, kept:] = np.flatnonzero(scores_BN[row] == last_B1[row])[: k - kept]
    order_BK = np.lexsort((rows_BK, -values_BK))
    rows_BK = np.take_along_axis(rows_BK, order_BK, axis=1)
    return np.where(np.isneginf(np.take_along_axis(values_BK, order_BK, axis=1)), -1, rows_BK)
