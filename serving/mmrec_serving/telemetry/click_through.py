"""Which recommended lists were clicked, by their recommendation ids, within a bounded memory.

Unit of work: one list that was sent, or one event. A click is an event that took an item (`mmrec.data.feedback.takes`):
neither an impression nor a rejection. Knows nothing about how clicks are counted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from mmrec.contract.events import UserEvent
from mmrec.data.feedback import FeedbackRule

MOST_IDS = 100_000
"""Recommendation ids that are remembered, of lists and of clicks each: some 20 MB together."""


class ClickThrough:
    """The last recommendation ids. Safe to use from several threads.

    Args:
        most: Most ids that are remembered, of lists and of clicks each.
    """

    def __init__(self, most: int = MOST_IDS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._served: OrderedDict[str, None] = OrderedDict()
        self._clicked: OrderedDict[str, None] = OrderedDict()

    def served(self, recommendation_id: str) -> None:
        """A list was sent."""
        with self._lock:
            self._remember(self._served, recommendation_id)

    def clicked(self, event: UserEvent) -> bool | None:
        """Whether a click is of a list that was sent from here; None: it is no click, or not the first of its list."""
        recommendation_id = event.recommendation_id
        if not recommendation_id or FeedbackRule().takes(event.event_type) is not True:
            return None
        with self._lock:
            if recommendation_id in self._clicked:
                return None
            self._remember(self._clicked, recommendation_id)
            return recommendation_id in self._served

    def _remember(self, ids: OrderedDict[str, None], recommendation_id: str) -> None:
        ids[recommendation_id] = None
        while len(ids) > self._most:
            ids.popitem(last=False)
