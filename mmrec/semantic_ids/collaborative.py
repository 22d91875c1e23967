"""Collaborative item vectors from training histories, optionally quantised together with the content embeddings.

Co-occurrence within a window is counted, the graph is normalised by the square root of both items' degrees, and a
truncated SVD gives each warm item a unit vector (the factorisation behind most item2vec-like embeddings). Vectors of
cold items are imputed as the mean of the nearest warm items by content. Measured on held-out items of MovieLens and
Beauty, this keeps transitions to and from cold items under one prefix far more often than zero vectors (which gather
all cold items under a few codes) and more often than a ridge regression from content.
"""

# Axes: N items, D content dimensions, C collaborative dimensions, W warm items, E events

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.data.interactions import Interactions
from mmrec.data.item_pairs import forward_pairs
from mmrec.runtime.limits import check_numbers

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CollaborativeConfig:
    """Options of the collaborative vectors.

    Attributes:
        weight: Norm of the collaborative vector relative to a content vector of norm 1; 0 leaves it out.
        dimension: Maximum number of collaborative dimensions.
        window: Maximum distance in a history that counts as co-occurrence; distance d has weight 1/d.
        neighbours: Warm items averaged to impute the vector of a cold item.
    """

    weight: float = 0.0
    dimension: int = 64
    window: int = 3
    neighbours: int = 10

    def __post_init__(self) -> None:
        check_numbers(self, "weight", low=0, high=100)
        check_numbers(self, "dimension", "window", "neighbours", low=1)


class CollaborativeVectors(NamedTuple):
    """Collaborative vectors of a catalogue.

    Attributes:
        vectors_NC: Unit norm; zero for cold items, which never co-occur with another. Shape: (N, C), float32.
        warm_N: Which rows are not zero. Shape: (N,), bool.
    """

    vectors_NC: Floats
    warm_N: npt.NDArray[np.bool_]


def co_occurrence(train: Interactions, items: int, window: int) -> sp.csr_array:
    """Weighted co-occurrence counts of items, with a zero diagonal.

    Args:
        train: Training events only.
        items: N.
        window: Maximum distance in a history; distance d has weight 1/d.

    Returns:
        Symmetric. Shape: (N, N) CSR, float64.
    """
    forward = forward_pairs(train, items, window)
    counts = (forward + forward.T).tocsr()
    counts.setdiag(0)
    counts.eliminate_zeros()
    return counts


def collaborative_vectors(
    train: Interactions, items: int, config: CollaborativeConfig, *, seed: int
) -> CollaborativeVectors:
    """Truncated SVD of the normalised co-occurrence graph.

    Args:
        train: Training events only.
        items: N.
        config: Window and dimensions; at most N dimensions are used.
        seed: Of the randomised SVD.
    """
    counts = co_occurrence(train, items, config.window)
    degree_N = np.asarray(counts.sum(axis=1)).ravel()
    warm_N = degree_N > 0
    root_N = np.where(warm_N, np.maximum(degree_N, 1e-12) ** -0.5, 0.0)
    normalised = sp.diags_array(root_N) @ counts @ sp.diags_array(root_N)
    from sklearn.utils.extmath import randomized_svd

    left_NC, strength_C, _ = randomized_svd(normalised, min(config.dimension, items), random_state=seed)
    vectors_NC = left_NC * np.sqrt(strength_C)
    norm_N1 = np.linalg.norm(vectors_NC, axis=1, keepdims=True)
    # Items in a part of the graph that the kept dimensions do not cover count as cold.
    warm_N &= norm_N1[:, 0] > 1e-6
    vectors_NC = np.where(warm_N[:, None], vectors_NC / np.maximum(norm_N1, 1e-12), 0.0)
    return CollaborativeVectors(vectors_NC.astype(np.float32), warm_N)


@dataclass(frozen=True, slots=True, eq=False)
class Imputation:
    """Imputes collaborative vectors from content.

    Attributes:
        content_WD: Content embeddings of warm items. Shape: (W, D), float16.
        vectors_WC: Their collaborative vectors. Shape: (W, C), float16.
        weight: Norm of the collaborative vector.
        neighbours: Warm items that are averaged.
    """

    content_WD: npt.NDArray[np.float16]
    vectors_WC: npt.NDArray[np.float16]
    weight: float
    neighbours: int
    _index: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index = faiss.IndexFlatIP(self.content_WD.shape[1])
        index.add(self.content_WD.astype(np.float32))
        object.__setattr__(self, "_index", index)

    @classmethod
    def of(cls, content_ND: Floats, vectors: CollaborativeVectors, config: CollaborativeConfig) -> Imputation:
        """From a catalogue with content embeddings `content_ND`. Shape: (N, D), float32."""
        return cls(
            content_ND[vectors.warm_N].astype(np.float16),
            vectors.vectors_NC[vectors.warm_N].astype(np.float16),
            config.weight,
            config.neighbours,
        )

    def widen(self, content_ND: Floats, known: CollaborativeVectors | None = None) -> Floats:
        """Content embeddings concatenated with collaborative vectors.

        Args:
            content_ND: Shape: (N, D), float32.
            known: Collaborative vectors of the same items; those of cold items, or all if None, are imputed.

        Returns:
            Shape: (N, D + C), float32.
        """
        vectors_NC = np.zeros((len(content_ND), self.vectors_WC.shape[1]), dtype=np.float32)
        cold_N = np.ones(len(content_ND), dtype=np.bool_)
        if known is not None:
            vectors_NC[:] = known.vectors_NC
            cold_N = ~known.warm_N
        if cold_N.any() and len(self.content_WD):
            vectors_NC[cold_N] = self._impute(content_ND[cold_N])
        return np.concatenate([content_ND, self.weight * vectors_NC], axis=1).astype(np.float32)

    def _impute(self, content_ND: Floats) -> Floats:
        wanted = min(self.neighbours, len(self.content_WD))
        nearest = self._index.search(np.ascontiguousarray(content_ND, dtype=np.float32), wanted)[1]
        mean_NC = self.vectors_WC.astype(np.float32)[nearest].mean(axis=1)
        return np.asarray(mean_NC / np.maximum(np.linalg.norm(mean_NC, axis=1, keepdims=True), 1e-9))

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """State for `from_tensors`."""
        return {
            "collaborative.content": self.content_WD,
            "collaborative.vectors": self.vectors_WC,
            "collaborative.weight": np.array([self.weight], dtype=np.float64),
            "collaborative.neighbours": np.array([self.neighbours], dtype=np.int64),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Imputation:
        """Inverse of `tensors`."""
        return cls(
            tensors["collaborative.content"],
            tensors["collaborative.vectors"],
            float(tensors["collaborative.weight"][0]),
            int(tensors["collaborative.neighbours"][0]),
        )
