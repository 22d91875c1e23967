"""Makes a bundle of a large catalogue out of a small one that was really fitted, codebooks and LLM included.

Further items have drawn words, and fused vectors near those of the fitted items; they come in by the same change that a
live catalogue makes. A large bundle is made once for the same sources and kept in the work folder.
"""

# Axes: N items, M items that come, D fused dimensions

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.report import WORK, source_digest
from mmrec.bundle import BundleWriter, open_bundle
from mmrec.channels.blend import Blend
from mmrec.channels.transitions import count_transitions
from mmrec.contract.items import ItemRecord
from mmrec.data.interactions import Interactions
from mmrec.generator.config import GeneratorConfig, TrainingConfig
from mmrec.recommender.artefact import ENCODERS, Parts, read_features, read_parts, write_parts
from mmrec.recommender.catalogue_update import change_parts, with_whole_table
from mmrec.recommender.encoded_items import EncodedItems
from mmrec.recommender.ranking_model import CHANNELS, RankingModel
from mmrec.training import FitConfig, fit_dataset
from mmrec_encoders.fusion import ItemFeatures

FITTED, USERS, EVENTS = 8_192, 2_000, 12
HIDDEN, LAYERS, HEADS = 128, 4, 4
AT_ONCE = 50_000
EVENTS_PER_ITEM, LEAST_WEIGHT = 3, 0.05
_KINDS = ("lamp", "chair", "boots", "kettle", "jacket", "tent", "mug", "rug", "clock", "bag", "shelf", "pan")
_LOOKS = ("red", "quiet", "folding", "woollen", "brass", "glazed", "striped", "narrow", "heavy", "light", "round")
_USES = ("travel", "kitchen", "garden", "winter", "office", "children", "night", "camping", "summer", "workshop")


def large_bundle(items: int, *, every_channel: bool = False) -> Path:
    """A bundle of so many items; made if need be.

    Args:
        items: At least `FITTED`.
        every_channel: False: the generator alone ranks, and most items have no events. True: all channels rank, with
            the weights that were fitted for the small bundle, and there are `EVENTS_PER_ITEM` drawn events per item.
    """
    kind = "every-channel" if every_channel else "large"
    folder = WORK / f"{kind}-{items}-{source_digest()[:12]}"
    if folder.is_dir():
        return folder
    for old in WORK.glob(f"{kind}-{items}-*"):
        shutil.rmtree(old)
    began = time.monotonic()
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as staging:
        dataset = Path(staging) / "dataset"
        rng = np.random.default_rng(0)
        write_dataset(dataset, rng, items=FITTED, users=USERS, events=EVENTS)
        config = FitConfig(
            generator=GeneratorConfig(qk_norm=True, hidden=HIDDEN, layers=LAYERS, heads=HEADS),
            training=TrainingConfig(epochs=2),
        )
        small = open_bundle(fit_dataset(dataset, Path(staging) / "small", config).bundle)
        parts, features = read_parts(small, torch.device("cpu")), read_features(small)
        assert features is not None
        while len(parts.catalogue) < items:
            number = min(AT_ONCE, items - len(parts.catalogue))
            parts = change_parts(parts, _arrivals(parts, number, rng)).parts
            print(f"{len(parts.catalogue):,} items, {time.monotonic() - began:.0f} s", flush=True)
        parts = with_whole_table(parts)
        if every_channel:
            parts = _with_events(parts, rng)
        else:
            parts = parts._replace(blends={"fused": Blend({"semantic-id": 1.0})})
        whole = ItemFeatures._make(_longer(part, items) for part in features)
        made = Path(staging) / "large"
        with BundleWriter(made, name=f"large-{items}", preset=small.manifest.preset) as writer:
            shutil.copytree(small.folder / ENCODERS, writer.path(f"{ENCODERS}/x").parent, dirs_exist_ok=True)
            write_parts(writer, parts, whole)
            writer.commit(
                versions=replace(small.manifest.versions, catalogue=f"large-{items}"), parameters={"items": items}
            )
        made.rename(folder)
    return folder


def _with_events(parts: Parts, rng: np.random.Generator) -> Parts:
    """Counts of drawn events; no channel has no weight."""
    items = len(parts.catalogue)
    users = items * EVENTS_PER_ITEM // EVENTS
    first = rng.integers(0, items, users)
    rows = ((first[:, None] + rng.integers(0, 40, (users, EVENTS))) % items).astype(np.int32).ravel()
    events = Interactions(("",) * users, np.arange(users + 1) * EVENTS, rows, np.arange(len(rows)))
    weights = {name: max(parts.blend.weights.get(name, 0.0), LEAST_WEIGHT) for name in CHANNELS}
    return parts._replace(
        transitions=count_transitions(events, items, parts.channels.transitions),
        transitions_wide=count_transitions(events, items, parts.channels.transitions_wide),
        popularity_N=RankingModel.popularity_of(events, items),
        blends={"fused": Blend(weights, parts.blend.cold_share)},
    )


def drawn_words(number: int, rng: np.random.Generator) -> list[str]:
    """Titles of five words and a number."""
    picked = [rng.choice(words, number) for words in (_LOOKS, _LOOKS, _KINDS, _USES)]
    codes = rng.integers(0, 10**6, number)
    return [f"{a} {b} {kind} for {use} {code}" for a, b, kind, use, code in zip(*picked, codes, strict=True)]


def _columns(number: int, rng: np.random.Generator) -> dict[str, list[str]]:
    """A kind, a price and whether there is any left."""
    return {
        "kind": rng.choice(_KINDS, number).tolist(),
        "price": (rng.integers(100, 50_000, number) / 100).astype(str).tolist(),
        "in_stock": rng.choice(["true", "true", "false"], number).tolist(),
    }


def write_dataset(folder: Path, rng: np.random.Generator, *, items: int, users: int, events: int) -> None:
    """A dataset folder of drawn items, and customers in whose histories of `events` items neighbours follow each other.

    Args:
        folder: Made here.
        rng: What everything is drawn from.
        items: Items.
        users: Customers.
        events: Items of each history.
    """
    folder.mkdir()
    columns = {"item_id": [f"fitted-{row}" for row in range(items)], "title": drawn_words(items, rng)}
    pq.write_table(pa.table(columns | _columns(items, rng)), folder / "items.parquet")
    # Neighbours in the list follow each other, so that there is something to learn.
    first = rng.integers(0, items, users)
    rows = (first[:, None] + rng.integers(0, 40, (users, events))) % items
    happened = {
        "user_id": [f"user-{user}" for user in range(users) for _ in range(events)],
        "item_id": [f"fitted-{row}" for row in rows.ravel().tolist()],
        "timestamp": list(range(1_700_000_000, 1_700_000_000 + users * events)),
    }
    pq.write_table(pa.table(happened), folder / "events.parquet")


def _arrivals(parts: Parts, number: int, rng: np.random.Generator) -> EncodedItems:
    first = len(parts.catalogue)
    titles, columns = drawn_words(number, rng), _columns(number, rng)
    records = tuple(
        ItemRecord(f"drawn-{first + place}", title, "", attributes=dict(zip(columns, values, strict=True)))
        for place, (title, *values) in enumerate(zip(titles, *columns.values(), strict=True))
    )
    near_MD = parts.fused_ND[rng.integers(0, FITTED, number)]
    fused_MD = near_MD + rng.standard_normal(near_MD.shape, dtype=np.float32) * np.float32(
        0.7 / near_MD.shape[1] ** 0.5
    )
    fused_MD /= np.linalg.norm(fused_MD, axis=1, keepdims=True)
    nothing, no = np.zeros((number, 1), np.float32), np.zeros(number, np.bool_)
    thumbnails_M = np.zeros((number, 0, 0, 0), np.uint8)
    return EncodedItems(records, tuple(titles), ItemFeatures(nothing, no, nothing, no), fused_MD, thumbnails_M)


def _longer(part: np.ndarray, items: int) -> np.ndarray:
    whole = np.zeros((items, *part.shape[1:]), part.dtype)
    whole[: len(part)] = part
    return whole
