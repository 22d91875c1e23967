"""Stores of every kind in folders of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from mmrec_serving.event_log import EventStore, SqliteEventStore, StoreFolder


class OpenStore(Protocol):
    """Opens the store in a folder, and makes it if it is missing."""

    def __call__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> EventStore: ...


def open_sqlite(folder: Path, *, clock: Callable[[], float] = time.time) -> EventStore:
    return SqliteEventStore(StoreFolder(folder), clock=clock)


@pytest.fixture(scope="module", params=[open_sqlite], ids=["sqlite"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    opened: OpenStore = request.param
    return opened


@pytest.fixture
def place(tmp_path: Path) -> StoreFolder:
    return StoreFolder(tmp_path / "store", busy_timeout_s=0.1)


@pytest.fixture
def store(open_store: OpenStore, place: StoreFolder) -> Iterator[EventStore]:
    with open_store(place.folder) as made:
        yield made
