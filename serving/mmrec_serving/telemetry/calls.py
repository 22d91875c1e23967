"""One call and its stages, told to whoever watches.

Unit of work: one stage of a call, an interval of the monotonic clock. The running call is found by `current_call`, in
its own task and in threads that its task waits for. Knows nothing about gRPC and what is done with the intervals.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol

from mmrec.sdk.timing import ASKED, TIMING_KEY, timing_text

Metadatum = tuple[str, str | bytes]
"""A key and its value, which come with a call."""


class CallRecord(Protocol):
    """What one watcher records of one call."""

    def stage(self, name: str, began: float, ended: float, batch: int) -> None:
        """A stage has ended; called from any thread, and quick.

        Args:
            name: One of a few words, such as ``decode``.
            began: Monotonic seconds.
            ended: Monotonic seconds.
            batch: Requests that were worked on together, of this and other calls; 0: it is no work on a batch.
        """
        ...

    def ended(self, code: str) -> None:
        """The call has ended with this gRPC status, such as ``OK``."""
        ...


class CallWatch(Protocol):
    """Watches calls."""

    def began(self, method: str, request_id: str, metadata: Mapping[str, str]) -> CallRecord:
        """A call has begun.

        Args:
            method: Its full name, ``/package.Service/Method``, as the client wrote it.
            request_id: Its id.
            metadata: What the client sent in text, by key in lower case.
        """
        ...


class CallTimer:
    """Adds up the stages of one call, for its caller; a `CallRecord`."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stages: dict[str, float] = {}

    def stage(self, name: str, began: float, ended: float, batch: int) -> None:
        """See `CallRecord`."""
        self._stages[name] = self._stages.get(name, 0.0) + ended - began

    def ended(self, code: str) -> None:
        """See `CallRecord`."""

    def text(self) -> str:
        """The times up to now; see `mmrec.sdk.timing`."""
        return timing_text(dict(self._stages), time.monotonic() - self._began)


class Call:
    """A running call.

    Args:
        records: Are told of its stages and its end.
        request_id: Its id.
        timer: One of the records, if its caller asks for its times.
    """

    __slots__ = ("_records", "_timer", "request_id")

    def __init__(self, records: Sequence[CallRecord], request_id: str = "", timer: CallTimer | None = None) -> None:
        self._records = records
        self._timer = timer
        self.request_id = request_id

    def trailer(self) -> tuple[tuple[str, str], ...]:
        """What its client is told at its end: its id, and if it was asked for, the time of its stages."""
        own = ("x-request-id", self.request_id)
        return (own,) if self._timer is None else (own, (TIMING_KEY, self._timer.text()))

    def stage(self, name: str, began: float, ended: float | None = None, batch: int = 0) -> None:
        """See `CallRecord.stage`; without `ended` the stage ends now."""
        if self._records:
            ended = time.monotonic() if ended is None else ended
            for record in self._records:
                record.stage(name, began, ended, batch)

    def ended(self, code: str) -> None:
        """See `CallRecord.ended`."""
        for record in self._records:
            record.ended(code)


NO_CALL = Call(())
"""The call of work that no call asked for."""
_current: ContextVar[Call] = ContextVar("call", default=NO_CALL)


def current_call() -> Call:
    """The call that this task runs for."""
    return _current.get()


def begin_call(
    watches: Sequence[CallWatch], method: str, request_id: str, metadata: Sequence[Metadatum] | None
) -> Call:
    """Begin a call, which this task runs for from now on to its end."""
    words = {key: value for key, value in metadata or () if isinstance(value, str)} if watches else {}
    records = [watch.began(method, request_id, words) for watch in watches]
    timer = CallTimer() if ASKED in (metadata or ()) else None
    if timer is not None:
        records.append(timer)
    call = Call(records, request_id, timer)
    _current.set(call)
    return call
