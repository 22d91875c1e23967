from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

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


@pytest.fixture(scope="module")
def quick_folder() -> Iterator[Callable[[], Path]]:
    """Makes folders in memory where there is such a place, for tests that commit hundreds of times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield lambda: Path(tempfile.mkdtemp(dir=folder))
