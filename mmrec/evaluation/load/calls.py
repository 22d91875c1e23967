"""Requests of each kind of call, drawn from the catalogue that a server has.

Unit of work: one request. Knows nothing about sending.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mmrec.contract.requests import (
    DuplicatesRequest,
    ItemsRequest,
    MismatchRequest,
    RankRequest,
    RecommendBatch,
    RecommendRequest,
    SearchRequest,
    SimilarRequest,
)
from mmrec.sdk import rpcs
from mmrec.sdk.rpcs import Rpc

_MANY = 100
"""Customers in one call for many of them."""
_RANKED = 50
"""Items in one call to rank items, or to look items up."""


class Row(NamedTuple):
    """An item of the catalogue."""

    item_id: str
    title: str


class Draw:
    """Draws what requests are made of.

    Args:
        rows: Items of the catalogue, at least one.
        history: Items in a history.
        k: Items asked for.
        rng: Source of chance.
    """

    def __init__(self, rows: list[Row], history: int, k: int, rng: np.random.Generator) -> None:
        self._rows, self._history, self.k, self._rng = rows, history, k, rng

    def row(self) -> Row:
        """One item."""
        return self._rows[int(self._rng.integers(len(self._rows)))]

    def ids(self, number: int) -> tuple[str, ...]:
        """Some items; one may come twice."""
        return tuple(self._rows[place].item_id for place in self._rng.integers(len(self._rows), size=number).tolist())

    def customer(self) -> RecommendRequest:
        """A customer with a history."""
        return RecommendRequest(self.ids(self._history), k=self.k)


class Call(NamedTuple):
    """A kind of call: its RPC, and how a request is drawn."""

    rpc: Rpc[Any, Any]
    request: Callable[[Draw], Any]


CALLS: Mapping[str, Call] = {
    "recommend": Call(rpcs.RECOMMEND, Draw.customer),
    "recommend-many": Call(
        rpcs.BATCH_RECOMMEND, lambda draw: RecommendBatch(tuple(draw.customer() for _ in range(_MANY)))
    ),
    "rank": Call(rpcs.RANK_ITEMS, lambda draw: RankRequest(draw.ids(_RANKED), draw.customer())),
    "similar": Call(rpcs.SIMILAR_ITEMS, lambda draw: SimilarRequest(draw.row().item_id, draw.k)),
    "search": Call(rpcs.SEARCH_ITEMS, lambda draw: SearchRequest(_words(draw.row()), k=draw.k)),
    "items": Call(rpcs.GET_ITEMS, lambda draw: ItemsRequest(draw.ids(_RANKED))),
    "duplicates": Call(rpcs.FIND_DUPLICATES, lambda draw: DuplicatesRequest()),
    "mismatches": Call(rpcs.FIND_MISMATCHES, lambda draw: MismatchRequest()),
}
"""Every kind of call by its name."""


def _words(row: Row) -> str:
    return row.title.strip() or row.item_id
