"""A Redis server of the tests' own, on a free port of this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.postgres_server import PASSWORD as PASSWORD

if TYPE_CHECKING:
    from redis import Redis

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def prefix_of(folder: Path) -> str:
    """The prefix of a store that another kind of store would have in this folder."""
    return f"p{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class RedisServer:
    """A server, whose data lie in a folder.

    Args:
        program: The server.
        folder: Folder of its data.
    """

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self.folder = program, folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def url(self, prefix: str = "mmrec", user: str = "", password: str = PASSWORD) -> str:
        """The URL of the stores under a prefix."""
        return f"redis://{user}:{password}@127.0.0.1:{self.port}/0?prefix={prefix}"

    @property
    def socket(self) -> Path:
        """The Unix socket on which it listens too."""
        return self.folder / "socket"

    def client(self) -> Redis:
        """A client of it, to be closed by the caller."""
        from redis import Redis

        return Redis(port=self.port, password=PASSWORD, socket_timeout=30)

    def start(self, *settings: str) -> None:
        """Start it, with settings such as ``--appendonly no`` in place of what makes it durable, and wait for it."""
        from redis.exceptions import ConnectionError

        options = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), "--save", "")
        options += ("--requirepass", PASSWORD, "--unixsocket", str(self.socket), *(settings or DURABLE))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, *options], stdout=log, stderr=log, cwd=self.folder)
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except ConnectionError:  # also of one that loads its data
                if self._process.poll() is not None:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def kill(self) -> None:
        """End it with SIGKILL; SIGTERM does not end one that makes its first append-only file."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it do nothing until `go_on`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End a `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def files_with(self, text: str) -> list[str]:
        """Names of the append-only files that contain a text."""
        return sorted(path.name for path in self.folder.glob("appendonlydir/*") if text.encode() in path.read_bytes())


def program() -> Path | None:
    """The server; None where it is not installed."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return Path(found) if found else None


@contextmanager
def running(program: Path, *settings: str) -> Iterator[RedisServer]:
    """A server that runs, and ends in the end. Its data lie in memory where there is such a place.

    Args:
        program: The server.
        settings: See `RedisServer.start`.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        server = RedisServer(program, Path(folder))
        try:
            server.start(*settings)
            yield server
        finally:
            server.kill()
