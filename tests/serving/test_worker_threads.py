"""A thread that ends by itself: health says so, the log and the refusals say why, and the rest goes on."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import mmrec
from mmrec.contract.items import ItemInput
from mmrec.errors import MmrecError, UnavailableError
from mmrec.sdk.rpcs import SERVICES
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.change_log import SqliteChangeStore
from mmrec_serving.updates.live_catalogue import CatalogueChanges
from mmrec_serving.worker_threads import Restart, Worker
from tests.fake_engine import FakeEngine

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
WAIT_S = 60.0


class Exit(BaseException):
    """Ends a thread, as nothing on purpose would."""


def health_of(target: str, service: str = "") -> Any:
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status


def wait_for_health(target: str, wanted: Any) -> None:
    with grpc.insecure_channel(target) as channel:
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=WAIT_S)
        for reply in watched:
            if reply.status == wanted:
                watched.cancel()
                return


@pytest.fixture(scope="module")
def loaded(demo_bundle: Path) -> mmrec.Recommender:
    return mmrec.Recommender.load(demo_bundle, device="cpu")


@pytest.fixture
def engine(loaded: mmrec.Recommender) -> mmrec.Recommender:
    """One that no other test changes."""
    return loaded.load_current()


@pytest.fixture
def served(engine: mmrec.Recommender, tmp_path: Path) -> Iterator[BackgroundServer]:
    config = ServerConfig(port=0, store=tmp_path / "store", housekeeping_s=0.05, tidy_every_s=0.05)
    with BackgroundServer(lambda: engine, config) as server:
        yield server


def test_where_a_recorded_change_cannot_be_let_in_health_says_so_and_it_comes_in_at_the_next_start(
    engine: mmrec.Recommender,
    served: BackgroundServer,
    loaded: mmrec.Recommender,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a secret of the engine")

    with mmrec.Client(served.target, timeout=60) as client:
        client.upsert_items([ItemInput("first", "Quartz lamp")], wait_until_visible=True)
        before = client.info().versions
        assert health_of(served.target) == SERVING
        monkeypatch.setattr(engine, "change", broken)
        with pytest.raises(UnavailableError, match="takes on no more changes: after change 1, ") as refused:
            client.upsert_items([ItemInput("second", "Quartz table")], wait_until_visible=True)
        for service in ("", *SERVICES):
            assert health_of(served.target, service) == NOT_SERVING
        (error_id,) = re.findall(r"internal error (\w+)", refused.value.message)
        assert "secret" not in refused.value.message
        for told in (f"internal error {error_id}", "a secret of the engine", "health says NOT_SERVING"):
            assert told in caplog.text
        # Changes are refused with the reason, and questions are answered from the catalogue as it is.
        for change in (
            lambda: client.upsert_items([ItemInput("third", "Quartz chair")]),
            lambda: client.delete_items(["first"]),
        ):
            with pytest.raises(UnavailableError, match=f"internal error {error_id}"):
                change()
        assert client.items(["first", "second"]).missing_ids == ("second",)
        assert client.recommend([], k=100).versions == before
    served.stop()
    again = ServerConfig(port=0, store=tmp_path / "store")
    with BackgroundServer(loaded.load_current, again) as server, mmrec.Client(server.target, timeout=60) as client:
        assert client.items(["first", "second", "third"]).missing_ids == ("third",)
        assert health_of(server.target) == SERVING


def test_when_the_thread_of_housekeeping_ends_health_says_so(
    served: BackgroundServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert health_of(served.target) == SERVING

    def end(*_: object) -> None:
        raise Exit("out of order")

    monkeypatch.setattr(SqliteChangeStore, "compact", end)
    wait_for_health(served.target, NOT_SERVING)
    assert "the thread mmrec-housekeeping has ended by itself" in caplog.text
    assert "out of order" in caplog.text
    with mmrec.Client(served.target, timeout=60) as client:
        assert client.upsert_items([ItemInput("a", "Quartz lamp")], wait_until_visible=True).done == ("a",)


def test_what_fails_in_a_round_of_housekeeping_is_a_warning_and_done_again(
    served: BackgroundServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rounds, thrice = [], threading.Event()

    def fail(*_: object) -> None:
        rounds.append(1)
        if len(rounds) == 3:
            thrice.set()
        raise OSError("the disk is full")

    monkeypatch.setattr(SqliteChangeStore, "compact", fail)
    assert thrice.wait(WAIT_S)
    assert health_of(served.target) == SERVING
    assert {record.levelname for record in caplog.records if "the disk is full" in record.getMessage()} == {"WARNING"}


def test_when_the_thread_that_records_changes_ends_health_says_so_and_changes_are_refused(
    served: BackgroundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise Exit

    monkeypatch.setattr(CatalogueChanges, "commit", end)
    with mmrec.Client(served.target, timeout=60) as client:
        with pytest.raises(UnavailableError):
            client.upsert_items([ItemInput("a", "Quartz lamp")])
        assert health_of(served.target) == NOT_SERVING
        with pytest.raises(UnavailableError, match=r"stopped after a fault \(internal error \w+\)"):
            client.delete_items(["p0001"])
        assert client.info().items == 60


def test_whoever_waits_is_let_go_after_the_end_has_been_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, str]] = []
    released: list[tuple[MmrecError, int]] = []

    def main() -> None:
        raise ZeroDivisionError("a secret")

    worker = Worker(
        "mmrec-test",
        main,
        lambda name, error: told.append((name, error.message)),
        lambda error: released.append((error, len(told))),
    )
    assert worker.join(WAIT_S)
    worker.start()
    assert worker.join(WAIT_S)
    ((error, before),) = released
    assert told == [("mmrec-test", error.message)]
    assert before == 1
    assert "secret" not in error.message
    assert error.message in caplog.text


def test_the_pause_before_another_thread_grows_while_they_end_soon() -> None:
    restart, pauses = Restart(1.0, 60.0), [0.0]
    for lived_s in (500.0, 0.1, 0.1, 59.0, 0.0, 0.0, 0.0, 0.0, 60.0, 3.0):
        pauses.append(restart.pause_s(pauses[-1], lived_s))
    assert pauses[1:] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 1.0, 2.0]


def test_when_the_engines_thread_is_replaced_health_says_so_and_changes_stay() -> None:
    config = ServerConfig(port=0, changes_in_memory=True, restart_s=0.2)
    with BackgroundServer(FakeEngine, config) as server, mmrec.Client(server.target, timeout=60) as client:
        client.upsert_items([ItemInput("first", "Quartz lamp")], wait_until_visible=True)
        assert health_of(server.target) == SERVING
        with pytest.raises(UnavailableError):
            client.search("trap: exit")
        wait_for_health(server.target, SERVING)
        while True:
            try:
                found = client.items(["first"])
                break
            except UnavailableError:  # health had not been told of the end yet
                continue
        assert found.missing_ids == ()
        assert client.recommend(["item-3"], k=1).item_ids == ("item-4",)
        wait_for_health(server.target, SERVING)


def test_every_thread_of_the_server_is_looked_after() -> None:
    """A thread outside `Worker` would end without anybody being told."""
    folder = Path(mmrec.__file__).resolve().parent.parent / "serving" / "mmrec_serving"
    made = [
        path.stem
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Thread")
    ]
    # The one in `server` is that of a whole server inside a test or a notebook. Those in `processes` and
    # `trial_process` end a process whose parent has gone.
    assert made == ["processes", "server", "trial_process", "worker_threads"]
