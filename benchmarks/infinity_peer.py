"""Embeds JPEG files with infinity-emb in its own environment; knows nothing of mmrec and imports nothing of it.

Run as ``python infinity_peer.py`` with JSON on stdin: model, files, device, batch_size, repeats. It prints
one line of JSON.
"""

import asyncio
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path


async def _embed(model: str, files: list[str], device: str, batch_size: int, repeats: int) -> dict[str, object]:
    from infinity_emb import AsyncEmbeddingEngine, EngineArgs

    start = time.perf_counter()
    engine = AsyncEmbeddingEngine.from_args(
        EngineArgs(
            model_name_or_path=model,
            engine="torch",
            device=device,
            dtype="auto",  # float32 on a CPU, whatever is asked for
            batch_size=batch_size,
            model_warmup=False,
            trust_remote_code=False,
        )
    )
    await engine.astart()
    loading = time.perf_counter() - start

    async def run(names: list[str]) -> list[object]:
        vectors, _ = await engine.image_embed(images=[Path(name).read_bytes() for name in names])
        return list(vectors)

    await run(files[: 2 * batch_size])
    seconds, first = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        vectors = await run(files)
        seconds.append(time.perf_counter() - start)
        first = first or [[float(value) for value in vector] for vector in vectors[:8]]
    await engine.astop()
    packages = ("infinity-emb", "torch", "transformers", "sentence-transformers", "pillow", "numpy")
    return {
        "items": len(files),
        "seconds": seconds,
        "loading": loading,
        "first": first,
        "versions": {package: version(package) for package in packages},
    }


if __name__ == "__main__":
    print("measured: " + json.dumps(asyncio.run(_embed(**json.loads(sys.stdin.read())))), flush=True)
