"""kill -9 at every named place and at any moment: what was acknowledged is there, nothing is there by half."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmrec_serving.event_log import open_events
from mmrec_serving.event_log.failpoints import FAILPOINTS
from mmrec_serving.store_place import store_place
from tests.commands import run_program, start_program
from tests.redis_server import RedisServer, prefix_of
from tests.serving.event_log.making import event

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reports(quick_folder: Callable[[], Path]) -> list[dict[str, Any]]:
    done = run_program(Path(__file__).parent / "die_and_go_on.py", quick_folder())
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_unbroken_run_passes_every_failpoint(reports: list[dict[str, Any]]) -> None:
    assert len(FAILPOINTS) == len(set(FAILPOINTS))
    assert set(reports[0]["passed"]) == set(FAILPOINTS)
    assert len(reports) - 1 == sum(reports[0]["passed"].values()) >= 20


def test_a_store_is_not_written_to_by_a_child_of_its_process(reports: list[dict[str, Any]]) -> None:
    assert reports[0]["forked"]


@pytest.mark.parametrize("name", FAILPOINTS)
def test_a_kill_loses_nothing_acknowledged_leaves_nothing_by_half_and_the_same_calls_go_on(
    reports: list[dict[str, Any]], name: str
) -> None:
    found = [report for report in reports[1:] if report["name"] == name]
    assert found
    for report in found:
        assert (report["status"], report["again"]) == (-signal.SIGKILL, 0)
        # What stands after the kill is what stood after the last step that was acknowledged, or after the next one.
        assert {report["done"], report["done"] + 1} & set(report["stands"]), report
        assert report["same"], report
        assert {".events.lock", "events.sqlite"} >= set(report["left"]) - {"events.sqlite-wal", "events.sqlite-shm"}


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that programs one after the other write to."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/store"
    redis: RedisServer = request.getfixturevalue("redis")
    return redis.url(prefix_of(tmp_path))


def test_killed_at_any_moment_while_many_threads_write(url: str) -> None:
    acknowledged: dict[str, list[int]] = {}
    for run in range(2):
        with start_program(Path(__file__).parent / "write_until_killed.py", url, run) as child:
            for _ in range(40 + 37 * run):
                name, *numbers = child.stdout.readline().split()
                acknowledged[name] = [int(number) for number in numbers]
            child.send_signal(signal.SIGKILL)
            for line in child.stdout:  # what it had been told before it died
                name, *numbers = line.split()
                acknowledged[name] = [int(number) for number in numbers]
            assert child.wait() == -signal.SIGKILL
        with open_events(store_place(url)) as store:
            for name, numbers in acknowledged.items():
                assert [entry.sequence for entry in store.history(name)] == numbers
                assert store.record([event(name, event_id=f"{name}/1")]) == numbers[:1]
            # Three to a call, whole or not at all, and no number given twice.
            assert store.position() % 3 == 0
            everything = [entry.sequence for batch in store.replay() for entry in batch]
            assert everything == list(range(1, store.position() + 1))
    assert len({number for numbers in acknowledged.values() for number in numbers}) == 3 * len(acknowledged)
