"""One worker thread that runs jobs in batches, and its queue. Knows neither gRPC nor torch.

Unit of work: a job, which is one call's list of requests of one kind. While the thread is busy, jobs wait; when it is
free, it takes jobs of the kind that has waited longest, up to a limit. Jobs of a single request go first, and long jobs
are run in parts, so that a large one does not block the others. All parts of a long job use the state of its beginning
(`steady`). A job is dropped before it costs anything if its caller has cancelled, or its deadline has passed or cannot
be met.

No error leaves a caller waiting: a failed batch is tried again request by request, so that a bad request fails alone,
and if the thread itself ends, all jobs fail and new ones are refused.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from mmrec.errors import (
    DeadlineExceededError,
    InternalError,
    MmrecError,
    ResourceExhaustedError,
    UnavailableError,
)
from mmrec_serving.failures import conceal
from mmrec_serving.worker_threads import OnEnd, Worker, nobody

_log = logging.getLogger(__name__)

Work = Callable[[list[Any]], list[Any]]
"""Answers a batch of requests: one result each, in order, a value or an `MmrecError`."""

_REMEMBERED_BATCHES = 16


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """Bounds of the queue and of a batch.

    Attributes:
        max_queue: Jobs that may wait, at least 1.
        max_batch: Largest weight of a batch; a single request may exceed it.
        weigh: Weight of a request, at least 1.
    """

    max_queue: int = 256
    max_batch: int = 32
    weigh: Callable[[Any], int] = lambda request: 1


@dataclass(eq=False, slots=True)
class _Job:
    kind: str
    requests: Sequence[Any]
    deadline: float | None
    future: Future[list[Any]]
    works: Mapping[str, Work] | None = None
    taken: int = 0
    results: list[Any] = field(default_factory=list)

    @property
    def waiting(self) -> bool:
        return self.taken < len(self.requests)


class Submitter(Protocol):
    """Accepts jobs."""

    def submit(self, kind: str, requests: Sequence[Any], deadline: float | None = None) -> Future[list[Any]]:
        """See `Scheduler.submit`."""


class Scheduler:
    """Queue and worker thread.

    Args:
        prepare: Called first, in the worker thread; returns the function of each kind. Until it returns, jobs are
            refused with UNAVAILABLE.
        limits: Bounds of the queue and of a batch.
        steady: Returns functions that answer from the current state, whatever changes later; called in the worker
            thread for a job that is run in parts. None: the functions have no state.
        clock: Seconds, the clock of deadlines.
        name: Name of the thread.
        on_end: Called when the thread ends by itself; see `mmrec_serving.worker_threads`.
    """

    def __init__(
        self,
        prepare: Callable[[], Mapping[str, Work]],
        limits: SchedulerLimits | None = None,
        *,
        steady: Callable[[], Mapping[str, Work]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        name: str = "mmrec-engine",
        on_end: OnEnd = nobody,
    ) -> None:
        self._prepare = prepare
        self._limits = limits or SchedulerLimits()
        self._steady = steady
        self._clock = clock
        self._changed = threading.Condition()
        self._single: deque[_Job] = deque()
        self._bulk: deque[_Job] = deque()
        self._running: list[tuple[_Job, int]] = []
        self._worked = -math.inf
        self._works: Mapping[str, Work] | None = None
        self._closing = False
        self._ended = False
        self._fault: MmrecError | None = None
        self._seconds: dict[str, deque[float]] = {}
        self.ready: Future[None] = Future()
        """Done when `prepare` is; holds its exception if it failed."""
        self._worker = Worker(name, self._main, on_end, self._end)

    def start(self) -> None:
        """Start the worker thread."""
        self._worker.start()

    def submit(self, kind: str, requests: Sequence[Any], deadline: float | None = None) -> Future[list[Any]]:
        """Put a job into the queue.

        Args:
            kind: Kind of the requests.
            requests: At least one.
            deadline: Time of the clock after which the results are useless; None: never.

        Returns:
            The results, one per request, values or errors. Cancelling it drops the job. Its exception is an
            `MmrecError` when the job as a whole was dropped.

        Raises:
            UnavailableError: not ready yet, stopping, or the thread has ended.
            ResourceExhaustedError: the queue is full.
            DeadlineExceededError: the deadline has passed.
        """
        if deadline is not None and deadline <= self._clock():
            raise DeadlineExceededError("the deadline had passed before the work was started")
        job = _Job(kind, requests, deadline, Future())
        with self._changed:
            if self._ended:
                why = f" ({self._fault.message})" if self._fault else ""
                raise UnavailableError(f"the engine has stopped after a fault{why}; the server must be started again")
            if self._closing:
                raise UnavailableError("the server is stopping; try another one", retry_after_s=1.0)
            if self._works is None:
                raise UnavailableError("the server is still loading; try again", retry_after_s=1.0)
            if len(self._single) + len(self._bulk) >= self._limits.max_queue:
                self._drop_hopeless()
            waiting = len(self._single) + len(self._bulk)
            if waiting >= self._limits.max_queue:
                raise ResourceExhaustedError(
                    f"{waiting} calls are waiting already, which is the limit; try again later",
                    retry_after_s=self._retry_after(kind, waiting),
                )
            (self._single if len(requests) == 1 else self._bulk).append(job)
            self._changed.notify()
        return job.future

    @property
    def waiting(self) -> int:
        """Number of jobs in the queue."""
        with self._changed:
            return len(self._single) + len(self._bulk)

    @property
    def idle_s(self) -> float:
        """Seconds since the last batch ended; 0 while one runs."""
        with self._changed:
            return 0.0 if self._running else self._clock() - self._worked

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended."""
        with self._changed:
            return not self._ended

    def close(self, timeout_s: float = 5.0) -> bool:
        """Finish the queue, then end the thread. True if it ended within `timeout_s` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        return self._worker.join(timeout_s)

    # --- the worker thread ----------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            works = self._prepare()
        except BaseException as err:
            # `ready` raises it.
            self._end(err if isinstance(err, Exception) else InternalError("the engine ended while loading"))
            return
        with self._changed:
            self._works = works
        self.ready.set_result(None)
        while batch := self._next_batch():
            self._do(batch)
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        with self._changed:
            self._ended = True
            self._fault = error if isinstance(error, MmrecError) else None
            left = [job for job, _ in self._running] + [*self._single, *self._bulk]
            self._single.clear()
            self._bulk.clear()
        for job in left:
            _fail(job, UnavailableError("the engine stopped while this call was waiting; try again"))
        if not self.ready.done():
            self.ready.set_exception(error or InternalError("the engine ended while loading"))

    def _next_batch(self) -> list[tuple[_Job, int]]:
        """Jobs of one kind, each with the number of its requests to run now; empty to end."""
        with self._changed:
            while True:
                self._drop_hopeless()
                if self._single or self._bulk:
                    self._running = self._take()
                    return self._running
                if self._closing:
                    return []
                self._changed.wait()

    def _take(self) -> list[tuple[_Job, int]]:
        jobs = [*self._single, *self._bulk]
        kind, room = jobs[0].kind, self._limits.max_batch
        batch: list[tuple[_Job, int]] = []
        for job in jobs:
            if job.kind != kind:
                continue
            count = 0
            for request in job.requests[job.taken :]:
                weight = self._limits.weigh(request)
                if weight > room and (batch or count):
                    room = 0
                    break
                room -= weight
                count += 1
                if room <= 0:
                    break
            if count:
                job.taken += count
                batch.append((job, count))
            if room <= 0:
                break
        for queue in (self._single, self._bulk):
            kept = [job for job in queue if job.waiting]
            queue.clear()
            queue.extend(kept)
        return batch

    def _drop_hopeless(self) -> None:
        """Drop cancelled jobs, and fail those that cannot meet their deadline."""
        now = self._clock()
        for queue in (self._single, self._bulk):
            kept = []
            for job in queue:
                if job.future.done():
                    continue
                if job.deadline is not None and job.deadline <= now:
                    _fail(job, DeadlineExceededError("the deadline passed while the call was waiting"))
                elif job.deadline is not None and job.deadline < now + self._least_seconds(job.kind):
                    # Drop the oldest measurement: while everything is refused, nothing new is measured.
                    self._seconds[job.kind].popleft()
                    _fail(
                        job,
                        DeadlineExceededError(
                            f"{job.deadline - now:.3f} s are left, and even the fastest of the last batches "
                            "took longer; pass a longer deadline"
                        ),
                    )
                else:
                    kept.append(job)
            queue.clear()
            queue.extend(kept)

    def _least_seconds(self, kind: str) -> float:
        return min(self._seconds.get(kind) or (0.0,))

    def _retry_after(self, kind: str, waiting: int) -> float:
        batches = waiting / self._limits.max_batch + 1
        return min(10.0, max(0.1, batches * self._least_seconds(kind)))

    def _do(self, batch: list[tuple[_Job, int]]) -> None:
        kind = batch[0][0].kind
        # Whole jobs run together; a job in parts continues with the functions of its beginning.
        together = [entry for entry in batch if not self._in_parts(*entry)]
        runs = [(self._works, together)] if together else []
        for job, count in batch:
            if self._in_parts(job, count):
                job.works = job.works or self._as_now()
                runs.append((job.works, [(job, count)]))
        for works, run in runs:
            assert works is not None
            self._run(works[kind], kind, run)
        with self._changed:
            self._running = []
            self._worked = self._clock()

    def _in_parts(self, job: _Job, count: int) -> bool:
        return self._steady is not None and count < len(job.requests)

    def _as_now(self) -> Mapping[str, Work]:
        assert self._works is not None
        return self._works if self._steady is None else {**self._works, **self._steady()}

    def _run(self, work: Work, kind: str, batch: list[tuple[_Job, int]]) -> None:
        # `taken` already counts this batch's share.
        requests = [request for job, count in batch for request in job.requests[job.taken - count : job.taken]]
        started = self._clock()
        results = self._results(work, kind, requests)
        self._seconds.setdefault(kind, deque(maxlen=_REMEMBERED_BATCHES)).append(self._clock() - started)
        rest = iter(results)
        for job, count in batch:
            job.results += [next(rest) for _ in range(count)]
            if len(job.results) == len(job.requests):
                _finish(job)

    def _results(self, work: Work, kind: str, requests: list[Any]) -> list[Any]:
        try:
            results = work(requests)
            if not isinstance(results, list) or len(results) != len(requests):
                raise InternalError(f"{kind}: {len(requests)} requests were given, and not as many results came")
        except Exception as err:
            if len(requests) == 1:
                return [conceal(err)]
            _log.warning("a batch of %d %s requests failed; trying them one by one", len(requests), kind)
            # All parts of one reply must come from one state.
            work = self._as_now()[kind]
            return [self._results(work, kind, [request])[0] for request in requests]
        return [conceal(result) if isinstance(result, BaseException) else result for result in results]


def _finish(job: _Job) -> None:
    with suppress(InvalidStateError):  # cancelled meanwhile
        job.future.set_result(job.results)


def _fail(job: _Job, error: MmrecError) -> None:
    with suppress(InvalidStateError):  # cancelled meanwhile
        job.future.set_exception(error)
