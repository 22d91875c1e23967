"""Front ends before an engine, each a process of its own: what goes through, and what happens when one of them ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mmrec.contract.items import ItemInput
from mmrec.contract.requests import SearchRequest
from mmrec.errors import (
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from mmrec.sdk.client import Client
from mmrec.sdk.rpcs import GET_SERVICE_INFO, SEARCH_ITEMS
from mmrec.sdk.status import DETAILS_KEY, error_from_trailer
from mmrec.sdk.timing import CallTiming
from mmrec_serving.api_keys import ApiKey, Scope, add_key, sha256_of
from mmrec_serving.config import ServerConfig, config_from_json, config_to_json
from mmrec_serving.updates.child_process import command_of
from tests.commands import Command, run, start_program

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
NO_RETRIES = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))
KEY = (("authorization", "Bearer all-key"),)


class Running(NamedTuple):
    """A server of several processes.

    Attributes:
        process: Their parent.
        address: Of the front ends.
        told: File with the number of the engine's process, when it was last in a trap.
    """

    process: Command
    address: str
    told: Path

    def client(self, token: str | None = "all-key", timeout: float = 30.0) -> Client:
        return Client(self.address, token=token, timeout=timeout)

    def children(self, command: str) -> set[int]:
        """Numbers of the child processes whose command has this word."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="ascii").split()
        return {int(pid) for pid in found if command in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")}

    def trapped(self, channel: grpc.Channel, trap: str) -> grpc.Future[bytes]:
        """A search that the engine has begun with, which takes long."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SEARCH_ITEMS.path)
        running = call.future(SEARCH_ITEMS.encode_request(SearchRequest(text=trap)), timeout=30, metadata=KEY)
        until(lambda: bool(self.told.exists() and self.told.read_text(encoding="ascii")))
        return running


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it has not come about within a minute"
        time.sleep(0.02)


@contextmanager
def started(folder: Path) -> Iterator[Running]:
    keys, told = folder / "keys.toml", folder / "told"
    add_key(keys, ApiKey("all", sha256_of("all-key"), frozenset(Scope)))
    add_key(keys, ApiKey("reader", sha256_of("reader-key"), frozenset({Scope.READ})))
    add_key(keys, ApiKey("slow", sha256_of("slow-key"), frozenset({Scope.READ}), rate=0.001, burst=4))
    with start_program(Path(__file__).parent / "serve_front_ends.py", keys, told, stderr=folder / "log") as process:
        address = process.stdout.readline().strip()
        assert address, (folder / "log").read_text(encoding="utf-8")
        yield Running(process, address, told)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(tmp_path_factory.mktemp("processes")) as running:
        yield running


@pytest.fixture
def told(server: Running) -> Path:
    server.told.unlink(missing_ok=True)
    return server.told


def test_calls_streams_and_their_times_go_through(server: Running) -> None:
    times: list[CallTiming] = []
    with Client(server.address, token="all-key", on_timing=times.append) as client:
        assert [scored.item_id for scored in client.recommend(["item-1"], k=3).items] == ["item-2", "item-3", "item-4"]
        assert {"queue", "run"} < set(times[0].stages)
        batches = ([ItemInput(f"new-{number}", title="hat")] for number in range(5))
        done = [results.entries[0].id for results in client.stream_upserts(batches, in_flight=2)]
        assert done == ["new-0", "new-1", "new-2", "new-3", "new-4"]
        client.delete_items(done)


def test_errors_keep_their_class_and_details(server: Running, told: Path) -> None:
    with server.client() as client:
        with pytest.raises(NotFoundError, match="user 'nobody' is not in the bundle"):
            client.recommend(user_id="nobody")
        with pytest.raises(InvalidArgumentError) as refused:
            client.embed_user(["item-1"], dimension=9)
        assert [(one.field, one.description) for one in refused.value.violations] == [
            ("dimension", "dimension is not 0, 1 or 2")
        ]
        with pytest.raises(InternalError) as failed:
            client.search("trap: raise")
        assert failed.value.error_id in (told.parent / "log").read_text(encoding="utf-8")


def test_keys_are_checked_and_their_rates_are_those_of_all_front_ends_together(server: Running) -> None:
    with server.client(None) as client, pytest.raises(UnauthenticatedError, match="the call has no token"):
        client.info()
    with server.client("reader-key") as client, pytest.raises(PermissionDeniedError, match="needs the scope 'write'"):
        client.delete_items(["item-1"])
    outcomes = []
    for _ in range(12):  # a connection each: they are spread over the front ends
        with server.client("slow-key", timeout=1) as client:
            try:
                outcomes.append(client.info().items)
            except ResourceExhaustedError:
                outcomes.append(0)
    assert outcomes == [20] * 4 + [0] * 8


def test_when_the_engine_is_killed_its_calls_fail_and_others_wait_until_it_is_back(server: Running, told: Path) -> None:
    with grpc.insecure_channel(server.address, NO_RETRIES) as channel, server.client() as client:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == SERVING
        running = server.trapped(channel, "trap: wait")
        os.kill(int(told.read_text(encoding="ascii")), signal.SIGKILL)
        assert running.code() is grpc.StatusCode.UNAVAILABLE
        trailer = dict(running.trailing_metadata())
        details = trailer[DETAILS_KEY]
        assert isinstance(details, bytes)
        said = error_from_trailer(details)
        assert isinstance(said, UnavailableError)
        assert said.message == "the engine's process has ended, or is not up yet; send the call again"
        assert said.retry_after_s == 2.0
        assert trailer["grpc-retry-pushback-ms"] == "2000"
        assert next(watch).status == NOT_SERVING
        # A client of mmrec waits as it is told, and asks again.
        assert client.info().items == 20
        assert next(watch).status == SERVING  # on the same connection
        watch.cancel()


def test_a_front_end_that_is_killed_is_replaced(server: Running) -> None:
    before = server.children("mmrec_serving.processes")
    assert len(before) == 2
    with server.client() as client:
        client.info()
        os.kill(min(before), signal.SIGKILL)
        # On the other one, or on the new one.
        assert client.info().items == 20
        until(lambda: len(server.children("mmrec_serving.processes") - {min(before)}) == 2)


def test_sigterm_under_load_answers_what_runs_and_tells_the_rest(tmp_path: Path) -> None:
    with started(tmp_path) as server:
        ends: list[str] = []
        answered = threading.Semaphore(0)

        def ask() -> None:
            with grpc.insecure_channel(server.address, NO_RETRIES) as channel:
                call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(GET_SERVICE_INFO.path)
                while (running := call.future(b"", timeout=30, metadata=KEY)).exception() is None:
                    answered.release()
                ends.append(f"{running.code().name}: {running.details()}")

        with ThreadPoolExecutor(4) as pool, grpc.insecure_channel(server.address, NO_RETRIES) as channel:
            for _ in range(4):
                pool.submit(ask)
            for _ in range(50):
                assert answered.acquire(timeout=60)
            running = server.trapped(channel, "trap: slow")
            server.process.send_signal(signal.SIGTERM)
            assert len(SEARCH_ITEMS.decode_reply(running.result()).items) == 10
        assert ends == ["UNAVAILABLE: the server is stopping; try another one"] * 4
        assert server.process.wait(30) == 0
        assert server.process.stdout.readline() == "stopped\n"


def test_what_is_wrong_at_the_start_is_said_as_by_a_single_process(tmp_path: Path) -> None:
    more = ("--port", "0", "--front-ends", "1", "--tls-cert", tmp_path / "nowhere.pem", "--tls-key", tmp_path / "key")
    done = run("serve", tmp_path, *more)
    assert done.returncode == 3
    assert "cannot read the TLS file" in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", tmp_path, "--front-ends", "1", "--port", taken.getsockname()[1])
    assert done.returncode == 4
    assert "the port is taken" in done.stderr


def test_a_process_stops_when_its_parent_has_gone(tmp_path: Path) -> None:
    config = ServerConfig(port=0, grace_s=0.5)
    order = {"log": {"format": "text", "level": 30}, "config": config_to_json(config), "engine": f"unix:{tmp_path}/e"}
    command = command_of("mmrec_serving.processes")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(order), file=process.stdin, flush=True)
        assert process.stdout.readline() == '{"listening": true}\n'
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_configuration_reaches_another_process_whole() -> None:
    config = ServerConfig(keys=Path("keys.toml"), token="s3cret", store="postgresql://u@h/d", watch=True, fold_after=0)
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config
