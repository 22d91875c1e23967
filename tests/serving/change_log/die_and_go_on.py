"""A store of changes that dies at every failpoint and goes on; see `tests.serving.dying`.

python die_and_go_on.py WORK
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mmrec_serving.change_log import Change, Delete, SqliteChangeReader, SqliteChangeStore, StoreFolder
from mmrec_serving.change_log.failpoints import FAILPOINTS, Failpoint
from tests.serving.change_log.making import upsert
from tests.serving.dying import Life, refuses_in_a_child

START = datetime(2026, 1, 1, tzinfo=UTC)


def once(store: SqliteChangeStore, request_id: str, digest: bytes, changes: list[Change], reply: bytes) -> None:
    """Record a request, unless it was recorded before the kill."""
    found = store.find(request_id)
    if found is None:
        store.record(request_id, digest, changes, reply)
    else:
        assert (found.digest, found.reply) == (digest, reply)


STEPS: list[Callable[[SqliteChangeStore], object]] = [
    lambda store: store.position(),
    lambda store: once(store, "r1", b"1", [upsert("a"), upsert("b", image=b"blue"), upsert("c")], b"one"),
    lambda store: once(store, "r2", b"2", [upsert("b", "cup", ("title",)), upsert("a", "pot")], b"two"),
    lambda store: once(store, "r3", b"3", [Delete("c")], b"three"),
    lambda store: store.compact(6),
    lambda store: store.announce("c2", 5),
    lambda store: store.rebase("c2", 5),
    lambda store: once(store, "r4", b"4", [upsert("d"), upsert("a", "pan")], b"four"),
    lambda store: store.drop_folded(5),
    lambda store: store.forget(START + timedelta(hours=30)),
    lambda store: once(store, "r5", b"5", [upsert("e")], b"five"),
]
"""Each may be done again after a kill; the last but one, on the second day, forgets the requests of the first."""
LATE = 9


def opened(folder: Path, failpoint: Failpoint, step: Callable[[], int]) -> SqliteChangeStore:
    config = StoreFolder(folder)
    base = "c1"
    if (folder / "changes.sqlite").exists():
        with SqliteChangeReader(config) as reader:
            base = reader.base

    def clock() -> datetime:
        return START + timedelta(hours=60 if step() >= LATE else 0, seconds=step())

    return SqliteChangeStore(config, base, clock=clock, failpoint=failpoint)


def main() -> None:
    work = Path(sys.argv[1])
    with SqliteChangeStore(StoreFolder(work / "forked"), "c1") as store:
        forked = refuses_in_a_child(lambda: store.record("", b"", [upsert("a")], b""))
        assert store.record("", b"", [upsert("a")], b"").first == 1
    life = Life("changes.sqlite", ("state", "changes", "requests"), FAILPOINTS, opened, STEPS)
    life.report(work, forked=forked)


if __name__ == "__main__":
    main()
