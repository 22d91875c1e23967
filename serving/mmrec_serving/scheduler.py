"""One worker thread that runs jobs in batches, and its queue. Knows neither gRPC nor torch.

Unit of work: a job, which is one call's list of requests of one kind. Every request has a weight in units, and the
duration of batches is measured per kind (`mmrec_serving.batch_costs`); so the time that waiting work takes is known.

- Light jobs go first, those of the kind that has waited longest. Heavy jobs are run in parts of about `part_s`, in
  turn, when no light job waits; but while light jobs always wait, heavy ones get `heavy_share` of the thread's time.
- Work that all of its callers have cancelled ends at its next step (see `mmrec.runtime.background`).
- A job that would not be done before its deadline is refused when it comes. One whose deadline cannot be met any more
  when its turn comes is dropped without being run, and a cancelled one leaves the queue at once.
- A burst of light jobs may wait for as long as their deadlines allow. Where some of them have waited at the end of
  every batch for a while (`SchedulerLimits.standing_s`), waiting only makes all answers late: then no more is accepted
  than makes the next batch. That is "controlled delay" for queues of servers (B. Maurer, "Fail at Scale", ACM Queue
  13(8), 2015; after CoDel, RFC 8289), with the refusal before the wait, since the duration of batches is known.
- All parts of a heavy job use the state of its beginning (`steady`).
- Jobs of one equal request (`SchedulerLimits.twin`) that wait together are answered together by one computation. A job
  does not join a batch that runs already, which may not know the last change.

No error leaves a caller waiting: a failed batch is tried again request by request, so that a bad request fails alone,
and if the thread itself ends, all jobs fail at once and new ones are refused, until another thread takes its place.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from mmrec.errors import (
    CancelledError,
    DeadlineExceededError,
    InternalError,
    MmrecError,
    ResourceExhaustedError,
    UnavailableError,
)
from mmrec.runtime.background import until_cancelled
from mmrec.runtime.stages import timed_stages
from mmrec_serving.batch_costs import BatchCosts
from mmrec_serving.failures import conceal
from mmrec_serving.job_observer import Observer, OnStage, no_stage
from mmrec_serving.worker_threads import OnEnd, Restart, Worker, nobody

_log = logging.getLogger(__name__)

Work = Callable[[list[Any]], list[Any]]
"""Answers a batch of requests: one result each, in order, a value or an `MmrecError`."""

_MARGIN = 1.5
"""A job may wait as long as its deadline allows for that many times the expected wait."""
_BATCHES_AHEAD = 1.25
"""What may wait in a standing queue, in batches: the next one, and some more, as durations are estimates."""
_STANDING_SHARE = 1 / 40
"""Share of the time until its deadline that a job may wait in such a queue, where that is longer."""
_MOST_DEBT_S = 1.0
"""However long a heavy request took, light jobs get no more of the thread's time in return for it."""
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 0.1, 10.0


@dataclass(frozen=True, slots=True)
class SchedulerLimits:
    """Bounds of the queue and of a batch.

    Attributes:
        max_queue: Jobs that may wait, at least 1.
        max_batch: Largest weight of a batch; a single request may exceed it.
        weigh: Weight of a request in units of work, at least 1.
        light: Largest weight of a light job.
        heavy_share: Share of the thread's time that heavy jobs get while light ones always wait, over 0 and below 1.
        part_s: Seconds that a part of a heavy job takes, if its requests are small enough.
        standing_s: Where light jobs have waited whenever a batch ended, for so many seconds, their queue is no burst:
            more comes than can be done. Infinity: it may stand, as that of work which has to be done anyway.
        patience_s: Longest expected wait of a light job without a deadline, in seconds.
        one_job: Whether a batch is of one job only, so that it ends between two steps when this one is cancelled.
        twin: Gives equal keys to requests that have the same result; None where a request must have its own.
        again: The result of a request, not an error, as a further caller gets it.
    """

    max_queue: int = 256
    max_batch: int = 32
    weigh: Callable[[Any], int] = lambda request: 1
    light: int = 4
    heavy_share: float = 0.2
    part_s: float = 0.05
    standing_s: float = math.inf
    patience_s: float = 30.0
    one_job: bool = False
    twin: Callable[[Any], Hashable | None] = lambda request: None
    again: Callable[[Any], Any] = lambda result: result


@dataclass(eq=False, slots=True)
class _Job:
    kind: str
    requests: Sequence[Any]
    weights: Sequence[int]
    deadline: float | None
    future: Future[list[Any]]
    units: int
    """Weight of the requests that were not taken yet."""
    works: Mapping[str, Work] | None = None
    on_stage: OnStage = no_stage
    since: float = 0.0
    """When it began to wait."""
    twin: Hashable | None = None
    """Of a job of one request: see `SchedulerLimits`."""
    taken: int = 0
    results: list[Any] = field(default_factory=list)


class _Queue:
    """Jobs of all kinds, in order. Any of them can be removed at once."""

    def __init__(self) -> None:
        self.units: Counter[str] = Counter()
        """Weight of the waiting work by kind, that of twins once."""
        self._twins: Counter[tuple[str, Hashable]] = Counter()
        self._jobs: dict[str, OrderedDict[_Job, int]] = {}
        self._turns = itertools.count()

    def __len__(self) -> int:
        return sum(map(len, self._jobs.values()))

    def __contains__(self, job: _Job) -> bool:
        return job in self._jobs.get(job.kind, ())

    def add(self, job: _Job) -> None:
        """Put a job at the end."""
        self._jobs.setdefault(job.kind, OrderedDict())[job] = next(self._turns)
        if not self.has_twin(job):
            self.units[job.kind] += job.units
        if job.twin is not None:
            self._twins[job.kind, job.twin] += 1

    def remove(self, job: _Job) -> None:
        """Take a job out."""
        del self._jobs[job.kind][job]
        if job.twin is not None:
            self._twins[job.kind, job.twin] -= 1
        if not self.has_twin(job):
            self.units[job.kind] -= job.units
            self._twins.pop((job.kind, job.twin), None)

    def has_twin(self, job: _Job) -> bool:
        """Whether a job with the same result waits."""
        return job.twin is not None and self._twins[job.kind, job.twin] > 0

    def first_kind(self) -> str | None:
        """The kind of the first job; None if there is none."""
        heads = [(next(iter(jobs.values())), kind) for kind, jobs in self._jobs.items() if jobs]
        return min(heads)[1] if heads else None

    def of(self, kind: str) -> Iterator[_Job]:
        """The jobs of a kind, in order; the queue must not change meanwhile."""
        return iter(self._jobs.get(kind, ()))

    def jobs(self) -> Counter[str]:
        """Number of jobs by kind."""
        return Counter({kind: len(jobs) for kind, jobs in self._jobs.items()})

    def all(self) -> list[_Job]:
        """Every job."""
        return [job for jobs in self._jobs.values() for job in jobs]


class Submitter(Protocol):
    """Accepts jobs."""

    def submit(
        self, kind: str, requests: Sequence[Any], deadline: float | None = None, on_stage: OnStage = no_stage
    ) -> Future[list[Any]]:
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
        restart: How another thread takes its place then, with the same functions; None: none does.
        observer: Is told what becomes of jobs.
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
        restart: Restart | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._prepare = prepare
        self._name, self._on_end, self._restart = name, on_end, restart
        self._began_s = self._pause_s = 0.0
        self._observer = observer or Observer()
        self._limits = limits or SchedulerLimits()
        self._steady = steady
        self._clock = clock
        self._changed = threading.Condition()
        self._light, self._heavy = _Queue(), _Queue()
        self._running: list[tuple[_Job, int]] = []
        self._until = -math.inf
        self._worked = -math.inf
        self._owed_s = 0.0
        self._standing_since = math.inf
        """When the batch began since which light jobs have waited at every batch's beginning."""
        self._works: Mapping[str, Work] | None = None
        self._closing = False
        self._ended = False
        self._fault: MmrecError | None = None
        self._costs: dict[str, BatchCosts] = {}
        self.ready: Future[None] = Future()
        """Done when `prepare` is; holds its exception if it failed."""
        self._worker = Worker(name, self._main, on_end, self._died)

    def start(self) -> None:
        """Start the worker thread."""
        self._worker.start()

    def submit(
        self,
        kind: str,
        requests: Sequence[Any],
        deadline: float | None = None,
        on_stage: OnStage = no_stage,
        *,
        works: Mapping[str, Work] | None = None,
    ) -> Future[list[Any]]:
        """Put a job into the queue.

        Args:
            kind: Kind of the requests.
            requests: At least one.
            deadline: Time of the clock after which the results are useless; None: never.
            on_stage: Is told when it has waited, and when it was run; several times for a job in parts.
            works: The functions that answer it, of a certain state; None: those of `prepare`.

        Returns:
            The results, one per request, values or errors. Cancelling it drops the job. Its exception is an
            `MmrecError` when the job as a whole was dropped.

        Raises:
            UnavailableError: not ready yet, stopping, or the thread has ended.
            ResourceExhaustedError: the queue is full, or the job would wait too long.
            DeadlineExceededError: the deadline has passed, or even an idle thread would not meet it.
        """
        weights = [self._limits.weigh(request) for request in requests]
        # A job with functions of its own is not answered together with others.
        twin = self._limits.twin(requests[0]) if len(requests) == 1 and works is None else None
        job = _Job(kind, requests, weights, deadline, Future(), sum(weights), works, on_stage, self._clock(), twin)
        try:
            self._admit(job)
        except MmrecError as err:
            self._observer.refused(kind, err)
            raise
        job.future.add_done_callback(lambda future: self._leave(job) if future.cancelled() else None)
        return job.future

    def _admit(self, job: _Job) -> None:
        with self._changed:
            self._check_running()
            queue = self._light if job.units <= self._limits.light else self._heavy
            self._check_admission(job, queue)
            queue.add(job)
            self._changed.notify()

    def check(self, kind: str, deadline: float | None = None) -> None:
        """Raise what `submit` would raise for the lightest job of a kind, so that it need not be read first."""
        try:
            with self._changed:
                self._check_running()
                self._check_admission(_Job(kind, (), (), deadline, Future(), 1), self._light)
        except MmrecError as err:
            self._observer.refused(kind, err)
            raise

    @property
    def waiting(self) -> int:
        """Number of jobs in the queue."""
        with self._changed:
            return len(self._light) + len(self._heavy)

    def waiting_by_kind(self) -> Mapping[str, int]:
        """Number of jobs in the queue, for every kind that ever waited."""
        with self._changed:
            found = self._light.jobs()
            found.update(self._heavy.jobs())
            return found

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
            worker = self._worker
        return worker.join(timeout_s)

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
        self._work()

    def _work(self) -> None:
        self._began_s = self._clock()
        while batch := self._next_batch():
            self._do(batch)
            del batch  # Results may be large, and the next batch long in coming.
        self._end(None)

    def _died(self, error: MmrecError) -> None:
        """The thread has ended by itself: another one takes its place, if there is to be one."""
        restart = self._restart
        with self._changed:
            if restart is not None:
                self._pause_s = restart.pause_s(self._pause_s, self._clock() - self._began_s)
        self._end(error)
        with self._changed:
            if restart is not None and not self._closing:
                self._worker = Worker(self._name, self._take_place, self._on_end, self._died)
                self._worker.start()

    def _take_place(self) -> None:
        assert self._restart is not None
        with self._changed:
            if self._changed.wait_for(lambda: self._closing, self._pause_s):
                return
        self._restart.begin()
        with self._changed:
            self._ended, self._fault, self._running = False, None, []
        _log.warning("another thread %s has taken the place of the one that ended", self._name)
        self._restart.on_return(self._name)
        self._work()

    def _end(self, error: Exception | None) -> None:
        with self._changed:
            self._ended = True
            self._fault = error if isinstance(error, MmrecError) else None
            left = [job for job, _ in self._running] + self._light.all() + self._heavy.all()
            self._light, self._heavy = _Queue(), _Queue()
        for job in left:
            _fail(job, UnavailableError("the engine stopped while this call was waiting; try again"))
        if not self.ready.done():
            self.ready.set_exception(error or InternalError("the engine ended while loading"))

    def _next_batch(self) -> list[tuple[_Job, int]]:
        """Jobs of one kind, each with the number of its requests to run now; empty to end."""
        with self._changed:
            while True:
                while (queue := self._next_queue()) is not None:
                    if batch := self._take(queue):
                        self._running = batch
                        return batch
                if self._closing:
                    return []
                self._changed.wait()

    def _next_queue(self) -> _Queue | None:
        light, heavy = self._light.first_kind(), self._heavy.first_kind()
        # Beside a running batch the queue is often empty for a moment, however much comes.
        self._standing_since = math.inf if light is None else min(self._standing_since, self._clock())
        if heavy is None:
            self._owed_s = min(self._owed_s, 0.0)  # Time that nobody wanted is not saved up.
            return self._light if light is not None else None
        if light is None:
            self._owed_s = max(self._owed_s, 0.0)
            return self._heavy
        part_s = self._costs_of(heavy).seconds(min(self._room(heavy), self._heavy.units[heavy]))
        return self._heavy if self._owed_s > min(part_s, self._limits.part_s) else self._light

    def _take(self, queue: _Queue) -> list[tuple[_Job, int]]:
        """The next batch of a queue. Jobs that cannot be done in time are dropped; there may be none left."""
        kind = queue.first_kind()
        assert kind is not None
        now, room, costs = self._clock(), self._room(kind), self._costs_of(kind)
        least_s = costs.least(min(room, queue.units[kind]))
        batch: list[tuple[_Job, int]] = []
        late: list[_Job] = []
        twins: set[Hashable] = set()
        left = room
        for job in queue.of(kind):
            if job.twin is not None and job.twin in twins:
                batch.append((job, 1))  # costs nothing more
                continue
            if left <= 0:
                if twins:
                    continue
                break
            if job.deadline is not None and job.deadline < now + max(least_s, self._own_seconds(job)):
                late.append(job)
                continue
            count = 0
            for weight in job.weights[job.taken :]:
                if weight > left and (batch or count):
                    left = 0
                    break
                left -= weight
                count += 1
                if left <= 0:
                    break
            if count:
                batch.append((job, count))
                if job.twin is not None:
                    twins.add(job.twin)
            if batch and self._limits.one_job:
                left = 0
        for job in late:
            queue.remove(job)
            error = self._too_late(job, now)
            self._observer.dropped(kind, error)
            _fail(job, error)
        for job, count in batch:
            queue.remove(job)
            self._observer.waited(kind, now - job.since)
            job.on_stage("queue", job.since, now, 0)
            job.taken += count
            job.units = sum(job.weights[job.taken :])
            if job.units:
                queue.add(job)
        self._until = now + costs.seconds(_units(batch))
        return batch

    # --- what is expected of the queue ------------------------------------------------------------------------

    def _check_running(self) -> None:
        if self._ended:
            why = f" ({self._fault.message})" if self._fault else ""
            if self._restart is not None:
                raise UnavailableError(
                    f"the engine has stopped after a fault{why} and begins again soon; try again",
                    retry_after_s=_retry(self._pause_s),
                )
            raise UnavailableError(f"the engine has stopped after a fault{why}; the server must be started again")
        if self._closing:
            raise UnavailableError("the server is stopping; try another one", retry_after_s=1.0)
        if self._works is None:
            raise UnavailableError("the server is still loading; try again", retry_after_s=1.0)

    def _check_admission(self, job: _Job, queue: _Queue) -> None:
        now, limits = self._clock(), self._limits
        if job.deadline is not None and job.deadline <= now:
            raise DeadlineExceededError("the deadline had passed before the work was started")
        if job.deadline is not None and job.deadline < now + self._own_seconds(job):
            raise self._too_late(job, now)
        wait = self._expected_wait(job, queue, now)
        waiting = self.waiting
        if waiting >= limits.max_queue:
            raise ResourceExhaustedError(
                f"{waiting} calls are waiting already, which is the limit; try again later", retry_after_s=_retry(wait)
            )
        allowed, why = self._allowed_wait(job, queue, now)
        if wait > allowed:
            raise ResourceExhaustedError(
                f"{waiting} calls are waiting already, and this one would wait for about {wait:.3f} s, but at most "
                f"{allowed:.3f} s {why}; try again later",
                retry_after_s=_retry(wait - allowed),
            )

    def _allowed_wait(self, job: _Job, queue: _Queue, now: float) -> tuple[float, str]:
        """Longest expected wait with which a job is accepted, in seconds, and why it is not longer."""
        if job.deadline is not None:
            left = job.deadline - now
            allowed, why = (left - self._own_seconds(job)) / _MARGIN, "would let it meet its deadline"
        else:
            left = allowed = self._limits.patience_s if queue is self._light else math.inf
            why = "is waited for"
        if queue is self._light and now - self._standing_since >= self._limits.standing_s:
            batch_s = self._costs_of(job.kind).seconds(self._room(job.kind))
            standing = max(_BATCHES_AHEAD * batch_s, _STANDING_SHARE * left)
            if standing < allowed:
                return standing, "is waited for while more calls come than can be answered"
        return allowed, why

    def _expected_wait(self, job: _Job, queue: _Queue, now: float) -> float:
        """Seconds until the thread is free for a job that comes now."""
        running = max(0.0, self._until - now) if self._running else 0.0
        light = sum(self._total(kind, units) for kind, units in self._light.units.items())
        if queue is self._light:
            return running + (light / (1 - self._limits.heavy_share) if len(self._heavy) else light)
        # Heavy jobs are run in turn: each of the others holds this one up for as long as this one lasts, at most.
        before = sum(self._total(other.kind, min(other.units, job.units)) for other in self._heavy.all())
        if light <= 2 * self._limits.part_s:
            return running + light + before
        own = self._total(job.kind, job.units)
        return running + (before + own) / self._limits.heavy_share - own

    def _own_seconds(self, job: _Job) -> float:
        """What the rest of a job takes at least, if nothing else is run."""
        room = self._room(job.kind)
        costs = self._costs_of(job.kind)
        return costs.least(job.units) if job.units <= room else costs.total(job.units, room)

    def _too_late(self, job: _Job, now: float) -> MmrecError:
        """Why a job is dropped whose deadline cannot be met any more."""
        assert job.deadline is not None
        left, own = job.deadline - now, self._own_seconds(job)
        if left <= 0:
            return DeadlineExceededError("the deadline passed while the call was waiting")
        if left >= own:
            return ResourceExhaustedError(
                f"more work came than was expected, and {left:.3f} s are too little for the rest; try again later",
                retry_after_s=_retry(self._total(job.kind, self._light.units[job.kind])),
            )
        if not self._running and not self.waiting:
            # While everything is refused, nothing new is measured.
            self._costs_of(job.kind).forget()
        return DeadlineExceededError(
            f"{left:.3f} s are left, and by the last batches it takes {own:.3f} s at least; pass a longer deadline"
        )

    def _total(self, kind: str, units: int) -> float:
        return self._costs_of(kind).total(units, self._room(kind)) if units else 0.0

    def _room(self, kind: str) -> int:
        return self._costs_of(kind).room(self._limits.max_batch, self._limits.part_s)

    def _costs_of(self, kind: str) -> BatchCosts:
        return self._costs.setdefault(kind, BatchCosts())

    def _leave(self, job: _Job) -> None:
        """A job was cancelled: whatever is left of it costs nothing any more."""
        with self._changed:
            for queue in (self._light, self._heavy):
                if job in queue:
                    queue.remove(job)

    # --- running a batch --------------------------------------------------------------------------------------

    def _do(self, batch: list[tuple[_Job, int]]) -> None:
        kind = batch[0][0].kind
        started = self._clock()
        # Whole jobs run together; one with functions of its own runs alone, as does one in parts, which continues with
        # the functions of its beginning.
        together = [entry for entry in batch if not self._alone(*entry)]
        runs = [(self._works, together)] if together else []
        for job, count in batch:
            if self._alone(job, count):
                job.works = job.works or self._as_now()
                runs.append((job.works, [(job, count)]))
        for works, run in runs:
            assert works is not None
            self._run(works[kind], kind, run)
        with self._changed:
            self._running = []
            self._worked = self._clock()
            self._settle(batch, self._worked - started)

    def _settle(self, batch: Sequence[tuple[_Job, int]], seconds: float) -> None:
        """Keep the account of the thread's time: light work beside waiting heavy jobs makes it owe them time."""
        share = self._limits.heavy_share
        if sum(batch[0][0].weights) > self._limits.light:
            self._owed_s = max(self._owed_s - seconds, -_MOST_DEBT_S)
        elif len(self._heavy):
            self._owed_s += seconds * share / (1 - share)

    def _alone(self, job: _Job, count: int) -> bool:
        return job.works is not None or (self._steady is not None and count < len(job.requests))

    def _as_now(self) -> Mapping[str, Work]:
        assert self._works is not None
        return self._works if self._steady is None else {**self._works, **self._steady()}

    def _run(self, work: Work, kind: str, batch: list[tuple[_Job, int]]) -> None:
        # `taken` already counts this batch's share.
        requests = [request for job, count in batch for request in job.requests[job.taken - count : job.taken]]
        distinct, places = _distinct(requests, [job.twin for job, count in batch for _ in range(count)])
        started = self._clock()

        def gone() -> bool:
            return all(job.future.cancelled() for job, _ in batch)

        with until_cancelled(gone), timed_stages() as within:
            found = self._results(work, kind, distinct)
        ended = self._clock()
        results: list[Any] = []
        given: set[int] = set()
        for place in places:
            shared = place in given and not isinstance(found[place], MmrecError)
            results.append(self._limits.again(found[place]) if shared else found[place])
            given.add(place)
        seconds = ended - started
        self._observer.ran(kind, requests, results, seconds)
        if not gone():  # otherwise it may have ended early
            with self._changed:
                self._costs_of(kind).observe(_units(batch), seconds)
        rest = iter(results)
        for job, count in batch:
            job.on_stage("run", started, ended, len(requests))
            for name, took in within.items():
                job.on_stage(f"run.{name}", took.began, took.began + took.seconds, len(requests))
            job.since = ended
            job.results += [next(rest) for _ in range(count)]
            if len(job.results) == len(job.requests):
                _finish(job)

    def _results(self, work: Work, kind: str, requests: list[Any]) -> list[Any]:
        try:
            results = work(requests)
            if not isinstance(results, list) or len(results) != len(requests):
                raise InternalError(f"{kind}: {len(requests)} requests were given, and not as many results came")
        except Exception as err:
            if len(requests) == 1 or isinstance(err, CancelledError):
                return [conceal(err)] * len(requests)
            _log.warning("a batch of %d %s requests failed; trying them one by one", len(requests), kind)
            # All parts of one reply must come from one state.
            work = self._as_now()[kind]
            return [self._results(work, kind, [request])[0] for request in requests]
        return [conceal(result) if isinstance(result, BaseException) else result for result in results]


def _units(batch: Sequence[tuple[_Job, int]]) -> int:
    """Weight of the requests that were taken last, that of twins once."""
    once = {id(job) if job.twin is None else job.twin: (job, count) for job, count in batch}
    return sum(sum(job.weights[job.taken - count : job.taken]) for job, count in once.values())


def _distinct(requests: Sequence[Any], twins: Sequence[Hashable | None]) -> tuple[list[Any], list[int]]:
    """Requests without repetitions, and the place of each among them."""
    distinct: list[Any] = []
    places: list[int] = []
    known: dict[Hashable, int] = {}
    for request, twin in zip(requests, twins, strict=True):
        place = len(distinct) if twin is None else known.setdefault(twin, len(distinct))
        if place == len(distinct):
            distinct.append(request)
        places.append(place)
    return distinct, places


def _retry(seconds: float) -> float:
    return min(max(seconds, _SHORTEST_RETRY_S), _LONGEST_RETRY_S)


def _finish(job: _Job) -> None:
    with suppress(InvalidStateError):  # cancelled meanwhile
        job.future.set_result(job.results)


def _fail(job: _Job, error: MmrecError) -> None:
    with suppress(InvalidStateError):  # cancelled meanwhile
        job.future.set_exception(error)
