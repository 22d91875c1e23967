"""The service under load: its saturation with and without batches, half of that load, and twice as much.

The server is a process of its own, started as `mmrec serve` starts it; loads are open (`mmrec.evaluation.load`) and
come from this process.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.language_films import SHORT_FIT, short_bundle
from benchmarks.measuring import milliseconds
from benchmarks.options import Options
from benchmarks.report import Report, file_hashes, ruled
from benchmarks.served import served
from mmrec.contract.requests import ListItemsRequest, RecommendRequest
from mmrec.evaluation.load import Load, LoadResult, run_load
from mmrec.recommender import Recommender

BEAUTY, DRAWN, HISTORY, K, DEADLINE_S = "amazon-beauty", 1_000, 50, 10, 2.0
IN_PROCESS, QUICK_IN_PROCESS = 300, 50
SEEKING_S, QUICK_SEEKING_S = 10.0, 4.0
"""Time of each rate while the saturation is sought."""
HALF_S, TWICE_S, QUICK_S = 60.0, 180.0, 10.0
GROWTH = 1.5
MOST_HALF_P99, LEAST_GAIN, LEAST_GOODPUT, MOST_P99_GROWTH, MOST_REFUSAL = 60.0, 4.0, 0.9, 2.0, 10.0


def run(options: Options) -> None:
    """Measure and publish the table."""
    seeking_s = QUICK_SEEKING_S if options.quick else SEEKING_S
    half_s, twice_s = (QUICK_S, QUICK_S) if options.quick else (HALF_S, TWICE_S)
    load = Load(1.0, history=HISTORY, k=K, timeout_s=DEADLINE_S)
    bundle = short_bundle(options, BEAUTY)
    per_s, p50_ms, p99_ms = _in_process(bundle, options)
    with served(bundle, options.threads, "--device", options.device, "--max-batch", "1") as (address, _):
        single = _saturation(address, replace(load, seconds=seeking_s), per_s)
    with served(bundle, options.threads, "--device", options.device) as (address, _):
        batched = _saturation(address, replace(load, seconds=seeking_s), per_s)
        peak = batched.goodput_per_s
        half = run_load(address, replace(load, rate=peak / 2, seconds=half_s))
        twice = run_load(address, replace(load, rate=2 * peak, seconds=twice_s))
    rows = [
        ("in process, one by one", None, per_s, p50_ms, p99_ms, None, None, None, None),
        _row("one by one, saturated", single),
        _row("batches, saturated", batched),
        _row("batches, half of that", half),
        _row("batches, twice that", twice),
    ]
    Report(
        "service",
        f"Amazon Beauty, {SHORT_FIT}; {K} recommendations from {HISTORY} drawn history items, every channel ranks. "
        f"Server in a process of its own on loopback, threads: {options.threads}; the load, an open loop of "
        f"independent arrivals, in another on the same cores; deadlines of {DEADLINE_S:g} s. Saturation: most answers "
        f"a second, of rates that grow by {GROWTH:g}.",
        ("way", "sent/s", "answered/s", "p50 ms", "p99 ms", "refused", "refused p50 ms", "other", "hung"),
        rows,
        data=file_hashes(options.data / BEAUTY, "items.tsv", "events.tsv"),
        notes=_notes(single, batched, half, twice),
        rehearsal=options.quick,
    ).publish()


def _in_process(bundle: Path, options: Options) -> tuple[float, float, float]:
    """Calls a second, and median and 99th percentile of their times in ms."""
    recommender = Recommender.load(bundle, device=options.device)
    (page,) = recommender.list_items_many([ListItemsRequest(page_size=DRAWN)])
    ids = [item.item_id for item in page.items]  # type: ignore[union-attr]  # an error would end the run here
    rng = np.random.default_rng(0)
    count = QUICK_IN_PROCESS if options.quick else IN_PROCESS
    requests = [
        RecommendRequest(tuple(ids[row] for row in rng.integers(len(ids), size=HISTORY)), k=K) for _ in range(count + 5)
    ]
    times = milliseconds(lambda number: recommender.recommend_many([requests[number]]), count, warm_up=5)
    return 1000 * len(times) / sum(times), *np.percentile(times, [50, 99]).tolist()


def _saturation(address: str, load: Load, per_s: float) -> LoadResult:
    """The load with the most answers, of rates that grow until two in a row have fewer than the best before.

    Args:
        address: Of the server.
        load: All but its rate.
        per_s: Calls a second in process; the first rate is half of it.
    """
    best, worse, rate = run_load(address, replace(load, rate=per_s / 2)), 0, per_s / 2
    while worse < 2:
        rate *= GROWTH
        found = run_load(address, replace(load, rate=rate))
        print(f"service: {rate:.0f} a second: {found.goodput_per_s:.0f} answered", flush=True)
        best, worse = (found, 0) if found.goodput_per_s > best.goodput_per_s else (best, worse + 1)
    return best


def _row(way: str, found: LoadResult) -> tuple[Any, ...]:
    answered, refused = found.accepted, found.refused
    return (
        way,
        found.calls / found.load.seconds,
        found.goodput_per_s,
        answered.p50_ms,
        answered.p99_ms,
        refused.calls,
        refused.p50_ms if refused.calls else None,
        found.calls - found.hung - answered.calls - refused.calls,
        found.hung,
    )


def _notes(single: LoadResult, batched: LoadResult, half: LoadResult, twice: LoadResult) -> list[str]:
    gain = batched.goodput_per_s / single.goodput_per_s
    goodput = twice.goodput_per_s / batched.goodput_per_s
    growth = twice.accepted.p99_ms / half.accepted.p99_ms
    faults = sum(found.codes["INTERNAL"].calls for found in (single, batched, half, twice) if "INTERNAL" in found.codes)
    hung = sum(found.hung for found in (single, batched, half, twice))
    half_p99, refusal = half.accepted.p99_ms, twice.refused.p50_ms
    return [
        ruled(f"Saturation with batches: {gain:.2f} times that one by one", f">= {LEAST_GAIN:g}", gain >= LEAST_GAIN),
        ruled(f"p99 at half of it: {half_p99:.0f} ms", f"<= {MOST_HALF_P99:g}", half_p99 <= MOST_HALF_P99),
        ruled(f"Goodput at twice: {goodput:.2f} of the peak", f">= {LEAST_GOODPUT:g}", goodput >= LEAST_GOODPUT),
        ruled(
            f"p99 of answers at twice: {growth:.2f} times that at half",
            f"<= {MOST_P99_GROWTH:g}",
            growth <= MOST_P99_GROWTH,
        ),
        ruled(f"Median of refusals at twice: {refusal:.1f} ms", f"<= {MOST_REFUSAL:g}", refusal <= MOST_REFUSAL),
        ruled(f"Calls that hung: {hung}; INTERNAL: {faults}", "0", hung == faults == 0),
    ]
