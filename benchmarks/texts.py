"""Texts of mixed lengths: mmrec's text encoder and `mmrec embed` beside `SentenceTransformer.encode`.

One MiniLM, one list of distinct texts, the same number format and threads, a process each.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from benchmarks.child import call
from benchmarks.made_data import product_texts, text_dataset
from benchmarks.options import Options
from benchmarks.report import Report
from benchmarks.rows import Rows
from mmrec.runtime.device import resolve_device
from mmrec_encoders.minilm import minilm_folder

BATCHES = (32, 64, 128)
"""Of sentence-transformers; the first is its default."""
SIZES = {"float32": 768, "bfloat16": 1536}
"""Texts by number format."""
_ROWS = "benchmarks.embed_rows"


def run(options: Options) -> None:
    """Measure and publish the table."""
    name = "texts-quick" if options.quick else "texts"
    sizes = dict.fromkeys(SIZES, 96) if options.quick else SIZES
    device = resolve_device(options.device).type
    repeats = 1 if options.quick else 2
    rows = Rows(name, options, {"sizes": sizes, "repeats": repeats, "batches": BATCHES})
    model = str(minilm_folder())
    table, measured, words = [], [], []
    for dtype, count in sizes.items():
        texts = product_texts(count)
        words = [len(text.split()) for text in texts]
        found: dict[str, dict[str, Any]] = {}
        for batch in BATCHES:
            label = f"SentenceTransformer.encode, batches of {batch}"
            arguments = {
                "model": model,
                "texts": texts,
                "dtype": dtype,
                "device": device,
                "batch_size": batch,
                "repeats": repeats,
            }
            found[label] = rows.measure(
                f"{dtype}, {label}",
                lambda a=arguments: _rate(call(f"{_ROWS}:sentence_transformers_texts", options.threads, **a)),
            )
        max_tokens = next(iter(found.values()))["max_tokens"]
        found["mmrec, the encoder"] = rows.measure(
            f"{dtype}, mmrec, the encoder",
            lambda t=texts, d=dtype, m=max_tokens: _rate(
                call(
                    f"{_ROWS}:mmrec_texts",
                    options.threads,
                    texts=t,
                    dtype=d,
                    device=device,
                    max_tokens=m,
                    repeats=repeats,
                )
            ),
        )
        dataset = text_dataset(texts, f"texts-{count}")
        found["mmrec embed, files to Parquet"] = rows.measure(
            f"{dtype}, mmrec embed",
            lambda f=dataset, d=dtype: _rate(
                call(
                    f"{_ROWS}:mmrec_embed",
                    options.threads,
                    as_command=True,
                    dataset=str(f),
                    vectors="text",
                    model="",
                    dtype=d,
                    device=device,
                    batch_size=32,
                    repeats=repeats,
                )
            ),
        )
        _check_same_work(found)
        own = [row for label, row in found.items() if label.startswith("Sentence")]
        default, best = own[0]["texts/s"], max(row["texts/s"] for row in own)
        for label, row in found.items():
            rate = row["texts/s"]
            table.append((dtype, label, row["items"], rate, rate / default, rate / best))
            measured.append({"label": f"{dtype}, {label}", **{k: v for k, v in row.items() if k != "first"}})
    Report(
        name,
        f"all-MiniLM-L6-v2 (cut at 256 tokens by all), distinct texts of {min(words)} to {max(words)} words, median "
        f"{statistics.median(words):.0f}, mean {statistics.mean(words):.0f}, {options.threads} threads, each contender "
        f"in a process of its own, median of {repeats} runs, on {device}; mmrec embed: from table to Parquet.",
        ("dtype", "contender", "texts", "texts/s", "times encode's default", "times encode's best"),
        table,
        details={"rows": measured},
        rehearsal=options.quick,
    ).publish()
    rows.finish()


def _rate(raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "texts/s": raw["items"] / statistics.median(raw["seconds"])}


def _check_same_work(found: dict[str, dict[str, Any]]) -> None:
    first = {label: np.asarray(row["first"]) for label, row in found.items()}
    expected = next(iter(first.values()))
    for label, rows in first.items():
        cosine = (rows * expected).sum(axis=1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(expected, axis=1)
        if cosine.min() < 0.99:
            raise AssertionError(f"{label} gave other vectors than the model: cosine {cosine.min():.4f}")
