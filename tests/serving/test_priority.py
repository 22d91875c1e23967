"""A thread that gives way; the others keep their share."""

import os
import sys
import threading

import pytest

from mmrec_serving.priority import give_way


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority of their own")
def test_the_thread_that_gives_way_and_those_that_it_starts_are_lowered_and_no_other() -> None:
    found: dict[str, int] = {}

    def note(name: str) -> None:
        found[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def work() -> None:
        give_way()
        note("giving way")
        child = threading.Thread(target=note, args=("started by it",))
        child.start()
        child.join()

    note("before")
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    note("after")
    assert found["after"] == found["before"]
    assert found["giving way"] == found["started by it"] == max(found["before"], 10)
