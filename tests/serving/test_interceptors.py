"""How long callers wait before they call again, as the server tells gRPC's own retries."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mmrec.contract.replies import SearchResults
from mmrec.contract.requests import SearchRequest
from mmrec.errors import MmrecError, UnavailableError
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine


class BusyEngine(FakeEngine):
    """Asks callers of search to come again after a wait."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__()
        self.searches = 0
        self._retry_after_s = retry_after_s

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        self.searches += len(requests)
        return [UnavailableError("not now", retry_after_s=self._retry_after_s) for _ in requests]


def test_a_client_comes_again_after_the_wait_that_it_was_told() -> None:
    engine = BusyEngine(2.0)
    with (
        BackgroundServer(lambda: engine, ServerConfig(port=0)) as server,
        Client(server.target, timeout=3.5) as client,
        pytest.raises(UnavailableError, match="not now"),
    ):
        client.search("lamp")
    # At once and after two seconds; by gRPC's own backoff it would be four times within the deadline.
    assert engine.searches == 2


def test_a_client_whose_deadline_comes_before_has_the_error_at_once() -> None:
    engine = BusyEngine(60.0)
    with (
        BackgroundServer(lambda: engine, ServerConfig(port=0)) as server,
        Client(server.target) as client,
        pytest.raises(UnavailableError, match="not now") as failed,
    ):
        client.search("lamp")
    assert (engine.searches, failed.value.retry_after_s) == (1, 60.0)
