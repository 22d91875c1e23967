"""Vectors to test with, and the search that every index is compared with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmrec.understanding.nearest import Neighbours

__all__ = ["brute_force", "clusters", "unit_rows"]


def unit_rows(rng: np.random.Generator, count: int, dimension: int) -> npt.NDArray[np.float32]:
    rows = rng.standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clusters(
    rng: np.random.Generator, count: int, dimension: int, of: int = 20, spread: float = 0.5
) -> npt.NDArray[np.float32]:
    """Rows around common centres, as those of products are."""
    centres = unit_rows(rng, max(1, count // of), dimension)
    rows = centres[rng.integers(0, len(centres), count)] + spread * unit_rows(rng, count, dimension)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def brute_force(
    vectors: npt.NDArray[np.float32],
    queries: npt.NDArray[np.float32],
    k: int,
    eligible: npt.NDArray[np.bool_] | None = None,
) -> Neighbours:
    rows = np.arange(len(vectors)) if eligible is None else np.flatnonzero(eligible)
    scores = (queries.astype(np.float64)[:, None] * vectors[rows].astype(np.float64)[None]).sum(axis=2)
    scores = scores.astype(np.float32)
    order = np.stack([np.lexsort((rows, -row)) for row in scores])[:, : min(k, len(rows))]
    return Neighbours(rows[order], np.take_along_axis(scores, order, axis=1))
