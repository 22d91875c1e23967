"""Turns the text or typed columns of an events table into numbers: positions and ratings.

Knows nothing of users and items, and nothing of times (`mmrec.data.time_parsing`). A parser handles all rows at
once, and returns which rows have no value and which have a bad one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.arrow_text import as_text

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_WHOLE = r"^[+-]?(\d{1,18}|[1-8]\d{18})$"  # fits into 64 bits


class Parsed(NamedTuple):
    """One number per row.

    values: (R,) int64 positions, 0 where there is none, or float32 ratings, nan where there is none.
    empty: (R,) bool, the row has no value.  bad: (R,) bool, the row has a value that breaks the rule.
    """

    values: npt.NDArray[Any]
    empty: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]


def parse_positions(column: Any) -> Parsed:
    """Positions in a user's sequence: whole numbers, also when written as ``3.0``. Shape of column: (R,)."""
    numbers, empty, bad = read_numbers(column)
    floats = np.where(np.isfinite(numbers.floats), numbers.floats, 0.0)
    bad |= ~empty & ((floats != np.floor(floats)) | (np.abs(floats) >= 2**62))
    values = np.where(numbers.is_whole, numbers.wholes, np.where(bad, 0, floats).astype(np.int64))
    values[bad | empty] = 0
    return Parsed(values, empty, bad)


def parse_ratings(column: Any) -> Parsed:
    """Ratings: finite numbers; nan where there is none. Shape of column: (R,)."""
    numbers, empty, bad = read_numbers(column)
    bad |= np.abs(numbers.floats) > np.finfo(np.float32).max
    values = np.where(bad | empty, np.nan, numbers.floats).astype(np.float32)
    return Parsed(values, empty, bad)


class Numbers(NamedTuple):
    """Each row as a float and, where it is written as one, as a whole number. Shape of each: (R,)."""

    floats: npt.NDArray[np.float64]
    wholes: npt.NDArray[np.int64]
    is_whole: npt.NDArray[np.bool_]


def read_numbers(column: Any) -> tuple[Numbers, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Each row as a number, and masks of the empty and of the bad rows. Shape of each mask: (R,), bool."""
    kind = column.type
    if pa.types.is_integer(kind):
        empty = as_mask(pc.is_null(column))
        if pa.types.is_uint64(kind):
            column = pc.min_element_wise(column, pa.scalar(2**62, pa.uint64()), skip_nulls=False)
        wholes = as_int64(column.cast(pa.int64()))
        return (
            Numbers(wholes.astype(np.float64), wholes, ~empty),
            empty,
            np.zeros(len(empty), dtype=np.bool_),
        )
    if pa.types.is_floating(kind):
        floats = _float64(column.cast(pa.float64()))
        empty = np.isnan(floats)
        zeros = np.zeros(len(floats), dtype=np.int64)
        return Numbers(np.where(empty, 0.0, floats), zeros, zeros.astype(np.bool_)), empty, np.isinf(floats)
    text = pc.utf8_trim_whitespace(as_text(column))
    empty = as_mask(pc.equal(text, ""))
    is_whole = as_mask(pc.match_substring_regex(text, _WHOLE))
    is_number = is_whole | as_mask(pc.match_substring_regex(text, _NUMBER))
    # Arrow's parser knows no plus sign.
    bare = pc.replace_substring_regex(text, r"^\+", "")
    wholes = as_int64(pc.if_else(pa.array(is_whole), bare, "0").cast(pa.int64()))
    floats = _float64(pc.if_else(pa.array(is_number), bare, "0").cast(pa.float64()))
    bad = ~empty & (~is_number | np.isinf(floats))
    return Numbers(floats, wholes, is_whole), empty, bad


def as_mask(array: Any) -> npt.NDArray[np.bool_]:
    """A pyarrow column of booleans without nulls as numpy. Shape: (R,)."""
    return np.asarray(array, dtype=np.bool_)


def as_int64(array: Any) -> npt.NDArray[np.int64]:
    """A pyarrow column of whole numbers as numpy, 0 where there is none. Shape: (R,)."""
    filled = pc.fill_null(array, 0)
    return np.array(filled, dtype=np.int64)


def _float64(array: Any) -> npt.NDArray[np.float64]:
    filled = pc.fill_null(array, float("nan"))
    return np.array(filled, dtype=np.float64)
