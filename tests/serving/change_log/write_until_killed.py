"""Writes to a store from eight threads, while a ninth compacts it, until it is killed; prints each acknowledgement.

python write_until_killed.py STORE RUN
"""

from __future__ import annotations

import os
import sys
import threading

from mmrec_serving.change_log import ChangeStore, open_changes
from mmrec_serving.store_place import store_place
from tests.serving.change_log.making import upsert


def work(store: ChangeStore, run: str, thread: int) -> None:
    for number in range(100_000):
        name = f"{run}-{thread}-{number}"
        changes = [upsert(name, payload=bytes(3000)), upsert(f"shared-{thread}", name)]
        recorded = store.record(name, name.encode(), changes, name.encode())
        # One write of a short line to a pipe is not torn.
        os.write(1, f"{name} {recorded.first} {recorded.last}\n".encode())


def main() -> None:
    place, run = sys.argv[1:]
    with open_changes(store_place(place), "c1") as store:
        for thread in range(8):
            threading.Thread(target=work, args=(store, run, thread), daemon=True).start()
        while True:
            store.compact(store.position())


if __name__ == "__main__":
    main()
