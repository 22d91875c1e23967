"""Whether a figure of a process grows over time: its slope with a 95 % interval, robust to peaks and saw teeth.

Unit of work: one series. Knows nothing of what was measured.
"""

# Axes: S samples, B blocks

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import theilslopes

WARM_UP, BLOCKS, TOLERANCE = 0.2, 24, 0.01
"""Share of the series before which caches fill, blocks of the rest whose medians count, and growth of the median over
the rest that is none."""


class Slope(NamedTuple):
    """How a series grows after its warm-up.

    Attributes:
        per_unit: Growth per unit of the axis.
        low: Low end of its interval.
        high: High end of its interval.
        growth: Growth over the rest of the series at the low end, as a share of its median.
    """

    per_unit: float
    low: float
    high: float
    growth: float

    @property
    def flat(self) -> bool:
        """Whether the growth cannot be told from none, or is at most `TOLERANCE`."""
        return self.growth <= TOLERANCE


def slope_of(axis: Sequence[float], values: Sequence[float]) -> Slope:
    """Slope of a series by Theil and Sen, of medians of blocks: neighbouring samples are no independent ones.

    Args:
        axis: Times, or numbers of what was done, ascending. Shape: (S,), S at least 30.
        values: Shape: (S,).
    """
    first = int(WARM_UP * len(axis))
    axis_B, value_B = (
        np.array([np.median(block) for block in np.array_split(np.asarray(series, float)[first:], BLOCKS)])
        for series in (axis, values)
    )
    per_unit, _, low, high = theilslopes(value_B, axis_B, 0.95)
    growth = low * (axis_B[-1] - axis_B[0]) / max(float(np.median(value_B)), 1e-9)
    return Slope(float(per_unit), float(low), float(high), float(growth))
