"""Retrieval metrics on unit vectors: recall at k and median rank.

Computed block by block, so that memory grows linearly with the number of candidates.
"""

# Axes: Q queries, C candidates, D dimensions, B queries of a block

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmrec_encoders.protocols import Vectors

BLOCK_VALUES = 16_000_000
"""Scores in memory at a time; does not change results."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Figures of one direction.

    Attributes:
        queries: Number of queries.
        candidates: Number of candidates.
        recall_1: Share of queries whose best correct candidate is ranked first.
        recall_5: Likewise, among the first five.
        recall_10: Likewise, among the first ten.
        median_rank: Of the best correct candidate; 1 is best.
    """

    queries: int
    candidates: int
    recall_1: float
    recall_5: float
    recall_10: float
    median_rank: float


def retrieval(
    queries_QD: Vectors, candidates_CD: Vectors, query_label_Q: npt.NDArray[np.int64], label_C: npt.NDArray[np.int64]
) -> Retrieval:
    """Metrics of queries whose correct candidates have the same label; see `rank_of_right`."""
    rank_Q = rank_of_right(queries_QD, candidates_CD, query_label_Q, label_C)

    def recall(k: int) -> float:
        return float((rank_Q <= k).mean())

    return Retrieval(len(rank_Q), len(label_C), recall(1), recall(5), recall(10), float(np.median(rank_Q)))


def rank_of_right(
    queries_QD: Vectors, candidates_CD: Vectors, query_label_Q: npt.NDArray[np.int64], label_C: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Rank of each query's best correct candidate among the incorrect ones.

    Incorrect candidates with an equal score count half, so that constant vectors rank in the middle and not first.

    Args:
        queries_QD: Unit rows. Shape: (Q, D), at least one.
        candidates_CD: Unit rows. Shape: (C, D).
        query_label_Q: Each is the label of at least one candidate. Shape: (Q,).
        label_C: Shape: (C,).

    Returns:
        1 is best. Shape: (Q,), float64.
    """
    ranks = []
    block = max(1, BLOCK_VALUES // max(1, len(label_C)))
    for at in range(0, len(query_label_Q), block):
        score_BC = queries_QD[at : at + block] @ candidates_CD.T
        right_BC = query_label_Q[at : at + block, None] == label_C[None, :]
        best_B1 = np.where(right_BC, score_BC, -np.inf).max(axis=1, keepdims=True)
        above_B = ((score_BC > best_B1) & ~right_BC).sum(axis=1)
        equal_B = ((score_BC == best_B1) & ~right_BC).sum(axis=1)
        ranks.append(1.0 + above_B + equal_B / 2.0)
    return np.concatenate(ranks)
