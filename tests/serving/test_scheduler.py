"""The scheduler with plain functions for work and a clock that is moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from mmrec.errors import (
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    MmrecError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from mmrec.runtime.background import between_steps
from mmrec_serving.job_observer import Observer
from mmrec_serving.scheduler import Scheduler, SchedulerLimits
from mmrec_serving.worker_threads import Restart, nobody

WAIT_S = 30


class Gate:
    """Work that stops at the request "stop" until it is let through, and writes down what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.reached = threading.Event()
        self.open = threading.Event()

    def __call__(self, requests: list[Any]) -> list[Any]:
        self.batches.append(list(requests))
        if "stop" in requests:
            self.reached.set()
            assert self.open.wait(WAIT_S)
        return [f"{request}!" for request in requests]


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


Make = Callable[..., Scheduler]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Scheduler] = []

    def build(works: Any, **limits: Any) -> Scheduler:
        options: dict[str, Any] = {"clock": Clock(), "on_end": nobody, "observer": None, "restart": None}
        options = {name: limits.pop(name, default) for name, default in options.items()}
        prepare = works if callable(works) else lambda: works
        made.append(Scheduler(prepare, SchedulerLimits(**limits), **options))
        made[-1].start()
        if not callable(works):
            made[-1].ready.result(WAIT_S)
        return made[-1]

    yield build
    for scheduler in made:
        assert scheduler.close(WAIT_S)


def _held(scheduler: Scheduler, gate: Gate, kind: str = "a") -> Future[list[Any]]:
    """Keep the thread busy until the gate is opened."""
    future = scheduler.submit(kind, ["stop"])
    assert gate.reached.wait(WAIT_S)
    return future


def test_what_waits_while_the_engine_is_busy_becomes_one_batch(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate}, max_batch=4)
    first = _held(scheduler, gate)
    futures = [scheduler.submit("a", [n]) for n in range(6)]
    gate.open.set()
    assert first.result(WAIT_S) == ["stop!"]
    assert [future.result(WAIT_S) for future in futures] == [[f"{n}!"] for n in range(6)]
    assert gate.batches == [["stop"], [0, 1, 2, 3], [4, 5]]


def test_a_batch_holds_one_kind_and_the_one_that_waits_longest_goes_first(make: Make) -> None:
    gate, other = Gate(), Gate()
    scheduler = make({"a": gate, "b": other})
    _held(scheduler, gate)
    futures = [scheduler.submit(kind, [n]) for n, kind in enumerate("baba")]
    gate.open.set()
    assert [future.result(WAIT_S) for future in futures] == [["0!"], ["1!"], ["2!"], ["3!"]]
    assert other.batches == [[0, 2]]
    assert gate.batches == [["stop"], [1, 3]]


def test_light_jobs_go_before_a_heavy_one_which_is_done_in_parts(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate}, max_batch=3)
    _held(scheduler, gate)
    heavy = scheduler.submit("a", [10, 11, 12, 13, 14])
    single, pair = scheduler.submit("a", [0]), scheduler.submit("a", [1, 2])
    gate.open.set()
    assert heavy.result(WAIT_S) == ["10!", "11!", "12!", "13!", "14!"]
    assert (single.result(WAIT_S), pair.result(WAIT_S)) == (["0!"], ["1!", "2!"])
    assert gate.batches == [["stop"], [0, 1, 2], [10, 11, 12], [13, 14]]


def test_heavy_jobs_are_done_in_turn(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate}, max_batch=4)
    _held(scheduler, gate)
    futures = [scheduler.submit("a", [name] * count) for name, count in (("x", 9), ("y", 5))]
    gate.open.set()
    for future in futures:
        future.result(WAIT_S)
    assert gate.batches == [["stop"], ["x"] * 4, ["y"] * 4, ["x"] * 4, ["y", "x"]]


def test_a_job_done_in_parts_goes_on_with_the_works_it_began_with() -> None:
    gate, state = Gate(), [1]

    def answer(number: int) -> Callable[[list[Any]], list[Any]]:
        return lambda requests: [(request, number) for request in requests]

    def now(requests: list[Any]) -> list[Any]:
        if requests == ["stop"]:
            return gate(requests)
        if "poison" in requests and len(requests) > 1:
            raise ValueError("not together")
        state[0] += 1  # something changes after every batch
        return answer(state[0] - 1)(requests)

    scheduler = Scheduler(
        lambda: {"a": now}, SchedulerLimits(max_batch=2), steady=lambda: {"a": answer(state[0])}, clock=Clock()
    )
    scheduler.start()
    scheduler.ready.result(WAIT_S)
    _held(scheduler, gate)
    long = scheduler.submit("a", [10, 11, 12, 13, 14])
    short = scheduler.submit("a", [20, 21])
    gate.open.set()
    single = scheduler.submit("a", [0])
    assert len({number for _, number in long.result(WAIT_S)}) == 1
    assert len({number for _, number in short.result(WAIT_S)}) == 1
    assert single.result(WAIT_S)[0][0] == 0
    # Tried one by one after a fault, they are still of one state.
    again = scheduler.submit("a", ["poison", "good"])
    assert len({number for _, number in again.result(WAIT_S)}) == 1
    assert scheduler.close(WAIT_S)


def test_heavy_requests_count_by_their_weight_and_one_that_is_too_heavy_goes_alone(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate}, max_batch=5, weigh=lambda r: r if isinstance(r, int) else 1)
    _held(scheduler, gate)
    futures = [scheduler.submit("a", [n]) for n in (3, 2, 9, 1)]
    gate.open.set()
    for future in futures:
        future.result(WAIT_S)
    assert gate.batches == [["stop"], [3, 2], [1], [9]]


def test_cancelled_work_is_not_done(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate})
    _held(scheduler, gate)
    gone, stays = scheduler.submit("a", ["gone"]), scheduler.submit("a", ["stays"])
    assert gone.cancel()
    gate.open.set()
    assert stays.result(WAIT_S) == ["stays!"]
    assert gate.batches == [["stop"], ["stays"]]


def test_cancelled_work_makes_room_in_a_full_queue(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate}, max_queue=1)
    _held(scheduler, gate)
    scheduler.submit("a", ["gone"]).cancel()
    stays = scheduler.submit("a", ["stays"])
    gate.open.set()
    assert stays.result(WAIT_S) == ["stays!"]


def test_work_that_all_callers_have_cancelled_ends_at_its_next_step(make: Make) -> None:
    gate, steps = Gate(), list[str]()

    def work(requests: list[str]) -> list[str]:
        done = gate(requests)
        between_steps()
        steps.extend(requests)
        return done

    scheduler = make({"a": work})
    assert _held(scheduler, gate).cancel()
    gate.open.set()
    assert scheduler.submit("a", ["stays"]).result(WAIT_S) == ["stays!"]
    assert steps == ["stays"]


def test_a_batch_of_one_job(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate}, one_job=True)
    _held(scheduler, gate)
    both = [scheduler.submit("a", [number, number]) for number in (1, 2)]
    gate.open.set()
    assert [one.result(WAIT_S) for one in both] == [["1!", "1!"], ["2!", "2!"]]
    assert gate.batches == [["stop"], [1, 1], [2, 2]]


def test_work_cancelled_while_it_is_done_harms_nobody(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate})
    assert _held(scheduler, gate).cancel()
    gate.open.set()
    assert scheduler.submit("a", [1]).result(WAIT_S) == ["1!"]


def test_a_full_queue_refuses_and_says_when_to_come_back(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate}, max_queue=2)
    _held(scheduler, gate)
    scheduler.submit("a", [1])
    scheduler.submit("a", [2, 3])
    with pytest.raises(ResourceExhaustedError, match="2 calls are waiting already") as refused:
        scheduler.submit("a", [4])
    assert refused.value.retry_after_s == 0.1
    gate.open.set()


def test_a_deadline_that_has_passed_is_refused_at_once(make: Make) -> None:
    scheduler = make({"a": Gate()})
    with pytest.raises(DeadlineExceededError, match="before the work was started"):
        scheduler.submit("a", [1], deadline=99.9)


def test_a_deadline_that_passes_in_the_queue_drops_the_work(make: Make) -> None:
    gate, clock = Gate(), Clock()
    scheduler = make({"a": gate}, clock=clock)
    _held(scheduler, gate)
    late = scheduler.submit("a", ["late"], deadline=101.0)
    clock.now = 102.0
    gate.open.set()
    with pytest.raises(DeadlineExceededError, match="while the call was waiting"):
        late.result(WAIT_S)
    assert gate.batches == [["stop"]]


class Timed:
    """Work that takes so many seconds of a clock that is moved by hand, and writes down what it was given.

    Args:
        clock: The clock.
        seconds: Of each batch, and of each unit more.
        hold: The first batch stops until `gate` is opened.
    """

    def __init__(self, clock: Clock, fixed_s: float = 0.0, unit_s: float = 1.0) -> None:
        self.clock, self.fixed_s, self.unit_s = clock, fixed_s, unit_s
        self.batches: list[list[Any]] = []
        self.hold = Gate()

    def __call__(self, requests: list[Any]) -> list[Any]:
        self.batches.append(list(requests))
        self.hold(requests)
        self.clock.now += self.fixed_s + self.unit_s * sum(1 if request == "stop" else request for request in requests)
        return requests


def _weight(request: Any) -> int:
    return request if isinstance(request, int) else 1


def test_a_deadline_that_cannot_be_met_is_refused_until_that_is_measured_anew(make: Make) -> None:
    clock = Clock()
    work = Timed(clock, unit_s=5.0)
    scheduler = make({"a": work}, clock=clock)
    assert scheduler.submit("a", [1]).result(WAIT_S) == [1]
    with pytest.raises(
        DeadlineExceededError, match=r"2\.000 s are left, and .* 5\.000 s at least; pass a longer deadline"
    ):
        scheduler.submit("a", [1], deadline=clock.now + 2.0)
    assert scheduler.submit("a", [1], deadline=clock.now + 2.0).result(WAIT_S) == [1]
    assert work.batches == [[1], [1]]


def test_after_heavy_calls_an_idle_thread_takes_every_small_one(make: Make) -> None:
    clock = Clock()
    work = Timed(clock, unit_s=0.1)
    scheduler = make({"a": work}, clock=clock, weigh=_weight)
    for _ in range(20):
        scheduler.submit("a", [32]).result(WAIT_S)
    for _ in range(20):
        assert scheduler.submit("a", [1], deadline=clock.now + 0.5).result(WAIT_S) == [1]


def test_a_job_that_would_wait_longer_than_its_deadline_allows_is_refused_at_once(make: Make) -> None:
    clock = Clock()
    work = Timed(clock, unit_s=0.01)
    scheduler = make({"a": work}, clock=clock, max_queue=100_000)
    for count in (1, 2):
        scheduler.submit("a", [1] * count).result(WAIT_S)
    _held(scheduler, work.hold)
    accepted, refused = [], []
    for _ in range(1000):
        try:
            accepted.append(scheduler.submit("a", [1], deadline=clock.now + 2.0))
        except ResourceExhaustedError as err:
            refused.append(err.retry_after_s)
    # A job takes 0.01 s, and one may wait 1.99 s / 1.5.
    assert len(accepted) == 132
    assert refused == [0.1] * 868
    with pytest.raises(
        ResourceExhaustedError, match=r"132 calls are waiting already, and this one would wait for about 1\.3"
    ):
        scheduler.submit("a", [1], deadline=clock.now + 1.0)
    scheduler.submit("a", [1])
    work.hold.open.set()
    assert [future.result(WAIT_S) for future in accepted] == [[1]] * 132


def _accepted(scheduler: Scheduler, clock: Clock, seconds: float) -> list[Future[list[Any]]]:
    """Jobs with that deadline, until one is refused."""
    accepted: list[Future[list[Any]]] = []
    while True:
        try:
            accepted.append(scheduler.submit("a", [1], deadline=clock.now + seconds))
        except ResourceExhaustedError:
            return accepted


def test_where_jobs_wait_whenever_a_batch_ends_no_more_is_accepted_than_the_next_one(make: Make) -> None:
    clock = Clock()
    work, other = Timed(clock, unit_s=0.1), Timed(clock, unit_s=0.1)
    scheduler = make({"a": work, "b": other}, clock=clock, max_batch=10, part_s=2.0, standing_s=0.2)
    for count in (1, 2):
        scheduler.submit("a", [1] * count).result(WAIT_S)
    _held(scheduler, work.hold)
    futures = [scheduler.submit("a", [1]) for _ in range(10)]
    held = scheduler.submit("b", ["stop"])
    # A burst may wait as long as its deadlines allow: (4 - 0.1) / 1.5 s, of which 1.1 s are taken.
    futures += _accepted(scheduler, clock, 4.0)
    assert len(futures) == 10 + 16
    work.hold.open.set()
    assert other.hold.reached.wait(WAIT_S)
    # Since the first of them came, 1.1 s have passed, and 1.6 s of work wait: a batch is 1 s.
    with pytest.raises(ResourceExhaustedError, match=r"about 1\.600 s, but at most 1\.250 s is waited for while more"):
        scheduler.submit("a", [1], deadline=clock.now + 4.0)
    with pytest.raises(ResourceExhaustedError, match=r"at most 1\.250 s is waited for while more calls come than can"):
        scheduler.check("a", clock.now + 4.0)
    # A fortieth of the time that is left is 2.05 s.
    more = _accepted(scheduler, clock, 82.0)
    assert len(more) == 5
    other.hold.open.set()
    assert held.result(WAIT_S) == ["stop"]
    assert [future.result(WAIT_S) for future in futures + more] == [[1]] * 31
    # When nothing has waited, the next burst is one.
    work.hold = Gate()
    _held(scheduler, work.hold)
    assert len(_accepted(scheduler, clock, 4.0)) == 26
    work.hold.open.set()


def _shared(make: Make, gate: Callable[[list[Any]], list[Any]], **limits: Any) -> Scheduler:
    """One that answers equal numbers together, and marks what a further caller gets."""

    def twin(request: Any) -> int | None:
        return request if isinstance(request, int) else None

    return make({"a": gate, "b": gate}, twin=twin, again=lambda result: f"{result}!", **limits)


def test_equal_requests_that_wait_are_computed_once(make: Make) -> None:
    gate = Gate()
    scheduler = _shared(make, gate, max_batch=2)
    _held(scheduler, gate)
    futures = [scheduler.submit("a", [request]) for request in (1, 2, 3, 1, "x", "x", 3, 1)]
    other = scheduler.submit("b", [1])
    many = scheduler.submit("a", [1, 1])
    gate.open.set()
    assert [future.result(WAIT_S)[0] for future in futures] == ["1!", "2!", "3!", "1!!", "x!", "x!", "3!!", "1!!"]
    assert (other.result(WAIT_S), many.result(WAIT_S)) == (["1!"], ["1!", "1!"])
    # Equal ones do not count for the size of a batch, and a job of several requests has results of its own.
    assert gate.batches == [["stop"], [1, 2], [3, "x"], ["x", 1], [1], [1]]


def test_a_job_does_not_join_an_equal_one_that_runs(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate}, twin=lambda request: request)
    running = _held(scheduler, gate)
    waiting = [scheduler.submit("a", ["stop"]) for _ in range(2)]
    assert running.cancel()
    assert waiting[0].cancel()
    gate.open.set()
    assert waiting[1].result(WAIT_S) == ["stop!"]
    assert gate.batches == [["stop"], ["stop"]]


def test_the_failure_of_a_request_is_that_of_its_equals(make: Make) -> None:
    gate = Gate()

    def work(requests: list[Any]) -> list[Any]:
        if 7 in requests:
            raise NotFoundError("no item 7")
        return gate(requests)

    scheduler = _shared(make, work)
    _held(scheduler, gate)
    futures = [scheduler.submit("a", [request]) for request in (7, 1, 7)]
    gate.open.set()
    (seven,), (one,), (again,) = (future.result(WAIT_S) for future in futures)
    assert isinstance(seven, NotFoundError)
    assert again is seven
    assert one == "1!"


def test_equal_requests_wait_no_longer_than_one(make: Make) -> None:
    clock = Clock()
    work = Timed(clock, unit_s=1.0)
    scheduler = make({"a": work}, clock=clock, twin=lambda request: request)
    scheduler.submit("a", [1]).result(WAIT_S)
    scheduler.submit("a", [1, 1]).result(WAIT_S)
    _held(scheduler, work.hold)
    first = scheduler.submit("a", [1])
    equal = [scheduler.submit("a", [1], deadline=clock.now + 5.0) for _ in range(100)]
    # One second runs, and one waits.
    assert first.cancel()
    assert all(future.cancel() for future in equal[1:])
    later = scheduler.submit("a", [2], deadline=clock.now + 6.0)
    work.hold.open.set()
    assert equal[0].result(WAIT_S) == [1]
    assert later.result(WAIT_S) == [2]


def test_jobs_that_come_while_heavy_ones_are_done_are_a_burst(make: Make) -> None:
    clock = Clock()
    work = Timed(clock, unit_s=0.1)
    scheduler = make({"a": work}, clock=clock, max_batch=10, part_s=2.0, standing_s=0.2, weigh=_weight)
    heavy = [scheduler.submit("a", [8]) for _ in range(4)]
    for future in heavy:
        assert future.result(WAIT_S) == [8]
    scheduler.submit("a", ["stop", *[1] * 9])
    assert work.hold.reached.wait(WAIT_S)
    assert len(_accepted(scheduler, clock, 4.0)) > 15
    work.hold.open.set()


def test_a_call_is_checked_before_it_is_read(make: Make) -> None:
    gate, loaded = Gate(), threading.Event()

    def prepare() -> Any:
        assert loaded.wait(WAIT_S)
        return {"a": gate}

    scheduler = make(prepare, max_queue=1)
    with pytest.raises(UnavailableError, match="still loading"):
        scheduler.check("a")
    loaded.set()
    scheduler.ready.result(WAIT_S)
    _held(scheduler, gate)
    for _ in range(3):
        scheduler.check("a", 101.0)
    with pytest.raises(DeadlineExceededError, match="before the work was started"):
        scheduler.check("a", 99.0)
    waiting = scheduler.submit("a", [1])
    with pytest.raises(ResourceExhaustedError, match="1 calls are waiting already"):
        scheduler.check("a")
    gate.open.set()
    assert waiting.result(WAIT_S) == ["1!"]


def test_a_job_without_a_deadline_waits_for_half_a_minute_at_most(make: Make) -> None:
    clock = Clock()
    work = Timed(clock, unit_s=10.0)
    scheduler = make({"a": work}, clock=clock)
    scheduler.submit("a", [1]).result(WAIT_S)
    scheduler.submit("a", [1, 1]).result(WAIT_S)
    _held(scheduler, work.hold)
    waiting = [scheduler.submit("a", [1]) for _ in range(3)]
    with pytest.raises(ResourceExhaustedError, match=r"would wait for about 40\.000 s") as refused:
        scheduler.submit("a", [1])
    assert refused.value.retry_after_s == 10.0
    work.hold.open.set()
    assert [future.result(WAIT_S) for future in waiting] == [[1]] * 3


def test_work_that_cannot_be_done_in_time_any_more_is_not_begun(make: Make) -> None:
    clock = Clock()
    work = Timed(clock, unit_s=1.0)
    scheduler = make({"a": work, "b": lambda requests: requests}, clock=clock)
    scheduler.submit("a", [1]).result(WAIT_S)
    scheduler.submit("a", [1, 1]).result(WAIT_S)
    _held(scheduler, work.hold)
    late = scheduler.submit("a", [1], deadline=clock.now + 3.5)
    clock.now += 2.0  # Something takes longer than ever before.
    work.hold.open.set()
    with pytest.raises(DeadlineExceededError, match=r"0\.500 s are left, and .* 1\.000 s at least"):
        late.result(WAIT_S)
    assert work.batches == [[1], [1, 1], ["stop"]]


def test_heavy_jobs_beside_light_ones_that_never_end_get_their_share(make: Make) -> None:
    clock = Clock()
    work = Timed(clock, unit_s=0.01)
    scheduler = make({"light": work, "heavy": work}, clock=clock, max_batch=10, part_s=0.1, weigh=_weight)
    _held(scheduler, work.hold, "light")
    heavy = scheduler.submit("heavy", [5] * 8)

    def again(future: Future[list[Any]]) -> None:
        if not heavy.done():
            scheduler.submit("light", [1] * 4).add_done_callback(again)

    for _ in range(10):
        scheduler.submit("light", [1] * 4).add_done_callback(again)
    work.hold.open.set()
    assert heavy.result(WAIT_S) == [5] * 8
    seconds = {
        name: sum(sum(batch) for batch in work.batches[1:] if (5 in batch) == (name == "heavy"))
        for name in ("light", "heavy")
    }
    assert seconds["heavy"] == 40
    assert 3 < seconds["light"] / seconds["heavy"] < 5


def test_an_exception_becomes_an_id_and_work_goes_on(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    def work(requests: list[Any]) -> list[Any]:
        return [1 / request for request in requests]

    scheduler = make({"a": work})
    (error,) = scheduler.submit("a", [0]).result(WAIT_S)
    assert isinstance(error, InternalError)
    assert error.error_id in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "division" not in error.message
    assert scheduler.submit("a", [2]).result(WAIT_S) == [0.5]


def test_one_poisonous_request_does_not_harm_its_neighbours(make: Make) -> None:
    gate = Gate()

    def work(requests: list[Any]) -> list[Any]:
        if "poison" in requests:
            raise MemoryError
        return gate(requests)

    scheduler = make({"a": work})
    _held(scheduler, gate)
    futures = [scheduler.submit("a", [word]) for word in ("x", "poison", "y")]
    gate.open.set()
    x, poison, y = (future.result(WAIT_S)[0] for future in futures)
    assert (x, y) == ("x!", "y!")
    assert isinstance(poison, InternalError)


@pytest.mark.parametrize("results", [[], [1, 2, 3], None, "ab"])
def test_a_wrong_number_of_results_is_a_fault(make: Make, results: Any) -> None:
    scheduler = make({"a": lambda requests: results})
    (error,) = scheduler.submit("a", ["x"]).result(WAIT_S)
    assert isinstance(error, InternalError)


def test_errors_of_ours_in_the_results_are_handed_on_and_others_are_not(make: Make) -> None:
    ours, theirs = NotFoundError("no item 7"), InternalError("swordfish")
    scheduler = make({"a": lambda requests: [ours, theirs, ValueError("swordfish")]})
    known, inner, foreign = scheduler.submit("a", [1, 2, 3]).result(WAIT_S)
    assert known is ours
    for error in (inner, foreign):
        assert isinstance(error, InternalError)
        assert error.error_id
        assert "swordfish" not in error.message


def test_an_error_of_ours_that_is_raised_is_the_answer(make: Make) -> None:
    def work(requests: list[Any]) -> list[Any]:
        raise InvalidArgumentError("no", field="k")

    (error,) = make({"a": work}).submit("a", [1]).result(WAIT_S)
    assert isinstance(error, InvalidArgumentError)


class _End(BaseException):
    pass


def test_when_the_thread_ends_nobody_is_left_waiting(make: Make) -> None:
    gate, ended = Gate(), threading.Event()

    def work(requests: list[Any]) -> list[Any]:
        gate(requests)
        raise _End

    scheduler = make({"a": work}, on_end=lambda *_: ended.set())
    running = _held(scheduler, gate)
    waiting = scheduler.submit("a", [1])
    gate.open.set()
    for future in (running, waiting):
        with pytest.raises(UnavailableError):
            future.result(WAIT_S)
    assert ended.wait(WAIT_S)
    assert not scheduler.alive
    with pytest.raises(UnavailableError, match="after a fault"):
        scheduler.submit("a", [1])


def test_another_thread_takes_the_place_of_one_that_has_ended(make: Make) -> None:
    threads, begun = list[int](), list[int]()
    returned, ended = threading.Semaphore(0), list[str]()

    def work(requests: list[Any]) -> list[Any]:
        threads.append(threading.get_ident())
        if "end" in requests:
            raise _End
        return requests

    restart = Restart(0.01, begin=lambda: begun.append(threading.get_ident()), on_return=lambda _: returned.release())
    scheduler = make({"a": work}, on_end=lambda name, _: ended.append(name), restart=restart)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="stopped while this call was waiting"):
            scheduler.submit("a", ["end"]).result(WAIT_S)
        assert returned.acquire(timeout=WAIT_S)
        assert scheduler.submit("a", [1]).result(WAIT_S) == [1]
    assert ended == ["mmrec-engine"] * 3
    # After the first end, each thread answers one job and ends with the next.
    assert begun == threads[1::2]
    assert begun[:2] == threads[2::2]


def test_until_another_thread_is_there_calls_are_refused_and_closing_does_not_wait_for_it(make: Make) -> None:
    def work(requests: list[Any]) -> list[Any]:
        raise _End

    scheduler = make({"a": work}, restart=Restart(1000.0, 2000.0))
    with pytest.raises(UnavailableError):
        scheduler.submit("a", [1]).result(WAIT_S)
    with pytest.raises(
        UnavailableError, match=r"after a fault \(internal error \w+\) and begins again soon"
    ) as refused:
        scheduler.submit("a", [1])
    assert refused.value.retry_after_s == 10.0
    assert not scheduler.alive
    assert scheduler.close(WAIT_S)


def test_work_before_everything_is_loaded_is_refused(make: Make) -> None:
    loaded = threading.Event()

    def prepare() -> Any:
        assert loaded.wait(WAIT_S)
        return {"a": Gate()}

    scheduler = make(prepare)
    with pytest.raises(UnavailableError, match="still loading"):
        scheduler.submit("a", [1])
    loaded.set()
    scheduler.ready.result(WAIT_S)
    assert scheduler.submit("a", [1]).result(WAIT_S) == ["1!"]


def test_what_loading_raises_is_told(make: Make) -> None:
    def prepare() -> Any:
        raise NotFoundError("no bundle")

    with pytest.raises(NotFoundError, match="no bundle"):
        make(prepare).ready.result(WAIT_S)


def test_an_exit_while_loading_does_not_end_the_waiting_thread(make: Make) -> None:
    def prepare() -> Any:
        raise SystemExit(3)

    with pytest.raises(InternalError):
        make(prepare).ready.result(WAIT_S)


def test_closing_finishes_what_waits_and_refuses_what_comes(make: Make) -> None:
    gate = Gate()
    scheduler = make({"a": gate})
    _held(scheduler, gate)
    waiting = scheduler.submit("a", [1])
    assert not scheduler.close(0.0)
    with pytest.raises(UnavailableError, match="stopping"):
        scheduler.submit("a", [2])
    gate.open.set()
    assert waiting.result(WAIT_S) == ["1!"]
    assert scheduler.close(WAIT_S)


def test_all_work_is_done_in_one_thread(make: Make) -> None:
    threads: set[int] = set()

    def work(requests: list[Any]) -> list[Any]:
        threads.add(threading.get_ident())
        return requests

    scheduler = make({"a": work, "b": work})
    callers = [threading.Thread(target=lambda kind=kind: scheduler.submit(kind, [1]).result(WAIT_S)) for kind in "abab"]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(threads) == 1


# --- what is told while it goes on ------------------------------------------------------------------------------


class Told(Observer):
    """Writes down what an observer is told."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []

    def refused(self, kind: str, error: MmrecError) -> None:
        self.all.append(("refused", kind, error.code))

    def dropped(self, kind: str, error: MmrecError) -> None:
        self.all.append(("dropped", kind, error.code))

    def waited(self, kind: str, seconds: float) -> None:
        self.all.append(("waited", kind, seconds))

    def ran(self, kind: str, requests: Sequence[Any], results: Sequence[Any], seconds: float) -> None:
        self.all.append(("ran", kind, list(requests), list(results), seconds))


def test_an_observer_is_told_of_waiting_batches_refusals_and_drops(make: Make) -> None:
    gate, clock, told = Gate(), Clock(), Told()
    scheduler = make({"a": gate, "b": gate}, clock=clock, max_queue=3, observer=told)
    stages: list[tuple[str, float, float, int]] = []
    held = _held(scheduler, gate)
    both = [scheduler.submit("b", [word], None, lambda *stage: stages.append(stage)) for word in ("x", "y")]
    late = scheduler.submit("b", ["late"], 101.0)
    assert scheduler.waiting_by_kind() == {"a": 0, "b": 3}
    with pytest.raises(ResourceExhaustedError):
        scheduler.submit("a", ["one too many"])
    with pytest.raises(DeadlineExceededError):
        scheduler.submit("a", ["past"], 99.0)
    clock.now = 105.0
    gate.open.set()
    assert [future.result(WAIT_S) for future in (held, *both)] == [["stop!"], ["x!"], ["y!"]]
    with pytest.raises(DeadlineExceededError):
        late.result(WAIT_S)
    assert told.all == [
        ("waited", "a", 0.0),
        ("refused", "a", "RESOURCE_EXHAUSTED"),
        ("refused", "a", "DEADLINE_EXCEEDED"),
        ("ran", "a", ["stop"], ["stop!"], 5.0),
        ("dropped", "b", "DEADLINE_EXCEEDED"),
        ("waited", "b", 5.0),
        ("waited", "b", 5.0),
        ("ran", "b", ["x", "y"], ["x!", "y!"], 0.0),
    ]
    assert stages == [("queue", 100.0, 105.0, 0)] * 2 + [("run", 105.0, 105.0, 2)] * 2


def test_each_part_of_a_job_is_a_stage(make: Make) -> None:
    stages: list[tuple[str, int]] = []
    scheduler = make({"a": Gate()}, max_batch=2, light=1)
    future = scheduler.submit("a", list("abcd"), None, lambda name, began, ended, batch: stages.append((name, batch)))
    assert future.result(WAIT_S) == ["a!", "b!", "c!", "d!"]
    assert stages == [("queue", 0), ("run", 2)] * 2
