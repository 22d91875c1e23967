"""Stores in folders of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from mmrec_serving.change_log import ChangeReader, ChangeStore, SqliteChangeReader, SqliteChangeStore, StoreFolder
from tests.postgres_server import PostgresServer, schema_of
from tests.redis_server import RedisServer, prefix_of

if TYPE_CHECKING:
    from mmrec_serving.postgres import PostgresPlace
    from mmrec_serving.redis_server import RedisPlace


class Stores(Protocol):
    """A place for a store of a kind."""

    def open(self, base: str, *, clock: Callable[[], datetime] = ...) -> ChangeStore:
        """The store, which is made if it is missing."""

    def read(self, base: str | None = None) -> ChangeReader:
        """A reader of it."""


@dataclass(frozen=True)
class SqliteStores:
    config: StoreFolder

    def open(self, base: str, **options: Any) -> ChangeStore:
        return SqliteChangeStore(self.config, base, **options)

    def read(self, base: str | None = None) -> ChangeReader:
        return SqliteChangeReader(self.config, base)


@dataclass(frozen=True)
class PostgresStores:
    place: PostgresPlace

    def open(self, base: str, **options: Any) -> ChangeStore:
        from mmrec_serving.change_log.postgres_store import PostgresChangeStore

        return PostgresChangeStore(self.place, base, **options)

    def read(self, base: str | None = None) -> ChangeReader:
        from mmrec_serving.change_log.postgres_store import PostgresChangeReader

        return PostgresChangeReader(self.place, base)


@dataclass(frozen=True)
class RedisStores:
    place: RedisPlace

    def open(self, base: str, **options: Any) -> ChangeStore:
        from mmrec_serving.change_log.redis_store import RedisChangeStore

        return RedisChangeStore(self.place, base, **options)

    def read(self, base: str | None = None) -> ChangeReader:
        from mmrec_serving.change_log.redis_store import RedisChangeReader

        return RedisChangeReader(self.place, base)


StoresIn = Callable[[Path], Stores]


@pytest.fixture(scope="module", params=["sqlite", "postgres", "redis"])
def stores_in(request: pytest.FixtureRequest) -> StoresIn:
    """Gives the place of a kind that stands for a folder."""
    if request.param == "sqlite":
        return lambda folder: SqliteStores(StoreFolder(folder))
    if request.param == "redis":
        redis: RedisServer = request.getfixturevalue("redis")
        from mmrec_serving.redis_server import RedisPlace

        return lambda folder: RedisStores(RedisPlace(redis.url(prefix_of(folder))))
    postgres: PostgresServer = request.getfixturevalue("postgres")
    from mmrec_serving.postgres import PostgresPlace

    return lambda folder: PostgresStores(PostgresPlace(postgres.make_schema(schema_of(folder))))


@pytest.fixture
def stores(stores_in: StoresIn, tmp_path: Path) -> Stores:
    return stores_in(tmp_path / "store")


@pytest.fixture
def config(tmp_path: Path) -> StoreFolder:
    return StoreFolder(tmp_path / "store")


@pytest.fixture
def store(config: StoreFolder) -> Iterator[SqliteChangeStore]:
    with SqliteChangeStore(config, "c1") as made:
        yield made


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """Every connection that is opened from now on."""
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remembering(*args: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", remembering)
    return opened
