"""What the clients do without a server, or with a bad one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest

from mmrec.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    NotImplementedYetError,
    UnavailableError,
)
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.aio_transport import AsyncEngineTransport
from mmrec.sdk.client import Client
from mmrec.sdk.connection import channel_options, is_spread
from mmrec.sdk.transport import EngineTransport
from mmrec_serving.listening import LEAST_PING_MS
from tests.fake_engine import FakeEngine


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_dead_server_is_named_with_what_to_do(nobody: str) -> None:
    with Client(nobody) as client, pytest.raises(UnavailableError) as failed:
        client.recommend()
    assert f"no mmrec server answers at {nobody}" in failed.value.message
    assert "mmrec serve BUNDLE" in failed.value.message


def test_a_dead_server_is_named_by_the_asyncio_client_too(nobody: str) -> None:
    async def scenario() -> None:
        async with AsyncClient(nobody) as client:
            await client.recommend()

    with pytest.raises(UnavailableError, match=f"no mmrec server answers at {nobody}"):
        asyncio.run(scenario())


def test_a_server_that_says_nothing_costs_the_deadline_and_no_more() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(target, timeout=0.3) as client,
            pytest.raises((DeadlineExceededError, UnavailableError), match=target),
        ):
            client.info()


Answer = Any


@pytest.fixture
def other_server() -> Iterator[tuple[str, list[Answer], list[str]]]:
    """A gRPC server that is not mmrec's: its address, what it will answer (bytes or a status), and who called."""
    answers: list[Answer] = []
    called: list[str] = []

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            def behave(request: bytes, context: Any) -> bytes:
                called.append(details.method)
                answer = answers.pop(0)
                if isinstance(answer, bytes):
                    return answer
                context.abort(answer, "words of another server")
                raise AssertionError

            return grpc.unary_unary_rpc_method_handler(behave) if answers else None

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}", answers, called
    server.stop(None).wait()


def test_only_what_no_server_answered_is_tried_again(other_server: Any) -> None:
    target, answers, called = other_server
    again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    answers += [*again, b""]
    with Client(target) as client:
        assert client.info().name == ""
        assert len(called) == 3
        for code in grpc.StatusCode:
            if code in (grpc.StatusCode.OK, *again):
                continue
            called.clear()
            answers[:] = [code, b""]
            with pytest.raises(Exception, match=r".") as failed:
                client.info()
            assert type(failed.value).__module__ == "mmrec.errors"
            assert len(called) == 1, code


def test_trying_again_ends_after_four_attempts(other_server: Any) -> None:
    target, answers, called = other_server
    answers += [grpc.StatusCode.UNAVAILABLE] * 10
    with Client(target) as client, pytest.raises(UnavailableError, match="words of another server"):
        client.info()
    assert len(called) == 4


def test_trying_again_has_a_budget(other_server: Any) -> None:
    target, answers, called = other_server
    answers += [grpc.StatusCode.UNAVAILABLE] * 100
    with Client(target) as client:
        for _ in range(10):
            with pytest.raises(UnavailableError):
                client.info()
    # Five failures use up half of the ten tokens; from then on every call is made once.
    assert len(called) < 20


def test_a_server_without_our_calls_is_told_from_a_dead_one(other_server: Any) -> None:
    target, _, _ = other_server
    with (
        Client(target) as client,
        pytest.raises(NotImplementedYetError, match="check that it is an mmrec server"),
    ):
        client.info()


def test_a_reply_that_is_noise_is_our_error(other_server: Any) -> None:
    target, answers, _ = other_server
    answers += [b"\xff\xfe noise"]
    with Client(target) as client, pytest.raises(InternalError, match="cannot be read"):
        client.info()


def test_a_closed_client_says_so(nobody: str) -> None:
    client = Client(nobody)
    client.close()
    with pytest.raises(FailedPreconditionError, match="is closed"):
        client.info()


def test_a_closed_asyncio_client_says_so(nobody: str) -> None:
    async def scenario() -> None:
        client = AsyncClient(nobody)
        await client.close()
        await client.info()

    with pytest.raises(FailedPreconditionError, match="is closed"):
        asyncio.run(scenario())


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf"), "5", True])
def test_a_timeout_that_is_none_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        Client(timeout=timeout)
    assert refused.value.violations[0].field == "timeout"
    with Client(transport=EngineTransport(FakeEngine())) as client, pytest.raises(InvalidArgumentError):
        client.info(timeout=timeout)


@pytest.mark.parametrize("target", ["", "  ", None, 50051])
def test_a_target_that_is_none_is_refused(target: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="pass host:port"):
        Client(target)


@pytest.mark.parametrize("token", ["", "two words", "line\nend", "schlüssel", 7])
def test_a_token_that_cannot_travel_is_refused(token: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="token is empty or has characters other than"):
        Client("localhost:1", token=token)


def test_a_client_on_an_engine_needs_no_server() -> None:
    with Client(transport=EngineTransport(FakeEngine())) as client:
        assert client.recommend(["item-3"], k=2).item_ids == ("item-4", "item-5")


def test_arrays_and_columns_of_frames_are_lists_too() -> None:
    with Client(transport=EngineTransport(FakeEngine())) as client:
        assert client.recommend(np.array(["item-3"]), k=2).item_ids == ("item-4", "item-5")
        assert client.items(pd.Series(["item-3", "none"])).missing_ids == ("none",)
        vectors_ND = client.embed([{"title": "lamp"}]).to_numpy()
        assert client.search(vector=vectors_ND[0], k=1).item_ids == ("item-4",)


def test_an_asyncio_client_on_an_engine_needs_no_server() -> None:
    async def scenario() -> tuple[str, ...]:
        async with AsyncClient(transport=AsyncEngineTransport(FakeEngine())) as client:
            return (await client.recommend(["item-3"], k=2)).item_ids

    assert asyncio.run(scenario()) == ("item-4", "item-5")


def test_a_picture_may_be_given_as_a_path(tmp_path: Any) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8 picture")
    with Client(transport=EngineTransport(FakeEngine())) as client:
        assert client.search(image=tmp_path / "a.jpg", k=1).item_ids == ("item-0",)


def test_every_service_of_the_contract_is_in_the_retry_policy() -> None:
    policy = dict(channel_options(None))["grpc.service_config"]
    for service in ("ItemService", "UnderstandingService", "RecommendationService", "SystemService"):
        assert f"mmrec.v1.{service}" in policy


def test_pings_come_less_often_than_servers_allow_and_as_long_as_a_stream_is_quiet() -> None:
    options = dict(channel_options(None))
    assert options["grpc.keepalive_time_ms"] == 30_000 > LEAST_PING_MS
    assert options["grpc.http2.max_pings_without_data"] == 0


@pytest.mark.parametrize(
    ("target", "asked", "expected"),
    [
        ("localhost:50051", None, False),
        ("localhost:50051", True, True),
        ("ipv4:10.0.0.1:50051,10.0.0.2:50051", None, True),
        ("ipv4:10.0.0.1:50051,10.0.0.2:50051", False, False),
        ("dns:///mmrec:50051", None, True),
    ],
)
def test_calls_are_spread_over_several_addresses(target: str, asked: bool | None, expected: bool) -> None:
    assert is_spread(target, asked) is expected
    assert ("round_robin" in dict(channel_options(None, spread=expected))["grpc.service_config"]) is expected


def test_a_round_robin_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="round_robin is 'yes'; pass True, False, or None"):
        Client(round_robin="yes")  # type: ignore[arg-type]
