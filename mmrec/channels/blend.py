"""Blending channels: one score per item from what the LLM says and what counting says.

Works on arrays of channel features; knows nothing about where they come from. The blend is a conditional logit: the
probability of the next item is the softmax, over the catalogue, of a weighted sum of features. Its weights are fitted
on validation questions only, by maximising the likelihood of the right answers under a small ridge, which is convex: no
seeds, no grid, the same data give the same weights.

Source: McFadden 1974, "Conditional logit analysis of qualitative choice behavior".
"""

# Axes: Q questions, C channels, S candidate items kept per question

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import logsumexp

from mmrec.errors import InvalidArgumentError

__all__ = ["Blend", "BlendConfig", "BlendSample", "fit_blend"]


@dataclass(frozen=True, slots=True)
class BlendConfig:
    """How blend weights are fitted.

    Attributes:
        ridge: Strength of the pull to zero, per question, on weights of features scaled to unit variance.
        questions: Most validation questions used.
        candidates: Most items kept per question: those that lead in any channel, and the answer.
    """

    ridge: float = 1e-3
    questions: int = 4000
    candidates: int = 1000

    def __post_init__(self) -> None:
        if self.ridge < 0 or self.questions < 1 or self.candidates < 2:
            raise InvalidArgumentError(
                f"ridge {self.ridge} must be 0 or more, questions {self.questions} 1 or more, candidates "
                f"{self.candidates} 2 or more"
            )


@dataclass(frozen=True, slots=True)
class Blend:
    """Weight of each channel's feature. Channels that are not named weigh nothing."""

    weights: Mapping[str, float]

    @property
    def channels(self) -> frozenset[str]:
        """The channels that weigh anything."""
        return frozenset(name for name, weight in self.weights.items() if weight)

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
    """Questions to fit on, one list entry per question.

    Attributes:
        features: Features of the kept items, the answer first. Shape of each: (C, S), float64.
        names: Channel of each row.
    """

    features: Sequence[npt.NDArray[np.float64]]
    names: tuple[str, ...]


def fit_blend(sample: BlendSample, config: BlendConfig) -> Blend:
    """Weights that make the right answers most probable.

    Weights are never negative, so that each channel's share of a recommendation can be read as support; a channel that
    says nothing the others do not say gets none.

    Args:
        sample: Validation questions.
        config: `ridge` is read.
    """
    channels = len(sample.names)
    if not sample.features:
        return Blend(dict.fromkeys(sample.names, 1.0))
    spread_C = np.sqrt(np.mean([question.var(axis=1) for question in sample.features], axis=0))
    usable_C = spread_C > 1e-9
    scaled = [question / np.where(usable_C, spread_C, 1.0)[:, None] for question in sample.features]

    def loss_and_gradient(weights_C: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        loss, gradient_C = 0.0, np.zeros(channels)
        for question_CS in scaled:
            logits_S = weights_C @ question_CS
            log_total = logsumexp(logits_S)
            loss += log_total - logits_S[0]
            gradient_C += question_CS @ np.exp(logits_S - log_total) - question_CS[:, 0]
        count = len(scaled)
        loss = loss / count + config.ridge * float(weights_C @ weights_C)
        return loss, gradient_C / count + 2 * config.ridge * weights_C

    bounds = [(0.0, None) if usable else (0.0, 0.0) for usable in usable_C]
    fitted = minimize(loss_and_gradient, np.where(usable_C, 0.5, 0.0), jac=True, method="L-BFGS-B", bounds=bounds)
    weights_C = fitted.x / np.where(usable_C, spread_C, 1.0)
    return Blend({name: float(weight) for name, weight in zip(sample.names, weights_C, strict=True)})
