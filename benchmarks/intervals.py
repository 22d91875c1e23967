"""Bootstrap intervals of means and of differences between contenders that were asked the same questions.

Knows nothing of what was measured.
"""

# Axes: U units that are drawn again (users, items), R resamples, C contenders

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000


class Estimate(NamedTuple):
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Plain values."""
        return {"value": self.value, "low": self.low, "high": self.high}

    @classmethod
    def of(cls, value: float, resampled_R: npt.NDArray[np.float64]) -> Estimate:
        """A figure and what resamples made of it: percentiles, moved so that the resamples' mean is the figure.

        Without the move, a figure that grows when units are drawn twice (average precision does) lies low in its own
        interval; a mean is not touched by it.
        """
        low, high = np.percentile(resampled_R, [2.5, 97.5]) + (value - np.mean(resampled_R))
        return cls(float(value), float(low), float(high))


def resample_weights(units: int, resamples: int = RESAMPLES, seed: int = 0) -> npt.NDArray[np.int64]:
    """How often each unit is drawn in each resample; use the same for all contenders. Shape: (R, U), int64."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(units, np.full(units, 1 / units), size=resamples)


def mean_estimate(values_U: npt.NDArray[np.floating], weights_RU: npt.NDArray[np.int64]) -> Estimate:
    """The mean over units, and its interval."""
    resampled_R = weights_RU @ np.asarray(values_U, np.float64) / weights_RU.sum(axis=1)
    return Estimate.of(float(np.mean(values_U)), resampled_R)


def shown(estimate: Estimate, *, sign: bool = False, digits: int = 3) -> str:
    """As it stands in a table: ``0.412 [0.398, 0.427]``."""
    form = f"{'+' if sign else ''}.{digits}f"
    return f"{estimate.value:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def share_estimate(share: float, units: int) -> Estimate:
    """A share of so many units that were asked once each, and its interval after Wilson."""
    z = 1.959964
    centre = (share + z * z / (2 * units)) / (1 + z * z / units)
    half = z * np.sqrt(share * (1 - share) / units + z * z / (4 * units * units)) / (1 + z * z / units)
    return Estimate(share, float(max(0.0, centre - half)), float(min(1.0, centre + half)))


def ratio_estimate(
    sums_U: npt.NDArray[np.floating], counts_U: npt.NDArray[np.floating], weights_RU: npt.NDArray[np.int64]
) -> Estimate:
    """A mean over questions of which each unit has several, and its interval over units."""
    resampled_R = (weights_RU @ sums_U) / np.maximum(weights_RU @ counts_U, 1e-12)
    return Estimate.of(float(sums_U.sum() / counts_U.sum()), resampled_R)
