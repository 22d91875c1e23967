"""A store in a Redis that is killed, comes back, refuses, is not durable, is emptied, or has no room."""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mmrec.errors import (
    BundleError,
    FailedPreconditionError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from mmrec_serving.event_log import EventStore, open_events, read_events
from mmrec_serving.store_place import store_place
from tests.conftest import fill_disk
from tests.redis_server import DURABLE, PASSWORD, RedisServer, free_port, prefix_of, program, running
from tests.serving.event_log.making import event, numbered

pytest.importorskip("redis", reason="redis-py is not installed; run: pip install 'mmrec[redis]'")

from mmrec_serving.redis_server import Database, RedisPlace, StoreKeys

if TYPE_CHECKING:
    from redis import Redis


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """A prefix of the test's own."""
    return prefix_of(tmp_path)


@pytest.fixture
def url(redis: RedisServer, prefix: str) -> str:
    """Its URL."""
    return redis.url(prefix)


@pytest.fixture
def db(redis: RedisServer) -> Iterator[Redis]:
    with redis.client() as client:
        yield client


def calls_of(store: EventStore, url: str) -> list[Callable[[], Any]]:
    return [
        lambda: store.record([event(event_id="e3")]),
        lambda: store.history("ann"),
        lambda: store.delete_user("ann"),
        lambda: open_events(store_place(url)),
        lambda: read_events(store_place(url)),
    ]


# --- a server that goes away --------------------------------------------------------------------------------


def test_killed_what_was_acknowledged_is_there_and_the_same_store_goes_on(redis: RedisServer, url: str) -> None:
    with open_events(store_place(url)) as store:
        assert store.record([event(event_id="e1"), event("bob", event_id="e2")]) == [1, 2]
        assert store.delete_user("bob") == 1
        redis.kill()
        try:
            for call in calls_of(store, url):
                with pytest.raises(
                    UnavailableError, match=r"the store of events in 'redis://127\.0.*'.* kept"
                ) as caught:
                    call()
                assert caught.value.retry_after_s == 1.0
                assert PASSWORD not in str(caught.value)
                # What stands in quotes is left out of what clients are told.
                assert "127.0.0.1" not in str(caught.value).split("'")[2]
        finally:
            redis.start()
        assert numbered(store.replay()) == [(1, event(event_id="e1"))]
        assert store.forgotten().has("bob")
        assert store.record([event(event_id="e1"), event(event_id="e2")]) == [1, 3]


def test_killed_at_any_moment_while_many_threads_write(redis: RedisServer, url: str) -> None:
    acknowledged: dict[str, list[int]] = {}
    enough = threading.Event()

    def write(store: EventStore, name: str) -> None:
        for number in range(100_000):
            user = f"{name}-{number}"
            try:
                numbers = store.record([event(user, event_id=f"{user}/{at}", session_id="v" * 400) for at in (1, 2, 3)])
            except UnavailableError:
                return
            acknowledged[user] = numbers
            if len(acknowledged) >= 200:
                enough.set()

    with open_events(store_place(url)) as store:
        for run in range(2):
            enough.clear()
            with ThreadPoolExecutor(8) as pool:
                for thread in range(8):
                    pool.submit(write, store, f"{run}-{thread}")
                assert enough.wait(60)
                redis.kill()
            redis.start()
            for user, numbers in acknowledged.items():
                assert [entry.sequence for entry in store.history(user)] == numbers
                assert store.record([event(user, event_id=f"{user}/1")]) == numbers[:1]
            # Three to a call, whole or not at all, and no number given twice.
            assert store.position() % 3 == 0
            assert [number for number, _ in numbered(store.replay())] == list(range(1, store.position() + 1))
    assert len({number for numbers in acknowledged.values() for number in numbers}) == 3 * len(acknowledged)


def test_connections_that_the_server_ended_are_replaced(url: str, db: Redis) -> None:
    with open_events(store_place(url)) as store:
        for number in (1, 2):
            assert store.record([event()]) == [number]
            db.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def test_a_server_that_runs_a_long_script_is_told_to_be_busy(redis: RedisServer, url: str, db: Redis) -> None:
    db.config_set("busy-reply-threshold", 1)
    with open_events(store_place(url)) as store, ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: db.execute_command("EVAL", "while true do end", 0))
        try:
            while True:  # until it runs
                try:
                    store.position()
                except UnavailableError:
                    break
            with pytest.raises(UnavailableError, match=r"is busy \(BUSY .*; try again: nothing") as caught:
                store.record([event()])
            assert caught.value.retry_after_s == 1.0
        finally:
            with redis.client() as other:
                other.script_kill()
        assert running.exception() is not None
        db.config_set("busy-reply-threshold", 5000)
        assert store.record([event()]) == [1]


def test_a_server_that_does_not_answer_is_given_up(redis: RedisServer, url: str) -> None:
    with open_events(RedisPlace(url, answer_timeout_s=0.1)) as store:
        store.record([event(event_id="e1")])
        redis.pause()
        try:
            with pytest.raises(UnavailableError, match=r"was lost \(timed out\); .* send it again with the same event"):
                store.record([event(event_id="e2")])
        finally:
            redis.go_on()
        assert store.record([event(event_id="e2"), event(event_id="e1")]) == [2, 1]


# --- a server that refuses ----------------------------------------------------------------------------------


def test_a_wrong_password_is_in_no_message_and_no_log(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UnavailableError, match=r"cannot be reached \(invalid username-password pair") as caught:
        open_events(store_place(redis.url(password="wrong-word")))
    error: BaseException | None = caught.value
    while error is not None:
        assert "wrong-word" not in repr(error)
        error = error.__cause__ or error.__context__
    assert "wrong-word" not in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("--appendonly", "no"), r"appendonly is no .* lost when it ends; set `appendonly yes` in its configuration"),
        (("--appendonly", "yes"), r"appendfsync is everysec .* a power cut loses .*; set `appendfsync always`"),
        ((*DURABLE, "--no-appendfsync-on-rewrite", "yes"), "set `no-appendfsync-on-rewrite no`"),
        (
            (*DURABLE, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"),
            r"maxmemory-policy is allkeys-lru .* when memory is used up; set `maxmemory-policy noeviction`",
        ),
        (
            (*DURABLE, "--cluster-enabled", "yes", "--cluster-port", str(free_port())),
            "is part of a cluster, whose transactions cannot span",
        ),
    ],
)
def test_a_server_that_would_lose_what_it_acknowledged_is_refused(
    settings: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with running(found(), *settings) as server, pytest.raises(FailedPreconditionError, match=message):
        open_events(store_place(server.url()))


def test_a_server_that_comes_back_with_other_settings_is_refused_too(tmp_path: Path) -> None:
    with running(found()) as server, open_events(store_place(server.url())) as store:
        store.record([event()])
        server.kill()
        server.start("--appendonly", "yes", "--appendfsync", "no")
        with pytest.raises(FailedPreconditionError, match="set `appendfsync always`"):
            store.record([event()])
        server.kill()
        server.start()
        assert store.record([event()]) == [2]


def test_a_replica_is_read_and_not_written_to(redis: RedisServer, url: str, db: Redis) -> None:
    db.config_set("repl-diskless-sync-delay", 0)
    with open_events(store_place(url)) as store:
        store.record([event()])
        with running(found()) as other, other.client() as client:
            client.config_set("masterauth", PASSWORD)
            client.replicaof("127.0.0.1", str(redis.port))
            place = store_place(other.url(RedisPlace(url).prefix))
            while client.info("replication")["master_link_status"] != "up":
                time.sleep(0.02)
            with read_events(place) as reader:
                assert numbered(reader.replay()) == [(1, event())]
            with pytest.raises(UnavailableError, match=r"is read-only at the moment .*; name the primary server"):
                open_events(place)


def test_a_user_who_may_do_only_what_a_store_needs(redis: RedisServer, prefix: str, db: Redis) -> None:
    rights = f"~{prefix}:* +@read +@write +@scripting +@connection +info +config|get +bgrewriteaof".split()
    db.execute_command("ACL", "SETUSER", "shop", "on", f">{PASSWORD}", *rights)
    db.execute_command("ACL", "SETUSER", "less", "on", f">{PASSWORD}", *rights[:-2])
    with open_events(store_place(redis.url(prefix, "shop"))) as store:
        assert store.record([event(event_id="e1")]) == [1]
        assert store.delete_user("ann") == 1
    for user, other in (("less", prefix), ("shop", "elsewhere")):
        with pytest.raises(
            FailedPreconditionError, match=r"cannot be used: .*; the user of the URL needs the rights ~"
        ):
            open_events(store_place(redis.url(other, user)))


# --- a server without room, or without what it had ----------------------------------------------------------


def test_when_memory_is_used_up_nothing_is_recorded_and_customers_are_deleted() -> None:
    with running(found()) as server, server.client() as client, open_events(store_place(server.url())) as store:
        store.record([event("ann"), event("bob")])
        client.config_set("maxmemory", 1)
        with pytest.raises(
            ResourceExhaustedError, match=r"has no room left \(command not allowed when used .*make room"
        ) as caught:
            store.record([event("cid"), event("ann")])
        assert caught.value.retry_after_s == 10.0
        assert store.position() == 2
        assert store.delete_user("ann") == 1
        assert store.delete_user("nobody") == 0
        client.config_set("maxmemory", 0)
        assert store.record([event("cid")]) == [3]
        assert [entry.user_id for _, entry in numbered(store.replay())] == ["bob", "cid"]
        assert store.forgotten().last == 2


def test_a_full_disk_ends_redis_and_what_was_acknowledged_is_there_when_it_has_room_again(small_disk: Path) -> None:
    server, filler, done = RedisServer(found(), small_disk), small_disk / "filler", list[int]()
    server.start()
    try:
        with open_events(store_place(server.url())) as store:

            def write_on() -> None:
                while True:
                    done.extend(store.record([event(f"u{len(done)}", "mug" * 150)] * 5))
                    if len(done) == 5:
                        fill_disk(filler)

            with pytest.raises(UnavailableError, match=r"the connection to the store of events in .* was lost"):
                write_on()
            server.kill()
            filler.unlink()
            server.start()
            assert done == list(range(1, len(done) + 1))
            assert [number for number, _ in numbered(store.replay())][: len(done)] == done
            # Whether the last call was recorded is not known; it was whole, or not at all.
            assert store.position() in (len(done), len(done) + 5)
    finally:
        server.kill()


def test_a_store_that_was_emptied_says_so_until_it_is_opened_again() -> None:
    with running(found()) as server, server.client() as client, open_events(store_place(server.url())) as store:
        store.record([event()])
        client.flushall()
        for call in (
            store.position,
            lambda: store.record([event()]),
            lambda: store.record([]),
            lambda: store.delete_user("ann"),
            lambda: list(store.replay()),
            store.forgotten,
            store.last_deletion,
        ):
            with pytest.raises(BundleError, match=r"is gone: that Redis was emptied, .* Restore its append-only file"):
                call()
        with open_events(store_place(server.url())) as again:
            assert again.record([event()]) == [1]


def test_an_event_with_another_byte_is_named_when_it_is_read(url: str, prefix: str, db: Redis) -> None:
    with open_events(store_place(url)) as store:
        store.record([event(), event("bob", "pot")])
        was = db.hget(f"{prefix}:events:all", "2")
        assert isinstance(was, bytes)
        db.hset(f"{prefix}:events:all", "2", was.replace(b"pot", b"pan"))
        for call in (lambda: numbered(store.replay()), lambda: store.history("bob")):
            with pytest.raises(BundleError, match=r"is damaged: event 2: its checksum is another\. Restore"):
                call()
        db.hset(f"{prefix}:events:all", "2", was[:-3])
        with pytest.raises(BundleError, match="is damaged: event 2: it cannot be read"):
            store.delete_user("bob")
        assert [entry.sequence for entry in store.history("ann")] == [1]


# --- what is left of a deleted customer ---------------------------------------------------------------------


def test_no_key_and_in_the_end_no_file_has_a_byte_of_a_deleted_customer() -> None:
    with running(found()) as server, server.client() as client, open_events(store_place(server.url())) as store:
        mine = [
            event("customer-1", "mug", event_id=f"customer-1/{at}", session_id="customer-1's", recommendation_id="\0")
            for at in range(300)
        ]
        store.record([*mine, event("bob", event_id="e1")])
        assert server.files_with("customer-1")
        assert store.delete_user("customer-1") == 300
        assert [key for key in client.scan_iter() if b"customer-1" in key + (client.dump(key) or b"")] == []
        assert sorted(client.scan_iter()) == [
            b"mmrec:events:all",
            b"mmrec:events:deletions",
            b"mmrec:events:ids",
            b"mmrec:events:log",
            b"mmrec:events:of:bob",
            b"mmrec:layout",
        ]
        assert client.hlen("mmrec:events:ids") == client.hlen("mmrec:events:all") == 1
        while client.info("persistence")["aof_rewrite_in_progress"] or server.files_with("customer-1"):
            time.sleep(0.02)  # the rewriting that the deletion asked for
        assert server.files_with("bob") != []
        assert numbered(store.replay()) == [(301, event("bob", event_id="e1"))]


# --- stores beside each other -------------------------------------------------------------------------------

CUPS = StoreKeys("store of cups", "the same cups", "cups", 2)


def test_a_database_without_a_store_is_refused_to_a_reader(url: str) -> None:
    with pytest.raises(NotFoundError, match="there is no store of events in the database under this prefix; name that"):
        read_events(store_place(url))


def test_a_store_of_a_newer_mmrec_is_refused_and_not_changed(url: str, prefix: str, db: Redis) -> None:
    Database(RedisPlace(url), CUPS, {"position": 0}).close()
    Database(RedisPlace(url), CUPS).close()
    db.hset(f"{prefix}:layout", "cups", "3")
    for first in (None, {"position": 7}):
        with pytest.raises(
            FailedPreconditionError, match="has version 3 of its layout, this mmrec reads version 2; use"
        ):
            Database(RedisPlace(url), CUPS, first)
    assert db.hgetall(f"{prefix}:cups:log") == {b"position": b"0"}


def test_servers_that_start_at_once_make_the_store_once(url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        keys = set()
        for opened in pool.map(lambda _: open_events(store_place(url)), range(6)):
            keys.add(opened.forgotten().key)
            opened.close()
    assert len(keys) == 1


def test_shops_with_prefixes_of_their_own_know_nothing_of_each_other(redis: RedisServer, prefix: str) -> None:
    with (
        open_events(store_place(redis.url(f"{prefix}-a"))) as one,
        open_events(store_place(redis.url(f"{prefix}-b"))) as other,
    ):
        assert one.record([event(event_id="e1")]) == [1]
        assert other.history("ann") == []
        assert other.record([event("bob", event_id="e1")]) == [1]
        assert one.delete_user("ann") == 1
        assert other.position() == 1


# --- ways to a server ---------------------------------------------------------------------------------------


def test_a_unix_socket_and_a_password_in_a_file(redis: RedisServer, prefix: str, tmp_path: Path) -> None:
    url = f"unix://{redis.socket}?prefix={prefix}&password_file={tmp_path}/password"
    with pytest.raises(FailedPreconditionError, match=r"password' of the Redis store cannot be read: No such file"):
        open_events(store_place(url))
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    with open_events(store_place(url)) as store, read_events(store_place(redis.url(prefix))) as reader:
        store.record([event()])
        assert reader.position() == 1
    with pytest.raises(UnavailableError, match=r"No such file or directory.*; look whether Redis runs there"):
        open_events(store_place(url.replace("/socket", "/other")))


def test_tls_with_an_authority_of_its_own(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl program to make certificates with")
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "s.key", "-out", "s.pem"),
            *("-days", "2", "-subj", "/CN=redis", "-addext", "subjectAltName=DNS:localhost"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    files = ("--tls-cert-file", f"{tmp_path}/s.pem", "--tls-key-file", f"{tmp_path}/s.key", "--tls-auth-clients", "no")
    port = free_port()
    with running(found(), *DURABLE, "--tls-port", str(port), *files):
        url = f"rediss://:{PASSWORD}@localhost:{port}/?ssl_ca_certs={tmp_path}/s.pem"
        with open_events(store_place(url)) as store:
            assert store.record([event()]) == [1]
        with pytest.raises(UnavailableError, match=r"the certificate does not pass: self-signed certificate"):
            open_events(store_place(url.partition("?")[0]))
        with pytest.raises(UnavailableError, match=r"the certificate does not pass: IP address mismatch\)"):
            open_events(store_place(url.replace("localhost", "127.0.0.1")))


def found() -> Path:
    """The program of the server, for tests that start one of their own."""
    there = program()
    if there is None:
        pytest.skip("Redis is not installed; run: apt-get install redis-server")
    return there
