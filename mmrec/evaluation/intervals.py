"""Bootstrap intervals of means over questions, tests of paired differences, and Holm's correction.

Works on one value per question; knows nothing of what was measured. Everything is drawn from a seed, so the same values
give the same intervals. Questions are drawn with replacement, and all columns share the draws.
"""

# Axes: Q questions, M columns (metrics of rankers), R resamples

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LEVEL = 0.95
RESAMPLES = 1000
PERMUTATIONS = 9999

DRAWS_AT_ONCE = 2_000_000
"""Resampled questions in memory at a time; bounds memory only."""
VALUES_AT_ONCE = 8_000_000
"""Values of questions in memory at a time; bounds memory only."""


class Interval(NamedTuple):
    """Percentile bootstrap interval (Efron 1979) of a mean."""

    low: float
    high: float


class PairedTest(NamedTuple):
    """Test of the difference of two means over the same questions.

    Attributes:
        difference: Mean of the first minus mean of the second.
        low: Lower end of the difference's bootstrap interval.
        high: Upper end.
        p_permutation: Two-sided sign-flip permutation test of the mean difference (Fisher 1935): the chance of a
            difference this large if it were as likely to have the other sign on every question.
        p_wilcoxon: Wilcoxon signed-rank test (1945), questions without a difference left out.
        questions: Questions asked of both.
    """

    difference: float
    low: float
    high: float
    p_permutation: float
    p_wilcoxon: float
    questions: int


def bootstrap_intervals(
    columns: Mapping[str, npt.NDArray[np.float64]], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Interval of the mean of each column.

    Args:
        columns: One value per question. Shape of each: (Q,).
        resamples: Number of bootstrap samples.
        seed: Seed of the samples.
    """
    names = list(columns)
    questions = len(columns[names[0]]) if names else 0
    if not questions:
        return {}
    found: dict[str, Interval] = {}
    at_once = max(1, VALUES_AT_ONCE // questions)
    tail = 100 * (1 - LEVEL) / 2
    for begin in range(0, len(names), at_once):
        block = names[begin : begin + at_once]
        means_RM = _resampled_means(np.stack([columns[name] for name in block], axis=1), resamples, seed)
        low_M, high_M = np.percentile(means_RM, [tail, 100 - tail], axis=0)
        found |= {n: Interval(float(lo), float(hi)) for n, lo, hi in zip(block, low_M, high_M, strict=True)}
    return found


def _resampled_means(values_QM: npt.NDArray[np.float64], resamples: int, seed: int) -> npt.NDArray[np.float64]:
    questions = len(values_QM)
    rng = np.random.default_rng(seed)
    at_once = max(1, DRAWS_AT_ONCE // questions)
    means = []
    for begin in range(0, resamples, at_once):
        count = min(at_once, resamples - begin)
        drawn = rng.integers(0, questions, size=(count, questions))
        drawn += np.arange(count)[:, None] * questions
        weights = np.bincount(drawn.ravel(), minlength=count * questions).reshape(count, questions)
        means.append(weights.astype(np.float64) @ values_QM / questions)
    return np.concatenate(means)


def paired_test(
    values_Q: npt.NDArray[np.float64],
    other_Q: npt.NDArray[np.float64],
    *,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
) -> PairedTest:
    """Compare two rankers on the same questions, in the same order. Shapes: (Q,), Q at least 1."""
    from scipy.stats import wilcoxon

    # A difference this small is rounding.
    difference_Q = np.where(np.isclose(values_Q, other_Q, rtol=0, atol=1e-12), 0.0, values_Q - other_Q)
    (interval,) = bootstrap_intervals({"": difference_Q}, resamples=resamples).values()
    differing = difference_Q[difference_Q != 0]
    p_permutation, p_wilcoxon = 1.0, 1.0
    # A single differing question proves nothing.
    if len(differing) > 1:
        p_permutation = _sign_flips(differing, permutations)
        method = "exact" if len(differing) <= 12 and len(np.unique(np.abs(differing))) == len(differing) else "approx"
        p_wilcoxon = float(wilcoxon(differing, method=method).pvalue)
    return PairedTest(
        float(difference_Q.mean()), interval.low, interval.high, p_permutation, p_wilcoxon, len(difference_Q)
    )


def _sign_flips(differing: npt.NDArray[np.float64], permutations: int) -> float:
    """Two-sided p-value, over all sign assignments if there are few, else over random ones."""
    from scipy.stats import permutation_test

    # Questions without a difference contribute nothing, and they are the majority.
    tested = permutation_test(
        (differing,),
        lambda x, axis: np.sum(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=permutations,
        batch=max(1, DRAWS_AT_ONCE // len(differing)),
        rng=np.random.default_rng(0),
    )
    return float(tested.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): adjusted p-values that bound the chance of any false finding."""
    count = len(p_values)
    adjusted = [1.0] * count
    worst = 0.0
    for place, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        worst = max(worst, min(1.0, (count - place) * p_values[index]))
        adjusted[index] = worst
    return adjusted
