"""How the stages of a fit grow with the catalogue: time of each at a size and at ten times that size.

Items have drawn words, customers drawn histories in which neighbours follow each other, a fixed number of events per
item. Everything is as `mmrec fit` has it, except that the LLM is trained for one epoch: an epoch's time is what grows
with the catalogue, and how many there are is decided by validation.
"""

from __future__ import annotations

import math
import resource
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import child
from benchmarks.large_bundle import write_dataset
from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.report import WORK, Report
from benchmarks.rows import Rows
from mmrec.training import FitConfig, fit_dataset

SIZES, QUICK_SIZES = (10_000, 100_000), (1_000, 3_000)
EXTRAPOLATED = 1_000_000
FIT = "benchmarks.fit_growth:fit"
EVENTS_PER_ITEM, EVENTS_PER_USER = 15, 12
LEAST_SECONDS = 1.0
"""A stage that takes less at the larger size does not count: most of it does not depend on the catalogue."""


def run(options: Options) -> None:
    """Measure and publish the table."""
    sizes = QUICK_SIZES if options.quick else SIZES
    rows = Rows("fit-growth", options, {"sizes": sizes})
    fitted = [
        rows.measure(
            f"{items:,} items",
            partial(child.call, FIT, options.threads, as_command=True, items=items, device=options.device),
        )
        for items in sizes
    ]
    small, large = (row["seconds"] for row in fitted)
    Report(
        "fit-growth",
        f"{EVENTS_PER_ITEM} events per item, customers of {EVENTS_PER_USER} events, drawn words; the `embedded` preset "
        f"with nothing changed but one epoch of the LLM; {options.threads} thread(s). Seconds by stage. The most is "
        f"what N log N gives; the last column assumes that a stage goes on growing as between the two sizes. Stages "
        f"below {LEAST_SECONDS:.0f} s are not judged.",
        ("stage", *(f"{items:,} items" for items in sizes), "times", "most", "met", f"{EXTRAPOLATED:,} items, about"),
        [_row(stage, small[stage], large[stage], sizes) for stage in large],
        notes=["Most memory: " + ", ".join(f"{row['peak_gib']:.1f}" for row in fitted) + " GiB."],
        details={str(items): row for items, row in zip(sizes, fitted, strict=True)},
        rehearsal=options.quick,
    ).publish()
    rows.finish()


def _row(stage: str, small: float, large: float, sizes: tuple[int, int]) -> tuple[Any, ...]:
    fewer, more = sizes
    most = more * math.log(more) / (fewer * math.log(fewer))
    times = large / small if small else math.inf
    judged = large >= LEAST_SECONDS
    power = math.log(times) / math.log(more / fewer) if small and large else 0.0
    later = large * (EXTRAPOLATED / more) ** max(0.0, power)
    return stage, small, large, times, f"<= {most:.1f}" if judged else "", times <= most if judged else "", later


def fit(items: int, device: str) -> dict[str, Any]:
    """Fit a made catalogue: seconds by stage, and the most memory."""
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as folder:
        dataset = Path(folder) / "dataset"
        users = items * EVENTS_PER_ITEM // EVENTS_PER_USER
        write_dataset(dataset, np.random.default_rng(0), items=items, users=users, events=EVENTS_PER_USER)
        config = FitConfig(device=device)
        config = replace(config, training=replace(config.training, epochs=1))
        result = fit_dataset(dataset, Path(folder) / "bundle", config, Lines(every=30))
    return {
        "seconds": result.seconds,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "questions": result.evaluation.questions,
    }
