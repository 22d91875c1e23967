"""Turns the text or typed columns of an events table into numbers: moments, positions and ratings.

Knows nothing of users and items. Every parser answers for all rows at once and says which rows have no value
and which have a bad one.

A timestamp is a whole or decimal number of seconds since 1970, or an ISO-8601 date or date-time (UTC where it
names no zone). Numbers from 1e11 on are read as milliseconds, from 1e14 on as microseconds, from 1e17 on as
nanoseconds: as seconds they would lie past the year 5138.
"""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Parsed", "parse_positions", "parse_ratings", "parse_timestamps"]

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"
_WHOLE = r"^[+-]?(\d{1,18}|[1-8]\d{18})$"  # fits into 64 bits
_MICRO = 1_000_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ONE_MICROSECOND = datetime.timedelta(microseconds=1)


class Parsed(NamedTuple):
    """One number per row.

    values: (R,) int64 microseconds, int64 positions or float32 ratings; 0 where there is none.
    empty: (R,) bool, the row has no value.  bad: (R,) bool, the row has a value that breaks the rule.
    """

    values: npt.NDArray[Any]
    empty: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]


def parse_timestamps(column: Any) -> Parsed:
    """Moments in microseconds since 1970.

    Args:
        column: Text, numbers, or Parquet dates and timestamps. Shape: (R,).
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        empty = _mask(pc.is_null(column))
        zone = getattr(column.type, "tz", None)
        micros = column.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64())
        return Parsed(_int64(micros), empty, np.zeros(len(empty), dtype=np.bool_))
    numbers, empty, bad = _numbers(column)
    size = np.abs(numbers.floats)
    per_second = np.select([size < 1e11, size < 1e14, size < 1e17], [1, 10**3, 10**6], default=10**9)
    exact = _rescaled(numbers.wholes, per_second)
    # Python floats keep microseconds until the year 2255 or so, which is all a float timestamp holds.
    rough = np.where(np.isfinite(numbers.floats), numbers.floats, 0.0) / per_second * _MICRO
    values = np.where(numbers.is_whole, exact, np.clip(np.round(rough), -9e18, 9e18).astype(np.int64))
    if bad.any():
        rows = np.flatnonzero(bad)
        texts = pc.utf8_trim_whitespace(_text(column).take(pa.array(rows)))
        encoded = texts.dictionary_encode()
        moments = [_iso_micros(text) for text in encoded.dictionary.to_pylist()]
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        parsed = np.array([moments[code] is not None for code in codes], dtype=np.bool_)
        values[rows] = [moments[code] or 0 for code in codes]
        bad[rows[parsed]] = False
    values[bad | empty] = 0
    return Parsed(values, empty, bad)


def parse_positions(column: Any) -> Parsed:
    """Positions in a user's sequence: whole numbers, also when written as ``3.0``. Shape of column: (R,)."""
    numbers, empty, bad = _numbers(column)
    floats = np.where(np.isfinite(numbers.floats), numbers.floats, 0.0)
    bad |= ~empty & ((floats != np.floor(floats)) | (np.abs(floats) >= 2**62))
    values = np.where(numbers.is_whole, numbers.wholes, np.where(bad, 0, floats).astype(np.int64))
    values[bad | empty] = 0
    return Parsed(values, empty, bad)


def parse_ratings(column: Any) -> Parsed:
    """Ratings: finite numbers; nan where there is none. Shape of column: (R,)."""
    numbers, empty, bad = _numbers(column)
    bad |= np.abs(numbers.floats) > np.finfo(np.float32).max
    values = np.where(bad | empty, np.nan, numbers.floats).astype(np.float32)
    return Parsed(values, empty, bad)


class _Numbers(NamedTuple):
    floats: npt.NDArray[np.float64]
    wholes: npt.NDArray[np.int64]
    is_whole: npt.NDArray[np.bool_]


def _numbers(column: Any) -> tuple[_Numbers, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Each row as a float and, where it is written as one, as a whole number; the empty and the bad rows."""
    kind = column.type
    if pa.types.is_integer(kind):
        empty = _mask(pc.is_null(column))
        if pa.types.is_uint64(kind):
            column = pc.min_element_wise(column, pa.scalar(2**62, pa.uint64()), skip_nulls=False)
        wholes = _int64(column.cast(pa.int64()))
        return (
            _Numbers(wholes.astype(np.float64), wholes, ~empty),
            empty,
            np.zeros(len(empty), dtype=np.bool_),
        )
    if pa.types.is_floating(kind):
        floats = _float64(column.cast(pa.float64()))
        empty = np.isnan(floats)
        zeros = np.zeros(len(floats), dtype=np.int64)
        return _Numbers(np.where(empty, 0.0, floats), zeros, zeros.astype(np.bool_)), empty, np.isinf(floats)
    text = pc.utf8_trim_whitespace(_text(column))
    empty = _mask(pc.equal(text, ""))
    is_whole = _mask(pc.match_substring_regex(text, _WHOLE))
    is_number = is_whole | _mask(pc.match_substring_regex(text, _NUMBER))
    # Arrow's parser knows no plus sign.
    bare = pc.replace_substring_regex(text, r"^\+", "")
    wholes = _int64(pc.if_else(pa.array(is_whole), bare, "0").cast(pa.int64()))
    floats = _float64(pc.if_else(pa.array(is_number), bare, "0").cast(pa.float64()))
    bad = ~empty & (~is_number | np.isinf(floats))
    return _Numbers(floats, wholes, is_whole), empty, bad


def _rescaled(wholes: npt.NDArray[np.int64], per_second: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    up = np.maximum(_MICRO // per_second, 1)
    down = np.maximum(per_second // _MICRO, 1)
    return np.asarray(wholes * up // down, dtype=np.int64)


def _iso_micros(text: str) -> int | None:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    try:
        return (moment - _EPOCH) // _ONE_MICROSECOND
    except OverflowError:
        return None


def _text(column: Any) -> Any:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
    return pc.fill_null(column.cast(pa.large_string()), "")


def _mask(array: Any) -> npt.NDArray[np.bool_]:
    return np.asarray(
        array.to_numpy(zero_copy_only=False) if isinstance(array, pa.Array) else array.to_numpy(),
        dtype=np.bool_,
    )


def _int64(array: Any) -> npt.NDArray[np.int64]:
    filled = pc.fill_null(array, 0)
    return np.array(filled, dtype=np.int64)


def _float64(array: Any) -> npt.NDArray[np.float64]:
    filled = pc.fill_null(array, float("nan"))
    return np.array(filled, dtype=np.float64)
