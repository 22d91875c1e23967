"""How often users come back to items in a log, and how often a log says one thing twice.

Unit of work: the events of all users. Knows nothing of files.
"""

# Axes: E events

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmrec.data.interactions import Interactions

__all__ = ["Repeats", "count_repeats"]


class Repeats(NamedTuple):
    """Events that repeat an earlier one.

    events: all of them.  exact: of the same user, item and time as another one before.  consecutive: of the same item
    as the user's event before.  earlier: of an item that the user had before, at any time.
    """

    events: int
    exact: int
    consecutive: int
    earlier: int


def count_repeats(interactions: Interactions) -> Repeats:
    """Count the events that repeat earlier ones."""
    users_E, items_E, times_E = interactions.users_E, interactions.items_E, interactions.times_E
    order = np.lexsort((times_E, items_E, users_E))
    again_E = (np.diff(users_E[order]) == 0) & (np.diff(items_E[order]) == 0)
    return Repeats(
        events=interactions.events,
        exact=int((again_E & (np.diff(times_E[order]) == 0)).sum()),
        consecutive=int(((np.diff(users_E) == 0) & (np.diff(items_E) == 0)).sum()),
        earlier=int(again_E.sum()),
    )
