"""Recommending with every channel as the catalogue grows, and two stages beside exact ranking.

In process: the made catalogues have drawn words and events and a really fitted, small LLM, so times mean something and
quality does not. The overlap of both ways of ranking is measured on real data too.
"""

# Axes: Q questions, K results

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks import child
from benchmarks.language_films import FILMS, SHORT_FIT, short_bundle
from benchmarks.large_bundle import FITTED, HIDDEN, LAYERS, large_bundle
from benchmarks.measuring import resident_gib
from benchmarks.options import Options
from benchmarks.report import Report, file_hashes, ruled
from benchmarks.rows import Rows
from mmrec.contract.requests import RecommendRequest
from mmrec.data.splits import evenly
from mmrec.errors import MmrecError

SIZES, QUICK_SIZES = (10_000, 100_000, 1_000_000), (10_000, 30_000)
BEAUTY = "amazon-beauty"
K, BATCH, ASKED, HISTORY = 10, 16, 300, (20, 50)
MOST_P50, MOST_P99, LEAST_GAIN, MOST_GROWTH, MOST_GIB, MOST_LOAD = 40.0, 100.0, 2.0, 2.0, 5.0, 60.0
LEAST_OVERLAP, MOST_LOST = 0.99, 0.0005


def run(options: Options) -> None:
    """Measure and publish both tables."""
    sizes = QUICK_SIZES if options.quick else SIZES
    rows = Rows("scale", options, {"sizes": sizes})
    measured = {}
    for items in sizes:
        bundle = large_bundle(items, every_channel=True)
        asked = partial(
            child.call,
            "benchmarks.scale:latency",
            options.threads,
            as_command=True,
            bundle=str(bundle),
            device=options.device,
        )
        measured[items] = rows.measure(f"{items:,} items", asked)
    _publish_sizes(measured, options)
    overlaps = {
        f"{sizes[1]:,} made items": (str(large_bundle(sizes[1], every_channel=True)), False),
        FILMS: (str(short_bundle(options)), True),
        BEAUTY: (str(short_bundle(options, BEAUTY)), True),
    }
    found = {
        name: rows.measure(
            name, partial(child.call, "benchmarks.scale:overlap", options.threads, bundle=bundle, real=real)
        )
        for name, (bundle, real) in overlaps.items()
    }
    _publish_overlaps(found, options)
    rows.finish()


def _publish_sizes(measured: dict[int, dict[str, Any]], options: Options) -> None:
    smallest, largest = min(measured), max(measured)
    last = measured[largest]
    gain = last["batched_per_s"] / last["single_per_s"]
    growth = last["p50_ms"] / measured[smallest]["p50_ms"]
    limits = (
        (f"p50 at {largest:,} items", last["p50_ms"], "ms", MOST_P50),
        (f"p99 at {largest:,} items", last["p99_ms"], "ms", MOST_P99),
        (f"growth of p50 from {smallest:,} items", growth, "times", MOST_GROWTH),
        ("memory", last["gib"], "GiB", MOST_GIB),
        ("loading", last["load_s"], "s", MOST_LOAD),
    )
    notes = [ruled(f"{what}: {value:.2f} {unit}", f"<= {most:g}", value <= most) for what, value, unit, most in limits]
    batches = f"Requests a second at batch {BATCH} against one by one: {gain:.2f} times"
    notes.append(ruled(batches, f">= {LEAST_GAIN:g}", gain >= LEAST_GAIN))
    columns = ("items", "p50 ms", "p99 ms", "per s", f"per s, batch {BATCH}", "exact p50 ms", "load s", "GiB")
    names = ("p50_ms", "p99_ms", "single_per_s", "batched_per_s", "exact_p50_ms", "load_s", "gib")
    Report(
        "scale",
        f"Recommendations of {K} items in process, {options.threads} threads: all seven channels rank (Qwen3 shape, "
        f"{LAYERS} layers, {HIDDEN} wide; semantic IDs of 4 codes, beam 64). Histories of {HISTORY[0]} to {HISTORY[1]} "
        f"items, {ASKED} requests one by one, then in batches. Candidates by the default budgets; exact: every item is "
        "ranked, a tenth of the requests. Made catalogue: drawn words, 3 drawn events per item; memory of the process.",
        columns,
        [(f"{items:,}", *(row[name] for name in names)) for items, row in measured.items()],
        notes=notes,
        details={str(items): row for items, row in measured.items()},
        rehearsal=options.quick,
    ).publish()


def _publish_overlaps(found: dict[str, dict[str, Any]], options: Options) -> None:
    notes = []
    for name, row in found.items():
        lost = row["exact_ndcg"] - row["ndcg"] if row["ndcg"] is not None else 0.0
        met = row["overlap"] >= LEAST_OVERLAP and lost <= MOST_LOST
        notes.append(
            f"{name}: overlap {row['overlap']:.4f} (must be >= {LEAST_OVERLAP}), NDCG@10 lost {lost:.4f} (must be <= "
            f"{MOST_LOST}): {'met' if met else 'NOT met'}."
        )
    columns = ("catalogue", "requests", "overlap of the first 10", "NDCG@10 of two stages", "NDCG@10 exact")
    Report(
        "scale-overlap",
        "Two stages (candidates by the default budgets, in catalogues however small) beside ranking every item: the "
        "share of the first 10 items that both lists have, and NDCG@10 for the last event of each user, which the fit "
        f"did not see; {SHORT_FIT}; seen items left out. On the made catalogue there is nothing to predict.",
        columns,
        [(name, row["asked"], row["overlap"], row["ndcg"], row["exact_ndcg"]) for name, row in found.items()],
        data=file_hashes(options.data / FILMS, "items.tsv", "events.tsv"),
        notes=notes,
        rehearsal=options.quick,
    ).publish()


# --- in processes of their own ----------------------------------------------------------------------------------------


def latency(bundle: str, device: str) -> dict[str, Any]:
    """Times of requests of one bundle, its loading and its memory."""
    from mmrec.recommender import Recommender

    began = time.perf_counter()
    recommender = Recommender.load(bundle, device=device)
    recommender.recommend_many([RecommendRequest(k=1)])
    load_s = time.perf_counter() - began
    rng = np.random.default_rng(0)

    def drawn() -> RecommendRequest:
        rows = rng.integers(0, FITTED, rng.integers(*HISTORY, endpoint=True))
        return RecommendRequest(tuple(f"fitted-{row}" for row in rows.tolist()), k=K)

    def timed(requests: list[RecommendRequest]) -> float:
        start = time.perf_counter()
        for answer in recommender.recommend_many(requests):
            if isinstance(answer, MmrecError) or len(answer.items) != K:
                raise RuntimeError(f"answered {answer}")
        return 1000 * (time.perf_counter() - start)

    for _ in range(10):
        timed([drawn()])
    single = [timed([drawn()]) for _ in range(ASKED)]
    batched = [timed([drawn() for _ in range(BATCH)]) for _ in range(ASKED // BATCH)]
    gib = resident_gib()
    exact = [timed([_exact(drawn())]) for _ in range(ASKED // 10)]
    return {
        "load_s": load_s,
        "p50_ms": float(np.percentile(single, 50)),
        "p99_ms": float(np.percentile(single, 99)),
        "single_per_s": 1000 * len(single) / sum(single),
        "batched_per_s": 1000 * BATCH * len(batched) / sum(batched),
        "exact_p50_ms": float(np.percentile(exact, 50)),
        "gib": gib,
    }


def overlap(bundle: str, real: bool) -> dict[str, Any]:
    """How far lists of two stages are those of exact ranking, for the last event of each user."""
    from mmrec.recommender import Recommender
    from mmrec.recommender.artefact import CandidateConfig
    from mmrec.recommender.candidate_filter import CandidateFilter
    from mmrec.recommender.ranking_model import RankingModel
    from mmrec.recommender.recommendation import RecommendationPipeline

    now = Recommender.load(bundle).snapshot()
    parts = now.parts._replace(candidates=CandidateConfig(exact_up_to=0))
    live, ids = now.live, parts.catalogue.item_ids
    ranker = RankingModel(parts, now.ranker.device, now.ranker.dtype)
    filters = CandidateFilter(parts.catalogue, now.filters)
    pipeline = RecommendationPipeline(ranker, filters, now.record, now.versions, now.vectors)
    users = evenly(parts.interactions.users, 2000)
    same, ndcg, exact_ndcg = [], [], []
    for begin in range(0, len(users), 50):
        histories = [parts.interactions.history(int(user)) for user in users[begin : begin + 50]]
        asked = [RecommendRequest(tuple(ids[row] for row in history[:-1]), k=10) for history in histories]
        few = pipeline.recommend_many(asked, live)
        every = pipeline.recommend_many([_exact(request) for request in asked], live)
        for history, one, two in zip(histories, few, every, strict=True):
            assert not isinstance(one, MmrecError), one
            assert not isinstance(two, MmrecError), two
            same.append(len(set(one.item_ids) & set(two.item_ids)) / max(1, len(two.items)))
            ndcg.append(_ndcg(one.item_ids, ids[history[-1]]))
            exact_ndcg.append(_ndcg(two.item_ids, ids[history[-1]]))
    return {
        "asked": len(same),
        "overlap": float(np.mean(same)),
        "ndcg": float(np.mean(ndcg)) if real else None,
        "exact_ndcg": float(np.mean(exact_ndcg)) if real else None,
    }


def _exact(request: RecommendRequest) -> RecommendRequest:
    return replace(request, exact=True)


def _ndcg(found: tuple[str, ...], target: str) -> float:
    return 1 / float(np.log2(found.index(target) + 2)) if target in found else 0.0
