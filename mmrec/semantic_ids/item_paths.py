"""Paths for items by their place, chance or company: the indexing methods that need no embedding, for comparison.

Works on catalogue rows and training histories; knows nothing about embeddings. These are the random, sequential and
collaborative indexing of OpenP5 (Hua et al. 2023, arXiv:2305.06569):

- random: a number drawn for each item, written in digits.
- sequential: items numbered as they first appear in training histories, customer by customer, and written in digits;
  neighbours in a history share their first digits. What training never showed comes after, in catalogue order. (Numbers
  that count held-out events too tell a model the answer, which is how the first published figures came about.)
- collaborative: the co-occurrence graph divided by spectral clustering, and every part again, level by level; the last
  code of the semantic ID numbers the items of a smallest part.

All three say something about the items of this catalogue alone: a new item has no path until the next fit.
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

_DENSE = 1500
"""Up to here all eigenvectors of a part are quicker than a few."""


@dataclass(frozen=True, slots=True, eq=False)
class ItemPaths:
    """A path for every item of one catalogue, and for nothing else.

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
        """Codes of each level, as many as are in use."""
        return tuple(int(largest) + 1 for largest in self.codes_NL.max(axis=0))

    @property
    def encodes_new(self) -> bool:
        """Only the items of this catalogue have a path."""
        return False

    def encode(self, embeddings_ND: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """There is no path for an embedding.

        Raises:
            FailedPreconditionError: always.
        """
        raise FailedPreconditionError(
            f"{len(embeddings_ND):,} embeddings were to become paths, but the semantic IDs here are an index of the "
            f"{len(self.codes_NL):,} items that were fitted, not a function of their content; fit again with the new "
            "items, or with the tokenizer residual-kmeans, rq-vae or opq, which give any item a path"
        )

    def decode(self, codes_NL: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """There is no embedding for a path.

        Raises:
            FailedPreconditionError: always.
        """
        raise FailedPreconditionError(
            f"{len(codes_NL):,} paths were to become embeddings, but the semantic IDs here number items and describe "
            "nothing; fit with the tokenizer residual-kmeans, rq-vae or opq"
        )

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """What `from_tensors` takes."""
        return {"item_paths": self.codes_NL}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> ItemPaths:
        """From what `tensors` gave."""
        return cls(tensors["item_paths"])


def index_items(
    method: Indexing, train: Interactions, items: int, config: QuantizerConfig, *, window: int = 3, seed: int
) -> ItemPaths:
    """Give every item a path.

    Args:
        method: ``random``, ``sequential`` or ``collaborative``.
        train: Training events only.
        items: N, at least 1.
        config: `levels`; `codebook_size` bounds the codes per level, which are otherwise as few as number every item
            (collaborative: as few as make a balanced tree with the last code). `iterations` of the k-means.
        window: Largest distance in a history that counts as co-occurring.
        seed: Of what is drawn.

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
    seen, first = np.unique(train.items_E, return_index=True)
    order = seen[np.argsort(first)].astype(np.int64)
    never_N = np.ones(items, dtype=np.bool_)
    never_N[order] = False
    number_N = np.empty(items, dtype=np.int64)
    number_N[np.concatenate([order, np.flatnonzero(never_N)])] = np.arange(items)
    return number_N


def _digits(number_N: npt.NDArray[np.int64], config: QuantizerConfig) -> npt.NDArray[np.int32]:
    """Numbers below N in as many digits as there are levels, the highest first. Shape: (N, L), int32."""
    base = min(_root(len(number_N), config.levels), config.codebook_size)
    # Where the codes do not suffice, neighbouring numbers share a path and the last code tells them apart.
    number_N = number_N // -(-len(number_N) // base**config.levels)
    powers_L = base ** np.arange(config.levels - 1, -1, -1, dtype=np.int64)
    return np.asarray(number_N[:, None] // powers_L % base, dtype=np.int32)


def _root(items: int, levels: int) -> int:
    """The smallest base, 2 or more, in which this many numbers have this many digits."""
    base = max(2, int(items ** (1 / levels)) - 1)
    while base**levels < items:
        base += 1
    return base


def _divide(graph: sp.csr_array, config: QuantizerConfig, seed: int) -> npt.NDArray[np.int32]:
    """Part of every item on every level. Shape: (N, L), int32."""
    items = graph.shape[0]
    parts = min(_root(items, config.levels + 1), config.codebook_size)
    codes_NL = np.zeros((items, config.levels), dtype=np.int32)
    waiting = [np.arange(items)]
    for level in range(config.levels):
        smaller = []
        for rows_M in waiting:
            code_M = _spectral_parts(graph[rows_M][:, rows_M], parts, config.iterations, seed)
            codes_NL[rows_M, level] = code_M
            smaller += [rows_M[code_M == part] for part in range(parts)]
        # A part that is small enough for the last code alone is divided no further.
        waiting = [rows_M for rows_M in smaller if len(rows_M) > parts]
    return codes_NL


def _spectral_parts(graph: sp.csr_array, parts: int, iterations: int, seed: int) -> npt.NDArray[np.int64]:
    """Regularised spectral clustering: k-means of the leading eigenvectors of the normalised graph.

    Every pair of items gets a weak edge, together as strong as the graph's mean degree (Amini et al. 2013): without it
    an item without edges, or a few with edges only among themselves, would be a part of their own. Shape: (M,), int64.
    """
    items = graph.shape[0]
    if items <= parts:
        return np.arange(items)
    if not graph.nnz:
        # Nothing tells these items apart: parts of equal size, so that none outgrows the last code.
        return np.asarray(np.arange(items) * parts // items)
    degree_M = np.asarray(graph.sum(axis=1)).ravel()
    weak = max(float(degree_M.mean()), 1e-9)
    root_M = (degree_M + weak) ** -0.5
    if items <= _DENSE:
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
