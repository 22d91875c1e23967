"""Runs one call of a function in a process beside this one. Knows nothing about what it does.

For work whose steps are too small for several cores, and which nothing that this process does meanwhile depends on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_PROGRAM = "import sys; sys.path[:] = {path!r}; from mmrec.runtime.side_process import serve; serve({pipe})"
_EXIT_TIMEOUT_S = 5.0


class SideProcess(Generic[T]):
    """A call in another process, which ends with the block, or with this process however that ends.

    Args:
        function: A function of a module, which the process imports.
        arguments: What it is called with; they are copied to the process.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, function: Callable[..., T], *arguments: object) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            program = _PROGRAM.format(path=sys.path, pipe=theirs.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._pipe = Connection(ours.detach())
        # A process that has died is noticed when its result is read.
        with contextlib.suppress(ConnectionError):
            self._pipe.send((function, arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._pipe.close()
        try:
            self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def result(self) -> T | None:
        """What the function returned, waited for; None if it raised an exception or the process died."""
        try:
            returned: T = self._pipe.recv()
        except (EOFError, ConnectionError):
            return None
        return returned


def serve(pipe: int) -> None:
    """Main program of the other process: one call.

    Args:
        pipe: File descriptor of its end of the pipe.
    """
    # Ctrl-C reaches both processes; this one ends with the other.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(pipe)
    function, arguments = connection.recv()

    def end_with_the_other() -> None:
        with contextlib.suppress(EOFError, OSError):
            connection.recv()
        os._exit(1)

    threading.Thread(target=end_with_the_other, name="mmrec-parent", daemon=True).start()
    connection.send(function(*arguments))
