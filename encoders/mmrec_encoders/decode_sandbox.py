"""Decodes pictures of strangers in a process of limited memory and time.

Hostile bytes reach the decoder before anything else in a service, and a harmless picture of some kilobytes may take a
second with the interpreter locked. Here both cost another process, which has no weights and no catalogue. What it sends
back is read as numbers and text, never unpickled. A process that dies or takes too long is replaced when the next
picture comes.
"""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from mmrec.errors import InvalidImageError, UnavailableError
from mmrec.runtime.limits import check_numbers
from mmrec_encoders.picture_decoding import DecodedPicture, PictureSetup, decode_as
from mmrec_encoders.protocols import Pixels

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from mmrec_encoders.decode_sandbox import run; run(*map(int, sys.argv[1:]))"
)
_MOST_HEADER_BYTES = 65_536
_MOST_PIXEL_BYTES = 1 << 26
_EXIT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """What a picture may take.

    Attributes:
        memory: Bytes of address space of the process, at least 512 MiB; with its libraries it has 300 MiB.
        seconds: Most seconds for one picture, over 0.
    """

    memory: int = 3 << 30
    seconds: float = 20.0

    def __post_init__(self) -> None:
        check_numbers(self, "memory", low=1 << 29)
        check_numbers(self, "seconds", over=0, below=math.inf)


class DecodeSandbox:
    """A process that decodes one picture at a time; started when the first one comes. Safe to use from any thread.

    Args:
        config: Its limits.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self._config = config or SandboxConfig()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._setup: PictureSetup | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Number of the process; None if there is none."""
        process = self._process
        return None if process is None else process.pid

    def decode(self, setup: PictureSetup, data: bytes) -> DecodedPicture:
        """As `decode_as`; a picture that the process does not survive is one that cannot be read.

        Raises:
            UnavailableError: a process cannot be started, or the sandbox is closed.
        """
        with self._lock:
            pipe = self._started()
            try:
                pipe.send((None if setup == self._setup else setup, data))
                self._setup = setup
                if not pipe.poll(self._config.seconds):
                    self._end()
                    return _unreadable(f"decoding it takes over {self._config.seconds:g} seconds; scale it down")
                return _received(pipe)
            except (OSError, EOFError, ValueError, KeyError, TypeError) as err:
                status = self._end()
                why = f"signal {-status}" if status < 0 else f"status {status}, {type(err).__name__}"
                return _unreadable(
                    f"the process that decodes pictures ended at this one ({why}); save it anew with another program"
                )

    def close(self) -> None:
        """End the process, also while it decodes."""
        self._closed = True
        if (process := self._process) is not None:
            process.kill()
        with self._lock:
            self._end()

    def _started(self) -> Connection:
        if self._closed:
            raise UnavailableError("the server stops; try again later")
        if self._pipe is not None:
            return self._pipe
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _PROGRAM, json.dumps(sys.path)),
                    *(str(theirs.fileno()), str(self._config.memory)),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Nothing of this process's environment, which may hold secrets.
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as err:
            ours.close()
            raise UnavailableError(
                f"a process that decodes pictures cannot be started ({err.strerror}); try again later"
            ) from err
        finally:
            theirs.close()
        self._pipe, self._setup = Connection(ours.detach()), None
        return self._pipe

    def _end(self) -> int:
        """The exit status, negative for a signal; 0 if there was no process."""
        process, self._process = self._process, None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if process is None:
            return 0
        try:
            # One that died has a status by now; one that decodes would go on.
            return process.wait(0.1)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(_EXIT_TIMEOUT_S)


def _unreadable(why: str) -> DecodedPicture:
    return DecodedPicture(InvalidImageError(f"the picture cannot be decoded: {why}"), None)


def _received(pipe: Connection) -> DecodedPicture:
    header = json.loads(pipe.recv_bytes(_MOST_HEADER_BYTES))
    if header["error"] is not None:
        return DecodedPicture(InvalidImageError(str(header["error"])), None)
    pixels = _array(pipe, header["pixels"])
    return DecodedPicture(pixels, None if header["thumbnail"] is None else _array(pipe, header["thumbnail"]))


def _array(pipe: Connection, shape: list[int]) -> Pixels:
    # A copy, so that it can be written to.
    return np.frombuffer(pipe.recv_bytes(_MOST_PIXEL_BYTES), np.uint8).reshape(shape).copy()


# --- in the process ---------------------------------------------------------------------------------------------------


def run(pipe: int, memory: int) -> None:
    """Decode until the pipe closes.

    Args:
        pipe: File number of this end.
        memory: See `SandboxConfig`.
    """
    import resource
    import signal

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # It writes no file, also none with its memory when it dies.
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    connection = Connection(pipe)
    setup: PictureSetup | None = None
    while True:
        try:
            sent, data = connection.recv()
        except (EOFError, ConnectionError):
            return
        setup = sent or setup
        assert setup is not None  # the first picture comes with it
        try:
            found = decode_as(setup, data)
        except MemoryError:
            found = _unreadable(f"decoding it takes over {memory >> 20:,} MiB of memory; scale it down")
        _send(connection, found)


def _send(connection: Connection, found: DecodedPicture) -> None:
    error = found.pixels if isinstance(found.pixels, InvalidImageError) else None
    arrays: dict[str, Any] = {} if error is not None else {"pixels": found.pixels, "thumbnail": found.thumbnail}
    header = {name: None if array is None else array.shape for name, array in arrays.items()}
    connection.send_bytes(json.dumps({"error": None if error is None else error.message, **header}).encode())
    for array in arrays.values():
        if array is not None:
            connection.send_bytes(np.ascontiguousarray(array).tobytes())
