"""Learning-rate schedules and random seeds as functions of the step number, without state."""

from __future__ import annotations

import math

import numpy as np


def cosine_to_a_tenth(step: int, peak: float, warmup_steps: int, total_steps: int) -> float:
    """Learning rate: linear warm-up, then a cosine over all steps down to a tenth of the peak.

    Args:
        step: Steps done.
        peak: Largest learning rate.
        warmup_steps: Steps of the warm-up.
        total_steps: Steps of the longest possible training.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = min(1.0, step / max(1, total_steps))
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def cosine_to_zero(done: float, warmup: float) -> float:
    """Learning rate relative to its peak: linear warm-up, then half a cosine down to 0.

    Args:
        done: Share of the training that is done, 0 to 1.
        warmup: Share of the training used for warm-up, in [0, 1).

    Returns:
        In [0, 1]; above 0 for ``0 < done < 1``.
    """
    done = min(max(done, 0.0), 1.0)
    if done < warmup:
        return done / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (done - warmup) / (1.0 - warmup)))


def one_cycle(step: int, total_steps: int, warmup: float, start: float, peak: float, end: float) -> float:
    """Half a cosine from `start` to `peak` over the first steps, then one from `peak` to `end`.

    Args:
        step: Steps done.
        total_steps: Steps of the whole cycle.
        warmup: Share of the steps over which the value moves to `peak`.
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
    """Seed of all random draws of one process in one step, so that no random state needs to be saved."""
    state = np.random.SeedSequence((seed, epoch, step, process)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
