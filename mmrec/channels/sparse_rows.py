"""Sparse rows of words, a few of which can change without the others being copied.

The rows that were there first lie in one matrix that is never written to, and whose postings (the items of each word)
are made once for all that come after it. Rows that were set since lie in a small one beside it, until there are so many
of them that the two are made one. The unit of work is one change or one question; knows nothing about texts and scores.
"""

# Axes: N rows, M rows that change, K rows beside the first ones, B questions, V vocabulary

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.errors import InvalidArgumentError

Rows = npt.NDArray[np.int64]

_MOST_BESIDE = 8
"""The rows beside the first ones are joined with them when they are more than one in so many..."""
_FEWEST_BESIDE = 1024
"""... and more than these."""


class _Matrix:
    """Rows that are never written to, and their postings.

    Args:
        rows: Shape: (R, V) CSR.
    """

    def __init__(self, rows: sp.csr_array) -> None:
        self.rows = rows

    @cached_property
    def postings(self) -> sp.csr_array:
        """The rows of each word. Shape: (V, R) CSR."""
        return self.rows.T.tocsr()


class WordRows:
    """Rows of one state of a catalogue. Safe to read from any thread; two that first ask at once work twice.

    Args:
        rows: Shape: (N, V) CSR, float32; kept, and never changed.
    """

    def __init__(self, rows: sp.csr_array) -> None:
        self._first = _Matrix(rows)
        self._later = _Matrix(rows[:0])
        self._rows_K: Rows = np.empty(0, np.int64)
        self._items = int(rows.shape[0])

    def over(self, rows_M: Rows, values: sp.csr_array, items: int) -> WordRows:
        """The rows of a changed catalogue; these stay as they are.

        Args:
            rows_M: Rows that are set, none twice. Shape: (M,), int64.
            values: What they are set to. Shape: (M, V) CSR.
            items: Rows from then on; those that are new and not set are zero.

        Raises:
            InvalidArgumentError: there are fewer rows than before, or what is set lies past them or is of another
                vocabulary.
        """
        if items < self._items or values.shape != (len(rows_M), self.words) or int(rows_M.max(initial=-1)) >= items:
            raise InvalidArgumentError(
                f"{len(rows_M)} rows of a {self._items} x {self.words} matrix are set to a {values.shape} one, to make "
                f"{items} rows; set rows below that number to as many of as many words, and take none away"
            )
        made = WordRows.__new__(WordRows)
        made._first, made._items = self._first, items
        keep_K = ~np.isin(self._rows_K, rows_M)
        later = self._later.rows if keep_K.all() else self._later.rows[keep_K]
        made._later = _Matrix(sp.vstack([later, values], format="csr", dtype=self._first.rows.dtype))
        made._rows_K = np.concatenate([self._rows_K[keep_K], rows_M])
        if len(made._rows_K) > max(_FEWEST_BESIDE, self._first.rows.shape[0] // _MOST_BESIDE):
            made = WordRows(made.matrix)
            if "postings" in vars(self._first):
                _ = made._first.postings  # so that whoever changes waits for them, and no question does
        return made

    def __len__(self) -> int:
        return self._items

    @property
    def words(self) -> int:
        """Columns: V."""
        return int(self._first.rows.shape[1])

    @cached_property
    def matrix(self) -> sp.csr_array:
        """All rows in one, as a catalogue made anew would have them; made when first asked for. Shape: (N, V) CSR."""
        if not len(self._rows_K) and self._items == self._first.rows.shape[0]:
            return self._first.rows
        return self.take(np.arange(self._items))

    def take(self, rows_M: npt.NDArray[np.integer[Any]] | Sequence[int]) -> sp.csr_array:
        """Some rows, in their order. Shape: (M, V) CSR."""
        rows = np.asarray(rows_M, np.int64)
        first = self._first.rows
        if not len(self._rows_K) and self._items == first.shape[0]:
            return sp.csr_array(first[rows])
        order_K, sorted_K = self._order
        place_M = np.minimum(np.searchsorted(sorted_K, rows), max(0, len(sorted_K) - 1))
        later_M = sorted_K[place_M] == rows if len(sorted_K) else np.zeros(len(rows), np.bool_)
        beside = order_K[place_M[later_M]]
        here_M = ~later_M & (rows < first.shape[0])
        # First those of the first matrix, then those beside it, then one empty row for all that were never set.
        nothing = sp.csr_array((1, self.words), dtype=first.dtype)
        both = sp.vstack([first[rows[here_M]], self._later.rows[beside], nothing], format="csr")
        place_M = np.full(len(rows), both.shape[0] - 1)
        place_M[here_M] = np.arange(np.count_nonzero(here_M))
        place_M[later_M] = np.count_nonzero(here_M) + np.arange(len(beside))
        return sp.csr_array(both[place_M])

    def products(self, asked: sp.csr_array) -> npt.NDArray[np.float32]:
        """Inner products of asked rows with every row, to the bit those with `matrix`.

        Args:
            asked: Shape: (B, V) CSR.

        Returns:
            Shape: (B, N), float32.
        """
        found = (asked @ self._first.postings).toarray()
        if not len(self._rows_K) and self._items == found.shape[1]:
            return np.asarray(found, np.float32)
        found_BN = np.zeros((found.shape[0], self._items), np.float32)
        found_BN[:, : found.shape[1]] = found
        found_BN[:, self._rows_K] = (asked @ self._later.postings).toarray()
        return found_BN

    @cached_property
    def _order(self) -> tuple[Rows, Rows]:
        """What sorts the rows beside the first ones, and these sorted."""
        order_K = np.argsort(self._rows_K, kind="stable")
        return order_K, self._rows_K[order_K]
