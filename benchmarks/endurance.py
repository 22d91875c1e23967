"""What a server stands: hours of mixed load, connections, kills, other versions of its bundle, being stopped.

Each piece is a table of its own, chosen by ``--only``: ``soak`` (30 minutes), ``connections``, ``kills``,
``engine-kills``, ``swaps`` and ``stops``.
The server is a process of its own, started as `mmrec serve` starts it, on a bundle of drawn items.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import numpy as np

from benchmarks.kept import staged
from benchmarks.measuring import resident_gib
from benchmarks.options import Options
from benchmarks.report import WORK, Report, ruled
from benchmarks.served import served
from benchmarks.slope import Slope, slope_of
from mmrec.bundle import BundleWriter
from mmrec.bundle.reader import current_version
from mmrec.contract.events import UserEvent
from mmrec.contract.items import ItemInput
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import MmrecError
from mmrec.recommender import Recommender
from mmrec.runtime.files import replace_file
from mmrec.sdk.client import Client
from mmrec.sdk.rpcs import GET_SERVICE_INFO, RECOMMEND
from mmrec.sdk.status import DETAILS_KEY

ITEMS, USERS = 60, 120
SOAK_S, QUICK_SOAK_S, SAMPLE_S = 1800.0, 60.0, 1.0
CONNECTIONS, QUICK_CONNECTIONS = 10_000, 1_000
KILLS, QUICK_KILLS = 50, 3
ENGINE_KILLS, QUICK_ENGINE_KILLS = 30, 3
STANDBY_S = 8.0
"""Time in which another process is ready to take the place of the engine's."""
SWAPS, QUICK_SWAPS = 100, 5
MOST_BACK_S = 5.0
STOPS, QUICK_STOPS, CALLING = 20, 2, 16
ASKING = 3
"""Threads that ask without a pause."""


def run(options: Options) -> None:
    """Run the pieces that `options.only` names, by name or pattern; all of them where it names none."""
    pieces = {
        "connections": _connections,
        "kills": _kills,
        "engine-kills": _engine_kills,
        "swaps": _swaps,
        "stops": _stops,
        "soak": _soak,
    }
    unknown = [only for only in options.only if not fnmatch.filter(pieces, only)]
    if unknown:
        raise SystemExit(f"endurance has no piece {unknown[0]!r}; there are {', '.join(pieces)}")
    bundle = small_bundle()
    for name, piece in pieces.items():
        if not options.only or any(fnmatch.fnmatch(name, only) for only in options.only):
            piece(bundle, options)


class Held(NamedTuple):
    """What a process holds.

    Attributes:
        mib: Resident memory.
        descriptors: Open files and sockets.
    """

    mib: float
    descriptors: int


def held_by(process: int) -> Held:
    """What a process of this machine holds now."""
    return Held(1024 * resident_gib(process), len(list(Path(f"/proc/{process}/fd").iterdir())))


def small_bundle() -> Path:
    """A bundle of `ITEMS` drawn items with a small model, fitted once and kept."""
    from mmrec.demo import write_demo_dataset
    from mmrec.generator.config import GeneratorConfig, TrainingConfig
    from mmrec.training import FitConfig, fit_dataset

    folder = WORK / f"endurance-{ITEMS}-{USERS}"
    if not folder.exists():
        with staged(folder) as made:
            write_demo_dataset(made / "dataset", items=ITEMS, users=USERS)
            small = GeneratorConfig(hidden=32, layers=1, heads=2, max_history=20)
            fit_dataset(
                made / "dataset", made / "bundle", FitConfig(generator=small, training=TrainingConfig(epochs=2))
            )
    return folder / "bundle"


def _conditions(options: Options, what: str) -> str:
    return (
        f"{what} Server in a process of its own on loopback ({options.threads} threads, {options.device}), the callers "
        f"on the same cores; a bundle of {ITEMS} drawn items."
    )


# --- memory and descriptors -------------------------------------------------------------------------------------------


def _flat_rows(axis: list[float], held: list[Held], unit: str) -> tuple[list[tuple[Any, ...]], list[str]]:
    rows, notes = [], []
    for name, values in (("MiB", [one.mib for one in held]), ("descriptors", [float(one.descriptors) for one in held])):
        found: Slope = slope_of(axis, values)
        rows.append((name, values[0], values[-1], max(values), found.per_unit, found.low, found.high))
        notes.append(ruled(f"{name}: growth of {100 * found.growth:.2f} % at the low end", "<= 1 %", found.flat))
    return rows, [*notes, f"Slopes per {unit}, with 95 % intervals, of the last four fifths of {len(axis)} samples."]


_FLAT_COLUMNS = ("figure", "first", "last", "most", "slope", "low", "high")


def _connections(bundle: Path, options: Options) -> None:
    count = QUICK_CONNECTIONS if options.quick else CONNECTIONS
    axis, held, failed = [], [], 0
    with served(bundle, options.threads, "--device", options.device) as (address, process):
        for number in range(count):
            # Channels with the same address share a connection, unless they are told not to.
            with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                try:
                    channel.unary_unary(GET_SERVICE_INFO.path)(b"", timeout=10)
                except grpc.RpcError:
                    failed += 1
            if number % (count // 100) == 0:
                axis.append(number / 1000)
                held.append(held_by(process.pid))
    rows, notes = _flat_rows(axis, held, "1,000 connections")
    Report(
        "endurance-connections",
        _conditions(options, f"{count:,} connections opened, one call on each, and closed, one after the other."),
        _FLAT_COLUMNS,
        rows,
        notes=[*notes, ruled(f"Calls that failed: {failed}", "0", failed == 0)],
        rehearsal=options.quick,
    ).publish()


def _soak(bundle: Path, options: Options) -> None:
    seconds = QUICK_SOAK_S if options.quick else SOAK_S
    axis, held = [], []
    with (
        _store() as store,
        served(bundle, options.threads, "--device", options.device, "--store", str(store)) as (address, process),
    ):
        loads = [Asking(address, work) for work in (_recommends, _searches, _changes, _records)]
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            axis.append(now / 3600)
            held.append(held_by(process.pid))
            time.sleep(SAMPLE_S)
        for load in loads:
            load.end()
    rows, notes = _flat_rows(axis, held, "hour")
    answered, failed = sum(load.answered for load in loads), [error for load in loads for error in load.failed]
    Report(
        "endurance-soak",
        _conditions(
            options,
            f"{seconds / 60:g} minutes of recommendations, searches, changes of 20 items and events of 50 customers, "
            "in one thread each, without a pause; changes and events in SQLite.",
        ),
        _FLAT_COLUMNS,
        rows,
        notes=[*notes, ruled(f"Answered: {answered:,}; failed: {len(failed)} {failed[:3]}", "0", not failed)],
        details={"hours": axis, "held": held},
        rehearsal=options.quick,
    ).publish()


def _recommends(client: Client, number: int) -> None:
    client.recommend([f"p{1 + number % ITEMS:04}", f"p{1 + number * 7 % ITEMS:04}"], k=10)


def _searches(client: Client, number: int) -> None:
    client.search(("oak desk", "wool beanie", "enamel mug")[number % 3], k=5, filter="" if number % 2 else "category:*")


def _changes(client: Client, number: int) -> None:
    item_id = f"new{number // 2 % 20}"
    if number % 2:
        client.delete_items([item_id])
    else:
        client.upsert_items([ItemInput(item_id, title=f"lamp {number}")])
    time.sleep(0.05)


def _records(client: Client, number: int) -> None:
    client.record_events([UserEvent(f"p{1 + number % ITEMS:04}", "view", user_id=f"c{number % 50}")])
    # Customers leave again, so that what is kept does not grow by design.
    if number % 500 == 499:
        for customer in range(50):
            client.delete_user(f"c{customer}")


class Asking:
    """A thread that calls without a pause; how often it was answered, and what failed.

    Args:
        address: Of the server.
        work: A call; given the client and its number.
    """

    def __init__(self, address: str, work: Callable[[Client, int], object]) -> None:
        self.answered, self.failed = 0, list[str]()
        self._address, self._work = address, work
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let the running call end."""
        self._ends.set()
        self._thread.join(60)

    def _main(self) -> None:
        with Client(self._address, timeout=30) as client:
            for number in itertools.count():
                if self._ends.is_set():
                    return
                try:
                    self._work(client, number)
                    self.answered += 1
                except MmrecError as error:
                    self.failed.append(f"{error.code}: {error.message}")


# --- kills ------------------------------------------------------------------------------------------------------------


class _Recording:
    """Records events one by one, each with an id of its own, until the server is gone."""

    def __init__(self, address: str, first: int) -> None:
        self.acknowledged: list[str] = []
        self.failed = 0
        self._address, self._first = address, first
        self.thread = threading.Thread(target=self._main, daemon=True)
        self.thread.start()

    def _main(self) -> None:
        with Client(self._address, timeout=30) as client:
            for number in itertools.count(self._first):
                event = UserEvent("p0001", "view", user_id="killed", event_id=f"e{number}")
                try:
                    done = client.record_events([event])
                except MmrecError:
                    self.failed += 1
                    return
                if not done.refused:
                    self.acknowledged.append(event.event_id)


def _kills(bundle: Path, options: Options) -> None:
    kills, threads = QUICK_KILLS if options.quick else KILLS, ASKING
    rng = np.random.default_rng(0)
    acknowledged, failed, back_s, answers = list[str](), 0, list[float](), 0
    with _store() as store:
        arguments = ("--device", options.device, "--store", str(store))
        for kill in range(kills + 1):
            began = time.monotonic()
            with served(bundle, options.threads, *arguments) as (address, process), Client(address) as client:
                client.recommend(["p0001"], k=3)
                back_s.append(time.monotonic() - began)
                found = _recorded(client)
                answers += len(found)
                lost = set(acknowledged) - set(found)
                twice = len(found) - len(set(found))
                if lost or twice or kill == kills:
                    break
                recording = [_Recording(address, 10_000_000 * kill + 100_000 * thread) for thread in range(threads)]
                time.sleep(float(rng.uniform(0.1, 0.8)))
                process.kill()
                for one in recording:
                    one.thread.join(60)
                    acknowledged += one.acknowledged
                    failed += one.failed
    back = float(np.max(back_s))
    Report(
        "endurance-kills",
        _conditions(
            options,
            f"{kill} times kill -9, 0.1 to 0.8 s after the server was up, while {threads} callers record events one by "
            "one in SQLite; then the server is started again on the same store and asked for all of them.",
        ),
        ("kills", "acknowledged", "lost", "twice", "calls failed", "back s, median", "back s, most"),
        [(kill, len(acknowledged), len(lost), twice, failed, float(np.median(back_s)), back)],
        notes=[
            ruled(f"Acknowledged events that were lost: {len(lost)}", "0", not lost),
            ruled(
                f"Failed calls: {failed} in {kill} kills of {threads} callers",
                "those running",
                failed <= kill * threads,
            ),
            ruled(
                f"Start of the process to the first recommendation: {back:.1f} s at most", "<= 5 s", back <= MOST_BACK_S
            ),
        ],
        rehearsal=options.quick,
    ).publish()


def _recorded(client: Client) -> list[str]:
    """Ids of all events of the customer."""
    found, token = list[str](), ""
    while True:
        page = client.list_events("killed", page_size=1000, page_token=token)
        found += [event.event_id for event in page.events]
        token = page.next_page_token
        if not token:
            return found


def _engine_kills(bundle: Path, options: Options) -> None:
    kills = QUICK_ENGINE_KILLS if options.quick else ENGINE_KILLS
    rng = np.random.default_rng(0)
    back_s, ends, refusal_ms = list[float](), Counter[str](), list[float]()
    with served(bundle, options.threads, "--device", options.device, "--front-ends", "1") as (address, parent):
        loads = [Asking(address, _recommends) for _ in range(ASKING)]
        with grpc.insecure_channel(address, [("grpc.enable_retries", 0)]) as channel:
            ask: Any = channel.unary_unary(GET_SERVICE_INFO.path)
            for _ in range(kills):
                time.sleep(STANDBY_S + float(rng.uniform(0, 1)))
                os.kill(_engine_of(parent.pid), signal.SIGKILL)
                began, code = time.monotonic(), ""
                while code != "OK":
                    asked = time.monotonic()
                    code = ask.future(b"", timeout=30).code().name
                    ends[code] += 1
                    if code != "OK":
                        refusal_ms.append(1000 * (time.monotonic() - asked))
                    time.sleep(0.01)
                back_s.append(time.monotonic() - began)
        for load in loads:
            load.end()
    answered, failed = sum(load.answered for load in loads), [error for load in loads for error in load.failed]
    others = set(ends) - {"OK", "UNAVAILABLE"}
    Report(
        "endurance-engine-kills",
        _conditions(
            options,
            f"{kills} times kill -9 of the engine's process behind a front end, {STANDBY_S:g} to {STANDBY_S + 1:g} s "
            f"after it was up, while {ASKING} callers of the SDK, which repeat calls as they are told, ask for "
            "recommendations without a pause, and another one, which repeats nothing, asks every 10 ms from the kill "
            "on.",
        ),
        ("kills", "answered", "failed in the SDK", "refused", "refused ms, median", "back s, median", "back s, most"),
        [
            (
                *(kills, answered, len(failed), ends["UNAVAILABLE"]),
                *(float(np.median(refusal_ms)), float(np.median(back_s)), max(back_s)),
            )
        ],
        notes=[
            ruled(f"Kill to the next answer: {max(back_s):.1f} s at most", "<= 5 s", max(back_s) <= MOST_BACK_S),
            ruled(f"Other statuses than UNAVAILABLE: {sorted(others)}", "none", not others),
            f"Calls that failed in the SDK, after its retries: {len(failed)} {failed[:1]}.",
        ],
        details={"back_s": back_s},
        rehearsal=options.quick,
    ).publish()


def _engine_of(parent: int) -> int:
    """The engine's process: another one, which waits to take its place, has spent less."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    engines = [child for child in children if "engine_process" in Path(f"/proc/{child}/cmdline").read_text()]
    return int(max(engines, key=lambda child: sum(map(int, Path(f"/proc/{child}/stat").read_text().split()[13:15]))))


# --- other versions, and stops ----------------------------------------------------------------------------------------


def _swaps(bundle: Path, options: Options) -> None:
    swaps = QUICK_SWAPS if options.quick else SWAPS
    root = WORK / "endurance-swaps.tmp"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(bundle, root)
    larger = Recommender.load(root, device="cpu")
    before = (current_version(root), larger.info().versions.catalogue, ITEMS)
    larger.upsert_items([ItemInput("one-more", title="lamp")])
    with BundleWriter(root, preset="p", name="larger") as writer:
        larger.publish(writer, catalogue="larger", folded={})
    after = (current_version(root), "larger", ITEMS + 1)
    sizes = {catalogue: items for _, catalogue, items in (before, after)}
    mixed = list[str]()

    def ask(client: Client, number: int) -> None:
        found = client.recommend([], k=200)
        if sizes.get(found.versions.catalogue) != len(found.items):
            mixed.append(f"{found.versions.catalogue} with {len(found.items)} items")

    took = list[float]()
    with served(root, options.threads, "--device", options.device, "--trial-seconds", "0") as (address, process):
        loads = [Asking(address, ask) for _ in range(ASKING)]
        with Client(address, timeout=60) as client:
            for number in range(swaps):
                version, catalogue, _ = (before, after)[number % 2]
                replace_file(root / "CURRENT", lambda path, text=version: path.write_text(f"{text}\n"))
                began = time.monotonic()
                process.send_signal(signal.SIGHUP)
                while client.info().versions.catalogue != catalogue:
                    if time.monotonic() - began > 60:
                        raise RuntimeError(f"version {version} is not served after a minute")
                    time.sleep(0.01)
                took.append(time.monotonic() - began)
        for load in loads:
            load.end()
    answered, failed = sum(load.answered for load in loads), [error for load in loads for error in load.failed]
    shutil.rmtree(root)
    Report(
        "endurance-swaps",
        _conditions(
            options,
            f"{swaps} changes between two versions of the bundle by SIGHUP, while {ASKING} callers ask for every item "
            "without a pause. Mixed: the number of items is not that of the version that the reply names.",
        ),
        ("swaps", "answered", "failed", "mixed", "swap s, median", "swap s, most"),
        [(swaps, answered, len(failed), len(mixed), float(np.median(took)), max(took))],
        notes=[ruled(f"Failed: {len(failed)} {failed[:3]}; mixed: {len(mixed)}", "0", not failed and not mixed)],
        rehearsal=options.quick,
    ).publish()


class _Calling:
    """Asks for recommendations without a pause, and repeats nothing; how the calls ended, until the server has gone."""

    def __init__(self, address: str) -> None:
        self.ends = Counter[str]()
        self._address = address
        self.thread = threading.Thread(target=self._main, daemon=True)
        self.thread.start()

    def _main(self) -> None:
        request = RECOMMEND.encode_request(RecommendRequest(("p0001",), k=10))
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(self._address, options) as channel:
            ask: Any = channel.unary_unary(RECOMMEND.path, request_serializer=lambda message: message)
            while True:
                call = ask.future(request, timeout=30)
                code, told = call.code(), any(key == DETAILS_KEY for key, _ in call.trailing_metadata() or ())
                if code is grpc.StatusCode.UNAVAILABLE and not told and "connect" in call.details():
                    return  # nobody listens any more
                self.ends[code.name if code is grpc.StatusCode.OK or told else f"{code.name} without details"] += 1


def _stops(bundle: Path, options: Options) -> None:
    stops = QUICK_STOPS if options.quick else STOPS
    ends, statuses, took = Counter[str](), Counter[int](), list[float]()
    for _ in range(stops):
        with served(bundle, options.threads, "--device", options.device) as (address, process):
            calling = [_Calling(address) for _ in range(CALLING)]
            time.sleep(2.0)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            statuses[process.wait(60)] += 1
            took.append(time.monotonic() - began)
            for one in calling:
                one.thread.join(60)
                ends += one.ends
    lost = {end: count for end, count in ends.items() if end not in {"OK", "UNAVAILABLE"}}
    Report(
        "endurance-stops",
        _conditions(
            options,
            f"{stops} times SIGTERM, while {CALLING} callers, each with a connection of its own, ask for "
            "recommendations without a pause and repeat nothing. Refused: UNAVAILABLE with the time to wait.",
        ),
        ("stops", "answered", "refused", "lost", "stop s, median", "stop s, most"),
        [(stops, ends["OK"], ends["UNAVAILABLE"], sum(lost.values()), float(np.median(took)), max(took))],
        notes=[
            ruled(f"Calls that ended in another way: {lost}", "none", not lost),
            ruled(f"Exit statuses: {dict(statuses)}", "0", set(statuses) == {0}),
        ],
        rehearsal=options.quick,
    ).publish()


@contextmanager
def _store() -> Iterator[Path]:
    """An empty folder for a store, which goes at the end of the block."""
    folder = WORK / "endurance-store.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
