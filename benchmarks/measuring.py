"""Times of repeated work, and the memory of a process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def milliseconds(work: Callable[[int], object], repeats: int, warm_up: int = 1) -> list[float]:
    """How long each repeat took, of so many after the first ones; `work` is given its number, from 0."""
    times = []
    for number in range(warm_up + repeats):
        start = time.perf_counter()
        work(number)
        times.append(1000 * (time.perf_counter() - start))
    return times[warm_up:]


def resident_gib(process: int | str = "self") -> float:
    """Memory that a process holds now; NaN where the system does not tell."""
    status = Path(f"/proc/{process}/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 2**20
    return float("nan")
