"""Main program of a picture-decoding process. Imports no torch and stays small.

It receives its setup and then lists of tasks over a pipe, writes the pixels into memory shared with its parent, and
replies with the results. It ends when the pipe closes, also when the parent is killed.
"""

from __future__ import annotations

import mmap
import os
import queue
import signal
import threading
import traceback
from multiprocessing.connection import Connection
from typing import NamedTuple

import numpy as np

from mmrec.errors import MmrecError
from mmrec_encoders.embedding.pictures import DecodeSetup, PictureDecoder, PictureResult, PictureTask
from mmrec_encoders.protocols import Pixels

_HEADER = 64
_NICENESS = 10


class Layout(NamedTuple):
    """Layout of the shared memory.

    Attributes:
        slots: Maximum task lists in progress.
        tasks: Maximum tasks of a list.
        shape: Of one prepared picture: (3, H, W).
    """

    slots: int
    tasks: int
    shape: tuple[int, int, int]

    @property
    def bytes(self) -> int:
        """Size of the memory."""
        return _HEADER + self.slots * self.tasks * int(np.prod(self.shape))


class Order(NamedTuple):
    """A list of tasks, and the slot for their pixels."""

    slot: int
    tasks: tuple[PictureTask, ...]


class Answer(NamedTuple):
    """Results of an order, or the error that ends the job, or the traceback of an unexpected exception."""

    results: list[PictureResult]
    error: MmrecError | None = None
    bug: str = ""


class SharedPixels:
    """Shared memory of one worker: the index of its current task, and its slots."""

    def __init__(self, file: int, layout: Layout) -> None:
        self._memory = mmap.mmap(file, layout.bytes)
        self._at = np.frombuffer(self._memory, np.int64, 1)
        flat = np.frombuffer(self._memory, np.uint8, layout.bytes - _HEADER, _HEADER)
        self._slots = flat.reshape(layout.slots, layout.tasks, *layout.shape)

    @property
    def at(self) -> int:
        """Index of the current task; -1 between orders."""
        return int(self._at[0])

    @at.setter
    def at(self, index: int) -> None:
        self._at[0] = index

    def slot(self, number: int) -> Pixels:
        """Pixels of a slot. Shape: (tasks, 3, H, W), uint8, writable."""
        pixels: Pixels = self._slots[number]
        return pixels


def run_worker(pipe: int, memory: int) -> None:
    """Work until the pipe closes.

    Args:
        pipe: File number of this end.
        memory: File number of the shared memory.
    """
    # The parent handles signals to the process group: it finishes its shard first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # The model has priority over decoding ahead.
    os.nice(_NICENESS)
    connection = Connection(pipe)
    try:
        setup, layout = connection.recv()
        _serve(connection, setup, SharedPixels(memory, layout))
    except (EOFError, ConnectionError):
        return


def _serve(connection: Connection, setup: DecodeSetup, shared: SharedPixels) -> None:
    decoder = PictureDecoder(setup)

    def begun(index: int) -> None:
        shared.at = index

    # Read ahead, so that the parent does not block while sending pictures from the table.
    orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()

    def read() -> None:
        try:
            while True:
                orders.put(connection.recv())
        except (EOFError, OSError):
            orders.put(None)

    threading.Thread(target=read, name="mmrec-orders", daemon=True).start()
    while (order := orders.get()) is not None:
        try:
            answer = Answer(decoder.decode(order.tasks, shared.slot(order.slot), begun))
        except MmrecError as err:
            answer = Answer([], error=err)
        except Exception:
            answer = Answer([], bug=traceback.format_exc())
        shared.at = -1
        connection.send(answer)
