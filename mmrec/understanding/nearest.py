"""Exact nearest vectors: inner products with every row, and a top k that does not depend on the batch.

Works on arrays; knows nothing about indexes. A float32 product of matrices rounds differently for one query than for a
thousand, and differently for equal rows at different places. So it only selects candidates: everything within
rounding of the k-th best is scored again, row by row, in float64. Batched therefore equals single, and equal rows have
equal scores.
"""

# Axes: N vectors, Q queries, D dimensions, K results, M candidates

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.segments import Segmented, scores_of
from mmrec.errors import InvalidArgumentError

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Vectors = Floats | Segmented[Floats]

_ROUNDING = 1e-5
"""Bound of the rounding error of a float32 product of two unit vectors of thousands of dimensions."""
_SCORES_AT_ONCE = 2**25
_ROWS_AT_ONCE = 16_384


class Neighbours(NamedTuple):
    """Rows by similarity, best first, the lower row first where scores are equal.

    Attributes:
        rows_QK: Shape: (Q, K), int64.
        scores_QK: Inner products, so cosines for unit vectors. Shape: (Q, K), float32.
    """

    rows_QK: Rows
    scores_QK: Floats


def nearest_exactly(
    vectors_ND: Vectors, queries_QD: Floats, k: int, eligible_N: npt.NDArray[np.bool_] | None = None
) -> Neighbours:
    """The k nearest rows of each query, by brute force.

    Args:
        vectors_ND: Shape: (N, D), float32.
        queries_QD: Shape: (Q, D), float32.
        k: How many at most, at least 1.
        eligible_N: Rows that may be returned; None for all. Shape: (N,), bool.

    Returns:
        K is min(k, rows that may be returned).
    """
    rows_M = None if eligible_N is None else np.flatnonzero(eligible_N)
    eligible = len(vectors_ND) if rows_M is None else len(rows_M)
    results = min(k, eligible)
    found = Neighbours(np.empty((len(queries_QD), results), np.int64), np.empty((len(queries_QD), results), np.float32))
    if not results or not len(queries_QD):
        return found
    # Gathering rows costs about as much as scoring them: not worth it when most are eligible.
    gathered_MD = None if rows_M is None or 2 * eligible > len(vectors_ND) else vectors_ND[rows_M]
    searched_MD = vectors_ND if gathered_MD is None else gathered_MD
    step = max(1, _SCORES_AT_ONCE // len(searched_MD))
    for at in range(0, len(queries_QD), step):
        asked_QD = queries_QD[at : at + step]
        scores_QM = scores_of(searched_MD, partial(_products, asked_QD))
        if gathered_MD is None and eligible_N is not None:
            scores_QM[:, ~eligible_N] = -np.inf
        for place, scores_M in enumerate(scores_QM, start=at):
            candidates_M = _near_best(scores_M, results)
            if gathered_MD is not None and rows_M is not None:
                candidates_M = rows_M[candidates_M]
            rows_K, scores_K = best_of(vectors_ND, queries_QD[place], candidates_M, results)
            found.rows_QK[place], found.scores_QK[place] = rows_K, scores_K
    return found


def nearest_nearly(vectors_ND: Segmented[Floats], queries_QD: Floats, k: int, rows_M: Rows) -> list[Rows]:
    """Of some rows, all that may be among the k nearest of each query: those within rounding of the k-th best.

    Args:
        vectors_ND: Shape: (N, D), float32.
        queries_QD: Shape: (Q, D), float32.
        k: At least 1.
        rows_M: The rows. Shape: (M,).
    """
    if len(rows_M) <= k:
        return [rows_M] * len(queries_QD)
    scores_QM = vectors_ND.scores_at(rows_M, partial(_products, queries_QD))
    return [rows_M[_near_best(scores_M, k)] for scores_M in scores_QM]


def _near_best(scores_M: Floats, k: int) -> Rows:
    """Places of the scores within rounding of the k-th best."""
    last = np.partition(scores_M, len(scores_M) - k)[len(scores_M) - k]
    return np.flatnonzero(scores_M >= last - _ROUNDING)


def _products(queries_QD: Floats, vectors_MD: Floats) -> Floats:
    return np.asarray(queries_QD @ vectors_MD.T, np.float32)


def best_of(vectors_ND: Vectors, query_D: Floats, candidates_M: Rows, k: int) -> tuple[Rows, Floats]:
    """The k best of some rows and their scores, the lower row first where scores are equal."""
    scores_M = exact_scores(vectors_ND, query_D, candidates_M)
    order_K = np.lexsort((candidates_M, -scores_M))[:k]
    return candidates_M[order_K], scores_M[order_K]


def exact_scores(vectors_ND: Vectors, query_D: Floats, rows_M: Rows) -> Floats:
    """Inner products of a query with some rows, summed in float64, each for itself. Shape: (M,), float32."""
    query = query_D.astype(np.float64)
    scores_M = np.empty(len(rows_M), np.float32)
    for at in range(0, len(rows_M), _ROWS_AT_ONCE):
        rows = rows_M[at : at + _ROWS_AT_ONCE]
        scores_M[at : at + len(rows)] = (vectors_ND[rows].astype(np.float64) * query).sum(axis=1)
    return scores_M


def check_vectors(vectors_ND: npt.NDArray[np.floating], field: str, *, dimension: int | None = None) -> Floats:
    """The vectors as float32, not copied where they are, if they are unit or zero rows.

    Args:
        vectors_ND: Shape: (N, D).
        field: What to call them in an error.
        dimension: The D they must have; None for any.

    Raises:
        InvalidArgumentError: they are not a matrix, of another dimension, not finite, or rows are neither of unit norm
            nor zero.
    """
    found = np.asarray(vectors_ND)
    if found.ndim != 2 or found.dtype.kind != "f" or found.shape[1] == 0:
        raise InvalidArgumentError(
            f"{field} has shape {found.shape} and type {found.dtype}; it must be a matrix of numbers, one row each",
            field=field,
        )
    if dimension is not None and found.shape[1] != dimension:
        raise InvalidArgumentError(
            f"{field} has {found.shape[1]} dimensions, and {dimension} are needed; use the encoders of the others",
            field=field,
        )
    checked = np.asarray(found, dtype=np.float32)
    squared_N = np.einsum("nd,nd->n", checked, checked)
    # NaN is unequal to everything, so it fails here too.
    fine_N = (np.abs(squared_N - 1.0) <= 0.02) | (squared_N == 0)
    if not fine_N.all():
        row = int(np.argmin(fine_N))
        raise InvalidArgumentError(
            f"{field}[{row}] has norm {float(np.sqrt(squared_N[row])):.4g}; rows must be finite and of unit norm, or "
            "zero where there is nothing: normalise them",
            field=field,
        )
    return checked
