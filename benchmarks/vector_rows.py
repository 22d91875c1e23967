"""What is measured of one vector index, each function in a process of its own: making vectors, building, searching.

Vectors, truth and index lie in one folder per size. Knows nothing of the table they become.
"""

# Axes: N vectors, Q queries, D dimensions, K results

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measuring import milliseconds, resident_gib

DIMENSION, RECALL_AT = 256, 10
CATEGORIES, KINDS = 200, 12
_BLOCK = 50_000
Floats = npt.NDArray[np.float32]


def make(folder: str, items: int, queries: int, seed: int) -> dict[str, Any]:
    """Draw unit vectors and queries of one distribution, and find each query's exact nearest."""
    import faiss

    start = time.perf_counter()
    draw = _Drawing(seed)
    stored = np.lib.format.open_memmap(
        Path(folder) / "vectors.npy", mode="w+", dtype=np.float32, shape=(items, DIMENSION)
    )
    flat = faiss.IndexFlatIP(DIMENSION)
    for at in range(0, items, _BLOCK):
        block = draw.rows(min(_BLOCK, items - at))
        stored[at : at + len(block)] = block
        flat.add(block)
    stored.flush()
    asked = draw.rows(queries)
    np.save(Path(folder) / "queries.npy", asked)
    truth = flat.search(asked, RECALL_AT)
    np.save(Path(folder) / "truth.npy", truth[1])
    np.save(Path(folder) / "truth-scores.npy", truth[0])
    return {"seconds making": time.perf_counter() - start}


class _Drawing:
    """A catalogue's shape: categories of very different size, kinds of product in them, and items around a kind.

    What tells the items of a kind apart has few strong directions and many weak ones, as it has in real embeddings.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.categories = self._unit(CATEGORIES)
        self.kinds = self._unit(CATEGORIES * KINDS)
        self.spread = (np.linalg.qr(self.rng.standard_normal((DIMENSION, DIMENSION)))[0]).astype(np.float32)
        strength = 1.0 / np.arange(1, DIMENSION + 1) ** 0.5
        self.spread *= (strength / np.linalg.norm(strength)).astype(np.float32)[:, None]
        share = 1.0 / np.arange(1, CATEGORIES * KINDS + 1) ** 0.7
        self.share = share / share.sum()

    def _unit(self, count: int) -> Floats:
        rows = self.rng.standard_normal((count, DIMENSION)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def rows(self, count: int) -> Floats:
        kind = self.rng.choice(CATEGORIES * KINDS, count, p=self.share)
        noise = self.rng.standard_normal((count, DIMENSION), dtype=np.float32) @ self.spread
        rows = 0.6 * self.categories[kind % CATEGORIES] + 0.5 * self.kinds[kind] + 0.7 * noise
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def build(folder: str, contender: str) -> dict[str, Any]:
    """Build and store one contender's index."""
    vectors_ND = np.load(Path(folder) / "vectors.npy", allow_pickle=False)
    start = time.perf_counter()
    if contender == "mmrec":
        from mmrec.understanding.vector_index import build_vector_index

        index = build_vector_index(vectors_ND)
        seconds = time.perf_counter() - start
        files = index.save(Path(folder))
        found = index.description
        own = {"kind": found.kind, "parameters": dict(found.parameters), "recall it stored": found.recall}
    else:
        import faiss

        made: Any = _peer(contender)
        made.add(vectors_ND)
        seconds = time.perf_counter() - start
        path = Path(folder) / f"{contender}.faiss"
        faiss.write_index(made, str(path))
        files = [path]
        own = {"kind": contender, "parameters": {}}
    size = sum(path.stat().st_size for path in files)
    held = len(vectors_ND) * DIMENSION * 4 if contender != "mmrec" else 0  # a flat part of faiss's file
    return {
        **own,
        "build s": seconds,
        "disk bytes/item beside the vectors": max(0, size - held) / len(vectors_ND),
    }


def _peer(contender: str) -> Any:
    import faiss

    if contender == "faiss flat":
        return faiss.IndexFlatIP(DIMENSION)
    index = faiss.IndexHNSWFlat(DIMENSION, 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = 64
    return index


def search(folder: str, contender: str, queries: int) -> dict[str, Any]:
    """Load one contender's index, and ask it one query after the other."""
    import faiss

    import mmrec.understanding.vector_index as ours

    asked = np.load(Path(folder) / "queries.npy", allow_pickle=False)
    truth = np.load(Path(folder) / "truth-scores.npy", allow_pickle=False)
    before = resident_gib()
    start = time.perf_counter()
    if contender == "mmrec":
        vectors_ND = np.load(Path(folder) / "vectors.npy", allow_pickle=False)
        index = ours.VectorIndex.load(Path(folder), vectors_ND)
        items = len(index)

        def one(query_1D: Floats) -> Floats:
            return index.search(query_1D, RECALL_AT).scores_QK
    else:
        peer = faiss.read_index(str(Path(folder) / f"{contender}.faiss"))
        items = peer.ntotal

        def one(query_1D: Floats) -> Floats:
            scores: Floats = peer.search(query_1D, RECALL_AT)[0]
            return scores

    one(asked[:1])
    loading = time.perf_counter() - start
    held = resident_gib() - before
    found: list[Floats] = []
    times = milliseconds(lambda place: found.append(one(asked[place : place + 1])[0]), queries, warm_up=0)
    # By score, so that any of several items at the same distance counts as the right one.
    right = [(scores >= truth[place, -1] - 1e-5).mean() for place, scores in enumerate(found)]
    return {
        "recall@10": float(np.mean(right)),
        "p50 ms": float(np.percentile(times, 50)),
        "p95 ms": float(np.percentile(times, 95)),
        "queries": len(times),
        "loading s": loading,
        "memory bytes/item": held * 2**30 / items,
    }
