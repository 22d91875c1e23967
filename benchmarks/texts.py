"""Texts of mixed lengths: mmrec's text encoder and `mmrec embed` beside `SentenceTransformer.encode`.

One MiniLM, one list of distinct texts, the same number format and threads, a process each.
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

from benchmarks.child import call
from benchmarks.embed import check_same_vectors
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
    sizes = dict.fromkeys(SIZES, 96) if options.quick else SIZES
    device = resolve_device(options.device).type
    repeats = 1 if options.quick else 2
    rows = Rows("texts", options, {"sizes": sizes, "repeats": repeats, "batches": BATCHES})
    model = str(minilm_folder())
    table, measured, words = [], [], []
    for dtype, count in sizes.items():
        texts = product_texts(count)
        words = [len(text.split()) for text in texts]
        found: dict[str, dict[str, Any]] = {}
        shared: dict[str, Any] = {"threads": options.threads, "dtype": dtype, "device": device, "repeats": repeats}
        for batch in BATCHES:
            label = f"SentenceTransformer.encode, batches of {batch}"
            encode = partial(_rate, "sentence_transformers_texts", model=model, texts=texts, batch_size=batch, **shared)
            found[label] = rows.measure(f"{dtype}, {label}", encode)
        first = next(iter(found.values()))
        encode = partial(_rate, "mmrec_texts", texts=texts, max_tokens=first["max_tokens"], **shared)
        found["mmrec, the encoder"] = rows.measure(f"{dtype}, mmrec, the encoder", encode)
        dataset = str(text_dataset(texts, f"texts-{count}"))
        embed = partial(
            _rate,
            "mmrec_embed",
            as_command=True,
            dataset=dataset,
            vectors="text",
            model="",
            batch_size=32,
            **shared,
        )
        found["mmrec embed, files to Parquet"] = rows.measure(f"{dtype}, mmrec embed", embed)
        check_same_vectors(found, first, least=0.99)
        own = [row for label, row in found.items() if label.startswith("Sentence")]
        default, best = own[0]["texts/s"], max(row["texts/s"] for row in own)
        for label, row in found.items():
            rate = row["texts/s"]
            table.append((dtype, label, row["items"], rate, rate / default, rate / best))
            measured.append({"label": f"{dtype}, {label}", **{k: v for k, v in row.items() if k != "first"}})
    Report(
        "texts",
        f"all-MiniLM-L6-v2 (cut at 256 tokens by all), distinct texts of {min(words)} to {max(words)} words, median "
        f"{statistics.median(words):.0f}, mean {statistics.mean(words):.0f}, {options.threads} threads, each contender "
        f"in a process of its own, median of {repeats} runs, on {device}; mmrec embed: from table to Parquet.",
        ("dtype", "contender", "texts", "texts/s", "times encode's default", "times encode's best"),
        table,
        details={"rows": measured},
        rehearsal=options.quick,
    ).publish()
    rows.finish()


def _rate(function: str, **arguments: Any) -> dict[str, Any]:
    raw = call(f"{_ROWS}:{function}", **arguments)
    return {**raw, "texts/s": raw["items"] / statistics.median(raw["seconds"])}
