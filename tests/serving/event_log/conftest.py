"""Stores of every kind in folders of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from mmrec_serving.event_log import EventStore, SqliteEventStore, StoreFolder
from tests.postgres_server import PostgresServer, schema_of
from tests.redis_server import RedisServer, prefix_of


class OpenStore(Protocol):
    """Opens the store in a folder, and makes it if it is missing."""

    def __call__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> EventStore: ...


def open_sqlite(folder: Path, *, clock: Callable[[], float] = time.time) -> EventStore:
    return SqliteEventStore(StoreFolder(folder), clock=clock)


@pytest.fixture(scope="module", params=["sqlite", "postgres", "redis"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    if request.param == "sqlite":
        return open_sqlite
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis")

        def open_redis(folder: Path, *, clock: Callable[[], float] = time.time) -> EventStore:
            from mmrec_serving.event_log.redis_store import RedisEventStore
            from mmrec_serving.redis_server import RedisPlace

            return RedisEventStore(RedisPlace(redis.url(prefix_of(folder))), clock=clock)

        return open_redis
    postgres: PostgresServer = request.getfixturevalue("postgres")

    def open_postgres(folder: Path, *, clock: Callable[[], float] = time.time) -> EventStore:
        from mmrec_serving.event_log.postgres_store import PostgresEventStore
        from mmrec_serving.postgres import PostgresPlace

        return PostgresEventStore(PostgresPlace(postgres.make_schema(schema_of(folder))), clock=clock)

    return open_postgres


@pytest.fixture
def place(tmp_path: Path) -> StoreFolder:
    return StoreFolder(tmp_path / "store", busy_timeout_s=0.1)


@pytest.fixture
def store(open_store: OpenStore, place: StoreFolder) -> Iterator[EventStore]:
    with open_store(place.folder) as made:
        yield made
