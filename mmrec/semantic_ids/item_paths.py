"""Item indexing without embeddings, as baselines: random, sequential and collaborative indexing of OpenP5 (Hua et al.
2023, arXiv:2305.06569).

- random: a random number per item, written in digits.
- sequential: items are numbered in order of first appearance in training histories, user by user, and written in
  digits, so neighbours in a history share their first digits. Items without training events follow in catalogue order.
  (Numbering by held-out events too would leak the answers, as in the first published figures.)
- collaborative: the co-occurrence graph is split by spectral clustering, recursively per level; the last code of the
  semantic ID numbers the items of a leaf cluster.

Only the items of the fitted catalogue have paths: a new item gets one at the next fit.
"""

# Axes: N items, L levels, K codes per level, M items of a part

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, eigsh

from mmrec.data.interactions import Interactions
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.semantic_ids.clusters import kmeans, nearest_centre
from mmrec.semantic_ids.collaborative import co_occurrence
from mmrec.semantic_ids.quantizer import QuantizerConfig

Indexing = Literal["random", "sequential", "collaborative"]

DENSE_ITEMS = 1500
"""Up to this many items, a full dense eigendecomposition is faster than a sparse one."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemPaths:
    """Paths of the items of one catalogue.

    Attributes:
        codes_NL: In catalogue order. Shape: (N, L), int32.
    """

    codes_NL: npt.NDArray[np.int32]

    @property
    def levels(self) -> int:
        """Codes per path."""
        return int(self.codes_NL.shape[1])

    @property
    def widths(self) -> tuple[int, ...]:
        """Codes in use at each level."""
        return tuple(int(largest) + 1 for largest in self.codes_NL.max(axis=0))

    @property
    def encodes_new(self) -> bool:
        """Always false."""
        return False

    def encode(self, embeddings_ND: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """Not supported.

        Raises:
            FailedPreconditionError: always.
        """
        raise FailedPreconditionError(
            f"{len(embeddings_ND):,} embeddings were to become paths, but the semantic IDs here are an index of the "
            f"{len(self.codes_NL):,} items that were fitted, not a function of their content; fit again with the new "
            "items, or with the tokenizer residual-kmeans, rq-vae or opq, which give any item a path"
        )

    def decode(self, codes_NL: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Not supported.

        Raises:
            FailedPreconditionError: always.
        """
        raise FailedPreconditionError(
            f"{len(codes_NL):,} paths were to become embeddings, but the semantic IDs here number items and describe "
            "nothing; fit with the tokenizer residual-kmeans, rq-vae or opq"
        )

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """State for `from_tensors`."""
        return {"item_paths": self.codes_NL}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> ItemPaths:
        """Inverse of `tensors`."""
        return cls(tensors["item_paths"])


def index_items(
    method: Indexing, train: Interactions, items: int, config: QuantizerConfig, *, window: int = 3, seed: int
) -> ItemPaths:
    """Give every item a path.

    Args:
        method: ``random``, ``sequential`` or ``collaborative``.
        train: Training events only.
        items: N, at least 1.
        config: `levels`; `codebook_size` caps the codes per level, which are otherwise the fewest that can number every
            item (collaborative: the fewest that give a balanced tree with the last code). `iterations` of the k-means.
        window: Maximum distance in a history that counts as co-occurrence.
        seed: Of random numbers and clustering.

    Raises:
        InvalidArgumentError: there are no items.
    """
    if items < 1:
        raise InvalidArgumentError("there are 0 items; at least 1 is needed to be numbered")
    if method == "collaborative":
        return ItemPaths(_divide(co_occurrence(train, items, window), config, seed))
    if method == "random":
        number_N = np.random.default_rng(seed).permutation(items)
    else:
        number_N = _order_of_appearance(train, items)
    return ItemPaths(_digits(number_N, config))


def _order_of_appearance(train: Interactions, items: int) -> npt.NDArray[np.int64]:
    """Number of each item. Shape: (N,), int64."""
    warm, first = np.unique(train.items_E, return_index=True)
    order = warm[np.argsort(first)].astype(np.int64)
    cold_N = np.ones(items, dtype=np.bool_)
    cold_N[order] = False
    number_N = np.empty(items, dtype=np.int64)
    number_N[np.concatenate([order, np.flatnonzero(cold_N)])] = np.arange(items)
    return number_N


def _digits(number_N: npt.NDArray[np.int64], config: QuantizerConfig) -> npt.NDArray[np.int32]:
    """Numbers below N as L digits, the highest first. Shape: (N, L), int32."""
    base = min(_root(len(number_N), config.levels), config.codebook_size)
    # If there are too few codes, consecutive numbers share a path and differ in the last code.
    number_N = number_N // -(-len(number_N) // base**config.levels)
    powers_L = base ** np.arange(config.levels - 1, -1, -1, dtype=np.int64)
    return np.asarray(number_N[:, None] // powers_L % base, dtype=np.int32)


def _root(items: int, levels: int) -> int:
    """The smallest base, at least 2, with ``base**levels >= items``."""
    base = max(2, int(items ** (1 / levels)) - 1)
    while base**levels < items:
        base += 1
    return base


def _divide(graph: sp.csr_array, config: QuantizerConfig, seed: int) -> npt.NDArray[np.int32]:
    """Cluster of every item at every level. Shape: (N, L), int32."""
    items = graph.shape[0]
    parts = min(_root(items, config.levels + 1), config.codebook_size)
    codes_NL = np.zeros((items, config.levels), dtype=np.int32)
    clusters = [np.arange(items)]
    for level in range(config.levels):
        children = []
        for rows_M in clusters:
            code_M = _spectral_parts(graph[rows_M][:, rows_M], parts, config.iterations, seed)
            codes_NL[rows_M, level] = code_M
            children += [rows_M[code_M == part] for part in range(parts)]
        # Clusters small enough to be numbered by the last code alone are not split further.
        clusters = [rows_M for rows_M in children if len(rows_M) > parts]
    return codes_NL


def _spectral_parts(graph: sp.csr_array, parts: int, iterations: int, seed: int) -> npt.NDArray[np.int64]:
    """Regularised spectral clustering: k-means of the leading eigenvectors of the normalised graph. Shape: (M,), int64.

    Every pair of items gets a weak edge, per item as strong in total as the mean degree (Amini et al. 2013); otherwise
    isolated items and small components would become clusters of their own.
    """
    items = graph.shape[0]
    if items <= parts:
        return np.arange(items)
    if not graph.nnz:
        # Without edges: clusters of equal size, which keeps the last code small.
        return np.asarray(np.arange(items) * parts // items)
    degree_M = np.asarray(graph.sum(axis=1)).ravel()
    weak = max(float(degree_M.mean()), 1e-9)
    root_M = (degree_M + weak) ** -0.5
    if items <= DENSE_ITEMS:
        dense_MM = root_M[:, None] * (graph.toarray() + weak / items) * root_M
        vectors_MP = np.linalg.eigh(dense_MM)[1][:, -parts:]
    else:

        def multiply(vector_M: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            scaled_M = root_M * vector_M.ravel()
            return np.asarray(root_M * (graph @ scaled_M + weak / items * scaled_M.sum()))

        operator = LinearOperator((items, items), matvec=multiply, dtype=np.float64)
        start_M = np.random.default_rng(seed).random(items)
        vectors_MP = eigsh(operator, k=parts, which="LA", v0=start_M, tol=1e-4)[1]
    norm_M1 = np.maximum(np.linalg.norm(vectors_MP, axis=1, keepdims=True), 1e-12)
    points_MP = (vectors_MP / norm_M1).astype(np.float32)
    return nearest_centre(kmeans(points_MP, parts, iterations=iterations, seed=seed), points_MP)
