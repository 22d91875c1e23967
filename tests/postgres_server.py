"""A PostgreSQL server of the tests' own, on a free port of this machine."""

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

PASSWORD = "open-sesame"
_USER = "mmrec"


def schema_of(folder: Path) -> str:
    """The schema for a store that another kind of store would have in this folder."""
    return f"s{hashlib.sha256(str(folder).encode()).hexdigest()[:20]}"


class PostgresServer:
    """A server, whose data lie in a folder.

    Args:
        programs: Folder of its programs.
        folder: Folder of its data, which belongs to whoever runs it.
        owner: The user who runs it; None for the one of this process.
    """

    def __init__(self, programs: Path, folder: Path, owner: str | None) -> None:
        self._programs, self._folder, self._owner = programs, folder, owner
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        (folder / "password").write_text(PASSWORD)
        self._run(
            *("initdb", "--pgdata", folder / "data", "--username", _USER, "--pwfile", folder / "password"),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )

    def url(self, schema: str = "public", password: str = PASSWORD) -> str:
        """The URL of a schema of its own in the database; see `make_schema`."""
        # Tests that stop the server must not wait for it.
        return (
            f"postgresql://{_USER}:{password}@127.0.0.1:{self.port}/postgres?connect_timeout=2"
            f"&options=-csearch_path%3D{schema}"
        )

    def make_schema(self, schema: str) -> str:
        """Make a schema, unless it is there; returns its URL."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as db:
            db.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")  # type: ignore[call-overload]
        return self.url(schema)

    def start(self, *settings: str) -> None:
        """Start it, with settings such as ``fsync=off``, and wait until it answers."""
        import psycopg

        options = ("listen_addresses=127.0.0.1", f"port={self.port}", "unix_socket_directories=", *settings)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *(f"-c{option}" for option in options)],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=self._owner,
            )
        while True:
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None:
                    raise AssertionError((self._folder / "log").read_text()) from None
                time.sleep(0.02)

    def kill(self) -> None:
        """End it with SIGKILL; its other processes end by themselves."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it, with its connections."""
        self._end(signal.SIGINT)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def _run(self, program: str, *arguments: object) -> None:
        command = [self._programs / program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, user=self._owner)
        assert done.returncode == 0, done.stderr


def programs() -> Path | None:
    """The folder with the programs of the server; None where it is not installed. Debian has them in no PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in folders[::-1] if os.access(folder / "initdb", os.X_OK)), None)


@contextmanager
def running(programs: Path) -> Iterator[PostgresServer]:
    """A server that runs, and ends in the end. Its data lie in memory where there is such a place."""
    memory = Path("/dev/shm")
    # It refuses to be run by root.
    owner = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        if owner:
            shutil.chown(folder, owner)
        server = PostgresServer(programs, Path(folder), owner)
        try:
            server.start()
            yield server
        finally:
            server.stop()
