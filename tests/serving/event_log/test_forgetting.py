"""Of a deleted customer no byte is left in any file of the store, while it is open, and after it was closed."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from mmrec.errors import ResourceExhaustedError, UnavailableError
from mmrec_serving.event_log import SqliteEventReader, SqliteEventStore, StoreFolder
from tests.conftest import fill_disk
from tests.serving.event_log.making import event, files_with, numbered


def test_no_byte_of_a_deleted_customer_is_left_whatever_was_recorded_and_deleted_around(place: StoreFolder) -> None:
    chance = random.Random(7)
    customers = [f"customer-{number:03}-x" for number in range(80)]
    with SqliteEventStore(place) as store:
        for batch in range(16):
            store.record(
                [
                    # Ids of visits and of events often contain that of the customer; some rows are larger than a page.
                    event(
                        user := chance.choice(customers),
                        "漢" * (long := chance.choice([1, 1, 1, 490])),
                        event_id=f"{user}/{batch}/{at}" + "漢" * (long - 1),
                        session_id=f"{batch}/{user}",
                        recommendation_id="漢" * long + user,
                    )
                    for at in range(100)
                ]
            )
            for user in chance.sample(customers, 2):
                there = len(store.history(user))
                assert bool(files_with(place.folder, user)) == (there > 0)
                assert store.delete_user(user) == there
                assert files_with(place.folder, user) == []
        assert len(numbered(store.replay())) > 500
        for user in customers:
            store.delete_user(user)
            assert files_with(place.folder, user) == []
        assert numbered(store.replay()) == []
        assert files_with(place.folder, "customer-") == files_with(place.folder, "漢") == []
        assert store.record([event("ann")]) == [1601]
    assert files_with(place.folder, "customer-") == []
    assert files_with(place.folder, "ann") == ["events.sqlite"]


def test_a_customer_deleted_while_a_program_reads_is_gone_when_it_is_deleted_again(place: StoreFolder) -> None:
    with SqliteEventStore(place) as store:
        store.record([event("ann"), event("bob")])
        other = sqlite3.connect(place.folder / "events.sqlite", isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM events").fetchone()
        with pytest.raises(
            UnavailableError, match=r"events.sqlite-wal' still holds bytes .* then delete again"
        ) as caught:
            store.delete_user("ann")
        assert caught.value.retry_after_s == 1.0
        assert store.history("ann") == []
        assert files_with(place.folder, "ann") == ["events.sqlite-wal"]
        other.close()
        assert store.delete_user("ann") == 0
        assert files_with(place.folder, "ann") == []
        assert numbered(store.replay()) == [(2, event("bob"))]


def test_a_customer_is_deleted_while_others_read_all_the_time(place: StoreFolder) -> None:
    with SqliteEventStore(place) as store, SqliteEventReader(place) as reader:
        store.record([event("ann"), *[event("bob")] * 20])
        batches = reader.replay(batch=5)
        assert len(next(batches)) == 5
        assert store.delete_user("ann") == 1
        assert files_with(place.folder, "ann") == []
        assert len([entry for batch in batches for entry in batch]) == 16
        assert len(reader.history("bob")) == 20


def test_a_deletion_that_finds_no_room_deletes_nothing_and_is_done_later(small_disk: Path) -> None:
    place, filler = StoreFolder(small_disk / "store"), small_disk / "filler"
    with SqliteEventStore(place) as store:
        store.record([event("ann", event_id=f"e{number}") for number in range(1000)])
        fill_disk(filler)
        with pytest.raises(ResourceExhaustedError, match="no space is left on the disk of the store of events"):
            store.delete_user("ann")
        assert len(store.history("ann")) == 1000
        filler.unlink()
        assert store.delete_user("ann") == 1000
        assert files_with(place.folder, "ann") == []


def test_two_stores_remember_the_same_customer_by_different_digests(tmp_path: Path) -> None:
    found = []
    for name in ("one", "other"):
        with SqliteEventStore(StoreFolder(tmp_path / name)) as store:
            store.delete_user("ann")
            found.append(store.forgotten())
    assert [len(forgotten.key) for forgotten in found] == [32, 32]
    assert [[len(digest) for digest in forgotten.deletions] for forgotten in found] == [[32], [32]]
    assert found[0].deletions.keys().isdisjoint(found[1].deletions)
