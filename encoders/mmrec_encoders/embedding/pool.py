"""Pool of small processes that decode pictures ahead of the model.

Takes lists of tasks from an iterator and yields their pixels in the same order, a bounded number ahead. A process that
dies is replaced and its tasks are repeated; a picture at which two processes died is skipped, with a reason. Processes
are spawned, not forked: forking a process with torch threads can hang, and a new interpreter without torch needs a
tenth of the memory.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from mmrec.errors import FailedPreconditionError, InternalError
from mmrec_encoders.embedding.pictures import DecodeSetup, PictureDecoder, PictureResult, PictureTask
from mmrec_encoders.embedding.worker import Answer, Layout, Order, SharedPixels
from mmrec_encoders.protocols import Pixels

_SLOTS = 3
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; "
    "from mmrec_encoders.embedding.worker import run_worker; run_worker({pipe}, {memory})"
)
_MOST_DEATHS_AT_START = 3
_DEATHS_OF_A_PICTURE = 2
_EXIT_TIMEOUT_S = 5.0

K = TypeVar("K")


class DecodedChunk(NamedTuple):
    """Pictures of one list of tasks.

    Attributes:
        results: One per task, in order.
        pixels_M3HW: Prepared pictures; results name rows of it. Shape: (M, 3, H, W), uint8.
    """

    results: tuple[PictureResult, ...]
    pixels_M3HW: Pixels


def prepared_shape(setup: DecodeSetup) -> tuple[int, int, int]:
    """Shape of every prepared picture: (3, H, W)."""
    from PIL import Image

    channels, height, width = setup.preparation(Image.new("RGB", (8, 8))).shape
    return channels, height, width


class _Work(Generic[K]):
    """A list of tasks in progress."""

    def __init__(self, key: K, tasks: tuple[PictureTask, ...]) -> None:
        self.key = key
        self.tasks = tasks
        self.deaths: Counter[int] = Counter()
        self.skipped: dict[int, str] = {}
        self.done: DecodedChunk | None = None

    def open_tasks(self) -> tuple[PictureTask, ...]:
        return tuple(task for index, task in enumerate(self.tasks) if index not in self.skipped)

    def index_of_open(self, at: int) -> int:
        """Index among all tasks of the task with index `at` among the open ones."""
        return [index for index in range(len(self.tasks)) if index not in self.skipped][at]

    def finish(self, results: list[PictureResult], pixels: Pixels) -> None:
        found = iter(results)
        whole = [
            PictureResult(task.row, b"", -1, self.skipped[index]) if index in self.skipped else next(found)
            for index, task in enumerate(self.tasks)
        ]
        used = 1 + max((result.place for result in whole), default=-1)
        # Copied, so that the worker can reuse the slot.
        self.done = DecodedChunk(tuple(whole), pixels[:used].copy())


class _Worker:
    """One process, its pipe, its memory, and its work."""

    def __init__(self, setup: DecodeSetup, layout: Layout) -> None:
        self.free = list(range(layout.slots))
        self.given: deque[tuple[int, _Work[object]]] = deque()
        ours, theirs = socket.socketpair()
        file = _anonymous_file(layout.bytes)
        try:
            self.shared = SharedPixels(file, layout)
            self.shared.at = -1
            program = _PROGRAM.format(path=sys.path, pipe=theirs.fileno(), memory=file)
            self.process = subprocess.Popen(
                [sys.executable, "-c", program],
                pass_fds=(theirs.fileno(), file),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        finally:
            os.close(file)
            theirs.close()
        self.pipe = Connection(ours.detach())
        self._send((setup, layout))

    def give(self, work: _Work[object]) -> None:
        slot = self.free.pop()
        self.given.append((slot, work))
        self._send(Order(slot, work.open_tasks()))

    def _send(self, message: object) -> None:
        # A dead worker is detected when its answers are read.
        with contextlib.suppress(ConnectionError):
            self.pipe.send(message)

    def close(self) -> None:
        self.pipe.close()
        try:
            self.process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class DecodePool:
    """Decodes in `workers` processes, or in this one if 0.

    Args:
        setup: Decoding options.
        workers: Number of processes.
        chunk_tasks: Maximum tasks of a list.

    Raises:
        FailedPreconditionError: (when used) processes cannot be started.
    """

    def __init__(self, setup: DecodeSetup, workers: int, chunk_tasks: int) -> None:
        self._setup = setup
        self.layout = Layout(_SLOTS, chunk_tasks, prepared_shape(setup))
        self._workers: list[_Worker] = []
        self._wanted = workers
        self._deaths_at_start = 0
        self.deaths = 0
        """Processes that died so far."""

    @property
    def pids(self) -> tuple[int, ...]:
        """Process numbers of the workers."""
        return tuple(worker.process.pid for worker in self._workers)

    def __enter__(self) -> DecodePool:
        try:
            while len(self._workers) < self._wanted:
                self._workers.append(self._started())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.close()
        self._workers = []

    def map(self, chunks: Iterable[tuple[K, tuple[PictureTask, ...]]]) -> Iterator[tuple[K, DecodedChunk]]:
        """Yield each key with the pictures of its tasks, in the order of `chunks`.

        Raises:
            InvalidDatasetError: ``images.zip`` is damaged.
            FailedPreconditionError: processes die as soon as they are started.
        """
        if not self._workers:
            yield from self._map_here(chunks)
            return
        source = iter(chunks)
        queue: deque[_Work[K]] = deque()
        most = 2 * _SLOTS * len(self._workers)
        more = True
        while True:
            self._collect(0.0)
            while more and len(queue) < most and (worker := self._least_busy()) is not None:
                entry = next(source, None)
                if entry is None:
                    more = False
                    break
                work = _Work(*entry)
                queue.append(work)
                if work.tasks:
                    worker.give(work)  # type: ignore[arg-type]
                else:
                    work.done = self._empty()
            if not queue:
                return
            if queue[0].done is None:
                self._collect(None)
                continue
            work = queue.popleft()
            assert work.done is not None  # checked above
            yield work.key, work.done

    def _map_here(self, chunks: Iterable[tuple[K, tuple[PictureTask, ...]]]) -> Iterator[tuple[K, DecodedChunk]]:
        decoder = PictureDecoder(self._setup)
        try:
            for key, tasks in chunks:
                work = _Work(key, tasks)
                pixels = np.empty((len(tasks), *self.layout.shape), np.uint8)
                work.finish(decoder.decode(tasks, pixels), pixels)
                assert work.done is not None
                yield key, work.done
        finally:
            decoder.close()

    def _empty(self) -> DecodedChunk:
        return DecodedChunk((), np.empty((0, *self.layout.shape), np.uint8))

    def _least_busy(self) -> _Worker | None:
        free = [worker for worker in self._workers if worker.free]
        return min(free, key=lambda worker: len(worker.given), default=None)

    def _collect(self, timeout: float | None) -> None:
        """Receive all available answers; wait for the first up to `timeout` seconds (None: without limit)."""
        by_pipe = {worker.pipe: worker for worker in self._workers if worker.given}
        for pipe in wait(list(by_pipe), timeout):
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                answer: Answer = worker.pipe.recv()
            except (EOFError, ConnectionError):
                self._replace(worker)
                continue
            slot, work = worker.given.popleft()
            if answer.error is not None:
                raise answer.error
            if answer.bug:
                raise InternalError(f"decoding pictures failed:\n{answer.bug}")
            self._deaths_at_start = 0
            work.finish(answer.results, worker.shared.slot(slot))
            worker.free.append(slot)

    def _replace(self, dead: _Worker) -> None:
        """Start a new process with the work of a dead one."""
        self.deaths += 1
        status = dead.process.wait()
        _, first = dead.given[0]
        at = dead.shared.at
        dead.pipe.close()
        if at < 0:
            self._deaths_at_start += 1
            if self._deaths_at_start >= _MOST_DEATHS_AT_START:
                raise self._cannot_start(f"they end with status {status}")
            time.sleep(0.05)
        else:
            index = first.index_of_open(at)
            first.deaths[index] += 1
            if first.deaths[index] >= _DEATHS_OF_A_PICTURE:
                ended = f"signal {-status}" if status < 0 else f"status {status}"
                first.skipped[index] = (
                    f"the process that decodes pictures died {_DEATHS_OF_A_PICTURE} times at this one ({ended}); "
                    "replace the picture with a file that opens elsewhere"
                )
        worker = self._started()
        self._workers[self._workers.index(dead)] = worker
        for _, work in dead.given:
            worker.give(work)

    def _started(self) -> _Worker:
        try:
            return _Worker(self._setup, self.layout)
        except OSError as err:
            raise self._cannot_start(err.strerror or "operating system error") from err

    def _cannot_start(self, why: str) -> FailedPreconditionError:
        return FailedPreconditionError(
            f"processes that decode pictures cannot be started: {why}; free some memory, or pass workers 0 to decode "
            "in the main process"
        )


def _anonymous_file(size: int) -> int:
    """A file in memory that is freed when the last process that has it open ends."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("mmrec-pixels")
    else:
        with tempfile.TemporaryFile() as named:
            file = os.dup(named.fileno())
    os.truncate(file, size)
    return file
