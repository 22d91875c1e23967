"""Connections, calls of a connection, and open streams of a caller are limited, at a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from mmrec.errors import DeadlineExceededError, InvalidArgumentError, ResourceExhaustedError
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.api_keys import ApiKey, Scope, add_key, sha256_of
from tests.fake_engine import FakeEngine


def serving(**config: Any) -> BackgroundServer:
    return BackgroundServer(FakeEngine, ServerConfig(port=0, **config))


def soon(call: Callable[[], object]) -> None:
    """The server learns a moment later that a stream has ended."""
    deadline = time.monotonic() + 20
    while True:
        try:
            call()
            return
        except ResourceExhaustedError:
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.02)


def test_a_caller_without_a_key_has_as_many_streams_as_its_address_may() -> None:
    with serving(max_streams=2) as server, Client(server.target) as one, Client(server.target) as other:
        with one.converse() as first, other.converse() as second:
            first.say("hello")
            second.say("hello")
            with pytest.raises(ResourceExhaustedError, match=r"the address ipv4:127\.0\.0\.1 .* \(2\)"):
                one.converse().say("hello")
            # What is no stream is not counted, and the open ones go on.
            assert one.info().items == 20
            assert first.say("hello").item_ids
        soon(lambda: one.converse().say("hello"))


def test_each_key_has_its_own_streams(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    for name in ("first", "second"):
        add_key(file, ApiKey(name, sha256_of(name * 8), frozenset({Scope.READ})))
    with (
        serving(max_streams=1, keys=file) as server,
        Client(server.target, token="first" * 8) as one,
        Client(server.target, token="second" * 8) as other,
    ):
        with one.converse() as talk, other.converse() as elsewhere:
            assert talk.say("hello").item_ids
            assert elsewhere.say("hello").item_ids
            with pytest.raises(ResourceExhaustedError, match=r"the key 'first' .* \(1\)"):
                one.converse().say("hello")
        soon(lambda: one.converse().say("hello"))


def test_a_client_keeps_back_calls_beyond_those_of_a_connection() -> None:
    with serving(max_calls=1) as server, Client(server.target) as client:
        with client.converse() as talk:
            talk.say("hello")
            with pytest.raises(DeadlineExceededError):
                client.info(timeout=0.5)
        assert client.info().items == 20


def test_connections_beyond_the_limit_are_closed_when_they_come() -> None:
    with serving(max_connections=2) as server:
        host, _, port = server.target.rpartition(":")
        sockets = [socket.create_connection((host, int(port)), timeout=20) for _ in range(3)]
        # HTTP/2 begins with the server's settings.
        assert sorted(bool(one.recv(100)) for one in sockets) == [False, True, True]
        for one in sockets:
            one.close()
        with Client(server.target) as client:
            assert client.info(timeout=20).items == 20


def test_a_connection_without_calls_is_closed_and_comes_back() -> None:
    with serving(max_connection_idle_s=0.2) as server, grpc.insecure_channel(server.target) as channel:
        states: list[grpc.ChannelConnectivity] = []
        idle = threading.Event()

        def note(state: grpc.ChannelConnectivity) -> None:
            states.append(state)
            if state is grpc.ChannelConnectivity.IDLE and grpc.ChannelConnectivity.READY in states:
                idle.set()

        channel.subscribe(note)
        call = channel.unary_unary("/mmrec.v1.SystemService/GetServiceInfo")
        assert call(b"", timeout=20)
        assert idle.wait(20)
        assert call(b"", timeout=20)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max_streams", 0, "max_streams is 0; it must be a whole number from 1 to 1,000,000"),
        ("max_calls", 0, "max_calls is 0; it must be a whole number from 1 to 1,000,000"),
        ("max_connections", -1, "max_connections is -1; it must be a whole number from 0 to 1,000,000"),
        ("max_connection_idle_s", 0.0, "max_connection_idle_s is 0.0"),
    ],
)
def test_limits_that_let_nobody_in_are_refused(name: str, value: float, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        ServerConfig(**{name: value})
