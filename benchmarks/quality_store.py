"""Measured pieces of the quality table, each in a file of its own, so that a run that was cut short goes on.

A piece is found again for the same machine, versions, data and sizes, and, unless told otherwise, for the same sources
of what computes. Knows nothing of what is measured.
"""

# Axes: Q questions

from __future__ import annotations

import datetime
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kept import save_arrays
from benchmarks.report import WORK, Machine, installed_versions, source_version
from mmrec.evaluation.metrics import Ranks
from mmrec.runtime.files import replace_file

COMPUTES = (
    "mmrec/channels",
    "mmrec/data",
    "mmrec/evaluation",
    "mmrec/generator",
    "mmrec/training/config.py",
    "mmrec/training/evaluation.py",
    "mmrec/training/fit.py",
    "mmrec/training/item_inputs.py",
    "mmrec/training/splitting.py",
    "mmrec/recommender/artefact.py",
    "mmrec/recommender/ranking_model.py",
    "mmrec/semantic_ids",
    "encoders",
    "benchmarks/quality_cold.py",
    "benchmarks/quality_fit.py",
    "benchmarks/quality_sets.py",
)
"""Sources of mmrec that its figures follow from."""
PEER_COMPUTES = ("benchmarks/quality_peers.py", "benchmarks/rectools_peer.py", "benchmarks/tiger_peer.py")
"""Sources that the figures of peers follow from."""

Key = tuple[str, str]
"""What ranked, and ``removed`` or ``kept``."""


class Store:
    """The pieces of one table.

    Args:
        conditions: What all figures depend on beside sources: sizes, hashes of data.
        any_sources: Whether pieces count that other sources measured.
        root: Where stores are kept.

    Attributes:
        folder: This one's.
    """

    def __init__(self, conditions: Mapping[str, Any], *, any_sources: bool = False, root: Path = WORK) -> None:
        key = {"machine": Machine.here()._asdict(), "versions": installed_versions(), "conditions": dict(conditions)}
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:12]
        self.folder = root / f"quality-{digest}"
        self.any_sources = any_sources

    def find(self, name: str, sources: str) -> dict[str, Any] | None:
        """The record of a piece that was measured, or None."""
        try:
            record: dict[str, Any] = json.loads(self._record(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if self.any_sources or record["sources"] == sources else None

    def measure(
        self, name: str, sources: str, work: Callable[[Path], dict[str, Any]], *, fresh: bool = False
    ) -> dict[str, Any]:
        """The record of a piece: measured now, or before.

        Args:
            name: Of the piece.
            sources: Digest of what computes it.
            work: Measures it, given a folder of its own, which it finds as it left it when it was cut short.
            fresh: Whether to measure it again.
        """
        if fresh:
            self._record(name).unlink(missing_ok=True)
        elif found := self.find(name, sources):
            print(f"quality: {name}: kept from an earlier run", flush=True)
            return found
        folder = self.folder / name
        marker = folder / "sources.txt"
        if fresh or not marker.exists() or marker.read_text(encoding="utf-8") != sources:
            # Half of it may be there, made by other sources.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            marker.write_text(sources, encoding="utf-8")
        print(f"quality: {name} ... ({datetime.datetime.now():%H:%M})", flush=True)
        start = time.monotonic()
        row = work(folder)
        record = {
            "piece": name,
            "date": datetime.date.today().isoformat(),
            "commit": source_version(),
            "sources": sources,
            "seconds": round(time.monotonic() - start, 1),
            "row": row,
        }
        text = json.dumps(record)
        replace_file(self._record(name), lambda path: path.write_text(text, encoding="utf-8"))
        print(f"quality: {name}: {record['seconds']:.0f} s", flush=True)
        result: dict[str, Any] = json.loads(text)  # what a later run would read
        return result

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"


def save_ranks(path: Path, ranks: Mapping[Key, Ranks]) -> None:
    """Keep where every question's target landed."""
    arrays = {}
    for (name, seen), found in ranks.items():
        arrays[f"{name}|{seen}|above"] = found.above_Q.astype(np.int32)
        arrays[f"{name}|{seen}|tied"] = found.tied_Q.astype(np.int32)
    save_arrays(path, arrays)


def load_ranks(path: Path) -> dict[Key, Ranks]:
    """What `save_ranks` kept."""
    with np.load(path, allow_pickle=False) as file:
        keys = [tuple(name.split("|")[:2]) for name in file.files if name.endswith("|above")]
        return {
            (name, seen): Ranks(
                file[f"{name}|{seen}|above"].astype(np.int64), file[f"{name}|{seen}|tied"].astype(np.int64)
            )
            for name, seen in keys
        }
