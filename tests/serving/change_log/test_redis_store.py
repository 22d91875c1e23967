"""A store of changes in a Redis that is killed or damaged, has no room, or is compacted by several at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mmrec.errors import BundleError, ResourceExhaustedError, UnavailableError
from mmrec_serving.change_log import (
    Change,
    ChangeStore,
    Delete,
    Recorded,
    RecordedRequest,
    StoreState,
    open_changes,
    read_changes,
)
from mmrec_serving.event_log import open_events
from mmrec_serving.store_place import store_place
from tests.redis_server import RedisServer, prefix_of, program, running
from tests.serving.change_log.making import D1, numbered, upsert
from tests.serving.change_log.model import applied
from tests.serving.event_log.making import event

pytest.importorskip("redis", reason="redis-py is not installed; run: pip install 'mmrec[redis]'")


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return prefix_of(tmp_path)


@pytest.fixture
def url(redis: RedisServer, prefix: str) -> str:
    return redis.url(prefix)


@pytest.fixture
def store(url: str) -> Iterator[ChangeStore]:
    with open_changes(store_place(url), "c1") as made:
        yield made


def items_of(store: ChangeStore) -> dict[str, dict[str, Any]]:
    return applied({}, (change for _, change in numbered(store.replay())))


def test_killed_what_was_acknowledged_is_there_and_the_same_store_goes_on(
    redis: RedisServer, url: str, store: ChangeStore
) -> None:
    assert store.record("r1", D1, [upsert("a"), Delete("b")], b"one") == Recorded(1, 2)
    redis.kill()
    try:
        calls: list[Callable[[], Any]] = [
            lambda: store.record("r2", D1, [upsert("c")], b""),
            lambda: store.find("r1"),
            lambda: store.compact(2),
            lambda: next(store.replay()),
            lambda: open_changes(store_place(url), "c1"),
            lambda: read_changes(store_place(url)),
        ]
        for call in calls:
            with pytest.raises(UnavailableError, match=r"the store of catalogue changes in 'redis://.* kept") as caught:
                call()
            assert caught.value.retry_after_s == 1.0
    finally:
        redis.start()
    assert numbered(store.replay()) == [(1, upsert("a")), (2, Delete("b"))]
    assert store.find("r1") == RecordedRequest(D1, 2, b"one")
    assert store.record("r2", D1, [upsert("c")], b"") == Recorded(3, 3)


def test_killed_at_any_moment_while_many_threads_write_and_it_is_compacted(
    redis: RedisServer, store: ChangeStore
) -> None:
    acknowledged: dict[str, Recorded] = {}
    enough = threading.Event()

    def write(name: str) -> None:
        for number in range(100_000):
            request = f"{name}-{number}"
            changes = [upsert(request, payload=bytes(3000)), upsert(f"shared-{name[-1]}", request)]
            try:
                acknowledged[request] = store.record(request, request.encode(), changes, request.encode())
            except UnavailableError:
                return
            if len(acknowledged) >= 200:
                enough.set()

    def compact() -> None:
        try:
            while True:
                store.compact(store.position())
        except UnavailableError:
            pass

    for run in range(2):
        enough.clear()
        with ThreadPoolExecutor(5) as pool:
            pool.submit(compact)
            for thread in range(4):
                pool.submit(write, f"{run}-{thread}")
            assert enough.wait(60)
            redis.kill()
        redis.start()
        there = {change.item_id: number for number, change in numbered(store.replay())}
        for request, recorded in acknowledged.items():
            assert there[request] == recorded.first
            assert store.find(request) == RecordedRequest(request.encode(), recorded.last, request.encode())
        # Two to a request, whole or not at all, and no number given twice.
        assert store.position() % 2 == 0
        assert store.compact(store.position()) >= 0
        assert {*there} == {*items_of(store)}
    assert len({recorded.first for recorded in acknowledged.values()}) == len(acknowledged)


def test_several_compact_at_once_while_others_record(url: str, store: ChangeStore) -> None:
    changes: list[Change] = []
    for round_ in range(6):
        batch = [
            *(upsert(f"i{at}", f"t{round_}", ("title",), payload=b"") for at in range(0, 60, 2)),
            *(upsert(f"i{at}", f"t{round_}", description=f"d{round_}") for at in range(1, 60, 2)),
            *(Delete(f"i{at}") for at in range(0, 60, 7) if round_ == 3),
        ]
        store.record("", b"", batch, b"")
        changes += batch
    with open_changes(store_place(url), "c1") as other, ThreadPoolExecutor(3) as pool:
        done = [pool.submit(one.compact, upto) for one, upto in ((store, 400), (other, 300), (store, 2**62))]
        later = [upsert(f"i{at}", "last") for at in range(10)]
        for change in later:
            other.record("", b"", [change], b"")
        assert sum(future.result() for future in done) > 200
    assert items_of(store) == applied({}, [*changes, *later])
    store.compact(2**62)
    assert items_of(store) == applied({}, [*changes, *later])
    # Of four items a part was changed after they were deleted, which is two changes.
    assert len(numbered(store.replay())) == 64
    assert store.compact(2**62) == 0


def test_items_whose_ids_begin_alike_are_compacted_each_by_itself(store: ChangeStore) -> None:
    ids = ["a", "a\x00", "a\x000", "a0", "a00000000000000000001w", "漢", "漢字"]
    for _ in range(2):
        store.record("", b"", [Delete(item_id) for item_id in ids], b"")
    assert store.compact(13) == 6
    assert [number for number, _ in numbered(store.replay())] == [7, 8, 9, 10, 11, 12, 13, 14]
    assert store.record("", b"", [Delete("b")], b"", based_on=8) == Recorded(15, 15)
    with pytest.raises(UnavailableError, match="item 'a00"):
        store.record("", b"", [Delete(ids[4])], b"", based_on=11)
    store.rebase("c2", 15)
    assert store.drop_folded(15) == 9


def test_a_change_and_a_request_with_another_byte_are_named(
    redis: RedisServer, prefix: str, store: ChangeStore
) -> None:
    store.record("r1", D1, [upsert("a"), upsert("b", "pot")], b"reply")
    with redis.client() as db:
        rows, number = f"{prefix}:changes:rows", "0" * 19 + "2"
        was = db.hget(rows, number)
        assert isinstance(was, bytes)
        for damage in (was.replace(b"pot", b"pan"), was[:-1], was[:7], b"", b"\0\0\0\2[]"):
            db.hset(rows, number, damage)
            with pytest.raises(BundleError, match=r"is damaged: change 2: .*\. Restore the append-only file of Redis"):
                numbered(store.replay())
        requests = f"{prefix}:changes:requests"
        was = db.hget(requests, "r1")
        assert isinstance(was, bytes)
        for damage in (was.replace(b"reply", b"other"), was[:-1], was[:25]):
            db.hset(requests, "r1", damage)
            with pytest.raises(BundleError, match="is damaged: request 'r1': its checksum is another"):
                store.find("r1")


def test_when_memory_is_used_up_nothing_is_recorded_and_room_can_be_made() -> None:
    found = program()
    if found is None:
        pytest.skip("Redis is not installed; run: apt-get install redis-server")
    with running(found) as server, server.client() as db, open_changes(store_place(server.url()), "c1") as store:
        for title in ("mug", "cup"):
            store.record("", b"", [upsert("a", title), upsert("b", title)], b"")
        db.config_set("maxmemory", 1)
        with pytest.raises(
            ResourceExhaustedError, match=r"store of catalogue changes in .* has no room left"
        ) as caught:
            store.record("r1", D1, [upsert("c")], b"")
        assert caught.value.retry_after_s == 10.0
        assert store.find("r1") is None
        assert store.compact(4) == 2
        assert len(numbered(store.replay())) == 2
        store.rebase("c2", 4)
        assert store.drop_folded(4) == 2
        db.config_set("maxmemory", 0)
        assert store.record("r1", D1, [upsert("c")], b"") == Recorded(5, 5)
        assert store.state() == StoreState("c2", position=5, folded=4, dropped=4)


def test_events_and_changes_are_in_one_redis_and_one_of_them_is_lost_alone(
    redis: RedisServer, prefix: str, url: str, store: ChangeStore
) -> None:
    with open_events(store_place(url)) as events:
        store.record("", b"", [upsert("a")], b"")
        events.record([event()])
        with redis.client() as db:
            db.delete(f"{prefix}:changes:log")
        for call in (
            store.position,
            lambda: store.record("", b"", [], b""),
            lambda: numbered(store.replay()),
            lambda: store.rebase("c2", 0),
            lambda: open_changes(store_place(url), "c1"),
        ):
            with pytest.raises(BundleError, match=r"the store of catalogue changes in .* is gone"):
                call()
        assert events.position() == 1
