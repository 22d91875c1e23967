"""Learning rates by the number of the step, and the seed of what a step draws; no state is kept of either."""

from __future__ import annotations

import math

import numpy as np


def cosine_to_a_tenth(step: int, peak: float, warmup_steps: int, total_steps: int) -> float:
    """Linear warm-up, then a cosine over all steps down to a tenth of the peak.

    Args:
        step: Steps done before.
        peak: Largest learning rate.
        warmup_steps: Steps over which it rises.
        total_steps: Steps of the longest possible training.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = min(1.0, step / max(1, total_steps))
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def cosine_to_zero(done: float, warmup: float) -> float:
    """Share of the peak learning rate: a straight rise, then half a cosine down to nothing.

    Args:
        done: Share of the training that is behind, 0 to 1.
        warmup: Share over which the rate rises, 0 to below 1.

    Returns:
        0 to 1; above 0 for ``done`` below 1 and over 0.
    """
    done = min(max(done, 0.0), 1.0)
    if done < warmup:
        return done / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (done - warmup) / (1.0 - warmup)))


def one_cycle(step: int, total_steps: int, warmup: float, start: float, peak: float, end: float) -> float:
    """Half a cosine from `start` to `peak` over the first steps, then one from `peak` to `end`.

    Args:
        step: Steps done before.
        total_steps: Steps of the whole cycle.
        warmup: Share of them over which the value moves to `peak`.
        start: First value.
        peak: Value after the warm-up.
        end: Last value.

    Source: Smith and Topin 2017, "Super-Convergence", arXiv:1708.07120; as `torch.optim.lr_scheduler.OneCycleLR`
    computes it, but without its state.
    """
    turn = warmup * total_steps - 1
    if step <= turn:
        first, last, done = start, peak, step / turn if turn else 1.0
    else:
        first, last, done = peak, end, (step - turn) / (total_steps - 1 - turn)
    return last + (first - last) / 2.0 * (math.cos(math.pi * done) + 1)


def step_seed(seed: int, epoch: int, step: int, process: int) -> int:
    """Seed of everything that one process draws in one step, so that no random state need be kept."""
    state = np.random.SeedSequence((seed, epoch, step, process)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
