"""Stopping a server that runs in a process of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mmrec.errors import UnavailableError
from mmrec.sdk.client import Client
from mmrec.sdk.rpcs import GET_SERVICE_INFO
from mmrec_serving import BackgroundServer
from tests.commands import Command, start_program
from tests.fake_engine import FakeEngine


@pytest.fixture
def process() -> Iterator[Command]:
    with start_program(Path(__file__).parent / "serve_fake.py") as started:
        yield started


def _line(process: Command) -> str:
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_calls_finish_and_new_ones_are_refused(process: Command, number: int) -> None:
    target = _line(process)
    with Client(target) as client, ThreadPoolExecutor(1) as pool, grpc.insecure_channel(target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        running = pool.submit(client.search, "trap: slow")
        assert _line(process) == "busy"
        process.send_signal(number)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with Client(target) as late, pytest.raises(UnavailableError):
            late.info()
        assert len(running.result(30).items) == 10
        watch.cancel()
    assert process.wait(30) == 0
    assert _line(process) == "stopped"


def test_a_second_signal_ends_the_grace(process: Command) -> None:
    target = _line(process)
    with Client(target) as client, ThreadPoolExecutor(1) as pool, grpc.insecure_channel(target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        running = pool.submit(client.search, "trap: slow")
        assert _line(process) == "busy"
        process.send_signal(signal.SIGTERM)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        process.send_signal(signal.SIGTERM)
        # The client sends it again, as UNAVAILABLE asks it to, and finds no server.
        with pytest.raises(UnavailableError):
            running.result(30)
    assert process.wait(30) == 0


def test_a_server_without_work_stops_by_itself(process: Command) -> None:
    _line(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_every_call_of_many_is_answered_or_told_that_the_server_stops() -> None:
    # By status codes as they come: the SDK takes CANCELLED for UNAVAILABLE, and repeats it.
    no_retries = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
    answered = threading.Semaphore(0)
    ends: list[str] = []

    def ask(target: str) -> None:
        with grpc.insecure_channel(target, no_retries) as channel:
            call = channel.unary_unary(GET_SERVICE_INFO.path)
            while True:
                try:
                    call(b"", timeout=30)
                except grpc.RpcError as err:
                    ends.append(err.code().name)
                    return
                answered.release()

    with BackgroundServer(FakeEngine) as server, ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(ask, server.target)
        for _ in range(50):
            assert answered.acquire(timeout=60)
        server.stop()
    assert ends == ["UNAVAILABLE"] * 8
