"""What the store in a SQLite file promises beyond what every store does."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from mmrec_serving.change_log import (
    ChangeReader,
    ChangeStore,
    SqliteChangeReader,
    SqliteChangeStore,
    StoreFolder,
    StoreState,
)
from tests.conftest import ROOT, subprocess_environment
from tests.serving.change_log.making import D1, upsert


def test_it_is_a_change_store(store: SqliteChangeStore, config: StoreFolder) -> None:
    as_store: ChangeStore = store
    assert as_store.state() == StoreState("c1")
    with SqliteChangeReader(config) as reader:
        as_reader: ChangeReader = reader
        assert (as_reader.base, as_reader.position()) == ("c1", 0)


def test_nobody_but_the_owner_may_read_a_new_store(store: SqliteChangeStore, config: StoreFolder) -> None:
    store.record("r1", D1, [upsert("a")], b"one")
    assert config.folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in config.folder.glob("changes.sqlite*")}
    assert modes == {"changes.sqlite": 0o600, "changes.sqlite-wal": 0o600, "changes.sqlite-shm": 0o600}


def test_a_batch_ends_where_it_is_large(store: SqliteChangeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmrec_serving.change_log.rows.BATCH_BYTES", 40_000)
    large = upsert("a", payload=bytes(30_000))
    store.record("", b"", [large, large, upsert("b")], b"")
    assert [len(batch) for batch in store.replay()] == [2, 1]


def test_commits_wait_for_the_disk(config: StoreFolder, connections: list[sqlite3.Connection]) -> None:
    SqliteChangeStore(config, "c1").close()  # makes the file
    connections.clear()
    with SqliteChangeStore(config, "c1"):
        writing, _ = connections
        assert writing.execute("PRAGMA query_only").fetchone() == (0,)
        assert writing.execute("PRAGMA synchronous").fetchone() == (2,)
        assert writing.execute("PRAGMA journal_mode").fetchone() == ("wal",)


FOLLOW = """
import sys
from pathlib import Path
from mmrec_serving.change_log import SqliteChangeReader, StoreFolder
after, titles = 0, {}
with SqliteChangeReader(StoreFolder(Path(sys.argv[1])), "c1") as reader:
    print("ready", flush=True)
    while after < 400:
        for changes in reader.replay(after, 7):
            assert [entry.sequence for entry in changes] == sorted(entry.sequence for entry in changes)
            titles |= {entry.change.item_id: entry.change.item.title for entry in changes}
            after = changes[-1].sequence
print(*(f"{name}={titles[name]}" for name in sorted(titles)))
"""


def test_another_process_follows_while_this_one_writes_and_compacts(
    store: SqliteChangeStore, config: StoreFolder
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", FOLLOW, str(config.folder)],
        cwd=ROOT,
        env=subprocess_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    for number in range(100):
        store.record("", b"", [upsert(f"i{at}", str(number)) for at in range(4)], b"")
        if number % 10 == 9:
            store.compact(store.position() - 8)
    told, _ = child.communicate()
    assert (child.returncode, told) == (0, "i0=99 i1=99 i2=99 i3=99\n")


def test_requests_are_recorded_while_long_work_goes_on(config: StoreFolder) -> None:
    recorded: list[int] = []

    def failpoint(name: str) -> None:
        if name == "after-compaction-commit":
            recorded.append(store.record("", b"", [upsert("new")], b"").last)

    with SqliteChangeStore(config, "c1", failpoint=failpoint) as store:
        for _ in range(2):
            store.record("", b"", [upsert(f"i{number:03}") for number in range(450)], b"")
        assert store.compact(900) == 450
        assert recorded == [901, 902, 903]


def test_any_sqlite_shell_can_look_at_it(store: SqliteChangeStore, config: StoreFolder) -> None:
    store.record("", b"", [upsert("a", "Häferl", attributes={"price": "3"})], b"")
    with sqlite3.connect(config.folder / "changes.sqlite") as db:
        rows = db.execute("SELECT item_id, title, attributes FROM changes").fetchall()
    db.close()
    assert rows == [("a", "Häferl", '{"price": "3"}')]
