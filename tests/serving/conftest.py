from __future__ import annotations

from collections.abc import Iterator

import pytest

from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    made = FakeEngine()
    yield made
    made.release.set()


@pytest.fixture
def config() -> ServerConfig:
    """Overridden by tests that want another one."""
    return ServerConfig(port=0, changes_in_memory=True)


@pytest.fixture
def server(engine: FakeEngine, config: ServerConfig) -> Iterator[BackgroundServer]:
    with BackgroundServer(lambda: engine, config) as running:
        yield running
        engine.release.set()


@pytest.fixture
def client(server: BackgroundServer) -> Iterator[Client]:
    with Client(server.target) as made:
        yield made
