"""How far items that training has never seen are lifted, so that they are shown as often as an average item.

Works on the scores of questions; knows nothing about where scores come from. Whatever learns from events holds every
item without any for unwanted: not one event speaks for it, and its content alone never outweighs that. Its scores order
the new items well among themselves, though. So in every list the best of them are lifted together, by just as much as
gives them the places that are theirs by their number: one in ten where a tenth of the catalogue is new, none where
hardly any is. Nothing here looks at answers.
"""

# Axes: B customers, N items

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

PLACES = 10
"""Length of the lists in which new items get their share; longer lists hold them at the same places."""


def newcomer_places(share: float) -> int:
    """Places of a list of `PLACES` that go to new items, rounded; `share` lies in [0, 1]."""
    return min(PLACES, math.floor(share * PLACES + 0.5))


def newcomer_lifts(
    scores_BN: npt.NDArray[np.float32],
    eligible_BN: npt.NDArray[np.bool_] | None,
    new_N: npt.NDArray[np.bool_],
    share: float,
) -> npt.NDArray[np.float32]:
    """What to add to every new item's score, for each customer.

    Lists in which new items have their places already are left as they are; so are those that hold nothing else.

    Args:
        scores_BN: Higher is better. Shape: (B, N), float32; not changed.
        eligible_BN: Items that may be shown; None for all. Shape: (B, N), bool.
        new_N: Items that training has never seen. Shape: (N,), bool.
        share: Of the places, 0 to 1.

    Returns:
        0 or more. Shape: (B,), float32.
    """
    places = min(newcomer_places(share), int(new_N.sum()))
    rival = PLACES - places
    lifts_B = np.zeros(len(scores_BN), dtype=np.float32)
    # The last of the lifted items has to pass the known item that would take its place.
    if not places or rival >= int((~new_N).sum()):
        return lifts_B
    masked_BN = scores_BN if eligible_BN is None else np.where(eligible_BN, scores_BN, np.float32(-np.inf))
    last_new_B = -np.partition(-masked_BN[:, new_N], places - 1, axis=1)[:, places - 1]
    passed_B = -np.partition(-masked_BN[:, ~new_N], rival, axis=1)[:, rival]
    behind_B = np.isfinite(last_new_B) & np.isfinite(passed_B) & (passed_B >= last_new_B)
    gap_B = passed_B[behind_B] - last_new_B[behind_B]
    # Above it by a hair, whatever the rounding of the sum.
    lifts_B[behind_B] = gap_B + np.float32(1e-6) * np.maximum(np.abs(passed_B[behind_B]), 1) * 4
    return lifts_B
