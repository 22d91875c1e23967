"""Rows of a table that changes: an immutable base and one small delta segment, merged by compaction.

Unit of work: one table (a NumPy, torch or Arrow array or a sparse matrix) with a row for each item. A change makes a
new value, which shares the base and has its own delta segment and row map; its cost is the size of these two. The old
value does not change. When the delta segment has grown to a share of the base, both are copied into a new base. Knows
nothing about the meaning of rows.
"""

# Axes: N rows, B rows of the base, D rows of the delta segment, M rows that are replaced, X rows that are read

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pyarrow as pa

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.background import between_steps

A = TypeVar("A")
B = TypeVar("B")

FEWEST_IN_DELTA = 1024
"""A delta segment is merged into the base when it has more rows than this ..."""
BASE_PER_DELTA = 16
"""... and more than one row for this many rows of the base."""


_DELTA_PER_PICKED = 8
"""The whole delta segment is scored where one row of so many, or more, are asked for: copying rows takes longer."""


def most_in_delta(base: int) -> int:
    """Most rows of a delta segment beside a base of `base` rows."""
    return max(FEWEST_IN_DELTA, base // BASE_PER_DELTA)


class Segmented(Generic[A]):
    """One value of a table.  Safe to read from any thread.

    Args:
        base: Never written to. Shape: (B, ...).
        place_N: Index of each row in the base followed by the delta segment, int32 of the library of `base`; None: the
            rows of the base. Shape: (N,).
        delta: Never written to; None for none. Shape: (D, ...).
    """

    __slots__ = ("base", "delta", "place_N")

    def __init__(self, base: A, place_N: Any = None, delta: A | None = None) -> None:
        self.base = base
        self.place_N = place_N
        self.delta = delta

    def __len__(self) -> int:
        return _rows(self.base if self.place_N is None else self.place_N)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array: (N, ...)."""
        return (len(self), *cast("Any", self.base).shape[1:])

    def __getitem__(self, rows: Any) -> Any:
        """One row, or a new array of several.

        Args:
            rows: A row number, or an array of the library of the table (of NumPy for those of Arrow and sparse
                matrices). Shape: any, integers.
        """
        base, delta = cast("Any", self.base), cast("Any", self.delta)
        if isinstance(rows, int | np.integer):
            at = int(rows) if self.place_N is None else int(self.place_N[rows])
            return base[at] if at < _rows(base) else delta[at - _rows(base)]
        if self.place_N is None:
            return _picked(base, rows)
        at_X = _picked(self.place_N, rows)
        changed_Y = [] if delta is None else _places(at_X >= _rows(base))
        return _gathered(base, delta, at_X, changed_Y) if len(changed_Y) else _picked(base, at_X)

    def whole(self) -> A:
        """All rows in one array; a copy unless it is the base. Shape: (N, ...)."""
        return self.base if self.place_N is None else cast("A", self[_numbers(self.base, len(self))])

    def scores(self, score: Callable[[A], B]) -> B:
        """A function of each row alone, for all rows; called once for the base and once for the delta segment.

        Args:
            score: Takes rows of shape (R, ...) and returns an array whose last axis has R entries.

        Returns:
            Shape: (..., N).
        """
        found: Any = score(self.base)
        if self.delta is not None:
            found = _joined([found, score(self.delta)], axis=-1)
        return cast("B", found if self.place_N is None else found[..., self.place_N])

    def scores_at(self, rows_X: Any, score: Callable[[A], B]) -> B:
        """A function of each row alone, for some rows; cheaper than a function of ``table[rows_X]``.

        Args:
            rows_X: As of ``table[rows_X]``, whose library has the results. Shape: (X,).
            score: As in `scores`.

        Returns:
            Shape: (..., X).
        """
        base, known = cast("Any", self.base), _rows(self.base)
        if self.place_N is None:
            return score(_picked(base, rows_X))
        at_X = _picked(self.place_N, rows_X)
        changed_Y = [] if self.delta is None else _places(at_X >= known)
        if not len(changed_Y):
            return score(_picked(base, at_X))
        if len(changed_Y) == len(at_X):
            return self._delta_scores(at_X - known, score)
        found: Any = score(_picked(base, at_X.clip(max=known - 1)))
        found[..., changed_Y] = self._delta_scores(at_X[changed_Y] - known, score)
        return cast("B", found)

    def _delta_scores(self, at_Y: Any, score: Callable[[A], B]) -> B:
        delta: Any = self.delta
        if len(at_Y) * _DELTA_PER_PICKED < _rows(delta):
            return score(_picked(delta, at_Y))
        return cast("B", cast("Any", score(delta))[..., at_Y])

    def mapped(self, function: Callable[[A], B]) -> Segmented[B]:
        """The table of a function of each row alone; it takes rows and returns as many."""
        return Segmented(function(self.base), self.place_N, None if self.delta is None else function(self.delta))

    @property
    def places_N(self) -> Any:
        """`place_N`, also when it is None. Shape: (N,), int32."""
        return _numbers(self.base, len(self)) if self.place_N is None else self.place_N

    def replaced(self, rows_M: Any, values_M: A) -> Segmented[A]:
        """A new table with some rows replaced or added.

        Args:
            rows_M: The rows, none twice; new ones follow the last row without a gap. Shape: (M,), int64.
            values_M: Their values. Shape: (M, ...).

        Raises:
            InvalidArgumentError: a row is negative, or leaves a gap after the end.
        """
        known, many = len(self), len(rows_M)
        if not many:
            return self
        between_steps()
        length = max(known, int(rows_M.max()) + 1)
        if int(rows_M.min()) < 0 or length - known > int((rows_M >= known).sum()):
            raise InvalidArgumentError(
                f"rows up to {length - 1} of a table of {known} are set; set rows that are there, or the next ones"
            )
        delta = values_M if self.delta is None else cast("A", _joined([self.delta, values_M]))
        place_N = _joined([self.places_N, _numbers(self.base, length - known)])
        place_N[rows_M] = _numbers(self.base, many) + (_rows(self.base) + _rows(delta) - many)
        made = Segmented(self.base, place_N, delta)
        if _rows(delta) > most_in_delta(_rows(self.base)):
            return Segmented(made.whole())
        return made


def scores_of(values: Segmented[A] | A, score: Callable[[A], B]) -> B:
    """`Segmented.scores`, also for a plain array."""
    return values.scores(score) if isinstance(values, Segmented) else score(values)


def _rows(values: Any) -> int:
    return int(values.shape[0]) if hasattr(values, "shape") else len(values)


def _numbers(base: Any, length: int) -> Any:
    """Numbers from 0, as int32 of the library of `base`."""
    if not _is_tensor(base):
        return np.arange(length, dtype=np.int32)
    import torch

    return torch.arange(length, dtype=torch.int32, device=base.device)


def _picked(values: Any, at_X: Any) -> Any:
    if isinstance(values, pa.Array):
        return values.take(pa.array(at_X))
    # Both are faster than indexing.
    if isinstance(values, np.ndarray) and isinstance(at_X, np.ndarray):
        return values.take(at_X, axis=0)
    if not _is_tensor(values) or values.requires_grad or not _is_tensor(at_X):
        return values[at_X]
    return values.index_select(0, at_X.reshape(-1)).view((*at_X.shape, *values.shape[1:]))


def _places(true_X: Any) -> Any:
    """Where a flattened array is true."""
    return true_X.reshape(-1).nonzero().squeeze(1) if _is_tensor(true_X) else np.flatnonzero(true_X)


def _gathered(base: Any, delta: Any, at_X: Any, changed_Y: Any) -> Any:
    """Rows of both segments in the order of their places.

    Args:
        base: The base.
        delta: The delta segment.
        at_X: Indices in both, one after the other.
        changed_Y: Where they are in the delta segment, flattened.
    """
    known = _rows(base)
    there_Y = at_X.reshape(-1)[changed_Y] - known
    if isinstance(base, np.ndarray) or _is_tensor(base):
        found = _picked(base, at_X.clip(max=known - 1))
        found.reshape(-1, *base.shape[1:])[changed_Y] = _picked(delta, there_Y)
        return found
    order_X = np.empty(len(at_X), np.int64)
    kept_X = np.flatnonzero(at_X < known)
    order_X[kept_X] = np.arange(len(kept_X))
    order_X[changed_Y] = len(kept_X) + np.arange(len(changed_Y))
    return _picked(_joined([_picked(base, at_X[kept_X]), _picked(delta, there_Y)]), order_X)


def _joined(parts: list[Any], axis: int = 0) -> Any:
    first = parts[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(parts, axis)
    if isinstance(first, pa.Array):
        return pa.concat_arrays(parts)
    if _is_tensor(first):
        import torch

        return torch.cat(parts, axis)
    import scipy.sparse as sp

    return sp.vstack(parts, format="csr", dtype=first.dtype)


def _is_tensor(values: Any) -> bool:
    return hasattr(values, "index_select")
