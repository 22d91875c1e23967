"""Measures rankers chunk by chunk: ranks of the targets, list metrics, table rows with intervals.

Works on scores or lists of a chunk of questions; knows nothing about what made them.
"""

# Axes: B questions of a chunk, Q questions, N items, K list places, D embedding dimensions

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.evaluation.intervals import VALUES_AT_ONCE, Interval, bootstrap_intervals
from mmrec.evaluation.lists import ListTally, top_lists
from mmrec.evaluation.metrics import (
    CUTOFFS,
    MetricRow,
    Ranks,
    join_ranks,
    rank_targets,
    ranks_in_lists,
    summarise,
)

Key = tuple[str, str]
"""Name of a ranker, and ``removed`` or ``kept`` for what happens to seen items."""


class QuestionChunk(NamedTuple):
    """A chunk of questions.

    Attributes:
        histories: Catalogue rows, oldest first, one array per question.
        targets_B: The right answers. Shape: (B,), int32.
    """

    histories: Sequence[npt.NDArray[np.int32]]
    targets_B: npt.NDArray[np.int32]


def seen_word(remove_seen: bool) -> str:
    """``removed`` or ``kept``."""
    return "removed" if remove_seen else "kept"


class Measurement:
    """Accumulates the results of rankers.

    Args:
        popularity_N: Training events of each item. Shape: (N,).
        fused_ND: Fused embeddings for the diversity of lists; None leaves it out. Shape: (N, D), float32.
        cutoffs: Ascending list lengths.
    """

    def __init__(
        self,
        popularity_N: npt.NDArray[np.floating],
        fused_ND: npt.NDArray[np.float32] | None = None,
        cutoffs: Sequence[int] = CUTOFFS,
    ) -> None:
        self.cutoffs = tuple(cutoffs)
        self._popularity_N = popularity_N
        self._fused_ND = fused_ND
        self._ranks: dict[Key, list[Ranks]] = {}
        self._tallies: dict[Key, ListTally] = {}
        self._last_histories: Sequence[npt.NDArray[np.int32]] = ()
        self._history_popularity_B: npt.NDArray[np.floating] = np.zeros(0)

    def add_scores(
        self, name: str, scores_BN: npt.NDArray[np.float32], chunk: QuestionChunk, *, remove_seen: bool
    ) -> None:
        """Count a chunk of a ranker that scores every item."""
        ranks = rank_targets(scores_BN, chunk.targets_B, chunk.histories, remove_seen=remove_seen)
        lists_BK = top_lists(scores_BN, chunk.histories if remove_seen else None, self.cutoffs[-1])
        self._add((name, seen_word(remove_seen)), ranks, lists_BK, chunk)

    def add_lists(self, name: str, lists_BK: npt.NDArray[np.int64], chunk: QuestionChunk, *, remove_seen: bool) -> None:
        """Count a chunk of a ranker that gives lists, -1 past the end; they are at least as long as the largest K."""
        ranks = ranks_in_lists(lists_BK, chunk.targets_B)
        self._add((name, seen_word(remove_seen)), ranks, lists_BK, chunk)

    def _add(self, key: Key, ranks: Ranks, lists_BK: npt.NDArray[np.int64], chunk: QuestionChunk) -> None:
        if key not in self._ranks:
            self._ranks[key] = []
            self._tallies[key] = ListTally(self._popularity_N, self._fused_ND, self.cutoffs)
        self._ranks[key].append(ranks)
        if chunk.histories is not self._last_histories:  # the same chunk comes once for every ranker
            self._last_histories = chunk.histories
            self._history_popularity_B = np.array([self._popularity_N[history].mean() for history in chunk.histories])
        self._tallies[key].add(lists_BK, self._history_popularity_B)

    def ranks(self) -> dict[Key, Ranks]:
        """Ranks of every question, in the order of adding."""
        return {key: join_ranks(parts) for key, parts in self._ranks.items()}

    def rows(self) -> dict[Key, MetricRow]:
        """One row per ranker and treatment of seen items."""
        rows = rows_of(self.ranks(), self.cutoffs)
        return {key: replace(row, lists=self._tallies[key].figures()) for key, row in rows.items()}


def rows_of(ranks: Mapping[Key, Ranks], cutoffs: Sequence[int]) -> dict[Key, MetricRow]:
    """Rows with intervals, without list metrics. All rankers share the bootstrap samples."""
    keys = list(ranks)
    questions = len(ranks[keys[0]].above_Q) if keys else 0
    at_once = max(1, VALUES_AT_ONCE // max(1, questions * 3 * len(cutoffs)))
    rows: dict[Key, MetricRow] = {}
    for begin in range(0, len(keys), at_once):
        block = keys[begin : begin + at_once]
        columns = {
            f"{place} {metric}": values_Q
            for place, key in enumerate(block)
            for metric, values_Q in ranks[key].per_question(cutoffs).items()
        }
        by_place: dict[int, dict[str, Interval]] = {place: {} for place in range(len(block))}
        for column, interval in bootstrap_intervals(columns).items():
            place_text, _, metric = column.partition(" ")
            by_place[int(place_text)][metric] = interval
        for place, key in enumerate(block):
            name, seen = key
            rows[key] = summarise(name, ranks[key], seen=seen, cutoffs=cutoffs, intervals=by_place[place])
    return rows
