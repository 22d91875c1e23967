"""Rows of a table, each stored as soon as it is measured, so that a run that was cut short goes on.

A row is found again only for the same benchmark, sizes, machine, versions and sources; knows nothing of what is
measured.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.options import Options
from benchmarks.report import WORK, Machine, installed_versions, source_digest


class Rows:
    """The rows of one run.

    Args:
        name: The benchmark.
        options: What was asked for.
        conditions: Everything else that the figures depend on: sizes, seeds, hashes of data.
        folder: Where unfinished rows are kept.
    """

    def __init__(self, name: str, options: Options, conditions: Mapping[str, Any], folder: Path = WORK) -> None:
        key = {
            "machine": Machine.here()._asdict(),
            "versions": installed_versions(),
            "sources": source_digest(),
            "options": [options.device, options.quick, options.threads, options.seeds],
            "conditions": dict(conditions),
        }
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:12]
        self.name = name
        self.path = folder / f"{name}-{digest}.jsonl"
        self._rows: dict[str, dict[str, Any]] = {}
        self._began = time.monotonic()
        if options.fresh:
            self.path.unlink(missing_ok=True)
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # cut short while it was written
                self._rows[record["label"]] = record["row"]

    def measure(self, label: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The row of this label: measured now, or by the run that was cut short.

        Args:
            label: Names the row within the benchmark.
            work: Measures it; what it gives must be plain JSON.
        """
        if label in self._rows:
            print(f"{self.name}: {label}: kept from an earlier run", flush=True)
            return self._rows[label]
        print(f"{self.name}: {label} ...", flush=True)
        start = time.monotonic()
        row = work()
        seconds = time.monotonic() - start
        row = json.loads(json.dumps(row))  # what a later run would read
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"label": label, "seconds": round(seconds, 2), "row": row}) + "\n")
        self._rows[label] = row
        print(f"{self.name}: {label}: {seconds:.1f} s; {_short(row)}", flush=True)
        return row

    def finish(self) -> None:
        """The table is published: the rows need not be found again."""
        self.path.unlink(missing_ok=True)
        print(f"{self.name}: {time.monotonic() - self._began:.0f} s in all", flush=True)


def _short(row: Mapping[str, Any]) -> str:
    figures = [f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, int | float)]
    return ", ".join(figures[:6])
