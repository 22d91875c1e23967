"""The learning rate of every step, and the random state it is computed with. Both follow from its number alone."""

from __future__ import annotations

import math

import numpy as np

from mmrec.generator.config import TrainingConfig


def learning_rate(step: int, config: TrainingConfig, steps_per_epoch: int) -> float:
    """Linear warm-up, then a cosine down to a tenth over the longest possible run.

    Args:
        step: Steps done before, over all passes.
        config: `learning_rate`, `warmup_steps` and `epochs` are read.
        steps_per_epoch: Steps of a pass.
    """
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = min(1.0, step / max(1, config.epochs * steps_per_epoch))
    return config.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def step_seed(seed: int, epoch: int, step: int, process: int) -> int:
    """Seed of everything that one process draws in one step, so that no random state need be kept."""
    state = np.random.SeedSequence((seed, epoch, step, process)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
