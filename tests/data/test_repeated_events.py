"""Repeats of events are told apart from later events of the same item."""

from __future__ import annotations

from mmrec.data.interactions import Interactions
from mmrec.data.repeated_events import count_repeats


def test_repeats_by_kind() -> None:
    users = ["a", "a", "a", "a", "b", "b", "b"]
    items = [1, 1, 2, 1, 1, 1, 1]
    times = [5, 5, 6, 7, 5, 6, 9]
    assert count_repeats(Interactions.from_columns(users, items, times)) == (7, 1, 3, 4)


def test_events_without_a_time_are_not_said_twice() -> None:
    everything = Interactions.from_columns(["a", "a"], [1, 1], [0, 0])
    assert count_repeats(everything, Interactions.empty()) == (2, 0, 1, 1)


def test_nothing_repeats_in_an_empty_log() -> None:
    assert count_repeats(Interactions.empty()) == (0, 0, 0, 0)
