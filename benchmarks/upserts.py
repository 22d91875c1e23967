"""Changes under load: 10,000 items come into a served catalogue while 20 recommendations a second are answered.

A server process on loopback with a store, a process that asks (`benchmarks.open_loop`), a process that upserts.
"""

from __future__ import annotations

import math
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import child
from benchmarks.large_bundle import FITTED, HIDDEN, LAYERS, drawn_words, large_bundle
from benchmarks.measuring import resident_gib
from benchmarks.options import Options
from benchmarks.report import WORK, Report, ruled
from benchmarks.rows import Rows
from benchmarks.served import served
from mmrec.contract.items import ItemInput
from mmrec.sdk.client import Client

ITEMS, UPSERTS, BATCH = 1_000_000, 10_000, 100
PER_SECOND, QUIET_SECONDS, HISTORY, K = 20, 60.0, 20, 10
ENDED, FIRST_LOOK, EVERY = "ended", 0.5, 0.1
MOST_VISIBLE, MOST_P99 = 2.0, 2.0
"""Seconds from an acknowledgement to the first recommendation, and p99 during the upserts beside the quiet one."""


def run(options: Options) -> None:
    """Measure and publish the tables: of the generator alone, and of every channel."""
    items, upserts, seconds = (20_000, 500, 5.0) if options.quick else (ITEMS, UPSERTS, QUIET_SECONDS)
    rows = Rows("upserts", options, {"items": items, "upserts": upserts})
    for label, every_channel in (("under load", False), ("under load, every channel", True)):
        made = partial(large_bundle, items, every_channel=every_channel)
        measured = rows.measure(label, partial(_under_load, options, made, upserts, seconds))
        _publish(measured, options, items, upserts, every_channel=every_channel)
    rows.finish()


def _publish(measured: dict[str, Any], options: Options, items: int, upserts: int, *, every_channel: bool) -> None:
    ranks = "all seven channels rank" if every_channel else "the generator alone ranks"
    Report(
        f"upserts{'-every-channel' if every_channel else ''}",
        f"{upserts:,} items of new words come into a catalogue of {items:,}, in batches of {BATCH} over one stream, "
        f"encoded by MiniLM; `mmrec serve --store` on loopback with {options.threads} threads, everything on one "
        f"machine. {PER_SECOND} recommendations a second of {K} items for histories of {HISTORY} (Qwen3 shape, "
        f"{LAYERS} layers, {HIDDEN} wide; semantic IDs of 4 codes, beam 64; {ranks}), sent when they are due. Time "
        "counts from then.",
        ("", "requests", "failed", "p50 ms", "p99 ms", "most ms"),
        [("quiet", *_figures(measured["quiet"])), ("during the upserts", *_figures(measured["busy"]))],
        notes=_notes(measured, upserts),
        details=measured,
        rehearsal=options.quick,
    ).publish()


def _figures(asked: dict[str, Any]) -> tuple[Any, ...]:
    times, failed = asked["ms"], asked["failed"]
    return len(times) + failed, failed, *np.percentile(times, [50, 99]).tolist(), max(times)


def _notes(measured: dict[str, Any], upserts: int) -> list[str]:
    changed = measured["changed"]
    times = float(np.percentile(measured["busy"]["ms"], 99) / np.percentile(measured["quiet"]["ms"], 99))
    visible = max(changed["visible_s"])
    return [
        ruled(f"p99 during the upserts is {times:.2f} times the quiet one", f"<= {MOST_P99:.0f}", times <= MOST_P99),
        f"{upserts:,} items in {changed['seconds']:.1f} s, {upserts / changed['seconds']:.0f} a second. From the "
        "acknowledgement of a batch to a recommendation of its last item "
        f"{statistics.median(changed['visible_s']):.2f} s (median of {len(changed['visible_s'])} batches, looked "
        f"for one after the other, {FIRST_LOOK} s after the acknowledgement at the earliest and then every {EVERY} s), "
        f"{visible:.2f} s at most (must be <= {MOST_VISIBLE:.0f}: "
        f"{'met' if visible <= MOST_VISIBLE else 'NOT met'}); {changed['refused']} items refused.",
        f"Afterwards {changed['found']:,} of {upserts:,} items are recommended when they are asked for by a list of "
        "allowed items.",
        f"Memory of the server: {measured['memory_gib'][0]:.1f} GiB quiet, {measured['memory_gib'][1]:.1f} GiB after.",
    ]


def _under_load(options: Options, made: Callable[[], Path], upserts: int, seconds: float) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(dir=WORK) as folder,
        served(made(), options.threads, "--store", str(Path(folder) / "store")) as (target, process),
    ):
        ids = [f"fitted-{row}" for row in range(FITTED)]
        ask = partial(
            child.call,
            "benchmarks.open_loop:ask",
            1,
            target=target,
            item_ids=ids,
            per_second=PER_SECOND,
            history=HISTORY,
            k=K,
        )
        ask(seconds=seconds / 4)
        quiet = ask(seconds=seconds)
        before = resident_gib(process.pid)
        found: dict[str, Any] = {}

        def change() -> None:
            try:
                found.update(child.call("benchmarks.upserts:change", 1, target=target, upserts=upserts))
            finally:
                (Path(folder) / ENDED).touch()

        changing = threading.Thread(target=change)
        changing.start()
        asked = ask(until=str(Path(folder) / ENDED))
        changing.join()
        return {
            "quiet": _within(quiet, 0.0, math.inf),
            "busy": _within(asked, found["began"], found["ended"]),
            "changed": found,
            "memory_gib": [before, resident_gib(process.pid)],
        }


def _within(asked: dict[str, Any], began: float, ended: float) -> dict[str, Any]:
    """Of the requests that were due between two times."""
    return {
        "ms": [ms for ms, due in asked["took"] if began <= due <= ended],
        "failed": sum(began <= due <= ended for due in asked["failed"]),
        "errors": asked["errors"],
    }


# --- in a process of its own ------------------------------------------------------------------------------------------


def change(target: str, upserts: int) -> dict[str, Any]:
    """Upsert, and after each acknowledgement ask for the last item until it is recommended."""
    rng = np.random.default_rng(1)
    titles = drawn_words(upserts, rng)
    items = [ItemInput(f"arrived-{place}", title, attributes={"kind": "lamp"}) for place, title in enumerate(titles)]
    batches = [items[begin : begin + BATCH] for begin in range(0, upserts, BATCH)]
    history = [f"fitted-{row}" for row in range(HISTORY)]
    visible: list[float] = []
    acknowledged: queue.SimpleQueue[tuple[str, float] | None] = queue.SimpleQueue()
    refused = 0

    def watch(client: Client) -> None:
        # Changes are applied in order, so one look at a time, for the oldest that has not been seen, says when each is
        # there at the latest; a look for every batch at once would be a load of its own.
        while (batch := acknowledged.get()) is not None:
            last, since = batch
            time.sleep(max(0.0, since + FIRST_LOOK - time.time()))
            while not client.recommend(history, k=1, allow=[last]).items:
                time.sleep(EVERY)
            visible.append(time.time() - since)

    with Client(target, timeout=120) as client:
        watching = threading.Thread(target=watch, args=(client,))
        watching.start()
        began = time.time()
        for batch, result in zip(batches, client.stream_upserts(batches, timeout=1800), strict=True):
            refused += len(result.refused)
            acknowledged.put((batch[-1].item_id, time.time()))
        acknowledged.put(None)
        watching.join()
        ended = time.time()
        found = 0
        for batch in batches:
            allowed = [item.item_id for item in batch]
            found += len(set(client.recommend(history, k=BATCH, allow=allowed).item_ids) & set(allowed))
    return {
        "began": began,
        "ended": ended,
        "seconds": ended - began,
        "visible_s": visible,
        "refused": refused,
        "found": found,
    }
