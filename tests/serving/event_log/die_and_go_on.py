"""A store of events that dies at every failpoint and goes on; see `tests.serving.dying`.

python die_and_go_on.py WORK
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from mmrec_serving.event_log import SqliteEventStore, StoreFolder
from mmrec_serving.event_log.failpoints import FAILPOINTS
from mmrec_serving.sqlite_files import Failpoint
from tests.serving.dying import Life, refuses_in_a_child
from tests.serving.event_log.making import event

STEPS: list[Callable[[SqliteEventStore], object]] = [
    lambda store: store.position(),
    lambda store: store.record([event("ann", event_id="e1"), event("bob", event_id="e2"), event("ann", event_id="e3")]),
    lambda store: store.record([event("bob", event_id="e4"), event("bob", event_id="e1")]),
    lambda store: store.delete_user("ann"),
    lambda store: store.record([event("cid", event_id="e5"), event("cid", event_id="e6")]),
]
"""Each may be done again after a kill."""


def opened(folder: Path, failpoint: Failpoint, step: Callable[[], int]) -> SqliteEventStore:
    store = SqliteEventStore(StoreFolder(folder), failpoint=failpoint)
    if (folder / "events.sqlite-wal").stat().st_size:
        store.close()
        raise AssertionError("a write-ahead log with bytes of deleted customers is left")
    return store


def main() -> None:
    work = Path(sys.argv[1])
    with SqliteEventStore(StoreFolder(work / "forked")) as store:
        forked = refuses_in_a_child(lambda: store.record([event()]))
        assert store.record([event()]) == [1]
    Life("events.sqlite", ("events", "users"), FAILPOINTS, opened, STEPS).report(work, forked=forked)


if __name__ == "__main__":
    main()
