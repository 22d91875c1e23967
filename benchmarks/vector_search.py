"""Search among 10,000 to 1,000,000 embedded items: time, recall against exact, memory, building, and how each grows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.child import call
from benchmarks.options import Options
from benchmarks.report import WORK, Report
from benchmarks.rows import Rows
from benchmarks.vector_rows import DIMENSION

SIZES, QUICK_SIZES = (10_000, 100_000, 1_000_000), (2_000, 10_000)
QUERIES, EXACT_QUERIES, SEED = 500, 100, 7
HNSW_UP_TO = 100_000
"""faiss needs many minutes for a graph of more."""
_MODULE = "benchmarks.vector_rows"


def run(options: Options) -> None:
    """Measure and publish the table."""
    rows = Rows("vector-search", options, {"queries": QUERIES, "seed": SEED})
    measured = []
    for items in QUICK_SIZES if options.quick else SIZES:
        folder = WORK / f"vectors-{items}-{SEED}"
        found = _size(items, folder, options, rows)
        measured += found
        shutil.rmtree(folder, ignore_errors=True)  # a gigabyte, and quickly made again
    first = {row["index"].partition(" (")[0]: row for row in measured[::-1]}
    columns = ("items", "index", "recall@10", "build s", "p50 ms, 1 thread", "p95 ms, 1 thread")
    if options.threads > 1:
        columns += (f"p50 ms, {options.threads} threads", f"p95 ms, {options.threads} threads")
    columns += ("memory bytes/item", "disk bytes/item beside the vectors", "p50 against the smallest")
    table = []
    for row in measured:
        base = first[row["index"].partition(" (")[0]]["p50 ms, 1 thread"]
        table.append((*(row[column] for column in columns[:-1]), row["p50 ms, 1 thread"] / base))
    Report(
        "vector-search",
        f"Clustered unit vectors of {DIMENSION} dimensions drawn from one distribution, {QUERIES} others of it as "
        f"queries ({EXACT_QUERIES} where every vector is scored), one at a time, 10 results; recall against exact "
        "search; mmrec's index is the one that it chooses by size. Memory is what a fresh process holds after "
        "loading vectors and index.",
        columns,
        table,
        details={"rows": measured},
        notes=_growth(measured),
        rehearsal=options.quick,
    ).publish()
    rows.finish()


def _size(items: int, folder: Path, options: Options, rows: Rows) -> list[dict[str, Any]]:
    """Rows of every contender among this many items."""
    found = []
    contenders = ["mmrec", "faiss flat"] + (["faiss HNSW32"] if items <= HNSW_UP_TO else [])
    for contender in contenders:

        def measure(contender: str = contender) -> dict[str, Any]:
            if not (folder / "truth.npy").exists():
                folder.mkdir(parents=True, exist_ok=True)
                call(f"{_MODULE}:make", options.threads, folder=str(folder), items=items, queries=QUERIES, seed=SEED)
            built = call(f"{_MODULE}:build", options.threads, folder=str(folder), contender=contender)
            exact = built["kind"] in ("exact", "faiss flat")
            asked: dict[str, Any] = {
                "folder": str(folder),
                "contender": contender,
                "queries": EXACT_QUERIES if exact else QUERIES,
            }
            alone = call(f"{_MODULE}:search", 1, **asked)
            row = {
                "items": items,
                "index": f"mmrec ({built['kind']})" if contender == "mmrec" else contender,
                "parameters": built["parameters"],
                "recall@10": alone["recall@10"],
                "build s": built["build s"],
                "p50 ms, 1 thread": alone["p50 ms"],
                "p95 ms, 1 thread": alone["p95 ms"],
                "memory bytes/item": alone["memory bytes/item"],
                "disk bytes/item beside the vectors": built["disk bytes/item beside the vectors"],
                "loading s": alone["loading s"],
            }
            if options.threads > 1:
                together = call(f"{_MODULE}:search", options.threads, **asked)
                for part in ("p50 ms", "p95 ms"):
                    row[f"{part}, {options.threads} threads"] = together[part]
            return row

        found.append(rows.measure(f"{items:,} items, {contender}", measure))
    return found


def _growth(measured: list[dict[str, Any]]) -> list[str]:
    """One sentence per contender that was measured at several sizes."""
    notes = []
    for contender in dict.fromkeys(row["index"].partition(" (")[0] for row in measured):
        own = [row for row in measured if row["index"].partition(" (")[0] == contender]
        small, large = own[0], own[-1]
        if small is large:
            continue
        parts = [
            f"{label} {large[key] / small[key]:.2g} times"
            for label, key in (
                ("p50", "p50 ms, 1 thread"),
                ("build time", "build s"),
                ("memory per item", "memory bytes/item"),
            )
            if small[key] > 0
        ]
        notes.append(
            f"{contender}, from {small['items']:,} to {large['items']:,} items ({large['items'] / small['items']:g} "
            f"times as many): {', '.join(parts)}."
        )
    return notes
