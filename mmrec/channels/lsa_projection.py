"""LSA projection: TF-IDF rows projected to a few hundred dimensions, and items with similar words.

Works on catalogue rows; knows nothing about models. A sentence embedding describes what an item is about; the
projection keeps which words it has (a brand, a product line, a director), which often predicts the next item better.

Source: latent semantic analysis (Deerwester et al. 1990), by the randomised decomposition of Halko et al. 2011
(arXiv:0909.4061).
"""

# Axes: N items, V vocabulary, S projected dimensions, K neighbours

from __future__ import annotations

import itertools
from typing import NamedTuple

import faiss
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

EXACT_ITEMS = 50_000
"""Items up to which every pair's TF-IDF cosine is computed; beyond, neighbours are searched among projections."""

RARE_ITEMS = 2_000
"""In a larger catalogue, terms of at most this many items propose neighbours."""

_ROWS_AT_ONCE = 1024
_QUERIES_AT_ONCE = 64
_PROPOSED = 8
"""Candidates per neighbour that is returned."""


class LsaProjection(NamedTuple):
    """The main directions of a catalogue's TF-IDF rows.

    Attributes:
        components_VS: Projects TF-IDF rows. Shape: (V, S), float32.
    """

    components_VS: npt.NDArray[np.float32]

    def of(self, rows: sp.csr_array) -> npt.NDArray[np.float32]:
        """Projected TF-IDF rows, of unit mean square norm over the fitted catalogue. Shape: (N, S), float32."""
        return np.asarray(rows @ self.components_VS, dtype=np.float32)


def fit_lsa_projection(rows: sp.csr_array, dimensions: int, *, seed: int) -> LsaProjection:
    """Fit the projection.

    Args:
        rows: TF-IDF rows of the catalogue. Shape: (N, V) CSR, float32.
        dimensions: Most dimensions; a small catalogue or vocabulary has fewer, down to none.
        seed: Seed of the randomised decomposition.
    """
    dimensions = min(dimensions, min(rows.shape) - 1)
    if dimensions < 1 or not rows.nnz:
        return LsaProjection(np.zeros((rows.shape[1], 0), dtype=np.float32))
    from sklearn.decomposition import TruncatedSVD

    svd = TruncatedSVD(dimensions, random_state=seed)
    projected_NS = svd.fit_transform(rows)
    scale = 1 / np.sqrt(max(float((projected_NS**2).sum(axis=1).mean()), 1e-12))
    return LsaProjection(np.ascontiguousarray(svd.components_.T * scale, dtype=np.float32))


def nearest_rows(
    rows: sp.csr_array, projected_NS: npt.NDArray[np.float32], among_N: npt.NDArray[np.bool_], keep: int
) -> sp.csr_array:
    """Cosines of every item to the `keep` other items with the most similar words.

    Args:
        rows: TF-IDF rows of unit norm. Shape: (N, V) CSR.
        projected_NS: Their projections, used for more than `EXACT_ITEMS` items. Shape: (N, S), float32.
        among_N: Which items may be neighbours. Shape: (N,), bool.
        keep: 1 or more.

    Returns:
        Positive cosines. Shape: (N, N) CSR, float32.
    """
    items = rows.shape[0]
    neighbours_M = np.flatnonzero(among_N)
    if not len(neighbours_M):
        return sp.csr_array((items, items), dtype=np.float32)
    keep = min(keep + 1, len(neighbours_M))
    if items > EXACT_ITEMS and projected_NS.shape[1]:
        cosine_NK, found_NK = _search(projected_NS, neighbours_M, keep)
    else:
        columns = rows[neighbours_M].T.tocsr()
        parts = []
        for begin in range(0, items, _ROWS_AT_ONCE):
            cosine_RM = (rows[begin : begin + _ROWS_AT_ONCE] @ columns).toarray()
            # A stable sort: with equal cosines the lower row comes first.
            place_RK = np.argsort(-cosine_RM, axis=1, kind="stable")[:, :keep]
            parts.append((np.take_along_axis(cosine_RM, place_RK, axis=1), place_RK))
        cosine_NK = np.concatenate([cosine for cosine, _ in parts])
        found_NK = np.concatenate([place for _, place in parts])
    found_NK = np.where(found_NK >= 0, neighbours_M[found_NK], -1)
    use_NK = (found_NK >= 0) & (found_NK != np.arange(items)[:, None]) & (cosine_NK > 0)
    row_E, place_E = np.nonzero(use_NK)
    values_E = cosine_NK[row_E, place_E].astype(np.float32)
    return sp.coo_array((values_E, (row_E, found_NK[row_E, place_E])), shape=(items, items)).tocsr()


class WordIndex(NamedTuple):
    """An index of items by their words, to find items with similar words for any TF-IDF rows.

    Attributes:
        columns: Items by term, for the terms that propose neighbours. Shape: (V, N) CSR, float32.
        rows: Rows for exact cosines; None when `columns` has all terms. Shape: (N, V) CSR, float32.
    """

    columns: sp.csr_array
    rows: sp.csr_array | None

    def nearest(self, queries: sp.csr_array, keep: int, without: npt.NDArray[np.int64] | None = None) -> sp.csr_array:
        """Cosines to the `keep` items with the most similar words.

        Args:
            queries: TF-IDF rows of unit norm. Shape: (M, V) CSR.
            keep: 1 or more.
            without: Rows that must not be returned. Shape: (X,).

        Returns:
            Positive cosines; the lower column wins ties. Shape: (M, N) CSR, float32.
        """
        parts = []
        open_N = np.ones(self.columns.shape[1], np.float32)
        open_N[[] if without is None else without] = 0
        for begin in range(0, queries.shape[0], _QUERIES_AT_ONCE):
            some = queries[begin : begin + _QUERIES_AT_ONCE]
            cosine = sp.csr_array(some @ self.columns)
            cosine.data *= open_N[cosine.indices]
            if self.rows is not None:
                cosine = _compared(some, self.rows, _largest(cosine, keep * _PROPOSED))
            parts.append(_largest(cosine, keep))
        return sp.vstack(parts, format="csr") if parts else sp.csr_array((0, self.columns.shape[1]), dtype=np.float32)


def index_words(rows: sp.csr_array, among_N: npt.NDArray[np.bool_]) -> WordIndex:
    """An index of the items that may be neighbours.

    Up to `EXACT_ITEMS` items it is exact. Beyond, very frequent terms propose no candidates, so an item that shares
    only such terms is not found. Cosines are always exact.

    Args:
        rows: TF-IDF rows of unit norm. Shape: (N, V) CSR.
        among_N: Which items may be neighbours. Shape: (N,), bool.
    """
    chosen = sp.csr_array(sp.diags_array(among_N.astype(np.float32), format="csr") @ rows)
    columns = sp.csr_array(chosen.T.tocsr())
    columns.eliminate_zeros()
    if np.count_nonzero(among_N) <= EXACT_ITEMS:
        return WordIndex(columns, None)
    rare_V = np.diff(columns.indptr) <= RARE_ITEMS
    columns = sp.csr_array(sp.diags_array(rare_V.astype(np.float32), format="csr") @ columns)
    columns.eliminate_zeros()
    return WordIndex(columns, rows)


def _largest(matrix: sp.csr_array, keep: int) -> sp.csr_array:
    """The `keep` largest positive entries of each row; the lower column wins ties."""
    ends, columns, values = [0], [], []
    for begin, end in itertools.pairwise(matrix.indptr.tolist()):
        value_E, column_E = matrix.data[begin:end], matrix.indices[begin:end]
        # Sort only entries that are at least the `keep`-th largest.
        least = np.partition(value_E, -keep)[-keep] if len(value_E) > keep else 0.0
        large_E = np.flatnonzero((value_E >= least) & (value_E > 0))
        value_E, column_E = value_E[large_E], column_E[large_E]
        order_K = np.lexsort((column_E, -value_E))[:keep]
        values.append(value_E[order_K])
        columns.append(column_E[order_K])
        ends.append(ends[-1] + len(order_K))
    if len(ends) == 1:
        return sp.csr_array(matrix.shape, dtype=np.float32)
    flat = (np.concatenate(values).astype(np.float32), np.concatenate(columns), np.array(ends))
    return sp.csr_array(flat, shape=matrix.shape)


def _compared(queries: sp.csr_array, rows: sp.csr_array, proposed: sp.csr_array) -> sp.csr_array:
    """Exact cosines of the proposed pairs."""
    row_E = np.repeat(np.arange(proposed.shape[0]), np.diff(proposed.indptr))
    cosine_E = queries[row_E].multiply(rows[proposed.indices]).sum(axis=1)
    return sp.csr_array((np.asarray(cosine_E), proposed.indices, proposed.indptr), shape=proposed.shape)


def _search(
    projected_NS: npt.NDArray[np.float32], neighbours_M: npt.NDArray[np.int64], keep: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    unit_NS = projected_NS / np.maximum(np.linalg.norm(projected_NS, axis=1, keepdims=True), 1e-12)
    unit_NS = np.ascontiguousarray(unit_NS, dtype=np.float32)
    lists = int(4 * np.sqrt(len(neighbours_M)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(unit_NS.shape[1]), unit_NS.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.train(unit_NS[neighbours_M])
    index.add(unit_NS[neighbours_M])
    index.nprobe = 16
    cosine_NK, found_NK = index.search(unit_NS, keep)
    return cosine_NK, found_NK
