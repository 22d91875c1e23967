"""Trying a version of a bundle in another process before it is served.

Unit of work: one version. What a bundle holds is checked when it is read, but a fault in a library that reads it could
still end the process, or take all memory. So a process of its own (`trial_process`) loads the version first and asks
it, at a low priority and within limits of memory and time; when it ends, its memory is free again, before this
process loads the version. Then the version is in the page cache, so that its files are not read from disk twice. Knows
nothing about gRPC and requests.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from mmrec.bundle.manifest import MANIFEST
from mmrec.bundle.reader import read_manifest
from mmrec.errors import FailedPreconditionError
from mmrec_serving.updates.child_process import command_of, last_line

_CHILD = "mmrec_serving.updates.trial_process"
_BASE_BYTES = 4 * 2**30
"""Memory for the libraries and for what does not grow with the bundle."""
_TIMES = 4
"""Memory beyond that for each byte of the bundle's files; a served catalogue takes less than two."""


class Trial:
    """Tries versions, one after the other.

    Args:
        seconds: Longest time of one trial, on the clock and of the processor.
        command: What starts the process, without its argument; None: that of `trial_process`. For tests.
    """

    def __init__(self, seconds: float, command: Sequence[str] | None = None) -> None:
        self._seconds = seconds
        self._command = command_of(_CHILD) if command is None else tuple(command)
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    def run(self, folder: Path, *, changes: bool) -> None:
        """Try one version.

        Args:
            folder: The folder of the version.
            changes: Whether its catalogue will be changed.

        Raises:
            FailedPreconditionError: it cannot be loaded or asked, or the process died, or a limit was reached. The
                message says which.
            BundleError: its manifest is damaged or missing.
        """
        most = memory_limit(folder)
        options = {"folder": str(folder), "seconds": self._seconds, "bytes": most, "changes": changes}
        command = [*self._command, json.dumps(options)]
        with _text_file() as said, _text_file() as log:
            with self._lock:
                if self._closed:
                    raise FailedPreconditionError(f"version {folder.name} was not tried: the server is stopping")
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,  # it ends when this process has, which closes the pipe
                    stdout=said,
                    stderr=log,
                )
            with self._child as child:
                try:
                    why = self._outcome(child, said, log)
                finally:
                    child.kill()
                    self._child = None
        if why:
            raise FailedPreconditionError(
                f"version {folder.name} was tried in a process of its own and is not served: {why} (it may take "
                f"{self._seconds:g} s and {most / 2**30:.1f} GiB). Make it afresh, or, if it is known to be sound, "
                "start the server with it, or with --trial-seconds 0"
            )

    def close(self) -> None:
        """End a trial that runs, and try nothing any more."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.kill()

    def _outcome(self, child: subprocess.Popen[bytes], said: IO[str], log: IO[str]) -> str:
        """Why the version is refused; empty if it is not."""
        try:
            status = child.wait(self._seconds)
        except subprocess.TimeoutExpired:
            return "it took too long"
        if self._closed:
            return "the server is stopping"
        if status < 0:
            return _death(-status)
        reply: object = None
        with suppress(ValueError):
            reply = json.loads(last_line(said))
        if status == 0 and reply == {"done": True}:
            return ""
        if isinstance(reply, dict) and "error" in reply:
            return str(reply["error"])
        return f"the process ended with {status}: {last_line(log) or 'it said nothing'}"


def memory_limit(folder: Path) -> int:
    """Bytes that a process may take to load a version: 4 GiB, and four times the size of its files.

    Raises:
        BundleError: its manifest is damaged or missing.
    """
    manifest = read_manifest(folder / MANIFEST)
    return _BASE_BYTES + _TIMES * sum(entry.size for entry in manifest.files.values())


def _text_file() -> IO[str]:
    # Whatever a process says can be read.
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


def _death(number: int) -> str:
    name = signal.Signals(number).name if number in {known.value for known in signal.Signals} else f"signal {number}"
    reasons = {
        signal.SIGKILL: ", as the kernel does when memory runs out",
        signal.SIGXCPU: ": it took too much of the processor",
    }
    reason = next((text for known, text in reasons.items() if known == number), "")
    return f"the process was ended by {name}{reason}"
