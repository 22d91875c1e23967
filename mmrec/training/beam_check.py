"""Compares the semantic-ID beam with ranking the whole catalogue by the exact probabilities of the same head.

Uses a sample of questions, because exact probabilities cost a decoder step per tree node and question.
"""

# Axes: B questions of a chunk, N items, K list length

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.data.splits import Split, evenly
from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.intervals import Interval, bootstrap_intervals
from mmrec.evaluation.lists import top_lists, unseen_items
from mmrec.evaluation.measuring import rows_of
from mmrec.evaluation.metrics import (
    CUTOFFS,
    MetricRow,
    Ranks,
    join_ranks,
    ranks_in_lists,
)
from mmrec.generator.beam import exact_log_probs
from mmrec.recommender.ranking_model import RankingModel
from mmrec.runtime.device import autocast
from mmrec.runtime.progress import NO_PROGRESS, Progress

DEFAULT_QUESTIONS = 200
"""Largest default sample, in questions."""

DEFAULT_STEPS = 1_000_000
"""Decoder steps of the default sample: about a minute on one core."""

QUESTIONS_AT_ONCE = 4
"""Questions in memory at a time; bounds memory only."""


@dataclass(frozen=True, slots=True)
class BeamCheck:
    """The beam beside exact ranking, seen items removed.

    Attributes:
        questions: Size of the sample.
        of: Number of questions it was taken from, evenly.
        width: Beam width.
        overlap: Mean share of the exact first K that the beam's first K have, by K.
        beam: Metrics of the beam on the sample.
        exact: Metrics of exact ranking on the sample; ties fall as in the beam.
        differences: Beam less exact and its paired 95% interval, by keys like ``ndcg@10``.
    """

    questions: int
    of: int
    width: int
    overlap: dict[int, float]
    beam: MetricRow
    exact: MetricRow
    differences: Mapping[str, tuple[float, Interval]]

    def as_json(self) -> dict[str, Any]:
        """Nested mapping with keys like ``overlap@10`` and ``ndcg@10``."""
        return {
            "questions": self.questions,
            "of": self.of,
            "width": self.width,
            **{f"overlap@{k}": value for k, value in self.overlap.items()},
            "beam": self.beam.as_json(),
            "exact": self.exact.as_json(),
            "differences": {
                key: {"value": value, "interval": list(interval)} for key, (value, interval) in self.differences.items()
            },
        }


def quick_sample(ranker: RankingModel) -> int:
    """Questions that take about a minute: fewer for a large catalogue, none for a very large one."""
    steps = ranker.items * max(1, ranker.index.levels - 1)
    return min(DEFAULT_QUESTIONS, DEFAULT_STEPS // steps)


def check_beam(
    ranker: RankingModel,
    test: Split,
    *,
    questions: int,
    cutoffs: Sequence[int] = CUTOFFS,
    progress: Progress = NO_PROGRESS,
) -> BeamCheck:
    """Compare beam search and exact ranking on an even sample of the questions.

    Args:
        ranker: The recommender.
        test: Questions.
        questions: Size of the sample, 1 or more; at most all.
        cutoffs: Ascending list lengths; the beam is never narrower than the longest.
        progress: Reports every question.

    Raises:
        InvalidArgumentError: `questions` is below 1.
    """
    if questions < 1:
        raise InvalidArgumentError(f"the sample has {questions} questions; it must have 1 or more", field="beam_sample")
    of = len(test.targets_U)
    chosen = evenly(of, questions).tolist()
    longest = max(cutoffs)
    by_path_N = ranker.index.items_N.cpu().numpy()
    width = max(ranker.parts.beam_width, longest)
    beam_ranks: list[Ranks] = []
    exact_ranks: list[Ranks] = []
    shared: dict[int, list[float]] = {k: [] for k in cutoffs}
    progress.start("check the beam", len(chosen), "users")
    for begin in range(0, len(chosen), QUESTIONS_AT_ONCE):
        rows = chosen[begin : begin + QUESTIONS_AT_ONCE]
        histories, targets = [test.histories[row] for row in rows], test.targets_U[rows]
        eligible_BN = unseen_items(histories, ranker.items)
        memory = ranker.read(histories)
        found_BK = ranker.generate(memory, eligible_BN, width=width).items_BW.cpu().numpy()
        with autocast(ranker.device, ranker.dtype):
            exact = exact_log_probs(ranker.parts.generator.semantic_id_head, memory, ranker.index, ranker.keys)
        scores_BN = np.where(eligible_BN, exact.float().cpu().numpy(), -np.inf).astype(np.float32)
        # In the order of their paths, so that ties fall as they do in the beam.
        places_BK = top_lists(scores_BN[:, by_path_N], None, longest)
        best_BK = np.where(places_BK >= 0, by_path_N[places_BK], -1)
        beam_ranks.append(ranks_in_lists(found_BK, targets))
        exact_ranks.append(ranks_in_lists(best_BK, targets))
        for k, shares in shared.items():
            shares += _overlap(found_BK[:, :k], best_BK[:, :k])
        progress.advance(len(rows))
    progress.finish()
    ranks = {("beam", "removed"): join_ranks(beam_ranks), ("exact", "removed"): join_ranks(exact_ranks)}
    by_name = rows_of(ranks, cutoffs)
    ours, theirs = (ranks[name, "removed"].per_question(cutoffs) for name in ("beam", "exact"))
    difference = {key: ours[key] - theirs[key] for key in ours}
    intervals = bootstrap_intervals(difference)
    return BeamCheck(
        questions=len(chosen),
        of=of,
        width=min(width, ranker.items),
        overlap={k: float(np.mean(shares)) for k, shares in shared.items()},
        beam=by_name["beam", "removed"],
        exact=by_name["exact", "removed"],
        differences={key: (float(values.mean()), intervals[key]) for key, values in difference.items()},
    )


def _overlap(found_BK: npt.NDArray[np.int64], best_BK: npt.NDArray[np.int64]) -> list[float]:
    shares = []
    for found, best in zip(found_BK.tolist(), best_BK.tolist(), strict=True):
        wanted = {row for row in best if row >= 0}
        shares.append(len(wanted & set(found)) / len(wanted) if wanted else 1.0)
    return shares
