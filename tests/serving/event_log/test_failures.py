"""A full disk, a folder that cannot be written to, files that are damaged or somebody else's, two processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mmrec.errors import (
    BundleError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from mmrec_serving.change_log import SqliteChangeStore
from mmrec_serving.event_log import SqliteEventReader, SqliteEventStore, StoreFolder
from tests.conftest import fill_disk
from tests.serving.event_log.making import event, numbered


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


# --- no room, no rights -------------------------------------------------------------------------------------


def test_a_full_disk_is_one_sentence_loses_nothing_acknowledged_and_ends(small_disk: Path) -> None:
    place, filler = StoreFolder(small_disk / "store"), small_disk / "filler"
    done: list[int] = []
    with SqliteEventStore(place) as store:

        def write_on() -> None:
            while True:
                done.extend(store.record([event(f"u{len(done)}", "mug" * 150)] * 5))
                if len(done) == 5:
                    fill_disk(filler)

        with pytest.raises(
            ResourceExhaustedError, match=r"no space is left on the disk of the store of events in .*a larger disk"
        ) as caught:
            write_on()
        assert caught.value.retry_after_s == 10.0
        assert [number for number, _ in numbered(store.replay())] == done == list(range(1, len(done) + 1))
        filler.unlink()
        assert store.record([event()]) == [len(done) + 1]
    with SqliteEventReader(place) as reader:
        assert reader.position() == len(done) + 1
        assert reader.history("u0", most=1)[0].event == event("u0", "mug" * 150)


def test_a_folder_that_cannot_be_written_to_is_refused_and_left_as_it_is(
    small_disk: Path, remount: Callable[[str], None]
) -> None:
    place = StoreFolder(small_disk / "store")
    with SqliteEventStore(place) as store:
        store.record([event()])
    before = kept(place.folder)
    remount("ro")
    try:
        for name in ("store", "new"):
            with pytest.raises(FailedPreconditionError, match="give a folder that can be written to"):
                SqliteEventStore(StoreFolder(small_disk / name))
    finally:
        remount("rw")
    assert kept(place.folder) == before


def test_a_folder_without_a_store_and_a_file_in_its_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no store of events in"):
        SqliteEventReader(StoreFolder(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgumentError, match="which is a file; name a folder"):
        SqliteEventStore(StoreFolder(tmp_path / "file"))


# --- damage -------------------------------------------------------------------------------------------------


@pytest.fixture
def written(place: StoreFolder) -> Path:
    """The file of a store that was closed."""
    with SqliteEventStore(place) as store:
        store.record([event(f"user-{number}", f"item-{number}", event_id=f"e{number}") for number in range(100)])
    return place.folder / "events.sqlite"


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_a_page(data: bytes) -> bytes:
    at = data.index(b"item-5") // 4096 * 4096
    return data[:at] + bytes(4096) + data[at + 4096 :]


@pytest.mark.parametrize(
    "damage",
    [cut, without_a_page, lambda data: b"", lambda data: b"not a database" * 500, lambda data: bytes(len(data))],
    ids=["cut", "without-a-page", "empty", "not-a-database", "zeros"],
)
def test_a_damaged_file_is_refused_and_never_made_anew(
    written: Path, place: StoreFolder, damage: Callable[[bytes], bytes]
) -> None:
    written.write_bytes(damage(written.read_bytes()))
    before = kept(place.folder)
    with pytest.raises(
        (BundleError, FailedPreconditionError),
        match=r"the store of events in .* is damaged: .*restore the folder from a copy.* starts without these events",
    ):
        SqliteEventStore(place)
    assert kept(place.folder) == before


@pytest.mark.parametrize(
    ("there", "other", "number"),
    [(b"item-50", b"item-51", 51), (b"user-50", b"user-\xff0", 51), (b"user-7", b"user-9", 8)],
)
def test_an_event_with_another_byte_anywhere_is_named_when_it_is_read(
    written: Path, place: StoreFolder, there: bytes, other: bytes, number: int
) -> None:
    written.write_bytes(written.read_bytes().replace(there, other))
    with (
        SqliteEventStore(place) as store,
        pytest.raises(BundleError, match=f"is damaged: event {number}: its checksum is another"),
    ):
        numbered(store.replay())


def test_a_log_without_its_file_is_refused(written: Path, place: StoreFolder) -> None:
    written.rename(written.with_name("events.sqlite-wal"))
    with pytest.raises(BundleError, match=r"events.sqlite is missing, and its events.sqlite-wal exists"):
        SqliteEventStore(place)
    assert not written.exists()


@pytest.mark.parametrize(
    ("pragma", "message"),
    [
        ("application_id = 7", "is a database of another program; give the store of events a folder of its own"),
        ("user_version = 99", "has version 99 of its layout, this mmrec reads version 2; use the mmrec that wrote it"),
    ],
)
def test_a_database_of_another_program_or_layout_is_refused(
    written: Path, place: StoreFolder, pragma: str, message: str
) -> None:
    db = sqlite3.connect(written)
    db.execute(f"PRAGMA {pragma}")
    db.close()
    for opened in (SqliteEventStore, SqliteEventReader):
        with pytest.raises(FailedPreconditionError, match=message):
            opened(place)


# --- others -------------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_and_any_number_of_readers_and_a_store_of_changes_are_not(
    place: StoreFolder,
) -> None:
    with SqliteEventStore(place) as store, SqliteEventReader(place) as reader:
        with pytest.raises(FailedPreconditionError, match="another process is writing to the store of events in"):
            SqliteEventStore(place)
        with SqliteChangeStore(StoreFolder(place.folder), "c1") as changes, SqliteEventReader(place) as other:
            store.record([event()])
            assert reader.position() == other.position() == 1
            assert changes.position() == 0
    SqliteEventStore(place).close()


def test_a_program_that_holds_the_file_is_waited_for_and_then_told(place: StoreFolder) -> None:
    with SqliteEventStore(place) as store:
        other = sqlite3.connect(place.folder / "events.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for write in (lambda: store.record([event()]), lambda: store.delete_user("ann")):
            with pytest.raises(UnavailableError, match="is held by another program") as caught:
                write()
            assert caught.value.retry_after_s == 1.0
        # Nobody who reads waits for it.
        assert store.history("ann") == []
        other.execute("ROLLBACK")
        other.close()
        assert store.record([event()]) == [1]


def test_of_a_call_that_fails_midway_nothing_is_left(place: StoreFolder) -> None:
    def failpoint(name: str) -> None:
        if name == "mid-record" and failing:
            raise OSError(5, "Input/output error")

    failing = True
    with SqliteEventStore(place, failpoint=failpoint) as store:
        with pytest.raises(FailedPreconditionError, match=r"the store of events in .* cannot be used: Input/output"):
            store.record([event("ann"), event("bob")])
        assert (store.position(), store.history("ann")) == (0, [])
        failing = False
        assert store.record([event("bob")]) == [1]
        assert numbered(store.replay()) == [(1, event("bob"))]


def test_any_sqlite_shell_can_look_at_it(written: Path) -> None:
    with sqlite3.connect(written) as db:
        rows = db.execute(
            "SELECT user_id, item_id, event_type, time FROM events JOIN users ON number = user LIMIT 1"
        ).fetchall()
    db.close()
    assert rows == [("user-0", "item-0", "view", 5.0)]
