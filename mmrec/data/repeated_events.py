"""How often users come back to items in a log, and how often a log holds one event twice.

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

    events: all of them.  exact: of the same user, item and time as another one before.  consecutive: of the same item
    as the user's event before.  earlier: of an item that the user had before, at any time.
    """

    events: int
    exact: int
    consecutive: int
    earlier: int


def count_repeats(interactions: Interactions, timed: Interactions | None = None) -> Repeats:
    """Count the events that repeat earlier ones.

    Args:
        interactions: All events.
        timed: Those that have a time of their own, since only those can be duplicates; None: all of them.
    """
    again_E, _ = _again(interactions)
    _, exact_T = _again(interactions if timed is None else timed)
    return Repeats(
        events=interactions.events,
        exact=int(exact_T.sum()),
        consecutive=int(((np.diff(interactions.users_E) == 0) & (np.diff(interactions.items_E) == 0)).sum()),
        earlier=int(again_E.sum()),
    )


def _again(interactions: Interactions) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Events whose item the user had before, and those of the same time as well, in no order that matters."""
    users_E, items_E, times_E = interactions.users_E, interactions.items_E, interactions.times_E
    order = np.lexsort((times_E, items_E, users_E))
    again_E = (np.diff(users_E[order]) == 0) & (np.diff(items_E[order]) == 0)
    return again_E, again_E & (np.diff(times_E[order]) == 0)
