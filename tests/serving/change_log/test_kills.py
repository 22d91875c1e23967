"""kill -9 at every named place and at any moment: what was acknowledged is there, nothing is there by half."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmrec_serving.change_log import RecordedRequest, open_changes
from mmrec_serving.change_log.failpoints import FAILPOINTS
from mmrec_serving.store_place import store_place
from tests.commands import run_program, start_program
from tests.redis_server import RedisServer, prefix_of
from tests.serving.change_log.making import upsert

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reports(quick_folder: Callable[[], Path]) -> list[dict[str, Any]]:
    done = run_program(Path(__file__).parent / "die_and_go_on.py", quick_folder())
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_unbroken_run_passes_every_failpoint(reports: list[dict[str, Any]]) -> None:
    assert len(FAILPOINTS) == len(set(FAILPOINTS))
    assert set(reports[0]["passed"]) == set(FAILPOINTS)
    assert len(reports) - 1 == sum(reports[0]["passed"].values()) >= 34


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
        assert {".lock", "changes.sqlite"} >= set(report["left"]) - {"changes.sqlite-wal", "changes.sqlite-shm"}


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that programs one after the other write to."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/store"
    redis: RedisServer = request.getfixturevalue("redis")
    return redis.url(prefix_of(tmp_path))


def test_killed_at_any_moment_while_many_threads_write_and_it_is_compacted(url: str) -> None:
    acknowledged: dict[str, tuple[int, int]] = {}
    for run in range(3):
        with start_program(Path(__file__).parent / "write_until_killed.py", url, run) as child:
            for _ in range(60 + 37 * run):
                name, first, last = child.stdout.readline().split()
                acknowledged[name] = (int(first), int(last))
            child.send_signal(signal.SIGKILL)
            for line in child.stdout:  # what it had been told before it died
                name, first, last = line.split()
                acknowledged[name] = (int(first), int(last))
            assert child.wait() == -signal.SIGKILL
        with open_changes(store_place(url), "c1") as store:
            there = {entry.change.item_id: entry.sequence for batch in store.replay() for entry in batch}
            assert all(there[name] == first for name, (first, _) in acknowledged.items())
            for name, (_, last) in acknowledged.items():
                assert store.find(name) == RecordedRequest(name.encode(), last, name.encode())
            # Two to a request, whole or not at all, and no number given twice.
            assert store.position() % 2 == 0
            assert store.position() >= max(last for _, last in acknowledged.values())
            assert store.record("", b"", [upsert("last"), upsert("last")], b"").last == store.position()
    assert len({first for first, _ in acknowledged.values()}) == len(acknowledged)
