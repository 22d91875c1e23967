"""Every tokenizer on the same catalogues: collisions, use of codes, and what the prefixes gather, before any training.

The embeddings are those a fit would quantise: MiniLM vectors of the words, fused with what follows what in training.
"""

# Axes: N items, D dimensions

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.options import Options
from benchmarks.quality_sets import EVERY_RATING
from benchmarks.report import Report, file_hashes
from benchmarks.rows import Rows
from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.dataset import read_dataset
from mmrec.data.interactions import Interactions
from mmrec.data.splits import leave_one_out
from mmrec.semantic_ids.collaborative import CollaborativeConfig
from mmrec.semantic_ids.config import TOKENIZERS, TokenizerConfig
from mmrec.semantic_ids.report import report_tokens
from mmrec.semantic_ids.tokenizer import fit_tokenizer
from mmrec_encoders.embedding.catalogue import encode_words
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.fusion_training import FusionConfig, train_fusion
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.training import following_pairs

FOLDERS = ("amazon-beauty", "movielens-100k")
DEPARTMENTS = ("Makeup", "Skin Care", "Hair Care", "Fragrance", "Bath & Body", "Tools & Accessories")
"""Where the tree of Beauty's categories starts; a brand may stand before it."""
COLUMNS = (
    "data set",
    "tokenizer",
    "codes",
    "items that collide",
    "largest group",
    "codes used",
    "perplexity of the first level",
    "prefixes of 1 / 2 / 3 codes",
    "kind: purity of 1 code (chance)",
    "kind: NMI of 1 code (chance)",
    "next item shares 1 code (chance)",
    "2 codes",
    "3 codes",
    "seconds",
)


@dataclass(frozen=True, slots=True)
class _Contender:
    """name: In the table.  config: What is fitted.  raw: On MiniLM's own vectors instead of the fused ones."""

    name: str
    config: TokenizerConfig
    raw: bool = False


class _Inputs(NamedTuple):
    """fused_ND, raw_NT: what is quantised.  train: training events.  kind: a category of each item."""

    fused_ND: npt.NDArray[np.float32]
    raw_NT: npt.NDArray[np.float32]
    train: Interactions
    kind: list[str]


def contenders(quick: bool = False) -> list[_Contender]:
    """What is compared; fewer in a rehearsal."""
    half = CollaborativeConfig(weight=0.5)
    found = [_Contender(kind, TokenizerConfig(kind=kind)) for kind in TOKENIZERS]
    if quick:
        return [contender for contender in found if contender.name not in ("rq-vae", "opq")]
    return [
        *found,
        _Contender("residual-kmeans, MiniLM not fused", TokenizerConfig(), raw=True),
        _Contender("residual-kmeans + customers 0.5", TokenizerConfig(collaborative=half)),
        _Contender("residual-kmeans + customers 1", TokenizerConfig(collaborative=CollaborativeConfig(weight=1.0))),
        _Contender("rq-vae + customers 0.5", TokenizerConfig(kind="rq-vae", collaborative=half)),
        _Contender("opq, 32 codes", TokenizerConfig(kind="opq", levels=32)),
    ]


def run(options: Options) -> None:
    """Measure and publish the table."""
    folders = [options.data / name for name in FOLDERS if (options.data / name).is_dir()]
    if not folders:
        print(f"tokenizers: not run: none of {', '.join(FOLDERS)} in {options.data}; pass --data")
        return
    if options.quick:
        folders = folders[-1:]
    hashes: dict[str, str] = {}
    for folder in folders:
        hashes |= file_hashes(folder, "items.tsv", "events.tsv")
    fusion = FusionConfig(steps=40) if options.quick else FusionConfig()
    compared = contenders(options.quick)
    rows = Rows("tokenizers", options, {"data": hashes, "fusion": str(fusion), "compared": str(compared)})
    table, details = [], []
    for folder in folders:
        source = _Source(folder, fusion, options)
        for contender in compared:
            row = rows.measure(f"{folder.name}: {contender.name}", partial(_measure, source, contender))
            table.append((folder.name, contender.name, *row["cells"]))
            details.append({"data": folder.name, "tokenizer": contender.name, **row})
    Report(
        "tokenizers",
        "Words of each item by MiniLM, fused as a fit does (histories of training events, leave-one-out, seed 0), "
        "quantised or indexed by each tokenizer in its default configuration unless the name says otherwise; "
        "'customers' puts collaborative vectors of that norm beside the fused ones. The kind of an item: first "
        "genre of a film; department and section of a product (Makeup | Eyes). "
        "Chance: the same paths shuffled over the items (3 times); independent draws for pairs. Pairs: an item and "
        "the one after it in training histories.",
        COLUMNS,
        table,
        data=hashes,
        details={"reports": details},
        rehearsal=options.quick,
    ).publish()
    rows.finish()


class _Source:
    """The inputs of one data set, made when the first row needs them."""

    def __init__(self, folder: Path, config: FusionConfig, options: Options) -> None:
        self._given = folder, config, options

    @cached_property
    def inputs(self) -> _Inputs:
        folder, config, options = self._given
        data = read_dataset(folder, min_rating=EVERY_RATING)
        train = leave_one_out(data.interactions).train
        encoder = ItemEncoder(None, SentenceTextEncoder(SentenceTextConfig(MINILM, device=options.device)))
        words = encode_words(encoder, data.catalogue)
        items = len(data.catalogue)
        features = ItemFeatures(np.zeros((items, 1), np.float32), np.zeros(items, np.bool_), *words)
        fusion = train_fusion(features, following_pairs(train), config, seed=0, device=options.device)
        return _Inputs(fusion.fuse(features), words.text_NT, train, kinds_of(data.catalogue))


def kinds_of(catalogue: Catalogue) -> list[str]:
    """One category per item: a film's first genre, a product's place in the tree of categories."""
    if "genres" in catalogue.attributes:
        return [value.partition("|")[0] for value in catalogue.attributes["genres"]]
    kinds = []
    for value in catalogue.attributes["brand_and_categories"]:
        parts = [part.strip() for part in value.split("|")]
        start = next((n for n, part in enumerate(parts) if part in DEPARTMENTS), None)
        kinds.append(" | ".join(parts[start : start + 2]) if start is not None else "")
    return kinds


def _measure(source: _Source, contender: _Contender) -> dict[str, Any]:
    inputs = source.inputs
    vectors = inputs.raw_NT if contender.raw else inputs.fused_ND
    start = time.monotonic()
    fitted = fit_tokenizer(vectors, inputs.train, contender.config, seed=0)
    seconds = time.monotonic() - start
    found = report_tokens(fitted.semantic_ids_NP, fitted.tokenizer.widths, inputs.train, {"kind": inputs.kind})
    first = found.depths[0]
    kind = first.categories["kind"]
    used = sum(level.used for level in found.levels) / sum(level.codes for level in found.levels)
    pairs = [match for depth in found.depths[:3] if (match := depth.transitions)]
    cells = [
        f"{len(found.levels)} x {max(level.codes for level in found.levels)}",
        f"{found.collision_share:.1%}",
        found.largest_group,
        f"{used:.0%}",
        round(found.levels[0].perplexity, 1),
        " / ".join(f"{depth.prefixes:,}" for depth in found.depths[:3]),
        f"{kind.purity:.3f} ({kind.chance_purity:.3f})",
        f"{kind.mutual_information:.3f} ({kind.chance_mutual_information:.3f})",
        *(f"{match.share:.4f} ({match.chance:.4f})" for match in pairs),
        round(seconds, 1),
    ]
    return {"collision_share": found.collision_share, "seconds": seconds, "cells": cells, "report": found.as_json()}
