"""Clients that know the addresses of two servers: who is asked, and what happens when servers stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmrec.errors import DeadlineExceededError, MmrecError, UnavailableError
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine


class Load:
    """Threads that ask until the end, each with a client of its own."""

    def __init__(self, target: str, threads: int) -> None:
        self.failed: list[MmrecError] = []
        self._answered = 0
        self._changed = threading.Condition()
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(target,), daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def wait_for_more(self, calls: int) -> None:
        """Wait until as many further calls have been answered."""
        with self._changed:
            wanted = self._answered + calls
            assert self._changed.wait_for(lambda: self._answered >= wanted, timeout=60), self.failed

    def end(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, target: str) -> None:
        with Client(target, timeout=30) as client:
            while not self._ends.is_set():
                try:
                    client.recommend(["item-1"])
                except MmrecError as err:
                    self.failed.append(err)
                with self._changed:
                    self._answered += 1
                    self._changed.notify_all()


@pytest.fixture
def servers() -> Iterator[list[BackgroundServer]]:
    servers = [_served(0), _served(0)]
    yield servers
    for server in servers:
        server.stop()


def _all(servers: Sequence[BackgroundServer]) -> str:
    return "ipv4:" + ",".join(server.target for server in servers)


def _served(port: int) -> BackgroundServer:
    return BackgroundServer(FakeEngine, ServerConfig(port=port)).__enter__()


def test_no_call_fails_while_servers_are_restarted_in_turn(servers: list[BackgroundServer]) -> None:
    load = Load(_all(servers), threads=3)
    try:
        load.wait_for_more(20)
        for at, server in enumerate(servers):
            server.stop()
            load.wait_for_more(20)
            servers[at] = _served(int(server.target.rpartition(":")[2]))
            load.wait_for_more(20)
    finally:
        load.end()
    assert load.failed == []


def test_servers_are_asked_in_turn() -> None:
    engines = [FakeEngine(), FakeEngine()]
    with (
        BackgroundServer(lambda: engines[0]) as one,
        BackgroundServer(lambda: engines[1]) as other,
        Client(_all([one, other])) as client,
    ):
        begun = [len(engine.asked) for engine in engines]
        end = time.monotonic() + 60
        while any(len(engine.asked) == asked for engine, asked in zip(engines, begun, strict=True)):
            assert time.monotonic() < end, "one of the two is never asked"
            client.recommend(["item-1"])
        begun = [len(engine.asked) for engine in engines]
        for _ in range(20):
            client.recommend(["item-1"])
        assert [len(engine.asked) - asked for engine, asked in zip(engines, begun, strict=True)] == [10, 10]


def test_a_server_that_finishes_its_calls_is_not_asked(servers: list[BackgroundServer]) -> None:
    engine = FakeEngine()
    with (
        BackgroundServer(lambda: engine, ServerConfig(port=0, grace_s=60)) as stopping,
        # Shorter than the wait that a refused call is told, so that none is sent again.
        Client(_all([stopping, servers[0]]), timeout=1) as client,
        Client(stopping.target) as busy,
        Client(stopping.target, timeout=1) as late,
        ThreadPoolExecutor(2) as pool,
    ):
        running = pool.submit(busy.search, "trap: wait")
        assert engine.entered.wait(60)
        stopped = pool.submit(stopping.stop)
        while not _refused(late):
            pass
        answered, end = 0, time.monotonic() + 50
        while answered < 50:
            assert time.monotonic() < end, "the server that stops is asked again and again"
            answered = 0 if _refused(client) else answered + 1
        assert not stopped.done()
        engine.release.set()
        assert len(running.result(60).items) == 10
        stopped.result(60)


def _refused(client: Client) -> bool:
    try:
        client.info()
    except (UnavailableError, DeadlineExceededError):
        return True
    return False
