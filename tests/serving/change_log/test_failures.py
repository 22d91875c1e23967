"""A full disk, a folder that cannot be written to, files that are damaged or somebody else's, two writers."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmrec.errors import (
    BundleError,
    FailedPreconditionError,
    InvalidArgumentError,
    ResourceExhaustedError,
    UnavailableError,
)
from mmrec_serving.change_log import (
    Change,
    Recorded,
    RecordedRequest,
    SqliteChangeReader,
    SqliteChangeStore,
    StoreFolder,
)
from tests.conftest import ROOT, subprocess_environment
from tests.serving.change_log.making import upsert

D = b"digest"


def replayed(store: SqliteChangeStore) -> list[tuple[int, Change]]:
    return [(entry.sequence, entry.change) for batch in store.replay() for entry in batch]


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            pass


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


# --- no room ------------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_sentence_loses_nothing_acknowledged_and_ends(small_disk: Path) -> None:
    config, filler = StoreFolder(small_disk / "store"), small_disk / "filler"
    with SqliteChangeStore(config, "c1") as store:
        done = []

        def write_on() -> None:
            while True:
                changes = [upsert(f"i{len(done)}", payload=bytes(5000))]
                done.append(store.record(f"r{len(done)}", D, changes, b"%d" % len(done)))
                if len(done) == 1:
                    fill(filler)

        with pytest.raises(ResourceExhaustedError, match=r"no space is left on the disk .*free disk space") as caught:
            write_on()
        assert caught.value.retry_after_s == 10.0
        assert [number for number, _ in replayed(store)] == list(range(1, len(done) + 1))
        with pytest.raises(ResourceExhaustedError, match="no space is left"):
            store.rebase("c" * 900, 1)
        filler.unlink()
        number = len(done)
        changes = [upsert(f"i{number}", payload=bytes(5000))]
        assert store.record(f"r{number}", D, changes, b"").first == number + 1
    with SqliteChangeStore(config, "c1") as store:
        assert [entry for entry, _ in replayed(store)] == list(range(1, number + 2))
        for at, recorded in enumerate(done):
            assert store.find(f"r{at}") == RecordedRequest(D, recorded.last, b"%d" % at)


def test_after_a_full_disk_and_a_close_everything_acknowledged_is_there(small_disk: Path) -> None:
    config = StoreFolder(small_disk / "store")
    last = 0
    with SqliteChangeStore(config, "c1") as store:
        try:
            while True:
                last = store.record("", b"", [upsert("a", payload=bytes(9000))], b"").last
        except ResourceExhaustedError:
            pass
    with SqliteChangeReader(config) as reader:
        assert reader.position() == last > 10


def test_a_store_that_has_no_room_to_be_made_is_made_later(small_disk: Path) -> None:
    fill(small_disk / "filler")
    config = StoreFolder(small_disk / "store")
    with pytest.raises(ResourceExhaustedError, match="no space is left"):
        SqliteChangeStore(config, "c1")
    (small_disk / "filler").unlink()
    with SqliteChangeStore(config, "c1") as store:
        assert store.position() == 0


def test_a_request_that_finds_no_room_leaves_nothing_and_smaller_ones_go_on(small_disk: Path) -> None:
    with SqliteChangeStore(StoreFolder(small_disk / "store"), "c1") as store:
        store.record("r1", D, [upsert("a")], b"")
        with pytest.raises(ResourceExhaustedError, match="no space is left"):
            store.record("r2", D, [upsert("b"), upsert("c", payload=bytes(2_000_000))], b"")
        assert store.find("r2") is None
        assert store.record("r2", D, [upsert("b")], b"") == Recorded(2, 2)
        assert [number for number, _ in replayed(store)] == [1, 2]


# --- a folder that cannot be used ---------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_to_is_refused_and_left_as_it_is(
    small_disk: Path, remount: Callable[[str], None]
) -> None:
    config = StoreFolder(small_disk / "store")
    with SqliteChangeStore(config, "c1") as store:
        store.record("", b"", [upsert("a")], b"")
    before = kept(config.folder)
    remount("ro")
    try:
        for name in ("store", "new"):
            with pytest.raises(FailedPreconditionError, match="give a folder that can be written to"):
                SqliteChangeStore(StoreFolder(small_disk / name), "c1")
        with pytest.raises(FailedPreconditionError, match="give a folder that exists and can be written to"):
            SqliteChangeReader(config)
    finally:
        remount("rw")
    assert kept(config.folder) == before
    with SqliteChangeStore(config, "c1") as store:
        assert replayed(store) == [(1, upsert("a"))]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgumentError, match="which is a file; name a folder"):
        SqliteChangeStore(StoreFolder(tmp_path / "file"), "c1")
    with pytest.raises(InvalidArgumentError, match="base is empty"):
        SqliteChangeStore(StoreFolder(tmp_path / "store"), "")


# --- damage -------------------------------------------------------------------------------------------------


@pytest.fixture
def written(config: StoreFolder) -> Path:
    """The file of a store that was closed."""
    with SqliteChangeStore(config, "c1") as store:
        for number in range(20):
            changes = [upsert(f"i{number}", payload=b"vector-%d" % number * 100)]
            store.record(f"r{number}", D, changes, b"")
    return config.folder / "changes.sqlite"


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_a_page(data: bytes) -> bytes:
    at = data.index(b"vector-5") // 4096 * 4096
    return data[:at] + bytes(4096) + data[at + 4096 :]


@pytest.mark.parametrize(
    "damage",
    [cut, without_a_page, lambda data: b"", lambda data: b"not a database" * 500, lambda data: bytes(len(data))],
    ids=["cut", "without-a-page", "empty", "not-a-database", "zeros"],
)
def test_a_damaged_file_is_refused_and_never_made_anew(
    written: Path, config: StoreFolder, damage: Callable[[bytes], bytes]
) -> None:
    written.write_bytes(damage(written.read_bytes()))
    before = kept(config.folder)
    with pytest.raises((BundleError, FailedPreconditionError), match=r"is damaged: .*restore the folder from a copy"):
        SqliteChangeStore(config, "c1")
    assert kept(config.folder) == before


def test_a_change_that_is_damaged_is_named_when_it_is_read(written: Path, config: StoreFolder) -> None:
    written.write_bytes(written.read_bytes().replace(b"vector-5", b"vector-6", 1))
    with (
        SqliteChangeStore(config, "c1") as store,
        pytest.raises(BundleError, match="is damaged: change 6: its checksum is another"),
    ):
        replayed(store)


def test_a_state_or_request_that_is_damaged_is_refused(written: Path, config: StoreFolder) -> None:
    with sqlite3.connect(written) as db:
        db.execute("UPDATE requests SET reply = x'00' WHERE request_id = 'r1'")
    with SqliteChangeStore(config, "c1") as store:
        with pytest.raises(BundleError, match="the row of request 'r1': its checksum is another"):
            store.find("r1")
        assert store.find("r2") == RecordedRequest(D, 3, b"")
    with db:
        db.execute("UPDATE state SET position = 3")
    db.close()
    with pytest.raises(BundleError, match="the row of its state: its checksum is another"):
        SqliteChangeStore(config, "c1")


def test_a_log_without_its_file_is_refused(written: Path, config: StoreFolder) -> None:
    written.rename(written.with_name("changes.sqlite-wal"))
    with pytest.raises(BundleError, match=r"changes.sqlite is missing, and its changes.sqlite-wal exists"):
        SqliteChangeStore(config, "c1")
    assert not written.exists()


@pytest.mark.parametrize(
    ("pragma", "message"),
    [
        ("application_id = 7", "is a database of another program"),
        ("user_version = 99", "has version 99 of its layout, this mmrec reads version 3; use the mmrec that wrote it"),
    ],
)
def test_a_database_of_another_program_or_layout_is_refused(
    written: Path, config: StoreFolder, pragma: str, message: str
) -> None:
    db = sqlite3.connect(written)
    db.execute(f"PRAGMA {pragma}")
    db.close()
    for opened in (lambda: SqliteChangeStore(config, "c1"), lambda: SqliteChangeReader(config)):
        with pytest.raises(FailedPreconditionError, match=message):
            opened()


# --- others -------------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_here_and_in_another_process(store: SqliteChangeStore, config: StoreFolder) -> None:
    message = "another process is writing to the store of catalogue changes in"
    with pytest.raises(FailedPreconditionError, match=message):
        SqliteChangeStore(config, "c1")
    code = (
        "import sys; from pathlib import Path; from mmrec_serving.change_log import *\n"
        "config = StoreFolder(Path(sys.argv[1]))\n"
        "with SqliteChangeReader(config) as reader: print(reader.position())\n"
        "try: SqliteChangeStore(config, 'c1')\n"
        "except Exception as err: print(err)\n"
    )
    store.record("", b"", [upsert("a")], b"")
    done = subprocess.run(
        [sys.executable, "-c", code, str(config.folder)],
        cwd=ROOT,
        env=subprocess_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"1\n{message}")
    store.close()
    SqliteChangeStore(config, "c1").close()


def test_a_program_that_holds_the_file_is_waited_for_and_then_told(config: StoreFolder) -> None:
    with SqliteChangeStore(StoreFolder(config.folder, busy_timeout_s=0.05), "c1") as store:
        other = sqlite3.connect(config.folder / "changes.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UnavailableError, match="is held by another program") as caught:
            store.record("r1", D, [upsert("a")], b"")
        assert caught.value.retry_after_s == 1.0
        other.execute("ROLLBACK")
        other.close()
        assert store.record("r1", D, [upsert("a")], b"") == Recorded(1, 1)


def test_of_a_request_that_fails_midway_nothing_is_left(
    config: StoreFolder, connections: list[sqlite3.Connection]
) -> None:
    SqliteChangeStore(config, "c1").close()  # makes the file
    connections.clear()
    with SqliteChangeStore(config, "c1") as store:
        for connection in connections:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 20_000)
        with pytest.raises(InvalidArgumentError, match="a change is too large for the store"):
            store.record("r1", D, [upsert("a"), upsert("b", payload=bytes(30_000))], b"")
        assert store.position() == 0
        assert store.record("r1", D, [upsert("c")], b"") == Recorded(1, 1)
        assert replayed(store) == [(1, upsert("c"))]
