"""What a run of the benchmarks was asked for, as one frozen value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import ROOT


@dataclass(frozen=True, slots=True)
class Options:
    """Asked for on the command line.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``.
        quick: Small sizes, to see that everything runs; the figures are not stored as results.
        fresh: Measure every row again, also those that an earlier run of the same sizes has.
        threads: Threads of every contender.
        data: Folder of the real data sets.
        adapted: A folder written by ``mmrec adapt``, instead of adapting here.
        dictionary: Folder with WordNet's database files.
        peers: Environment of the peers that cannot share this one.
        seeds: Trainings that are averaged.
        side_seeds: The same of quality's ablations, cold starts and peers, at most `seeds`.
        only: Pieces of quality that are measured, by name or pattern; ``table`` for none; empty for all.
        publish: Whether quality's tables are stored as results though pieces are missing.
        any_sources: Whether quality's pieces count that other sources measured.
        peer_minutes: Most minutes that a peer of quality is trained.
    """

    device: str = "auto"
    quick: bool = False
    fresh: bool = False
    threads: int = os.cpu_count() or 1
    data: Path = ROOT.parent / "shared" / "data"
    adapted: Path | None = None
    dictionary: Path = Path("/usr/share/wordnet")
    peers: Path = ROOT / ".venv-peers"
    seeds: int = 3
    side_seeds: int = 1
    only: tuple[str, ...] = ()
    publish: bool = False
    any_sources: bool = False
    peer_minutes: float = 15.0
