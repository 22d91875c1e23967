"""TensorBoard event files, written synchronously by the training thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmrec.runtime.disk_errors import naming_file


class EventFile:
    """One event file.

    tensorboardX's `SummaryWriter` writes in another thread; when the disk is full that thread ends and training waits
    for it forever.

    Args:
        folder: Created if missing.
        steps_done: Steps of earlier runs of the same training; events of later steps, from a killed run, are hidden.
    """

    def __init__(self, folder: Path, steps_done: int = 0) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter
        from tensorboardX.summary import scalar

        self._event, self._scalar, self._folder = Event, scalar, folder
        with naming_file(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter(str(folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"))
        self._write(file_version="brain.Event:2")
        if steps_done:
            self._write(step=steps_done + 1, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, scalars: Mapping[str, Any]) -> None:
        """Add scalars, by name, after this many steps."""
        for name, value in scalars.items():
            self._write(step=step, summary=self._scalar(name, float(value)))

    def flush(self) -> None:
        """Make added scalars visible to readers."""
        with self._closed_on_failure():
            self._records.flush()

    def close(self) -> None:
        """Write everything out."""
        with naming_file(self._folder):
            self._records.close()

    def _write(self, **fields: Any) -> None:
        with self._closed_on_failure():
            self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())

    @contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        try:
            with naming_file(self._folder):
                yield
        except OSError:
            with suppress(OSError):
                self._records.close()
            raise
