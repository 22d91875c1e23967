"""The service: recommendations over gRPC on loopback against the same recommender called in process."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.options import Options
from benchmarks.report import Report
from mmrec.demo import write_demo_dataset
from mmrec.generator.config import TrainingConfig
from mmrec.recommender import Recommender
from mmrec.sdk.client import Client
from mmrec.training import FitConfig, fit_dataset
from mmrec_encoders.fusion_training import FusionConfig
from mmrec_encoders.small_clip_training import SmallClipConfig
from mmrec_serving import BackgroundServer, ServerConfig

CALLS = 400


def run(options: Options) -> None:
    """Measure and publish the table."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / "dataset"
        write_demo_dataset(dataset, items=200, users=200)
        config = FitConfig(
            device=options.device,
            small_clip=SmallClipConfig(epochs=1),
            fusion=FusionConfig(steps=50),
            training=TrainingConfig(epochs=1),
        )
        bundle = fit_dataset(dataset, Path(folder) / "bundle", config).bundle
        recommender = Recommender.load(bundle, device=options.device)
        history = list(recommender.recommend([], k=20).item_ids)
        rows = [("in process", 1, *_figures(lambda: recommender.recommend(history), 1))]
        with (
            BackgroundServer(lambda: Recommender.load(bundle, device=options.device), ServerConfig(port=0)) as server,
            Client(server.target, timeout=60) as client,
        ):
            rows += [("gRPC", callers, *_figures(lambda: client.recommend(history), callers)) for callers in (1, 8, 32)]
    Report(
        "service",
        f"10 recommendations from 20 history items, 200 items, `embedded` preset, server and {CALLS} calls in one "
        "process on loopback.",
        ("way", "callers", "p50 ms", "p99 ms", "calls/s"),
        rows,
    ).publish()


def _figures(call: Callable[[], object], callers: int) -> tuple[float, float, float]:
    def timed(_: int) -> float:
        start = time.perf_counter()
        call()
        return 1000 * (time.perf_counter() - start)

    for _ in range(5):
        call()
    start = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        times = sorted(pool.map(timed, range(CALLS)))
    seconds = time.perf_counter() - start
    return statistics.median(times), times[int(0.99 * len(times))], CALLS / seconds
