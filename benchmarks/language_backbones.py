"""The same request through backbones of equal size: LLaMA, T5 and the small decoder, trained from scratch alike.

All read the same films and histories with the same steps, learning rate and dropout; only the shape between item tokens
and heads differs. What is trained and served runs in a process of its own, so that its memory can be read off.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.child import call
from benchmarks.intervals import RESAMPLES, mean_estimate, resample_weights, shown
from benchmarks.language_films import FILMS, films_in_words, fit_for_ranking
from benchmarks.measuring import milliseconds
from benchmarks.options import Options
from benchmarks.report import WORK, Report, file_hashes
from benchmarks.rows import Rows
from mmrec.data.splits import evenly
from mmrec.generator.config import GeneratorConfig, TrainingConfig
from mmrec.generator.small_decoder import SmallDecoder
from mmrec.recommender import Recommender
from mmrec.training import FitConfig

HIDDEN, HEADS, INNER, LAYERS = 128, 4, 512, 2
T5_INNER = 640
"""With one layer that reads and one that writes, T5 then has as many weights as two layers of LLaMA."""
EPOCHS, DROPOUT, RATE, REQUESTS = 4, 0.2, 1e-3, 200
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "LLaMA (decoder-only)": {
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "attention_dropout": DROPOUT,
        "vocab_size": 8,
        "max_position_embeddings": 64,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "T5 (encoder-decoder)": {
        "model_type": "t5",
        "is_encoder_decoder": True,
        "d_model": HIDDEN,
        "d_kv": HIDDEN // HEADS,
        "d_ff": T5_INNER,
        "num_layers": LAYERS // 2,
        "num_decoder_layers": LAYERS // 2,
        "num_heads": HEADS,
        "dropout_rate": DROPOUT,
        "vocab_size": 8,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    },
    "small decoder (the default)": {},
}
"""Configurations of Hugging Face; none for mmrec's own decoder, which computes what LLaMA does."""
RANKED = ("item-head", "semantic-id-beam", "fused")
COLUMNS = (
    "backbone",
    "parameters",
    "item head, NDCG@10",
    "semantic IDs by beam, NDCG@10",
    "fused, NDCG@10",
    "item head less LLaMA's",
    "request p50 / p95, ms",
    "memory: backbone / service's peak, MiB",
    "training: minutes / peak MiB",
)


def run(options: Options) -> None:
    """Measure, and publish the table."""
    seeds, epochs = (1, 1) if options.quick else (options.seeds, EPOCHS)
    hashes = file_hashes(options.data / FILMS, "items.tsv", "events.tsv")
    rows = Rows("language-backbones", options, {"data": hashes, "epochs": epochs})
    dataset = films_in_words(options)
    measured = {
        shape: [
            rows.measure(f"{shape}, seed {seed}", partial(_measure, dataset, shape, seed, epochs, options))
            for seed in range(seeds)
        ]
        for shape in SHAPES
    }
    Report(
        "language-backbones",
        f"MovieLens-100K, words and no pictures, every rating an event; {epochs} epochs, {seeds} seed(s), "
        f"{HIDDEN} wide, {HEADS} heads, all weights trained from scratch with learning rate {RATE:g} and dropout "
        f"{DROPOUT:g}. Each user's last film among the whole catalogue, seen ones removed: by the item head alone, by "
        "the semantic-ID head alone, and by all channels as they are served; means over seeds, 95% bootstrap intervals "
        f"over users ({RESAMPLES} resamples, paired). A request is 10 recommendations for one customer's whole "
        f"history, in process, {REQUESTS} customers one after the other. One thread.",
        COLUMNS,
        _table(measured),
        data=hashes,
        details={"measured": {shape: [_without_gains(one) for one in own] for shape, own in measured.items()}},
        rehearsal=options.quick,
    ).publish()
    rows.finish()


def _measure(dataset: Path, shape: str, seed: int, epochs: int, options: Options) -> dict[str, Any]:
    bundle = bundle_of(dataset, shape, seed)
    arguments: dict[str, Any] = {
        "dataset": str(dataset),
        "bundle": str(bundle),
        "shape": shape,
        "seed": seed,
        "epochs": epochs,
    }
    fitted = call("benchmarks.language_backbones:fit", 1, device=options.device, **arguments)
    return fitted | call("benchmarks.language_backbones:serve", 1, bundle=str(bundle), device=options.device)


def bundle_of(dataset: Path, shape: str, seed: int) -> Path:
    """Where the bundle of a shape and a seed is kept."""
    return WORK / f"{dataset.name}-{list(SHAPES).index(shape)}-{seed}"


def fit(dataset: str, bundle: str, shape: str, seed: int, epochs: int, device: str) -> dict[str, Any]:
    """Fit a bundle with one of `SHAPES`: gains of every test question, seconds, and the peak of memory."""
    path = ""
    if SHAPES[shape]:
        configuration = Path(bundle).with_suffix(".json")
        configuration.write_text(json.dumps(SHAPES[shape]), encoding="utf-8")
        path = str(configuration)
    config = FitConfig(
        seed=seed,
        device=device,
        generator=GeneratorConfig(
            pretrained=path, tuning="full", hidden=HIDDEN, layers=LAYERS, heads=HEADS, dropout=DROPOUT
        ),
        training=TrainingConfig(patience=epochs, learning_rate=RATE),
    )
    result = fit_for_ranking(dataset, bundle, config, epochs)
    gains = {row: result.evaluation.ranks[row, "removed"].ndcg_at(10).tolist() for row in RANKED}
    return {
        "gains": gains,
        "train_minutes": result.seconds["train"] / 60,
        "train_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "best_epoch": result.best_epoch,
    }


def serve(bundle: str, device: str) -> dict[str, Any]:
    """Ask a bundle for recommendations: milliseconds of each request, and what is in memory."""
    recommender = Recommender.load(bundle, device=device)
    now = recommender.snapshot()
    interactions, ids = now.parts.interactions, now.parts.catalogue.item_ids
    users = evenly(interactions.users, REQUESTS)
    histories = [[ids[row] for row in interactions.history(user)] for user in users]
    asked = [*histories[:5], *histories]
    times = milliseconds(lambda number: recommender.recommend(asked[number]), len(histories), warm_up=5)
    backbone = now.parts.generator.backbone
    own: Any = backbone if isinstance(backbone, SmallDecoder) else backbone.model
    words = [] if isinstance(backbone, SmallDecoder) else [own.get_input_embeddings().weight]
    parameters = sum(weight.numel() for weight in own.parameters()) - sum(weight.numel() for weight in words)
    return {
        "parameters": parameters,
        "p50_ms": float(np.percentile(times, 50)),
        "p95_ms": float(np.percentile(times, 95)),
        "backbone_mib": 4 * parameters / 2**20,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _table(measured: Mapping[str, list[dict[str, Any]]]) -> list[tuple[Any, ...]]:
    gains = {
        shape: {row: np.mean([one["gains"][row] for one in own], axis=0) for row in RANKED}
        for shape, own in measured.items()
    }
    llama = gains[next(iter(SHAPES))]["item-head"]
    weights_RU = resample_weights(len(llama))

    def mean(shape: str, name: str) -> float:
        return float(np.mean([one[name] for one in measured[shape]]))

    return [
        (
            shape,
            measured[shape][0]["parameters"],
            *(shown(mean_estimate(own[row], weights_RU)) for row in RANKED),
            shown(mean_estimate(own["item-head"] - llama, weights_RU), sign=True),
            f"{mean(shape, 'p50_ms'):.1f} / {mean(shape, 'p95_ms'):.1f}",
            f"{mean(shape, 'backbone_mib'):.1f} / {mean(shape, 'peak_mib'):.0f}",
            f"{mean(shape, 'train_minutes'):.1f} / {mean(shape, 'train_peak_mib'):.0f}",
        )
        for shape, own in gains.items()
    ]


def _without_gains(measured: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in measured.items() if name != "gains"}
