"""The same questions in groups: by length of the history and by popularity of the answer, cold items among them.

Works on ranks and one number per question; knows nothing about where they come from.
"""

# Axes: Q questions

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmrec.evaluation.measuring import Key, rows_of
from mmrec.evaluation.metrics import MetricRow, Ranks, main_cutoff

BY_HISTORY = "history length"
BY_POPULARITY = "training events of the answer"
COLD = "0 (cold)"
"""Name of the group whose targets have no training event; only content can rank them."""

_EDGES: Mapping[str, tuple[int, ...]] = {BY_HISTORY: (1, 5, 10, 20, 50), BY_POPULARITY: (0, 1, 5, 20, 100)}
"""Lower bounds of the groups; the last one has no upper bound."""


@dataclass(frozen=True, slots=True)
class QuestionSlice:
    """Metrics of a group of questions.

    Attributes:
        by: What the questions are grouped by: `BY_HISTORY` or `BY_POPULARITY`.
        name: The group, as in ``5-9``.
        questions: How many there are.
        rows: One per ranker at the main cut-off, with intervals; seen items removed.
    """

    by: str
    name: str
    questions: int
    rows: tuple[MetricRow, ...]

    def as_json(self) -> dict[str, object]:
        """``{"by": ..., "slice": ..., "questions": ..., "rows": [...]}``."""
        rows = [row.as_json() for row in self.rows]
        return {"by": self.by, "slice": self.name, "questions": self.questions, "rows": rows}


def slice_rows(
    ranks: Mapping[Key, Ranks],
    history_length_Q: npt.NDArray[np.int64],
    popularity_Q: npt.NDArray[np.int64],
    cutoffs: Sequence[int],
) -> tuple[QuestionSlice, ...]:
    """Metrics of every group that has a question.

    Args:
        ranks: Of every ranker; those with seen items kept are skipped.
        history_length_Q: Events in each question's history. Shape: (Q,), int64.
        popularity_Q: Training events of each answer. Shape: (Q,), int64.
        cutoffs: Of the table; only the main one is used.
    """
    removed = {key: value for key, value in ranks.items() if key[1] == "removed"}
    found = []
    for by, values_Q in ((BY_HISTORY, history_length_Q), (BY_POPULARITY, popularity_Q)):
        group_Q = np.searchsorted(_EDGES[by], values_Q, side="right") - 1
        for group in np.unique(group_Q).tolist():
            chosen_Q = group_Q == group
            in_group = {key: value.take(chosen_Q) for key, value in removed.items()}
            rows = rows_of(in_group, (main_cutoff(cutoffs),))
            found.append(QuestionSlice(by, _name(_EDGES[by], group), int(chosen_Q.sum()), tuple(rows.values())))
    return tuple(found)


def _name(edges: tuple[int, ...], group: int) -> str:
    begin = edges[group]
    if group + 1 == len(edges):
        return f"{begin}+"
    end = edges[group + 1] - 1
    if end == 0:
        return COLD
    return str(begin) if end == begin else f"{begin}-{end}"
