"""The learning rate over a training: a straight rise, then half a cosine down to nothing."""

from __future__ import annotations

import math


def rate_at(done: float, warmup: float) -> float:
    """Share of the peak learning rate.

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
