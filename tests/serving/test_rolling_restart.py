"""Two servers are restarted one after the other while clients that know both addresses ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mmrec.errors import MmrecError
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


def _served(port: int) -> BackgroundServer:
    return BackgroundServer(FakeEngine, ServerConfig(port=port)).__enter__()


def test_no_call_fails_while_servers_are_restarted_in_turn(servers: list[BackgroundServer]) -> None:
    load = Load("ipv4:" + ",".join(server.target for server in servers), threads=3)
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
