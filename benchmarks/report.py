"""Prints a table and stores it, dated and with the hardware, under benchmarks/results."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("mmrec", "torch", "transformers", "faiss-cpu", "grpcio", "protobuf", "numpy")


@dataclass(frozen=True)
class Report:
    """One benchmark's table.

    Attributes:
        name: File name of the stored result.
        conditions: What was measured and how, in one sentence.
        columns: Heads of the table, with units.
        rows: As many cells as columns each.
    """

    name: str
    conditions: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]

    def publish(self) -> None:
        """Print the table, and store it as JSON and Markdown."""
        table = self._markdown()
        print(table)
        stem = RESULTS / f"{datetime.date.today().isoformat()}-{self.name}"
        RESULTS.mkdir(exist_ok=True)
        stem.with_suffix(".md").write_text(table, encoding="utf-8")
        record = {
            "name": self.name,
            "date": datetime.date.today().isoformat(),
            "conditions": self.conditions,
            "hardware": hardware(),
            "versions": {package: version(package) for package in PACKAGES},
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
        }
        stem.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")

    def _markdown(self) -> str:
        lines = [
            f"# {self.name}",
            "",
            self.conditions,
            "",
            f"{datetime.date.today().isoformat()}, {hardware()}; "
            + ", ".join(f"{package} {version(package)}" for package in PACKAGES),
            "",
            "| " + " | ".join(self.columns) + " |",
            "|" + "---|" * len(self.columns),
            *("| " + " | ".join(map(_cell, row)) + " |" for row in self.rows),
            "",
        ]
        return "\n".join(lines)


def hardware() -> str:
    """Processor, cores and GPU of this machine."""
    import torch

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU"
    return f"{model}, {os.cpu_count()} cores{gpu}"


def _cell(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
