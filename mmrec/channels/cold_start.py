"""Boosts cold items, so that they appear in lists as often as their share of the catalogue.

Works on scores; knows nothing about where they come from. Every channel that learns from events scores items without
events too low, but it orders them well among each other. So in every list the best cold items get one common boost,
just large enough for their share of the positions: one in ten where a tenth of the catalogue is cold. No answer of a
question is used.
"""

# Axes: B users, N items

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

PLACES = 10
"""Length of the lists in which cold items get their share; longer lists have them at the same positions."""


def cold_places(share: float) -> int:
    """Positions of a list of `PLACES` that go to cold items, rounded; `share` lies in [0, 1]."""
    return min(PLACES, math.floor(share * PLACES + 0.5))


def cold_start_boosts(
    scores_BN: npt.NDArray[np.float32],
    eligible_BN: npt.NDArray[np.bool_] | None,
    cold_N: npt.NDArray[np.bool_],
    share: float,
) -> npt.NDArray[np.float32]:
    """What to add to every cold item's score, for each user.

    The boost is 0 for lists in which cold items have their positions already, and for those that hold nothing else.

    Args:
        scores_BN: Higher is better. Shape: (B, N), float32; not changed.
        eligible_BN: Items that may be recommended; None for all. Shape: (B, N), bool.
        cold_N: Items without a training event. Shape: (N,), bool.
        share: Of the positions, 0 to 1.

    Returns:
        0 or more. Shape: (B,), float32.
    """
    places = min(cold_places(share), int(cold_N.sum()))
    rival = PLACES - places
    boosts_B = np.zeros(len(scores_BN), dtype=np.float32)
    # The last boosted item has to pass the warm item that would take its position.
    if not places or rival >= int((~cold_N).sum()):
        return boosts_B
    masked_BN = scores_BN if eligible_BN is None else np.where(eligible_BN, scores_BN, np.float32(-np.inf))
    last_cold_B = -np.partition(-masked_BN[:, cold_N], places - 1, axis=1)[:, places - 1]
    passed_B = -np.partition(-masked_BN[:, ~cold_N], rival, axis=1)[:, rival]
    behind_B = np.isfinite(last_cold_B) & np.isfinite(passed_B) & (passed_B >= last_cold_B)
    last_B, warm_B = last_cold_B[behind_B], passed_B[behind_B]
    # The least number whose rounded sum is over the warm item's score: more could lift another cold item over it.
    gap_B = np.nextafter(warm_B, np.float32(np.inf)) - last_B
    while (tied_B := last_B + gap_B <= warm_B).any():
        gap_B = np.where(tied_B, np.nextafter(gap_B, np.float32(np.inf)), gap_B)
    boosts_B[behind_B] = gap_B
    return boosts_B
