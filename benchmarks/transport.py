"""What a recommendation costs beside the engine: the service, gRPC's servers without one, and front ends.

The bundle is a small one, so that the engine's share is the smallest that a shop may see. Callers are a process of
their own on the same cores, and ask without a pause; the processor time of the server is counted by thread.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.child import call
from benchmarks.endurance import ITEMS, small_bundle
from benchmarks.options import Options
from benchmarks.report import ROOT, Report
from benchmarks.served import served
from benchmarks.transport_ends import KINDS
from mmrec.contract.requests import RecommendRequest, SearchRequest
from mmrec.recommender import Recommender
from mmrec.sdk.rpcs import RECOMMEND, SEARCH_ITEMS, Rpc

HISTORY, K, SIDE = 20, 10, 512
CALLERS = (1, 8)
COLUMNS = (
    *("way", "callers", "calls/s", "p50 ms", "p99 ms"),
    *("CPU ms a call", "event loop", "engine", "other threads", "front ends"),
)
FRONT_ENDS = (1, 2)
SETTLING_S = 10.0
"""Until the process is up that waits for the end of the engine's."""
SECONDS, QUICK_SECONDS = 20.0, 2.0


def run(options: Options) -> None:
    """Measure and publish the table."""
    seconds = QUICK_SECONDS if options.quick else SECONDS
    bundle = small_bundle()
    request = RecommendRequest(tuple(f"p{1 + item:04}" for item in range(HISTORY)), k=K)
    question = Question.of(RECOMMEND, request)
    rows = [("in process", 1, *_in_process(bundle, request, seconds, options))]
    with served(bundle, options.threads, "--device", options.device) as (address, process):
        rows += _asked("mmrec serve", address, process.pid, question, seconds)
        reply = call("benchmarks.transport_ends:reply_to", 1, address=address, request=question.message)["reply"]
    for count in FRONT_ENDS:
        more = ("--device", options.device, "--front-ends", str(count))
        with served(bundle, options.threads, *more) as (address, process):
            time.sleep(SETTLING_S)
            rows += _asked(f"mmrec serve --front-ends {count}", address, process.pid, question, seconds)
            if count == 1:
                for format, searched in _pictures(bundle).items():
                    rows += _asked(f"the same, searches by {format}", address, process.pid, searched, seconds)
    for kind in KINDS:
        if kind != "uvloop" or importlib.util.find_spec("uvloop"):
            with _canned(kind, reply) as (address, process):
                rows += _asked(f"no engine, {kind}", address, process.pid, question, seconds)
    Report(
        "transport",
        f"{K} recommendations from a history of {HISTORY}, on a bundle of {ITEMS} drawn items; every caller waits for "
        f"its answer and asks again at once, for {seconds:g} s. Server on loopback ({options.threads} threads, "
        f"{options.device}), callers in a process of their own on the same cores. No engine: a gRPC server without "
        f"interceptors that sends the bytes of a reply. Searches are by a picture of {SIDE} x {SIDE} pixels.",
        COLUMNS,
        rows,
        versions={"uvloop": version("uvloop")} if importlib.util.find_spec("uvloop") else {},
        notes=[
            "CPU: processor time a call, of all processes of the server. Event loop: the first thread of the engine's "
            "process, with gRPC, keys, codec and scheduling; engine: its busiest other thread; other threads: gRPC's.",
        ],
        rehearsal=options.quick,
    ).publish()


def spent_by(process: int) -> dict[int, dict[int, float]]:
    """Seconds of processor time of the threads of a process and of its children, by process and thread."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return {one: _threads_of(one) for one in (process, *map(int, children))}


def _threads_of(process: int) -> dict[int, float]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return {int(task.name): int((task / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9 for task in tasks}


class Question(NamedTuple):
    """A call as it is sent.

    Attributes:
        path: Full name of its RPC.
        message: Its request, in base64.
    """

    path: str
    message: str

    @classmethod
    def of(cls, rpc: Rpc[Any, Any], request: Any) -> Question:
        """From a request."""
        return cls(rpc.path, base64.b64encode(rpc.encode_request(request)).decode())


def _pictures(bundle: Path) -> dict[str, Question]:
    """Searches by a picture as shops have it, and by its pixels, as a front end that decodes could pass them on."""
    found: dict[str, Question] = {}
    with Image.open(next((bundle.parent / "dataset" / "images").iterdir())) as drawn:
        picture = drawn.convert("RGB").resize((SIDE, SIDE))
    for format in ("JPEG", "BMP"):
        file = io.BytesIO()
        picture.save(file, format)
        found[format] = Question.of(SEARCH_ITEMS, SearchRequest(image=file.getvalue(), k=K))
    return found


class Spent(NamedTuple):
    """Processor time of a call, in milliseconds.

    Attributes:
        total: Of all processes.
        loop: Of the first thread of the busiest process, which runs its event loop.
        busiest: Of the busiest of its other threads, which is the engine's.
        rest: Of its other threads.
        front_ends: Of the other processes; None where there are none.
    """

    total: float
    loop: float
    busiest: float
    rest: float
    front_ends: float | None


def _spent(before: dict[int, dict[int, float]], after: dict[int, dict[int, float]], calls: int) -> Spent:
    each = {
        process: {
            thread: 1000 * (seconds - before[process].get(thread, 0.0)) / calls for thread, seconds in threads.items()
        }
        for process, threads in after.items()
    }
    sums = {process: sum(threads.values()) for process, threads in each.items()}
    engine = max(sums, key=sums.__getitem__)
    loop = each[engine].pop(engine)
    others = sorted(each[engine].values(), reverse=True)
    total = sum(sums.values())
    return Spent(total, loop, others[0], sum(others[1:]), total - sums[engine] if len(sums) > 1 else None)


def _in_process(bundle: Path, request: RecommendRequest, seconds: float, options: Options) -> tuple[Any, ...]:
    recommender = Recommender.load(bundle, device=options.device)
    for _ in range(20):
        recommender.recommend_many([request])
    took, cpu, end = [], time.process_time(), time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        recommender.recommend_many([request])
        took.append(1000 * (time.perf_counter() - began))
    cpu = time.process_time() - cpu
    return (1000 * len(took) / sum(took), *_percentiles(took), 1000 * cpu / len(took), None, None, None, None)


def _asked(way: str, address: str, process: int, question: Question, seconds: float) -> list[tuple[Any, ...]]:
    """A row for each number of callers."""
    rows: list[tuple[Any, ...]] = []
    for callers in CALLERS:
        arguments: dict[str, Any] = {
            "address": address,
            "path": question.path,
            "request": question.message,
            "callers": callers,
        }
        call("benchmarks.transport_ends:ask", 1, **arguments, seconds=seconds / 5)  # warm
        before = spent_by(process)
        found = call("benchmarks.transport_ends:ask", 1, **arguments, seconds=seconds)
        spent = _spent(before, spent_by(process), found["calls"])
        rows.append((way, callers, found["calls"] / found["seconds"], *_percentiles(found["took"]), *spent))
    return rows


def _percentiles(took: list[float]) -> list[float]:
    found: list[float] = np.percentile(took, [50, 99]).tolist()
    return found


@contextmanager
def _canned(kind: str, reply: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a server that sends this reply."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.transport_ends", kind],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        print(reply, file=process.stdin, flush=True)
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait(60)
