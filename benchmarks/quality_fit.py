"""Fits a bundle as `mmrec fit` does and keeps where every test target landed; run in a process of its own.

Ablations that are a matter of weights alone (no transitions, no generator) are fitted and asked here too, from the
bundle. Knows nothing of tables.
"""

# Axes: Q questions, B questions of a chunk, N items

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.progress import Lines
from benchmarks.quality_sets import EVERY_RATING
from benchmarks.quality_store import save_ranks
from mmrec.bundle import open_bundle
from mmrec.channels.blend import BlendConfig
from mmrec.data.dataset import Need, read_dataset
from mmrec.data.splits import Split, leave_one_out
from mmrec.evaluation.lists import unseen_items
from mmrec.evaluation.metrics import Ranks, join_ranks, rank_targets
from mmrec.generator.config import TrainingConfig
from mmrec.recommender.artefact import read_parts
from mmrec.recommender.ranking_model import CHANNELS, RankingModel
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec.training import FitConfig, fit_dataset
from mmrec.training.evaluation import fit_blends
from mmrec_encoders.embedding.catalogue import encode_words
from mmrec_encoders.fusion_training import FusionConfig
from mmrec_encoders.small_clip_training import SmallClipConfig

ABLATED: Mapping[str, tuple[str, ...]] = {
    "no transitions": ("transitions",),
    "no generator": ("item-head", "semantic-id"),
    "no lexical similarity": ("lexical",),
}
"""Rows of the table, and the channels (by the beginnings of their names) that each blend lacks."""


def fit_config(
    seed: int,
    *,
    encoders_from: str = "",
    require: Need = "",
    ids: bool = True,
    content: bool = True,
    quick: bool = False,
) -> FitConfig:
    """The default configuration, with nothing changed but what is asked for here."""
    config = FitConfig()
    config = replace(
        config,
        seed=seed,
        require=require,
        min_rating=EVERY_RATING,
        encoders_from=encoders_from,
        generator=replace(config.generator, use_ids=ids, use_content=content),
    )
    if not quick:
        return config
    return replace(
        config,
        small_clip=SmallClipConfig(epochs=1),
        fusion=FusionConfig(steps=40),
        generator=replace(config.generator, hidden=32, layers=1, heads=2),
        training=TrainingConfig(epochs=2),
    )


def fit(dataset: str, bundle: str, ranks: str, log: str, device: str, **changes: Any) -> dict[str, Any]:
    """Fit, and say how long each stage took and how much memory it all took.

    Args:
        dataset: A dataset folder.
        bundle: Where the bundle goes.
        ranks: Where the ranks of the fit's own evaluation go.
        log: Progress is added to this file.
        device: Of `FitConfig`.
        **changes: Of `fit_config`.
    """
    config = replace(fit_config(**changes), device=device)
    with Path(log).open("a", encoding="utf-8", buffering=1) as file, contextlib.redirect_stdout(file):
        result = fit_dataset(dataset, bundle, config, Lines(every=30))
    save_ranks(Path(ranks), result.evaluation.ranks)
    return {
        "seconds": result.seconds,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "best_epoch": result.best_epoch,
        "epochs": [asdict(record) for record in result.epochs],
        "unreadable": result.unreadable,
        "questions": result.evaluation.questions,
        "items": result.evaluation.items,
        "version": result.version.name,
        "config": asdict(config),
    }


def without_parts(bundle: str, ranks: str, device: str) -> dict[str, Any]:
    """Fit the weights again without a part, and rank the test targets with the rest, seen items removed."""
    start = time.monotonic()
    ranker = load_ranker(bundle, device)
    split = leave_one_out(ranker.parts.interactions)
    channels = {
        name: tuple(channel for channel in CHANNELS if not channel.startswith(gone)) for name, gone in ABLATED.items()
    }
    blends = fit_blends(ranker, split.validation, BlendConfig(), blends=channels)
    found: dict[tuple[str, str], list[Ranks]] = {(name, "removed"): [] for name in blends}
    for chunk in ranker.chunks(len(split.test.targets_U)):
        histories = split.test.histories[chunk.begin : chunk.end]
        targets = split.test.targets_U[chunk.begin : chunk.end]
        eligible_BN = unseen_items(histories, ranker.items)
        features = ranker.features(histories, eligible_BN).by_channel
        for name, blend in blends.items():
            scores = ranker.blend(blend, features, eligible_BN)
            found[name, "removed"].append(rank_targets(scores, targets, histories, remove_seen=True))
    save_ranks(Path(ranks), {key: join_ranks(parts) for key, parts in found.items()})
    return {
        "seconds": time.monotonic() - start,
        "weights": {name: dict(blend.weights) for name, blend in (blends | dict(ranker.parts.blends)).items()},
    }


def load_ranker(bundle: str, device: str) -> RankingModel:
    """What ranks in service, of a bundle."""
    where = resolve_device(device)
    return RankingModel(read_parts(open_bundle(bundle), where), where, resolve_dtype("auto", where))


def item_head_ranks(ranker: RankingModel, split: Split) -> Ranks:
    """Where the item head, asked with histories alone, puts the targets; seen items removed."""
    parts = []
    for chunk in ranker.chunks(len(split.targets_U)):
        histories = split.histories[chunk.begin : chunk.end]
        scores_BN = ranker.item_head(ranker.read(histories))
        parts.append(rank_targets(scores_BN, split.targets_U[chunk.begin : chunk.end], histories, remove_seen=True))
    return join_ranks(parts)


def text_vectors(dataset: str, require: Need, out: str, device: str) -> dict[str, Any]:
    """The packaged MiniLM's vectors of items' words, as the fit sees them, for peers that take vectors."""
    from mmrec_encoders.item_encoder import ItemEncoder
    from mmrec_encoders.presets import build_encoders

    data = read_dataset(dataset, require=require, min_rating=EVERY_RATING)
    with torch.inference_mode():
        words = encode_words(ItemEncoder(None, build_encoders("embedded", device).text), data.catalogue)
    np.save(out, words.text_NT)
    return {"items": len(words.text_NT)}
