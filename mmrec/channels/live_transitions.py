"""Transition counts that are updated event by event while a service runs.

Unit of work: one event. Knows nothing about item ids, requests or files. An event adds pairs of its item with the
previous few items of the same customer, and 1 to the item's popularity. `snapshot` returns an immutable graph, equal to
one counted from all events at once in their order of arrival.
"""

# Axes: N items, E events

from __future__ import annotations

from array import array
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from mmrec.channels.transitions import TransitionConfig, TransitionGraph, build_graph
from mmrec.contract.forgotten_users import nobody
from mmrec.data.interactions import Interactions
from mmrec.errors import InvalidArgumentError


class TransitionCounts:
    """Counts with one writer, and snapshots of them for many readers.

    An event costs a few additions. A snapshot costs one pass over the pairs if there were events since the last one,
    and nothing otherwise.

    Args:
        graph: Counts so far.
        histories: Earlier events of every customer, already counted in `graph`.
        config: Configuration of `graph`.
        forgets: Whether a customer's events of `histories` must not be used.
    """

    def __init__(
        self,
        graph: TransitionGraph,
        histories: Interactions,
        config: TransitionConfig,
        forgets: Callable[[str], bool] = nobody,
    ) -> None:
        self._graph = graph = graph.whole()
        self._histories, self._forgets = histories, forgets
        self._config = config
        self._popularity_N = graph.popularity_C.astype(np.float64)
        self._pairs: dict[tuple[int, int], float] = {}
        self._recent: dict[str, array[int]] = {}
        """The last items of each customer: an array of a few numbers takes an eighth of the memory of a deque."""
        self._has_new_events = False

    def add(self, user_id: str, item: int) -> None:
        """Count one event, the latest of its customer.

        Args:
            user_id: The customer; empty for an unknown one, which counts only for the item's popularity.
            item: Catalogue row.

        Raises:
            InvalidArgumentError: there is no such row.
        """
        if not 0 <= item < len(self._popularity_N):
            raise InvalidArgumentError(
                f"item is {item}; it must be a row of the catalogue, 0 to {len(self._popularity_N) - 1}", field="item"
            )
        if user_id:
            recent = self._recent_items(user_id)
            for distance, before in enumerate(reversed(recent), start=1):
                self._pairs[before, item] = self._pairs.get((before, item), 0.0) + 1.0 / distance
            self._recent[user_id] = (recent + array("i", [item]))[-self._config.window :]
        self._popularity_N[item] += 1
        self._has_new_events = True

    def forget(self, user_id: str) -> None:
        """Drop what is known of a customer; counted pairs stay."""
        self._recent.pop(user_id, None)

    def grow(self, items: int) -> None:
        """Extend the counts to a catalogue with more rows."""
        more = items - len(self._popularity_N)
        if more > 0:
            self._popularity_N = np.pad(self._popularity_N, (0, more))
            self._graph = self._graph.resized(items).whole()

    def snapshot(self) -> TransitionGraph:
        """An immutable graph of all events so far."""
        if self._has_new_events:
            self._graph = build_graph(
                (self._graph.forward + self._new_pairs()).tocsr(), self._popularity_N.astype(np.float32), self._config
            )
            self._pairs, self._has_new_events = {}, False
        return self._graph

    def _recent_items(self, user_id: str) -> array[int]:
        if user_id in self._recent:
            return self._recent[user_id]
        user = None if self._forgets(user_id) else self._histories.user_index(user_id)
        return array("i", [] if user is None else self._histories.history(user)[-self._config.window :].tolist())

    def _new_pairs(self) -> sp.csr_array:
        rows, columns = np.array(list(self._pairs), dtype=np.int32).reshape(-1, 2).T
        values = np.fromiter(self._pairs.values(), dtype=np.float64, count=len(self._pairs))
        return sp.coo_array((values, (rows, columns)), shape=self._graph.forward.shape).tocsr()
