"""Tests of rankers against each other on the same questions, corrected for their number.

Works on ranks; knows nothing about where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmrec.evaluation.intervals import PairedTest, holm, paired_test
from mmrec.evaluation.metrics import Ranks

SIGNIFICANCE = 0.05
"""A difference is significant with a corrected p-value below this."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One ranker against another by one metric.

    Attributes:
        name: The first ranker.
        against: The second ranker.
        metric: As in ``ndcg@10``.
        value: Mean of the first.
        against_value: Mean of the second.
        test: Paired over questions.
        holm_permutation: The permutation test's p-value after Holm's correction over all comparisons made together.
        holm_wilcoxon: The same of Wilcoxon's.
    """

    name: str
    against: str
    metric: str
    value: float
    against_value: float
    test: PairedTest
    holm_permutation: float
    holm_wilcoxon: float

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``no sure difference``, after the corrected permutation test of the means."""
        if self.holm_permutation >= SIGNIFICANCE or not self.test.difference:
            return "no sure difference"
        return "better" if self.test.difference > 0 else "worse"

    def as_json(self) -> dict[str, Any]:
        """Flat mapping."""
        return {
            "name": self.name,
            "against": self.against,
            "metric": self.metric,
            "value": self.value,
            "against_value": self.against_value,
            "difference": self.test.difference,
            "interval": [self.test.low, self.test.high],
            "p_permutation": self.test.p_permutation,
            "p_wilcoxon": self.test.p_wilcoxon,
            "holm_permutation": self.holm_permutation,
            "holm_wilcoxon": self.holm_wilcoxon,
            "verdict": self.verdict,
            "questions": self.test.questions,
        }


def compare(ranks: Mapping[str, Ranks], pairs: Sequence[tuple[str, str]], *, cutoff: int) -> tuple[Comparison, ...]:
    """Test every pair by recall and NDCG; Holm's correction is over all of them.

    Args:
        ranks: By name, all of the same questions in the same order.
        pairs: Names to compare.
        cutoff: List length.
    """
    keys = [f"recall@{cutoff}", f"ndcg@{cutoff}"]
    made = []
    for one, other in pairs:
        ours, theirs = ranks[one].per_question((cutoff,)), ranks[other].per_question((cutoff,))
        made += [(one, other, key, ours[key], theirs[key]) for key in keys]
    tests = [paired_test(ours_Q, theirs_Q) for *_, ours_Q, theirs_Q in made]
    permutation = holm([test.p_permutation for test in tests])
    wilcoxon = holm([test.p_wilcoxon for test in tests])
    return tuple(
        Comparison(one, other, key, float(ours_Q.mean()), float(theirs_Q.mean()), test, p, w)
        for (one, other, key, ours_Q, theirs_Q), test, p, w in zip(made, tests, permutation, wilcoxon, strict=True)
    )
