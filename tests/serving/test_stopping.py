"""Stopping a server that runs in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mmrec.errors import MmrecError, UnavailableError
from mmrec.sdk.client import Client
from tests.commands import Command, start_program


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


def test_every_call_of_many_is_answered_or_told_that_the_server_stops(process: Command) -> None:
    target = _line(process)
    ends: list[str] = []

    def ask() -> None:
        with Client(target) as client:
            while True:
                try:
                    client.info()
                except MmrecError as err:
                    ends.append(err.code)
                    return

    with ThreadPoolExecutor(8) as pool, Client(target) as client:
        client.info()
        asking = [pool.submit(ask) for _ in range(8)]
        process.send_signal(signal.SIGTERM)
        for one in asking:
            one.result(30)
    assert set(ends) == {"UNAVAILABLE"}
    assert process.wait(30) == 0
