"""A store in a PostgreSQL that is killed, comes back, refuses, is not durable, or has other tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mmrec.errors import FailedPreconditionError, NotFoundError, UnavailableError
from mmrec_serving.event_log import open_events, read_events
from mmrec_serving.store_place import store_place
from tests.postgres_server import PASSWORD, PostgresServer
from tests.serving.event_log.making import event, numbered

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed; run: pip install 'mmrec[postgres]'")

from mmrec_serving.postgres import Database, PostgresPlace, StoreTables  # noqa: E402

if TYPE_CHECKING:
    from mmrec_serving.postgres.database import Connection


@pytest.fixture
def url(postgres: PostgresServer, tmp_path: Path) -> str:
    """The URL of a schema of the test's own."""
    return postgres.make_schema("".join(filter(str.isalnum, tmp_path.name.lower())))


@pytest.fixture
def db(url: str) -> Iterator[Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


# --- a server that goes away --------------------------------------------------------------------------------


def test_killed_what_was_acknowledged_is_there_and_the_same_store_goes_on(postgres: PostgresServer, url: str) -> None:
    with open_events(store_place(url)) as store:
        assert store.record([event(event_id="e1"), event("bob", event_id="e2")]) == [1, 2]
        assert store.delete_user("bob") == 1
        postgres.kill()
        try:
            calls: list[Callable[[], Any]] = [
                lambda: store.record([event(event_id="e3")]),
                lambda: store.history("ann"),
                lambda: store.delete_user("ann"),
                lambda: open_events(store_place(url)),
                lambda: read_events(store_place(url)),
            ]
            for call in calls:
                with pytest.raises(UnavailableError, match=r"the store of events in 'postgresql://127\.0") as caught:
                    call()
                assert caught.value.retry_after_s == 1.0
                assert PASSWORD not in str(caught.value)
        finally:
            postgres.start()
        assert numbered(store.replay()) == [(1, event(event_id="e1"))]
        assert store.forgotten().has("bob")
        assert store.record([event(event_id="e1"), event(event_id="e2")]) == [1, 3]


def test_connections_that_the_server_ended_are_replaced(url: str, db: Connection) -> None:
    with open_events(store_place(url)) as store:
        for number in (1, 2):
            assert store.record([event()]) == [number]
            db.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'mmrec' AND pid <> pg_backend_pid()"
            )


def test_a_server_that_writes_for_too_long_is_waited_for_and_then_told(url: str, db: Connection) -> None:
    with open_events(PostgresPlace(url, busy_timeout_s=0.05)) as store:
        with db.transaction():
            db.execute("UPDATE mmrec_event_log SET position = position")
            for write in (lambda: store.record([event()]), lambda: store.delete_user("ann")):
                with pytest.raises(UnavailableError, match=r"is busy .*lock timeout.*; try again: nothing") as caught:
                    write()
                assert caught.value.retry_after_s == 1.0
            # Nobody who reads waits for it.
            assert store.history("ann") == []
        assert store.record([event()]) == [1]


# --- a server that refuses ----------------------------------------------------------------------------------


def test_a_wrong_password_is_in_no_message_and_no_log(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UnavailableError, match="password authentication failed for user") as caught:
        open_events(store_place(postgres.url(password="wrong-word")))
    error: BaseException | None = caught.value
    while error is not None:
        assert "wrong-word" not in repr(error)
        error = error.__cause__ or error.__context__
    assert "wrong-word" not in caplog.text


def test_a_database_that_would_lose_what_it_acknowledged_is_refused(postgres: PostgresServer, url: str) -> None:
    postgres.stop()
    postgres.start("fsync=off")
    try:
        with pytest.raises(
            FailedPreconditionError, match=r"fsync is off .* loses what was acknowledged; set fsync = on"
        ):
            open_events(store_place(url))
    finally:
        postgres.stop()
        postgres.start()


def test_a_commit_waits_for_the_disk_whatever_the_server_is_set_to(url: str) -> None:
    place = PostgresPlace(f"{url}%20-csynchronous_commit%3Doff")
    with closing(Database(place, TABLES)) as database, database.connection() as db:
        assert db.execute("SHOW synchronous_commit").fetchall() == [("on",)]


def test_a_database_without_a_store_is_refused_to_a_reader(url: str) -> None:
    with pytest.raises(NotFoundError, match="there is no store of events in the database; name that of"):
        read_events(store_place(url))


# --- tables -------------------------------------------------------------------------------------------------

TABLES = StoreTables("store of cups", "the same cups", (("CREATE TABLE mmrec_cups (name text)",),))
LATER = replace(
    TABLES,
    migrations=(
        *TABLES.migrations,
        ("ALTER TABLE mmrec_cups ADD COLUMN colour text NOT NULL DEFAULT 'blue'",),
        ("CREATE TABLE mmrec_saucers (name text)", "INSERT INTO mmrec_saucers VALUES ('round')"),
    ),
)


def migrations(db: Connection) -> list[tuple[Any, ...]]:
    return db.execute("SELECT store, number FROM mmrec_migrations ORDER BY store, number").fetchall()


def test_what_is_stored_stays_when_a_newer_mmrec_brings_the_tables_up_to_date(url: str, db: Connection) -> None:
    place = PostgresPlace(url)
    Database(place, TABLES).close()
    db.execute("INSERT INTO mmrec_cups VALUES ('tall')")
    with pytest.raises(FailedPreconditionError, match="has version 1 of its layout, this mmrec reads version 3; start"):
        Database(place, LATER, read_only=True)
    for _ in range(2):
        Database(place, LATER).close()
    Database(place, LATER, read_only=True).close()
    assert db.execute("SELECT * FROM mmrec_cups").fetchall() == [("tall", "blue")]
    assert migrations(db) == [("store of cups", 1), ("store of cups", 2), ("store of cups", 3)]
    with pytest.raises(FailedPreconditionError, match=r"version 3 .* reads version 1; use the mmrec that wrote it"):
        Database(place, TABLES)


def test_a_migration_that_fails_leaves_the_tables_as_they_were(url: str, db: Connection) -> None:
    Database(PostgresPlace(url), TABLES).close()
    broken = replace(LATER, migrations=(*LATER.migrations, ("CREATE TABLE mmrec_cups (name text)",)))
    with pytest.raises(FailedPreconditionError, match='relation "mmrec_cups" already exists'):
        Database(PostgresPlace(url), broken)
    assert migrations(db) == [("store of cups", 1)]
    assert db.execute("SELECT to_regclass('mmrec_saucers')").fetchall() == [(None,)]


def test_servers_that_start_at_once_make_the_tables_once(url: str, db: Connection) -> None:
    with ThreadPoolExecutor(6) as pool:
        for opened in pool.map(lambda _: open_events(store_place(url)), range(6)):
            opened.close()
    assert migrations(db) == [("store of events", 1)]
