"""Reranking: from scores to a list with diversity, quotas and popularity damping.

Works on the scores of one customer's candidates; knows nothing about models, filter expressions or requests. A list is
filled place by place. Places of a quota are due evenly over the list: with three in ten, the first at the second place
and the next at the sixth. Where enough items of the quota are there by their scores, nothing is moved. An item that is
moved up gets the score of the item whose place it takes, so scores never rise down the list.

Variety is maximal marginal relevance (Carbonell and Goldstein 1998, "The use of MMR, diversity-based reranking for
reordering documents and producing summaries"): each place goes to the item with the best of its own score less its
similarity to the most similar item before it.
"""

# Axes: N items, K results, C candidates for the places, L quantised levels, D fused dimensions, Q quotas

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.segments import Segmented
from mmrec.errors import InvalidArgumentError

Rows = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Bitmap = npt.NDArray[np.bool_]

LEAST_POOL, MOST_POOL = 100, 2_000
"""Bounds of the candidates (ten per place) that a diverse list is chosen from."""


BLOCK = 1024
"""Scores per block; the maximum of each block is compared first."""


class Ranked(NamedTuple):
    """One customer's results.

    Attributes:
        rows_K: Catalogue rows, best first; ties go to the lower row. Shape: (K,), int64.
        scores_K: Shape: (K,), float32.
    """

    rows_K: Rows
    scores_K: Scores


class Quota(NamedTuple):
    """Places that some items are guaranteed.

    Attributes:
        name: Name of what it adds to scores, in explanations.
        members_N: The items. Shape: (N,), bool.
        share: Share of the places, 0 to 1.
        guaranteed: True: the share is rounded up to whole places and served first. False: it is rounded to the nearest
            and gets the places that are left.
    """

    name: str
    members_N: Bitmap
    share: float
    guaranteed: bool = True


class Likeness(NamedTuple):
    """Similarity of items: the mean of the share of leading codes that their semantic IDs share and of the cosine.

    Attributes:
        paths_NP: Semantic IDs; the last code, which only separates collisions, is ignored. Shape: (N, P), int.
        vectors_ND: Fused embeddings, unit norm. Shape: (N, D), float32.
        rows_A: Catalogue rows of the items among which a list is arranged, if it is not arranged among all. Shape:
            (A,), int64.
    """

    paths_NP: Segmented[npt.NDArray[Any]]
    vectors_ND: Segmented[npt.NDArray[np.float32]]
    rows_A: Rows | None = None

    def to(self, row: int, rows_C: Rows) -> npt.NDArray[np.float64]:
        """Similarity of items to one item, 0 to 1; a negative cosine counts as 0. Shape: (C,), float64."""
        if self.rows_A is not None:
            row, rows_C = int(self.rows_A[row]), self.rows_A[rows_C]
        same_CL = self.paths_NP[rows_C][:, :-1] == self.paths_NP[row][:-1]
        levels = max(same_CL.shape[1], 1)
        shared_C = np.logical_and.accumulate(same_CL, axis=1).sum(axis=1) / levels
        cosine_C = self.vectors_ND[rows_C] @ self.vectors_ND[row]
        return np.asarray((shared_C + np.clip(cosine_C, 0.0, 1.0)) / 2, np.float64)


class Arranged(NamedTuple):
    """A reranked list.

    Attributes:
        rows_K: Catalogue rows in the order of the list. Shape: (K,), int64.
        scores_K: Scores, `added_K` included. Shape: (K,), float32.
        added_K: What a quota added to each score, 0 or more. Shape: (K,), float64.
        quota_K: Index of that quota; -1 for none. Shape: (K,), int64.
    """

    rows_K: Rows
    scores_K: Scores
    added_K: npt.NDArray[np.float64]
    quota_K: npt.NDArray[np.int64]


def top_k(scores_N: Scores, eligible_N: Bitmap, k: int) -> Ranked:
    """The `k` best eligible items, or all of them when there are fewer; ties go to the lower row.

    Args:
        scores_N: Higher is better, never NaN. Shape: (N,), float32.
        eligible_N: Shape: (N,), bool.
        k: 1 or more.
    """
    if k < 1:
        raise InvalidArgumentError(f"k is {k}; it must be 1 or more", field="k")
    masked_N = np.where(eligible_N, scores_N, np.float32(-np.inf))
    rows = np.flatnonzero(masked_N >= _least(masked_N, k))
    if len(rows) > np.count_nonzero(eligible_N):
        rows = np.flatnonzero(eligible_N)
    if len(rows) > k:
        scores = scores_N[rows]
        least = np.partition(scores, len(rows) - k)[len(rows) - k]
        above = rows[scores > least]
        rows = np.sort(np.concatenate([above, rows[scores == least][: k - len(above)]]))
    order = np.argsort(-scores_N[rows], kind="stable")
    return Ranked(rows[order].astype(np.int64), scores_N[rows[order]])


def _least(scores_N: Scores, k: int) -> np.float32:
    """A lower bound of the k-th best score, from the maxima of blocks; it rules out most other scores."""
    blocks = len(scores_N) // BLOCK
    if blocks < k:
        return np.float32(-np.inf)
    largest = scores_N[: blocks * BLOCK].reshape(blocks, BLOCK).max(axis=1)
    # The maxima of `k` blocks reach it, so at least `k` scores do.
    return np.float32(np.partition(largest, blocks - k)[blocks - k])


def damping(scores_N: Scores, log_popularity_N: npt.NDArray[np.float32], strength: float) -> Scores:
    """What to add to scores to damp popular items, 0 or less.

    At full strength an item that is a standard deviation of log popularity more popular loses a standard deviation of
    the score; both are taken over the candidates. A ranking by log popularity alone is then flat.

    Args:
        scores_N: Higher is better. Shape: (N,), float32.
        log_popularity_N: 0 or more; 0 for an item without events. Shape: (N,), float32.
        strength: 0 (nothing) to 1.

    Returns:
        Shape: (N,), float32.
    """
    spread = float(log_popularity_N.astype(np.float64).std()) if len(log_popularity_N) else 0.0
    if not strength or spread < 1e-9:
        return np.zeros_like(scores_N)
    per_unit = strength * float(scores_N.astype(np.float64).std()) / spread
    return np.asarray(-per_unit * log_popularity_N, np.float32)


def quota_places(quotas: Sequence[Quota], tiers: Sequence[Bitmap], places: int) -> list[int]:
    """Number of places of each quota: its share, limited by the items and places there are.

    Args:
        quotas: Shares of the guaranteed ones sum to at most 1.
        tiers: Items that may be shown; items of an earlier tier come before all of a later one. Shape of each: (N,),
            bool.
        places: Length of the list.
    """
    wanted = [_whole(quota, places) for quota in quotas]
    floors = [math.floor(quota.share * places + 1e-9) for quota in quotas]
    sure = [q for q, quota in enumerate(quotas) if quota.guaranteed]
    # Rounded-up shares may exceed the places: the quotas that gained most are rounded down, the last first.
    for q in sorted(sure, key=lambda q: (quotas[q].share * places - floors[q], -q)):
        if sum(wanted[q] for q in sure) > places:
            wanted[q] = min(wanted[q], floors[q])
    for q, quota in enumerate(quotas):
        there, left = 0, places
        for tier_N in tiers:
            there += min(int(np.count_nonzero(tier_N & quota.members_N)), left)
            left -= min(int(np.count_nonzero(tier_N)), left)
        wanted[q] = min(wanted[q], there)
    free = places - sum(wanted[q] for q in sure)
    for q, quota in enumerate(quotas):
        if not quota.guaranteed:
            wanted[q] = min(wanted[q], free)
            free -= wanted[q]
    return wanted


def arrange(
    scores_N: Scores,
    tiers: Sequence[Bitmap],
    k: int,
    quotas: Sequence[Quota] = (),
    *,
    diversity: float = 0.0,
    likeness: Likeness | None = None,
) -> Arranged:
    """Rerank: a list of exactly ``min(k, items of the tiers)`` distinct items.

    Args:
        scores_N: Higher is better, finite. Shape: (N,), float32.
        tiers: Items that may be shown; items of an earlier tier come before all of a later one, and none is in two.
            Shape of each: (N,), bool.
        k: 1 or more.
        quotas: Places that some items are guaranteed.
        diversity: 0 (best first) to 1 (as different from each other as possible); the first item stays.
        likeness: Similarity of items; needed with `diversity`.
    """
    sizes = [int(np.count_nonzero(tier_N)) for tier_N in tiers]
    places = min(k, sum(sizes))
    if diversity == 0 or likeness is None:
        likeness = None
    if likeness is None and not any(quota.share for quota in quotas):
        return _plain(scores_N, tiers, sizes, k)
    due = [[int((j + 0.5) * places / wanted) for j in range(wanted)] for wanted in quota_places(quotas, tiers, places)]
    filling = _Filling(quotas, due, diversity, likeness)
    for tier_N, size in zip(tiers, sizes, strict=True):
        count = min(size, places - len(filling.rows))
        if count:
            rows_C = _candidates(scores_N, tier_N, count, quotas, varied=likeness is not None)
            filling.fill(rows_C, scores_N[rows_C], count)
    added_K = np.array(filling.added, np.float64)
    rows_K = np.array(filling.rows, np.int64)
    scores_K = (scores_N[rows_K].astype(np.float64) + added_K).astype(np.float32)
    return Arranged(rows_K, scores_K, added_K, np.array(filling.quota, np.int64))


def _plain(scores_N: Scores, tiers: Sequence[Bitmap], sizes: Sequence[int], k: int) -> Arranged:
    """The best of each tier, tier by tier."""
    found: list[Ranked] = []
    for tier_N, size in zip(tiers, sizes, strict=True):
        left = k - sum(len(part.rows_K) for part in found)
        if not found or (left and size):
            found.append(top_k(scores_N, tier_N, left))
    rows_K = np.concatenate([part.rows_K for part in found])
    scores_K = np.concatenate([part.scores_K for part in found])
    return Arranged(rows_K, scores_K, np.zeros(len(rows_K)), np.full(len(rows_K), -1, np.int64))


def _whole(quota: Quota, places: int) -> int:
    exact = quota.share * places
    return min(places, math.ceil(exact - 1e-9) if quota.guaranteed else math.floor(exact + 0.5))


def _candidates(scores_N: Scores, tier_N: Bitmap, count: int, quotas: Sequence[Quota], *, varied: bool) -> Rows:
    """Candidates for the places of a tier, best first: its best items and the best of each quota."""
    pool = max(count, min(max(10 * count, LEAST_POOL), MOST_POOL)) if varied else count
    parts = [top_k(scores_N, tier_N, pool).rows_K]
    parts += [top_k(scores_N, tier_N & quota.members_N, pool).rows_K for quota in quotas if quota.share]
    rows_C = np.unique(np.concatenate(parts))
    return np.asarray(rows_C[np.argsort(-scores_N[rows_C], kind="stable")], np.int64)


class _Filling:
    """A list that is being filled.

    Args:
        quotas: Places that some items are guaranteed.
        due: For each quota the places at which its items are due, ascending.
        diversity: Weight of the similarity, 0 to 1.
        likeness: None without diversity.
    """

    def __init__(
        self, quotas: Sequence[Quota], due: Sequence[list[int]], diversity: float, likeness: Likeness | None
    ) -> None:
        self._quotas, self._due, self._diversity, self._likeness = quotas, due, diversity, likeness
        self._have = [0] * len(quotas)
        self.rows: list[int] = []
        self.added: list[float] = []
        self.quota: list[int] = []

    def fill(self, rows_C: Rows, scores_C: Scores, count: int) -> None:
        """Fill the next `count` places from at least as many candidates."""
        members_QC = np.array([quota.members_N[rows_C] for quota in self._quotas], bool).reshape(-1, len(rows_C))
        worth_C = scores_C.astype(np.float64)
        closest_C = np.zeros(len(rows_C))
        if self._likeness is not None:
            # Scores have any unit; scale them to 0..1 like the similarity.
            width = worth_C.max() - worth_C.min()
            worth_C = (1 - self._diversity) * (worth_C - worth_C.min()) / (width or 1.0)
            for row in self.rows:
                closest_C = np.maximum(closest_C, self._likeness.to(row, rows_C))
        free_C = np.ones(len(rows_C), np.bool_)
        for left in range(count, 0, -1):
            # The first item of the list is always the best by score.
            gain_C = worth_C - self._diversity * closest_C if self.rows else scores_C
            best = int(np.argmax(np.where(free_C, gain_C, -np.inf)))
            chosen, owed = best, self._owed(members_QC & free_C, left)
            if owed >= 0 and not members_QC[owed, best]:
                chosen = int(np.argmax(np.where(free_C & members_QC[owed], gain_C, -np.inf)))
            else:
                owed = -1
            lack = max(0.0, float(scores_C[best]) - float(scores_C[chosen]))
            free_C[chosen] = False
            for q in np.flatnonzero(members_QC[:, chosen]):
                self._have[q] += 1
            self.rows.append(int(rows_C[chosen]))
            self.added.append(lack)
            self.quota.append(owed if lack else -1)
            if self._likeness is not None:
                closest_C = np.maximum(closest_C, self._likeness.to(self.rows[-1], rows_C))

    def _owed(self, there_QC: Bitmap, left: int) -> int:
        """The quota that gets the next place, -1 for none: the one most behind; ties go to the first."""
        behind = [bisect_right(due, len(self.rows)) - have for due, have in zip(self._due, self._have, strict=True)]
        needs = [
            min(max(0, len(due) - have), int(there_C.sum()))
            for due, have, there_C in zip(self._due, self._have, there_QC, strict=True)
        ]
        short = sum(needs) >= left
        owed = [q for q, need in enumerate(needs) if need and (behind[q] > 0 or short)]
        return max(owed, key=lambda q: (behind[q], needs[q], -q)) if owed else -1
