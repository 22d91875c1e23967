"""Counts repeated interactions of users with items, and exact duplicates of events.

Unit of work: the events of all users. Knows nothing of files.
"""

# Axes: E events

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.data.interactions import Interactions


class Repeats(NamedTuple):
    """Events that repeat an earlier one.

    events: all events.  exact: same user, item and time as an earlier one.  consecutive: same item as the user's
    previous event.  earlier: same item as any earlier event of the user.
    """

    events: int
    exact: int
    consecutive: int
    earlier: int


def count_repeats(interactions: Interactions, timed: Interactions | None = None) -> Repeats:
    """Count the events that repeat earlier ones.

    Args:
        interactions: All events.
        timed: The events with a time, since only those can be exact duplicates; None: all.
    """
    repeated_E, _ = _repeats(interactions)
    _, exact_T = _repeats(interactions if timed is None else timed)
    return Repeats(
        events=interactions.events,
        exact=int(exact_T.sum()),
        consecutive=int(((np.diff(interactions.users_E) == 0) & (np.diff(interactions.items_E) == 0)).sum()),
        earlier=int(repeated_E.sum()),
    )


def _repeats(interactions: Interactions) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Masks of repeated events and of those with the same time too, in no meaningful order."""
    users_E, items_E, times_E = interactions.users_E, interactions.items_E, interactions.times_E
    order = np.lexsort((times_E, items_E, users_E))
    repeated_E = (np.diff(users_E[order]) == 0) & (np.diff(items_E[order]) == 0)
    return repeated_E, repeated_E & (np.diff(times_E[order]) == 0)
