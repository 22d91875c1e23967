"""Kills a store at every named failpoint each time it is passed, lets it go on, and prints what came of it as JSON.

One process imports everything and forks a child for each run. A child that is to die sends itself SIGKILL, which
nothing in it can catch or clean up after. What it has had acknowledged it writes to a log first.

    python die_and_go_on.py WORK
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mmrec.errors import FailedPreconditionError
from mmrec_serving.change_log import Change, Delete, SqliteChangeReader, SqliteChangeStore, StoreConfig
from mmrec_serving.change_log.failpoints import FAILPOINTS
from tests.serving.change_log.making import upsert

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


def content(folder: Path) -> Any:
    """Every row of every table; None where there is no store."""
    file = folder / "changes.sqlite"
    if not file.exists():
        return None
    db = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    try:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [
            repr(db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall())
            for table in ("state", "changes", "requests")
        ]
    finally:
        db.close()


def run(folder: Path, log: Path, die_at: tuple[str, int] = ("", 0), look: bool = False) -> int:
    """The steps that are not in the log, in a child of its own; how it ended: 0, or minus the signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        first = len(lines(log))
        step = first
        hits: Counter[str] = Counter()

        def failpoint(name: str) -> None:
            assert name in FAILPOINTS
            hits[name] += 1
            if look:
                write(log.with_suffix(".passed"), name)
            if (name, hits[name]) == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

        def clock() -> datetime:
            return START + timedelta(hours=60 if step >= LATE else 0, seconds=step)

        config = StoreConfig(folder)
        base = "c1"
        if (folder / "changes.sqlite").exists():
            with SqliteChangeReader(config) as reader:
                base = reader.base
        with SqliteChangeStore(config, base, clock=clock, failpoint=failpoint) as store:
            for step in range(first, len(STEPS)):
                STEPS[step](store)
                write(log, json.dumps(content(folder) if look else None))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def write(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(f"{line}\n")


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def refused_in_a_child(folder: Path) -> bool:
    """Whether a store that was opened before a fork refuses to write in the child."""
    with SqliteChangeStore(StoreConfig(folder), "c1") as store:
        child = os.fork()
        if not child:
            try:
                store.record("", b"", [upsert("a")], b"")
            except FailedPreconditionError as err:
                os._exit(0 if "was forked" in err.message else 1)
            os._exit(2)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status == 0 and store.record("", b"", [upsert("a")], b"").first == 1


def main() -> None:
    work = Path(sys.argv[1])
    whole = work / "whole"
    assert run(whole, work / "whole.log", look=True) == 0
    after = [None, *map(json.loads, lines(work / "whole.log"))]
    passed = Counter(lines(work / "whole.passed"))
    print(
        json.dumps({"passed": passed, "steps": len(after) - 1, "forked": refused_in_a_child(work / "forked")}),
        flush=True,
    )
    for name in FAILPOINTS:
        for hit in range(1, passed[name] + 1):
            folder, log = work / f"{name}-{hit}", work / f"{name}-{hit}.log"
            status = run(folder, log, (name, hit))
            done = len(lines(log))
            found = content(folder)
            again = run(folder, log)
            print(
                json.dumps(
                    {
                        "name": name,
                        "status": status,
                        "again": again,
                        "done": done,
                        # What was acknowledged, and of what was not all or nothing.
                        "stands": [at for at in range(len(after)) if after[at] == found],
                        "same": content(folder) == after[-1],
                        "left": sorted(path.name for path in folder.iterdir()),
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
