"""Threads that give way, and turns with rests; the others keep their share."""

import os
import sys
import threading

import pytest

from mmrec.runtime.background import between_steps, wants_small_steps
from mmrec_serving.priority import Pace, give_way


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


class Clock:
    def __init__(self) -> None:
        self.now, self.slept = 100.0, []  # type: ignore[var-annotated]

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_after_a_turn_comes_a_rest_twice_as_long_if_somebody_would_be_held_up() -> None:
    clock, asked = Clock(), [True]
    pace = Pace(lambda: 0.5 if asked[0] else 60.0, most_s=0.5, clock=clock, sleep=clock.sleep)
    for took in (0.125, 2.0, 0.125):
        with pace:
            clock.now += took
    assert clock.slept == [0.25, 0.5]
    clock.now += 0.125
    with pace:
        pass
    assert clock.slept == [0.25, 0.5, 0.125]
    asked[0] = False
    with pace:
        clock.now += 1.0
    with pace:
        pass
    assert clock.slept == [0.25, 0.5, 0.125]


def test_turns_come_one_at_a_time_and_end_when_work_fails() -> None:
    pace, order = Pace(lambda: 60.0), []

    def work(name: str) -> None:
        with pace:
            order.append(name)

    with pace:
        thread = threading.Thread(target=work, args=("second",))
        thread.start()
        order.append("first")
    thread.join()
    with pytest.raises(ZeroDivisionError), pace:
        _ = 1 / 0
    work("third")
    assert order == ["first", "second", "third"]


def test_a_turn_that_does_not_end_keeps_nobody_waiting() -> None:
    pace = Pace(lambda: 60.0, most_s=0.01)
    with pace:
        thread = threading.Thread(target=lambda: pace.__enter__() or pace.__exit__(None, None, None))
        thread.start()
        thread.join()
    with pace:
        pass


def test_a_step_begins_when_no_request_is_being_answered_or_its_wait_is_over() -> None:
    clock, idle_s = Clock(), [0.5]
    pace = Pace(lambda: idle_s[0], most_s=0.5, most_step_s=0.25, clock=clock, sleep=clock.sleep)
    with pace:
        between_steps()
        assert (clock.slept, wants_small_steps()) == ([], True)
        idle_s[0] = 0.0
        clock.now += 0.125
        between_steps()
    assert sum(clock.slept) == pytest.approx(0.25, abs=0.01)
    # Outside a turn nobody waits; the wait was no part of the turn, after which a pause is due.
    between_steps()
    assert not wants_small_steps()
    clock.slept.clear()
    with pace:
        pass
    assert clock.slept == [pytest.approx(0.25)]
