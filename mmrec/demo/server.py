"""Starts and stops a server in its own process. Knows nothing about what it serves."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

from mmrec.errors import FailedPreconditionError, UnavailableError

START_TIMEOUT_S = 120.0
"""Seconds until the server must print its address and be healthy; it first loads torch and every model."""
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that is up.

    Attributes:
        address: Where it listens, ``host:port``.
        pid: Its process id.
    """

    address: str
    pid: int


@contextmanager
def running_server(
    bundle: Path,
    log: Path,
    *,
    port: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    timeout_s: float = START_TIMEOUT_S,
) -> Iterator[RunningServer]:
    """Run ``mmrec serve BUNDLE`` while the block runs, then stop it with SIGTERM.

    Args:
        bundle: Bundle to serve.
        log: File for the server's stderr.
        port: Port to listen on; 0 takes a free one.
        device: Where the server computes.
        dtype: Its number format.
        timeout_s: Seconds it may take to come up.

    Raises:
        FailedPreconditionError: it ended instead of starting; the message has its last words.
        UnavailableError: it did not come up in time.
    """
    command = [sys.executable, "-m", "mmrec", "serve", str(bundle), "--port", str(port)]
    command += ["--device", device, "--dtype", dtype]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        )
        try:
            deadline = time.monotonic() + timeout_s
            address = _wait_for_address(process, log, deadline)
            _wait_for_health(process, address, log, deadline)
            yield RunningServer(address, process.pid)
        finally:
            _stop(process)


def _wait_for_address(process: subprocess.Popen[bytes], log: Path, deadline: float) -> str:
    """The address in the first JSON document the server prints.

    A thread keeps reading until the server ends, so that it never blocks on a full pipe.
    """
    stdout = process.stdout
    assert stdout is not None  # it was opened as a pipe
    lines: Queue[bytes] = Queue()

    def read() -> None:
        with stdout:
            for line in stdout:
                lines.put(line)

    Thread(target=read, name="server-stdout", daemon=True).start()
    text = b""
    while time.monotonic() < deadline:
        try:
            text += lines.get(timeout=0.1)
        except Empty:
            if process.poll() is not None and lines.empty():
                raise _ended(process, log) from None
            continue
        try:
            line = json.loads(text)
        except ValueError:
            continue
        return str(line["address"])
    raise UnavailableError(f"the server did not say where it listens in time; its log is {log}")


def _wait_for_health(process: subprocess.Popen[bytes], address: str, log: Path, deadline: float) -> None:
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    request = health_pb2.HealthCheckRequest()
    with grpc.insecure_channel(address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise _ended(process, log)
            try:
                answer = health.Check(request, timeout=5, wait_for_ready=True)
            except grpc.RpcError:
                time.sleep(0.1)
                continue
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            time.sleep(0.1)
    raise UnavailableError(f"the server at {address} did not become healthy in time; its log is {log}")


def _ended(process: subprocess.Popen[bytes], log: Path) -> FailedPreconditionError:
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    words = " / ".join(last) or "it printed nothing"
    return FailedPreconditionError(f"the server ended with status {process.poll()}: {words} (log: {log})")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
