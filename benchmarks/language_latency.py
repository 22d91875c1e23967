"""Recommendations while four customers converse, beside the same without them.

A server process on loopback, a process that asks for recommendations (`benchmarks.open_loop`), and a process that
converses. Quiet and busy spells take turns, so that whatever else the machine does falls on both. A conversation sends
its next message as soon as the last one is answered.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import child
from benchmarks.language_films import LONGER_FIT, longer_bundle
from benchmarks.options import Options
from benchmarks.report import WORK, Report, ruled
from benchmarks.served import served
from mmrec.errors import MmrecError
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client

PER_SECOND, HISTORY, K, CONVERSATIONS = 10, 20, 10, 4
ROUNDS, SPELL, SETTLE = 6, 20.0, 1.0
"""Rounds of a quiet and a busy spell, seconds of a spell, and seconds at its beginning that do not count."""
MOST_P99 = 1.5
SAID = (
    "I would like to see a comedy",
    "something funnier",
    "not so old, please",
    "a film that makes me laugh, but no horror",
    "what else do you have?",
    "something with spaceships and aliens instead",
    "the second one, but shorter",
    "with Harrison Ford",
)
"""What every conversation says, in turn; then it begins anew."""


def run(options: Options) -> None:
    """Measure and publish the table."""
    bundle = longer_bundle(options)
    rounds, spell = (1, 5.0) if options.quick else (ROUNDS, SPELL)
    WORK.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=WORK) as folder,
        served(bundle, options.threads) as (target, _),
    ):
        measured = _measure(target, Path(folder), rounds, spell)
    quiet, busy = ([ms for spell in measured[name] for ms in spell] for name in ("quiet", "busy"))
    ratio = _p99(busy) / _p99(quiet)
    by_round = [_p99(b) / _p99(a) for a, b in zip(measured["quiet"], measured["busy"], strict=True)]
    Report(
        name="language-latency",
        conditions=f"MovieLens-100K, {LONGER_FIT}; `mmrec serve` on loopback with {options.threads} threads, "
        f"everything on one machine. {PER_SECOND} recommendations a second of {K} items for histories of {HISTORY}, "
        f"sent when they are due; time counts from then. {rounds} rounds of {spell:.0f} s quiet and {spell:.0f} s "
        f"beside {CONVERSATIONS} conversations without a pause between answer and next message.",
        columns=("", "recommendations", "failed", "p50 ms", "p99 ms", "most ms", "turns a second"),
        rows=[
            (name, len(times), measured["failed"][key], statistics.median(times), _p99(times), max(times), turns)
            for name, key, times, turns in (
                ("quiet", "quiet", quiet, None),
                (f"beside {CONVERSATIONS} conversations", "busy", busy, measured["turns"] / (rounds * spell)),
            )
        ],
        notes=(
            ruled(
                f"p99 beside the conversations is {ratio:.2f} times the quiet one; by round "
                f"{', '.join(f'{one:.2f}' for one in by_round)}",
                f"<= {MOST_P99}",
                ratio <= MOST_P99,
            ),
        ),
        details=measured,
        rehearsal=options.quick,
    ).publish()


def _p99(times: list[float]) -> float:
    return float(np.percentile(times, 99))


def _measure(target: str, folder: Path, rounds: int, spell: float) -> dict[str, Any]:
    """Milliseconds of the recommendations of each quiet and each busy spell, and what else was counted."""
    talking, ended = folder / "talking", folder / "ended"
    found: dict[str, dict[str, Any]] = {}

    with Client(target) as client:
        ids = [item.item_id for item in client.list_items(page_size=1000).items]

    def start(name: str, function: str, **arguments: Any) -> threading.Thread:
        def work() -> None:
            found[name] = child.call(function, 1, target=target, item_ids=ids, until=str(ended), **arguments)

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    talking.touch()
    threads = [
        start("ask", "benchmarks.open_loop:ask", per_second=PER_SECOND, history=HISTORY, k=K),
        start("talk", "benchmarks.language_latency:talk", talking=str(talking)),
    ]
    spells: list[tuple[str, float, float]] = []
    try:
        time.sleep(10.0)  # both have begun, and what is made once is made
        for _ in range(rounds):
            for name in ("quiet", "busy"):
                talking.touch() if name == "busy" else talking.unlink()
                begin = time.time() + SETTLE
                time.sleep(SETTLE + spell)
                spells.append((name, begin, begin + spell))
    finally:
        ended.touch()
        for thread in threads:
            thread.join()
    asked = found["ask"]
    measured: dict[str, Any] = {"quiet": [], "busy": [], "failed": {"quiet": 0, "busy": 0}, "turns": 0}
    for name, begin, end in spells:
        measured[name].append([ms for ms, due in asked["took"] if begin <= due < end])
        measured["failed"][name] += sum(begin <= due < end for due in asked["failed"])
        if name == "busy":
            measured["turns"] += sum(begin <= at < end for at in found["talk"]["turns"])
    return measured | {"turn_ms": found["talk"]["ms"][-500:], "errors": asked["errors"] + found["talk"]["errors"]}


# --- in a process of its own ------------------------------------------------------------------------------------------


def talk(target: str, item_ids: list[str], talking: str, until: str) -> dict[str, Any]:
    """Conversations while a file is there, until another one comes: when each turn ended, and its milliseconds."""
    return asyncio.run(_talk(target, item_ids, Path(talking), Path(until)))


async def _talk(target: str, item_ids: list[str], talking: Path, ended: Path) -> dict[str, Any]:
    turns: list[float] = []
    took: list[float] = []
    errors: list[str] = []

    async def one(client: AsyncClient, seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not ended.exists():
            history = [item_ids[row] for row in rng.choice(len(item_ids), HISTORY, replace=False).tolist()]
            async with client.converse(history) as conversation:
                for text in SAID:
                    while not talking.exists():
                        if ended.exists():
                            return
                        await asyncio.sleep(0.02)
                    begin = time.time()
                    try:
                        await conversation.say(text)
                    except MmrecError as error:
                        errors.append(str(error))
                        continue
                    turns.append(time.time())
                    took.append(1000 * (turns[-1] - begin))

    async with AsyncClient(target, timeout=60) as client:
        await asyncio.gather(*(one(client, seed) for seed in range(CONVERSATIONS)))
    return {"turns": turns, "ms": took, "errors": errors[:5]}
