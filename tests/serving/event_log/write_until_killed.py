"""Writes to a store from eight threads until it is killed; prints each acknowledgement.

python write_until_killed.py STORE RUN
"""

from __future__ import annotations

import os
import sys
import threading

from mmrec_serving.event_log import EventStore, open_events
from mmrec_serving.store_place import store_place
from tests.serving.event_log.making import event


def work(store: EventStore, run: str, thread: int) -> None:
    for number in range(100_000):
        name = f"{run}-{thread}-{number}"
        numbers = store.record([event(name, event_id=f"{name}/{at}", session_id="visit" * 90) for at in (1, 2, 3)])
        # One write of a short line to a pipe is not torn.
        os.write(1, f"{name} {' '.join(map(str, numbers))}\n".encode())


def main() -> None:
    place, run = sys.argv[1:]
    with open_events(store_place(place)) as store:
        threads = [threading.Thread(target=work, args=(store, run, thread), daemon=True) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
