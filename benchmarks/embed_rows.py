"""What is measured of embedding pictures and texts, each function in a process of its own.

Every function embeds the same files or texts in batches of one size with the same weights, and returns the seconds of
each repeat and the first vectors, so that the caller can see that all did the same work.
"""

# Axes: N items, D dimensions

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmrec.runtime.progress import NoProgress

SHOWN = 8
"""Vectors that are returned for comparison."""
_WARM = 2
"""Batches before the clock starts."""


def forward(model: str, files: list[str], dtype: str, device: str, batch_size: int, repeats: int) -> dict[str, Any]:
    """The model alone, on tensors that were decoded, prepared and cast before: the limit for everyone else."""
    import torch
    from PIL import Image

    loaded, preprocess, loading = _open_clip(model, dtype, device)
    pixels = [preprocess(Image.open(file).convert("RGB")).to(getattr(torch, dtype)) for file in files]
    batches = [torch.stack(pixels[at : at + batch_size]).to(device) for at in range(0, len(pixels), batch_size)]

    def run(some: list[Any]) -> Any:
        with torch.inference_mode():
            return torch.cat([loaded.encode_image(batch) for batch in some]).float().cpu()

    run(batches[:_WARM])
    return _measured(lambda: run(batches), repeats, len(files), loading)


def open_clip_loop(
    model: str, files: list[str], dtype: str, device: str, batch_size: int, repeats: int
) -> dict[str, Any]:
    """The loop that open_clip's own page shows, over files, in batches."""
    import torch
    from PIL import Image

    loaded, preprocess, loading = _open_clip(model, dtype, device)

    def run(names: list[str]) -> Any:
        rows = []
        with torch.inference_mode():
            for at in range(0, len(names), batch_size):
                pictures = [preprocess(Image.open(name).convert("RGB")) for name in names[at : at + batch_size]]
                vectors = loaded.encode_image(torch.stack(pictures).to(device, getattr(torch, dtype)))
                rows.append(vectors / vectors.norm(dim=-1, keepdim=True))
        return torch.cat(rows).float().cpu()

    run(files[: _WARM * batch_size])
    return _measured(lambda: run(files), repeats, len(files), loading)


def sentence_transformers_loop(
    model: str, files: list[str], dtype: str, device: str, batch_size: int, repeats: int
) -> dict[str, Any]:
    """`SentenceTransformer.encode` over opened files, a thousand at a time, as its page of image search shows."""
    from PIL import Image

    loaded, loading = _sentence_transformer(model, dtype, device)

    def run(names: list[str]) -> Any:
        import numpy as np

        rows = []
        for at in range(0, len(names), 1000):
            pictures = [Image.open(name).convert("RGB") for name in names[at : at + 1000]]
            rows.append(loaded.encode(pictures, batch_size=batch_size, show_progress_bar=False))
        return np.concatenate(rows)

    run(files[: _WARM * batch_size])
    return _measured(lambda: run(files), repeats, len(files), loading)


def sentence_transformers_texts(
    model: str, texts: list[str], dtype: str, device: str, batch_size: int, repeats: int
) -> dict[str, Any]:
    """`SentenceTransformer.encode` over a list of texts."""
    loaded, loading = _sentence_transformer(model, dtype, device)
    loaded.encode(texts[: _WARM * batch_size], batch_size=batch_size)
    return _measured(
        lambda: loaded.encode(texts, batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False),
        repeats,
        len(texts),
        loading,
    ) | {"max_tokens": loaded.max_seq_length}


def mmrec_texts(texts: list[str], dtype: str, device: str, max_tokens: int, repeats: int) -> dict[str, Any]:
    """mmrec's text encoder over a list of texts."""
    from mmrec_encoders.minilm import MINILM
    from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder

    start = time.perf_counter()
    encoder = SentenceTextEncoder(SentenceTextConfig(MINILM, device=device, dtype=dtype, max_tokens=max_tokens))
    loading = time.perf_counter() - start
    encoder.encode(texts[:64])
    return _measured(lambda: encoder.encode(texts), repeats, len(texts), loading)


def mmrec_embed(
    dataset: str, vectors: str, model: str, dtype: str, device: str, batch_size: int, repeats: int
) -> dict[str, Any]:
    """The whole job, from a dataset folder to a folder of Parquet shards, with nothing known from earlier runs.

    The seconds of a repeat run from the first file to the last shard and the manifest, decoders started and stopped in
    between; `whole` adds imports and loading of models, of the first.
    """
    import pyarrow.parquet as pq

    start = time.perf_counter()
    from mmrec_encoders.embedding.config import EmbedConfig
    from mmrec_encoders.embedding.job import embed_dataset

    seconds, first, whole, items = [], None, 0.0, 0
    for _ in range(repeats):
        stage = _Stage()
        with tempfile.TemporaryDirectory(dir=Path(dataset).parent) as folder:
            out = Path(folder) / "out"
            config = EmbedConfig(
                vectors=vectors,
                image_model=model or None,
                device=device,
                dtype=dtype,
                batch_pixels=batch_size * 224 * 224,
            )
            summary = embed_dataset(Path(dataset), out, config, stage)
            whole = whole or time.perf_counter() - start
            done = summary.counts.pictures_encoded + summary.counts.texts_encoded
            if summary.failed or not summary.finished or done != summary.items:
                raise RuntimeError(f"the job did not do all of the work: {summary}")
            items = summary.items
            seconds.append(stage.seconds)
            shard = pq.read_table(sorted(out.glob("part-*.parquet"))[0], columns=["embedding"])
            first = first or shard.slice(0, SHOWN).column("embedding").to_pylist()
    return {"items": items, "seconds": seconds, "loading": whole - seconds[0], "whole": whole, "first": first}


class _Stage(NoProgress):
    """Times the one stage of an embedding job."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        if stage == "embedding":
            self._began = time.perf_counter()

    def finish(self, text: str = "") -> None:
        self.seconds = time.perf_counter() - self._began


def _measured(work: Callable[[], Any], repeats: int, items: int, loading: float) -> dict[str, Any]:
    seconds, first = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        vectors = work()
        seconds.append(time.perf_counter() - start)
        first = first or [[float(value) for value in vector] for vector in vectors[:SHOWN]]
    return {"items": items, "seconds": seconds, "loading": loading, "first": first}


def _open_clip(model: str, dtype: str, device: str) -> tuple[Any, Any, float]:
    import open_clip

    start = time.perf_counter()
    # The quicker of open_clip's two ways of computing in bfloat16.
    precision = {"float32": "fp32", "bfloat16": "pure_bf16"}[dtype]
    loaded, preprocess = open_clip.create_model_from_pretrained(
        f"local-dir:{model}", precision=precision, device=device, weights_only=True
    )
    return loaded.eval(), preprocess, time.perf_counter() - start


def _sentence_transformer(model: str, dtype: str, device: str) -> tuple[Any, float]:
    from sentence_transformers import SentenceTransformer

    start = time.perf_counter()
    loaded = SentenceTransformer(model, device=device, model_kwargs={"dtype": dtype}, local_files_only=True)
    return loaded, time.perf_counter() - start
