"""Calibrates scores into probabilities with a temperature, fitted and measured on rows with known labels.

Works on arrays of scores; knows nothing about labels and items. Rows of one group (copies, items with one title) are
all fitted on or all measured on, since otherwise the results would be too good.
"""

# Axes: N rows, L labels

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from mmrec.errors import InvalidArgumentError

Floats = npt.NDArray[np.float32]

_MIN_TEMPERATURE, _MAX_TEMPERATURE = 1e-3, 1e2
_MAX_SCORES = 20_000_000
_MIN_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature, and the quality of its probabilities on rows that it was not fitted on.

    Attributes:
        temperature: What scores are divided by before the softmax, above 0.
        rows: Rows measured.
        accuracy: Share whose most probable label is the right one, 0 to 1.
        ece: Expected calibration error, 0 to 1; see `expected_calibration_error`.
    """

    temperature: float
    rows: int
    accuracy: float
    ece: float


def softmax(scores_NL: npt.NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Probabilities of the labels of each row. Shape: (N, L), float32, rows sum to 1.

    Raises:
        InvalidArgumentError: the temperature is not above 0.
    """
    if not (np.isfinite(temperature) and temperature > 0):
        raise InvalidArgumentError(f"temperature is {temperature}; it must be a number above 0", field="temperature")
    logits_NL = np.asarray(scores_NL, np.float64) / temperature
    logits_NL -= logits_NL.max(axis=1, keepdims=True, initial=-np.inf)
    np.exp(logits_NL, out=logits_NL)
    logits_NL /= logits_NL.sum(axis=1, keepdims=True)
    return logits_NL.astype(np.float32)


def log_loss(probabilities_NL: npt.NDArray[np.floating], targets_N: npt.NDArray[np.int64]) -> float:
    """Mean of -ln(probability of the right label); 0 for no rows."""
    if not len(targets_N):
        return 0.0
    right_N = np.asarray(probabilities_NL, np.float64)[np.arange(len(targets_N)), targets_N]
    return float(-np.log(np.maximum(right_N, _MIN_PROBABILITY)).mean())


def expected_calibration_error(
    confidences_N: npt.NDArray[np.floating], right_N: npt.NDArray[np.bool_], bins: int = 15
) -> float:
    """Average distance of confidence from accuracy.

    Rows are put into bins of equal width by confidence; the difference between a bin's mean confidence and its share of
    right answers is weighted by its rows (Guo et al. 2017, arXiv:1706.04599).

    Returns:
        0 to 1; 0 for no rows.
    """
    if not len(confidences_N):
        return 0.0
    bin_N = np.minimum((np.asarray(confidences_N, np.float64) * bins).astype(np.int64), bins - 1)
    confidence = np.bincount(bin_N, confidences_N, minlength=bins)
    accuracy = np.bincount(bin_N, np.asarray(right_N, np.float64), minlength=bins)
    return float(np.abs(confidence - accuracy).sum() / len(confidences_N))


def best_temperature(scores_NL: npt.NDArray[np.floating], targets_N: npt.NDArray[np.int64]) -> float:
    """The temperature with the least log-loss on these rows, by a bounded one-dimensional search."""
    most = max(1, _MAX_SCORES // max(1, scores_NL.shape[1]))
    if len(scores_NL) > most:
        chosen = np.linspace(0, len(scores_NL) - 1, most).astype(np.int64)
        scores_NL, targets_N = scores_NL[chosen], targets_N[chosen]

    def loss(log_temperature: float) -> float:
        return log_loss(softmax(scores_NL, float(np.exp(log_temperature))), targets_N)

    found = minimize_scalar(
        loss,
        bounds=(float(np.log(_MIN_TEMPERATURE)), float(np.log(_MAX_TEMPERATURE))),
        method="bounded",
        options={"xatol": 1e-3},
    )
    return float(np.exp(found.x))


def fit_temperature(
    scores_NL: npt.NDArray[np.floating],
    targets_N: npt.NDArray[np.integer],
    groups_N: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
) -> Calibration:
    """Fit a temperature on half of the rows and measure it on the other half.

    Args:
        scores_NL: Of every row with every label. Shape: (N, L).
        targets_N: The right label, or -1 where it is not known; such rows are left out. Shape: (N,).
        groups_N: Group of each row; None: every row is its own group. Length N.
        seed: Seed of the division into halves.

    Raises:
        InvalidArgumentError: shapes do not fit, or fewer than two groups have a known label.
    """
    scores_NL, targets_N = np.asarray(scores_NL), np.asarray(targets_N, np.int64)
    if scores_NL.ndim != 2 or targets_N.shape != scores_NL.shape[:1]:
        raise InvalidArgumentError(
            f"scores have shape {scores_NL.shape} and targets {targets_N.shape}; one row of scores a target is needed",
            field="targets",
        )
    if len(targets_N) and not -1 <= targets_N.min() <= targets_N.max() < scores_NL.shape[1]:
        raise InvalidArgumentError(
            f"targets lie between {targets_N.min()} and {targets_N.max()}; they must name one of "
            f"{scores_NL.shape[1]} labels, or be -1",
            field="targets",
        )
    known_N = np.flatnonzero(targets_N >= 0)
    groups = known_N.tolist() if groups_N is None else [groups_N[row] for row in known_N.tolist()]
    fold_N = grouped_folds(groups, 2, seed=seed)
    if len(set(fold_N.tolist())) < 2:
        raise InvalidArgumentError(
            f"{len(known_N)} rows have a known label, in fewer than 2 groups; one is needed to fit and one to measure",
            field="targets",
        )
    fitted_N, measured_N = known_N[fold_N == 0], known_N[fold_N == 1]
    temperature = best_temperature(scores_NL[fitted_N], targets_N[fitted_N])
    probabilities_NL = softmax(scores_NL[measured_N], temperature)
    right_N = probabilities_NL.argmax(axis=1) == targets_N[measured_N]
    return Calibration(
        temperature=temperature,
        rows=len(measured_N),
        accuracy=float(right_N.mean()),
        ece=expected_calibration_error(probabilities_NL.max(axis=1), right_N),
    )


def grouped_folds(groups_N: Sequence[Hashable], folds: int, *, seed: int) -> npt.NDArray[np.int64]:
    """A fold for every row, the same for rows of one group, and of about equal sizes. Shape: (N,), in [0, folds)."""
    names = {name: number for number, name in enumerate(dict.fromkeys(groups_N))}
    if not names:
        return np.zeros(0, np.int64)
    order = np.random.default_rng(seed).permutation(len(names))
    group_N = np.fromiter((names[name] for name in groups_N), np.int64, len(groups_N))
    sizes = np.bincount(group_N)
    fold_of = np.empty(len(names), np.int64)
    # In random order, each to the fold with the fewest rows, so that sizes differ by at most the largest group.
    fold_sizes = np.zeros(folds, np.int64)
    for group in order:
        fold = int(fold_sizes.argmin())
        fold_of[group] = fold
        fold_sizes[fold] += sizes[group]
    return fold_of[group_N]
