"""Blends channels: one score per item from the LLM and the counting channels.

Works on arrays of channel features; knows nothing about where they come from. The weights of a weighted sum are fitted
on validation questions only, in two deterministic steps. The first is a conditional logit, which is convex and
maximises the likelihood of the targets. Most targets in a large catalogue rank so low in every channel that no blend
can raise them; they would dominate the likelihood, so they are left out. The second is coordinate ascent on NDCG@10,
as in learning to rank: one weight at a time, from the logit's weights and from the best single channel.

Sources: McFadden 1974, "Conditional logit analysis of qualitative choice behavior"; Metzler and Croft 2007, "Linear
feature-based models for information retrieval" (coordinate ascent on the metric).
"""

# Axes: Q questions, C channels, S candidate items kept per question

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from mmrec.runtime.limits import check_numbers

CUTOFF = 10
"""List length of the NDCG that is maximised."""

FACTORS = (0.0, 0.4, 0.6, 0.8, 1.25, 1.6, 2.5, 5.0)
"""Factors by which a weight is changed."""

INITIAL_WEIGHTS = (0.03, 0.1, 0.3)
"""Values tried for a weight near 0, relative to the largest weight."""

FAVOURED_FACTORS = (1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0)
"""Factors by which the weight of a favoured channel is raised at last ..."""

FAVOURED_LOSS = 0.05
"""... while the NDCG stays within this share of the best."""

MIN_GAIN = 1e-5
"""Least gain of NDCG for a changed weight."""

_AT_ONCE = 128
"""Questions of a likelihood that are computed together: their scores stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class BlendConfig:
    """How blend weights are fitted.

    Attributes:
        ridge: L2 penalty per question, on weights of features scaled to unit variance.
        questions: Most validation questions used.
        candidates: Most items kept per question: the best of each channel, and the target.
        reach: A question counts for the likelihood if some channel ranks its target this high or higher.
        rounds: Most passes over all weights in the search on NDCG@10; 0 keeps the logit's weights.
        cold_share: Largest share of the positions of a list that cold items (without a training event) are boosted
            into, 0 to 1; they get their share of the catalogue, at most this.
    """

    ridge: float = 1e-3
    questions: int = 6000
    candidates: int = 500
    reach: int = 50
    rounds: int = 4
    cold_share: float = 0.1

    def __post_init__(self) -> None:
        check_numbers(self, "cold_share", low=0, high=1)
        check_numbers(self, "ridge", "rounds", low=0)
        check_numbers(self, "questions", "reach", low=1)
        check_numbers(self, "candidates", low=2)


@dataclass(frozen=True, slots=True)
class Blend:
    """Weight of each channel's feature; 0 for channels that are not named.

    Attributes:
        weights: By channel.
        cold_share: Share of the positions of a list that cold items are boosted into, 0 to 1.
    """

    weights: Mapping[str, float]
    cold_share: float = 0.0

    @property
    def channels(self) -> frozenset[str]:
        """The channels with a weight above 0."""
        return frozenset(name for name, weight in self.weights.items() if weight)

    def times(self, factors: Mapping[str, float]) -> Blend:
        """This blend with some weights multiplied, by channel; others stay."""
        return Blend({name: weight * factors.get(name, 1.0) for name, weight in self.weights.items()}, self.cold_share)

    def score(self, features: Mapping[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """Weighted sum of features. Shapes: each (B, N), float32; returns the same."""
        total: npt.NDArray[np.float32] | None = None
        for name, weight in self.weights.items():
            if weight:
                part = np.float32(weight) * features[name]
                total = part if total is None else total + part
        if total is None:
            total = np.zeros_like(next(iter(features.values())))
        return total


class BlendSample(NamedTuple):
    """Validation questions, one list entry per question.

    Attributes:
        features: Features of the kept items, the target first. Shape of each: (C, S), float64.
        names: Channel of each row.
    """

    features: Sequence[npt.NDArray[np.float64]]
    names: tuple[str, ...]


def fit_blend(sample: BlendSample, config: BlendConfig, favoured: str = "") -> Blend:
    """Fit weights that rank the targets high.

    Weights are never negative, so that a channel's part of a score can be read as support; a redundant channel gets 0.
    At least one weight is above 0, unless every channel is constant, even with very few validation questions.

    Args:
        sample: Validation questions.
        config: `ridge`, `reach` and `rounds` are read.
        favoured: A channel that says what a customer asked for: where it helps, its weight is as large as it can be
            without much loss of NDCG. Empty: none.
    """
    if not sample.features:
        return Blend(dict.fromkeys(sample.names, 1.0))
    spread_C = np.sqrt(np.mean([question.var(axis=1) for question in sample.features], axis=0))
    size_C = np.sqrt(np.mean([(question**2).mean(axis=1) for question in sample.features], axis=0))
    # Rounding noise of a constant channel must not be scaled up into a signal.
    usable_C = spread_C > np.maximum(1e-9, 1e-5 * size_C)
    scale_C = np.where(usable_C, spread_C, 1.0)
    scaled = [question / scale_C[:, None] for question in sample.features]
    if not usable_C.any():
        return Blend(dict.fromkeys(sample.names, 0.0))
    weights_C = _fit_conditional_logit(
        [question for question in scaled if _is_reached(question, config.reach)], usable_C, config
    )
    place = sample.names.index(favoured) if favoured else None
    weights_C = _maximise_ndcg(scaled, weights_C, usable_C, config.rounds, place)
    return Blend({name: float(weight) for name, weight in zip(sample.names, weights_C / scale_C, strict=True)})


def _is_reached(question_CS: npt.NDArray[np.float64], reach: int) -> bool:
    """Whether some channel ranks the target within `reach`; items that tie with it count as above it."""
    before_C = (question_CS[:, 1:] >= question_CS[:, :1]).sum(axis=1)
    return bool((before_C < reach).any())


def _fit_conditional_logit(
    questions: Sequence[npt.NDArray[np.float64]], usable_C: npt.NDArray[np.bool_], config: BlendConfig
) -> npt.NDArray[np.float64]:
    """Weights of the conditional logit. Shape: (C,), float64."""
    start_C = np.where(usable_C, 0.5, 0.0)
    if not questions:
        return start_C
    stacks = [_stack(questions[begin : begin + _AT_ONCE]) for begin in range(0, len(questions), _AT_ONCE)]

    def loss_and_gradient(weights_C: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        loss, gradient_C = 0.0, np.zeros(len(weights_C))
        for features_CQS, padding_QS in stacks:
            logits_QS = np.tensordot(weights_C, features_CQS, 1) + padding_QS
            target_Q, top_Q1 = logits_QS[:, 0].copy(), logits_QS.max(axis=1, keepdims=True)
            chances_QS = np.exp(logits_QS - top_Q1)
            total_Q1 = chances_QS.sum(axis=1, keepdims=True)
            loss += float((np.log(total_Q1) + top_Q1).sum() - target_Q.sum())
            chances_QS /= total_Q1
            gradient_C += np.tensordot(features_CQS, chances_QS, 2) - features_CQS[:, :, 0].sum(axis=1)
        loss = loss / len(questions) + config.ridge * float(weights_C @ weights_C)
        return loss, gradient_C / len(questions) + 2 * config.ridge * weights_C

    bounds = [(0.0, None) if usable else (0.0, 0.0) for usable in usable_C]
    return np.asarray(minimize(loss_and_gradient, start_C, jac=True, method="L-BFGS-B", bounds=bounds).x)


class _Stack(NamedTuple):
    """Questions of different lengths as one array: features are 0, and the padding is -inf, behind the last item."""

    features_CQS: npt.NDArray[Any]
    padding_QS: npt.NDArray[Any]


def _stack(questions: Sequence[npt.NDArray[np.float64]], dtype: npt.DTypeLike = np.float64) -> _Stack:
    lengths_Q = np.array([question.shape[1] for question in questions])
    features_CQS = np.zeros((len(questions[0]), len(questions), lengths_Q.max()), dtype)
    for place, question_CS in enumerate(questions):
        features_CQS[:, place, : question_CS.shape[1]] = question_CS
    kept_QS = np.arange(lengths_Q.max()) < lengths_Q[:, None]
    return _Stack(features_CQS, np.where(kept_QS, 0.0, -np.inf).astype(dtype))


def _maximise_ndcg(
    questions: Sequence[npt.NDArray[np.float64]],
    weights_C: npt.NDArray[np.float64],
    usable_C: npt.NDArray[np.bool_],
    rounds: int,
    favoured: int | None,
) -> npt.NDArray[np.float64]:
    """The best weights of coordinate ascent on NDCG from several starts, never all 0. Shape: (C,), float64."""
    padded_CQS, padding_QS = _stack(questions, np.float32)
    size = max(float(weights_C.max()), 1.0)
    best_channel = max(np.flatnonzero(usable_C), key=lambda channel: _ndcg(padding_QS + padded_CQS[channel]))
    starts = [size * np.eye(len(weights_C))[best_channel]]
    if weights_C.any():
        starts = [weights_C, *starts] if rounds else [weights_C]
    optima = [_coordinate_ascent(padded_CQS, padding_QS, start_C, usable_C, rounds) for start_C in starts]
    best = max(optima, key=lambda optimum: optimum.ndcg)
    weights_C = best.weights_C
    for factor in FAVOURED_FACTORS if favoured is not None else ():
        raised_C = best.weights_C.copy()
        raised_C[favoured] *= factor
        scores_QS = padding_QS + np.tensordot(raised_C.astype(np.float32), padded_CQS, 1)
        if _ndcg(scores_QS) < (1 - FAVOURED_LOSS) * best.ndcg:
            break
        weights_C = raised_C
    return weights_C


class _Optimum(NamedTuple):
    weights_C: npt.NDArray[np.float64]
    ndcg: float


def _coordinate_ascent(
    features_CQS: npt.NDArray[np.float32],
    padding_QS: npt.NDArray[np.float32],
    start_C: npt.NDArray[np.float64],
    usable_C: npt.NDArray[np.bool_],
    rounds: int,
) -> _Optimum:
    weights_C = start_C.copy()
    scores_QS = padding_QS + np.tensordot(weights_C.astype(np.float32), features_CQS, 1)
    best = _ndcg(scores_QS)
    for _ in range(rounds):
        before = best
        for channel in np.flatnonzero(usable_C):
            current, largest = weights_C[channel], weights_C.max()
            candidates = (
                current * np.array(FACTORS) if current > 1e-3 * largest else largest * np.array(INITIAL_WEIGHTS)
            )
            others = weights_C.sum() - current
            for weight in candidates:
                if not weight and not others:
                    continue
                moved_QS = scores_QS + np.float32(weight - weights_C[channel]) * features_CQS[channel]
                ndcg = _ndcg(moved_QS)
                if ndcg > best + MIN_GAIN:
                    weights_C[channel], scores_QS, best = weight, moved_QS, ndcg
        if best - before < 10 * MIN_GAIN:
            break
    return _Optimum(weights_C, best)


def _ndcg(scores_QS: npt.NDArray[np.float32]) -> float:
    """Mean NDCG of the targets, which are first in their rows, in expectation over ties."""
    answer_Q1 = scores_QS[:, :1]
    above_Q = (scores_QS > answer_Q1).sum(axis=1)
    tied_Q = (scores_QS == answer_Q1).sum(axis=1)
    total = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(CUTOFF) + 2))])
    gain_Q = total[np.minimum(above_Q + tied_Q, CUTOFF)] - total[np.minimum(above_Q, CUTOFF)]
    return float((gain_Q / tied_Q).mean())
