"""Prints a table and stores it, dated, with hardware, versions and hashes of the data, under benchmarks/results.

A quick run is a rehearsal: its figures go to the work folder, beside nothing that counts.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "results"
WORK = Path(__file__).parent / "work.tmp"
"""Made pictures, trained weights and finished rows, so that a run that was cut short goes on; never committed."""
PACKAGES = (
    "mmrec",
    "torch",
    "torchvision",
    "open_clip_torch",
    "transformers",
    "sentence-transformers",
    "faiss-cpu",
    "pyarrow",
    "pillow",
    "grpcio",
    "protobuf",
    "numpy",
)
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile")
"""Processor features that decide how fast these measurements are."""


@dataclass(frozen=True)
class Report:
    """One benchmark's table.

    Attributes:
        name: File name of the stored result; a rehearsal's ends in ``-quick``.
        conditions: What was measured and how, in one sentence or a few.
        columns: Heads of the table, with units.
        rows: As many cells as columns each; None is an empty cell.
        data: Hashes of what was measured on, by name.
        versions: Of packages in environments other than this one.
        details: Further figures for the JSON alone, e.g. each repeat.
        notes: Paragraphs below the table.
        rehearsal: Whether the sizes were those of a quick run.
    """

    name: str
    conditions: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    data: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    rehearsal: bool = False

    def publish(self, folder: Path | None = None) -> Path:
        """Print the table, and store it as JSON and Markdown; the path of the JSON."""
        folder = folder or (WORK if self.rehearsal else RESULTS)
        today = datetime.date.today().isoformat()
        machine, versions = Machine.here(), installed_versions()
        table = self._markdown(today, machine, versions)
        print(table)
        stem = folder / f"{today}-{self.name}{'-quick' if self.rehearsal else ''}"
        folder.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".md").write_text(table, encoding="utf-8")
        record = {
            "name": self.name,
            "date": today,
            "rehearsal": self.rehearsal,
            "conditions": self.conditions,
            "hardware": str(machine),
            "machine": machine._asdict(),
            "commit": source_version(),
            "versions": versions,
            "other_versions": dict(self.versions),
            "data": dict(self.data),
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "notes": list(self.notes),
            "details": dict(self.details),
        }
        path = stem.with_suffix(".json")
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        return path

    def _markdown(self, today: str, machine: Machine, versions: Mapping[str, str]) -> str:
        others = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        data = "; ".join(f"{name}: {digest[:12]}" for name, digest in self.data.items())
        lines = [
            f"# {self.name}" + (" (quick run: a rehearsal, not a result)" if self.rehearsal else ""),
            "",
            self.conditions,
            "",
            f"{today}, {machine}; " + ", ".join(f"{package} {number}" for package, number in versions.items()),
            *(["", f"The peer's environment: {others}"] if others else []),
            *(["", f"SHA-256 of the data: {data}"] if data else []),
            "",
            "| " + " | ".join(self.columns) + " |",
            "|" + "---|" * len(self.columns),
            *("| " + " | ".join(map(cell, row)) + " |" for row in self.rows),
            "",
            *(line for note in self.notes for line in (note, "")),
        ]
        return "\n".join(lines)


class Machine(NamedTuple):
    """What figures depend on.

    Attributes:
        processor: Model of the CPU.
        cores: Cores seen by this process.
        flags: Vector and number-format features of the CPU.
        memory_gib: Main memory.
        gpu: Name of the first GPU; empty without one.
        system: Operating system and Python.
    """

    processor: str
    cores: int
    flags: tuple[str, ...]
    memory_gib: float
    gpu: str
    system: str

    @classmethod
    def here(cls) -> Machine:
        """This machine."""
        import torch

        model, flags = platform.processor() or platform.machine(), set()
        cpuinfo = Path("/proc/cpuinfo")
        if cpuinfo.exists():
            for line in cpuinfo.read_text(encoding="ascii", errors="replace").splitlines():
                name, _, value = line.partition(":")
                if name.strip() == "model name":
                    model = value.strip()
                elif name.strip() == "flags":
                    flags = set(value.split())
                    break
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
        return cls(
            processor=model,
            cores=os.cpu_count() or 1,
            flags=tuple(flag for flag in _FLAGS if flag in flags),
            memory_gib=round(pages / 2**30, 1),
            gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else "",
            system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        )

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.cores} cores ({' '.join(self.flags) or 'no vector extensions known'}), "
            f"{self.memory_gib:g} GiB, {self.gpu or 'no GPU'}"
        )


def ruled(what: str, rule: str, met: bool) -> str:
    """A sentence of a table's notes: a figure beside what it must be."""
    return f"{what} (must be {rule}: {'met' if met else 'NOT met'})."


def gpu_suffix(device: str) -> str:
    """What tells a GPU's results from a CPU's by their name: ``-h100``, for example; empty for a CPU.

    Args:
        device: As torch names it: ``cpu``, ``cuda:0``.
    """
    import torch

    if not device.startswith("cuda"):
        return ""
    words = [word.lower() for word in torch.cuda.get_device_name(device).split()]
    return f"-{next((word for word in words if any(map(str.isdigit, word))), 'gpu')}"


def installed_versions() -> dict[str, str]:
    """Versions of the packages that matter, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def source_version() -> str:
    """The commit that was measured, with a plus when the tree had other changes; empty outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def source_digest() -> str:
    """Of every Python file that a measurement runs: figures of other sources are not these sources' figures."""
    return digest_of(("mmrec", "encoders", "serving", "benchmarks"))


def digest_of(names: Iterable[str], root: Path = ROOT) -> str:
    """SHA-256 of these Python files, and of those in these folders, with their names."""
    digest = hashlib.sha256()
    for name in names:
        place = root / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def file_hashes(folder: Path, *names: str) -> dict[str, str]:
    """SHA-256 of files of a data folder, by ``FOLDER/NAME``; a folder counts as its sorted files' names and bytes."""
    found = {}
    for name in names:
        path = folder / name
        digest = hashlib.sha256()
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
                with file.open("rb") as source:
                    digest.update(hashlib.file_digest(source, "sha256").digest())
        found[f"{folder.name}/{name}"] = digest.hexdigest()
    return found


def cell(value: object) -> str:
    """A value as it stands in a table: figures below 10 with three digits after the point, others rounded."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"
