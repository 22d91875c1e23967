"""A small real engine for tests: 20 items on a circle, answers that can be worked out by hand, and some
traps.

Item i is ``item-i``; its embedding is the point at i/20 of a turn. A recommendation continues the circle from
the last known item of the history. The length of a search's words names an item; some words are traps.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence

import numpy as np

from mmrec.calls import EngineCalls
from mmrec.errors import InvalidImageError, MmrecError, NotFoundError
from mmrec.types import (
    ChannelShare,
    EmbedRequest,
    EmbedResults,
    Fallback,
    ItemEmbedding,
    ItemFailure,
    ItemInput,
    ItemRecord,
    Recommendations,
    RecommendRequest,
    ScoredItem,
    SearchRequest,
    SearchResults,
    ServiceInfo,
    SimilarRequest,
    Versions,
)

ITEMS = 20
VERSIONS = Versions(model="m1", catalogue="c1", codebook="b1")
TRAPS = ("trap: raise", "trap: exit", "trap: wait", "trap: slow")


class EngineExit(BaseException):
    """Ends the engine's thread, as nothing an engine does on purpose would."""


class FakeEngine(EngineCalls):
    """Deterministic; `asked` lists the sizes of the batches it was given."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self.release = threading.Event()

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        self._note("recommend", len(requests))
        return [self._recommend(request) for request in requests]

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        self._note("similar", len(requests))
        return [self._similar(request) for request in requests]

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        self._note("search", len(requests))
        for request in requests:
            self._spring(request.text)
        return [SearchResults(_nearest(len(request.text) % ITEMS, request.k), VERSIONS) for request in requests]

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        self._note("embed", len(requests))
        return [EmbedResults(tuple(_embed(item) for item in request.items), VERSIONS) for request in requests]

    def get_items(self, item_ids: Sequence[str]) -> tuple[list[ItemRecord], list[str]]:
        rows = [_row(item_id) for item_id in item_ids]
        found = [_record(row) for row in rows if row is not None]
        return found, list(dict.fromkeys(i for i, row in zip(item_ids, rows, strict=True) if row is None))

    def info(self) -> ServiceInfo:
        return ServiceInfo("fake", VERSIONS, ITEMS, 1, 2, (1,), 3, 256, "cpu", "fake")

    def _note(self, kind: str, count: int) -> None:
        self.asked.append((kind, count))
        self.threads.add(threading.get_ident())

    def _spring(self, text: str) -> None:
        if text == "trap: raise":
            raise ZeroDivisionError("a secret of the engine")
        if text == "trap: exit":
            raise EngineExit
        if text == "trap: wait":
            self.entered.set()
            assert self.release.wait(30)
        if text == "trap: slow":
            self.entered.set()
            time.sleep(1.0)

    def _recommend(self, request: RecommendRequest) -> Recommendations | MmrecError:
        if request.user_id == "nobody":
            return NotFoundError("user 'nobody' is not in the bundle; leave user_id empty")
        known = [row for row in map(_row, request.history) if row is not None]
        missing = tuple(dict.fromkeys(i for i in request.history if _row(i) is None))
        start = known[-1] if known else -1
        order = [(start + 1 + step) % ITEMS for step in range(ITEMS)]
        seen = set() if request.include_seen else {f"item-{row}" for row in known}
        kept = [
            row
            for row in order
            if f"item-{row}" not in seen
            and f"item-{row}" not in request.deny
            and (not request.allow or f"item-{row}" in request.allow)
        ]
        shares = (ChannelShare("transitions", 0.75, f"item-{start}"),) if request.explain and known else ()
        return Recommendations(
            recommendation_id="r-1",
            items=tuple(
                ScoredItem(_record(row), 1.0 / (rank + 1), shares) for rank, row in enumerate(kept[: request.k])
            ),
            missing_ids=missing,
            fallback=Fallback.NONE if known else Fallback.POPULARITY,
            versions=VERSIONS,
        )

    def _similar(self, request: SimilarRequest) -> SearchResults | MmrecError:
        row = _row(request.item_id)
        if row is None:
            return NotFoundError(f"item {request.item_id!r} is not in the catalogue; check the id")
        return SearchResults(_nearest(row, request.k, itself=False), VERSIONS)


def _row(item_id: str) -> int | None:
    number = item_id.removeprefix("item-")
    is_row = item_id.startswith("item-") and number.isascii() and number.isdigit() and str(int(number)) == number
    return int(number) if is_row and int(number) < ITEMS else None


def _record(row: int) -> ItemRecord:
    return ItemRecord(
        f"item-{row}",
        f"Item {row}",
        "Ein Ding, schön",
        f"images/{row}.jpg",
        {"b": "2", "a": "1"},
        (row, 255, 0),
    )


def _nearest(row: int, k: int, itself: bool = True) -> tuple[ScoredItem, ...]:
    others = sorted(range(ITEMS), key=lambda other: (min((other - row) % ITEMS, (row - other) % ITEMS), other))
    return tuple(
        ScoredItem(_record(other), math.cos(2 * math.pi * (other - row) / ITEMS))
        for other in others[0 if itself else 1 :][:k]
    )


def _embed(item: ItemInput | MmrecError) -> ItemEmbedding | ItemFailure:
    assert isinstance(item, ItemInput)
    if item.image is not None and not item.image.startswith(b"\xff\xd8"):
        return ItemFailure(item.item_id, InvalidImageError("the picture is no JPEG", field="image"))
    angle = 2 * math.pi * len(item.title) / ITEMS
    vector = np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)
    return ItemEmbedding(item.item_id, vector, (len(item.title), 7))
