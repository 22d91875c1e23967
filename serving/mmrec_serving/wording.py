"""Wording of replies by a language model, in a thread and a bounded queue of its own.

A reply is complete before: with a full queue, or when the time is up before its turn comes, it goes out as it is. So a
language model never holds up what others ask for, and a call never waits longer for words than `Wording.seconds`. Knows
nothing about models; gRPC is known by `mmrec_serving.services`.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from mmrec.contract.engine import Wording, wording_of
from mmrec.errors import MmrecError
from mmrec_serving.job_observer import Observer
from mmrec_serving.priority import give_way
from mmrec_serving.scheduler import Scheduler, SchedulerLimits, Work
from mmrec_serving.telemetry.calls import current_call

_log = logging.getLogger(__name__)

_KIND = "word"
_DEADLINE_MARGIN_S = 0.5
"""Time of a call that is kept for sending its reply."""
_GRACE_S = 2.0
"""After its time is up, a reply that is being worded gets so long to end; then the call goes on without it."""


class _Task:
    """One reply to be worded. `parts` gets its parts, and None at the end."""

    def __init__(self, reply: Any, until: float, clock: Callable[[], float]) -> None:
        self.reply = reply
        self.parts: asyncio.Queue[Any] = asyncio.Queue()
        self.cancelled = threading.Event()
        self.begun = False
        self._until, self._clock = until, clock
        self._loop = asyncio.get_running_loop()

    async def next_part(self) -> Any:
        """The next part; None after the last, or when the time is up."""
        while True:
            # What has not begun when the time is up does not begin any more.
            end = self._until + (_GRACE_S if self.begun else 0.0)
            try:
                return await asyncio.wait_for(self.parts.get(), max(0.0, end - self._clock()))
            except TimeoutError:
                if not self.begun or self._clock() >= self._until + _GRACE_S:
                    return None

    def stop(self) -> bool:
        return self.cancelled.is_set() or self._clock() >= self._until

    def put(self, part: Any) -> None:
        """From any thread."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.parts.put_nowait, part)


class WordingWorker:
    """The thread of the language model, and its queue. Where the thread has ended by itself, sentences stay plain.

    Args:
        loaded: The engine, when it is loaded. An engine without a language model leaves the thread without work.
        max_queue: Replies that may wait, at least 1.
        clock: Seconds.
        observer: Observes its scheduler.
    """

    def __init__(
        self,
        loaded: Future[Any],
        max_queue: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        observer: Observer | None = None,
    ) -> None:
        self._loaded = loaded
        self._clock = clock
        self._wording: Wording | None = None
        limits = SchedulerLimits(max_queue, 1)
        self.scheduler = Scheduler(self._works, limits, clock=clock, name="mmrec-wording", observer=observer)

    async def parts(self, reply: Any, deadline: float | None) -> AsyncGenerator[Any, None]:
        """The parts of a reply, each as soon as its words are there; see `Wording.parts`.

        Args:
            reply: The reply with the sentences of templates; it is the only part where nothing is to be worded.
            deadline: Time of the clock when the call ends; None: never.
        """
        wording = self._wording
        if wording is None or not wording.applies(reply):
            yield reply
            return
        until = self._clock() + wording.seconds
        if deadline is not None:
            until = min(until, deadline - _DEADLINE_MARGIN_S)
        task = _Task(reply, until, self._clock)
        sent, began = 0, time.monotonic()
        try:
            future = self.scheduler.submit(_KIND, [task], until)
        except MmrecError as err:
            _log.debug("sentences stay plain: %s", err.message)
        else:
            future.add_done_callback(lambda _: task.put(None))
            try:
                while (part := await task.next_part()) is not None:
                    sent += 1
                    yield part
            finally:  # also when the call is cancelled
                task.cancelled.set()
                future.cancel()
                current_call().stage("word", began)
        # What is missing: nothing, unless the queue was full, or the time was up, or there was an error.
        for part in itertools.islice(wording.parts(reply, lambda: True), sent, None):
            yield part

    def _works(self) -> Mapping[str, Work]:
        self._wording = wording_of(self._loaded.result())
        give_way()
        return {_KIND: functools.partial(_word, self._wording)}


def _word(wording: Wording | None, tasks: list[_Task]) -> list[None]:
    for task in tasks:
        task.begun = True
        if wording is not None:
            for part in wording.parts(task.reply, task.stop):
                task.put(part)
    return [None] * len(tasks)
