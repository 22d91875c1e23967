"""Parses a column of times, and finds the format of each value.

Unit of work: one column. Knows nothing of users and items.

A timestamp is a number of seconds since 1970, or an ISO-8601 date or date-time (UTC where it names no zone; slashes for
hyphens, and ``UTC`` at the end, are understood). Numbers from 1e11 on are milliseconds, from 1e14 on microseconds, from
1e17 on nanoseconds: as seconds they would lie past the year 5138. Numbers that spell a date (20240531, 202405311015,
20240531101502) are dates if all numbers of that size in the column spell dates: as seconds or milliseconds they would
be in 1970, in 1976 or past the year 2500.
"""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.arrow_text import as_text
from mmrec.data.number_columns import Numbers, as_int64, as_mask, read_numbers

TIME_FORMATS = (
    "no time",
    "seconds since 1970",
    "milliseconds since 1970",
    "microseconds since 1970",
    "nanoseconds since 1970",
    "dates like 2024-05-31",
    "dates with a time, without a zone",
    "dates with a time and a zone",
    "dates like 20240531",
    "dates like 202405311015",
    "dates like 20240531101502",
    "dates of Parquet",
)
"""Formats of a time; `ParsedTimes.format_R` holds indices of this tuple."""

_MICRO = 1_000_000
EARLIEST = 631_152_000 * _MICRO
"""Microseconds since 1970 (1 January 1990); earlier events are suspicious."""

_FIRST_YEAR, _LAST_YEAR = 1990, 2099
_COMPACT = ((1e7, 1e8, 0, 8), (1e11, 1e12, 2, 9), (1e13, 1e14, 3, 10))
"""Numbers that spell dates: lowest, upper bound, pairs of time digits, index in `TIME_FORMATS`."""
_EXCEL = (32_874, 73_050)
"""Serial numbers of 1 January 1990 and 1 January 2100 in a spreadsheet."""

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_ONE_MICROSECOND = datetime.timedelta(microseconds=1)
_NO_TIME = np.iinfo(np.int64).min
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_ZONED = r"(?i)(z|[+-]\d{2}(:?\d{2})?)$"


class ParsedTimes(NamedTuple):
    """One time per row.

    values: (R,) int64 microseconds since 1970; 0 where there is none.
    empty: (R,) bool, the row has no value.  bad: (R,) bool, the row has a value that is no time.
    format_R: (R,) int8, the format of the row as an index of `TIME_FORMATS`; 0 where there is no time.
    """

    values: npt.NDArray[np.int64]
    empty: npt.NDArray[np.bool_]
    bad: npt.NDArray[np.bool_]
    format_R: npt.NDArray[np.int8]


def parse_timestamps(column: Any) -> ParsedTimes:
    """Parse a column of times.

    Args:
        column: Text, numbers, or Parquet dates and timestamps. Shape: (R,).
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        empty = as_mask(pc.is_null(column))
        zone = getattr(column.type, "tz", None)
        micros = column.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64())
        format_R = np.where(empty, 0, 11).astype(np.int8)
        return ParsedTimes(as_int64(micros), empty, np.zeros(len(empty), dtype=np.bool_), format_R)
    numbers, empty, bad = read_numbers(column)
    values, format_R = _from_numbers(numbers)
    _read_compact(numbers, ~(empty | bad), values, format_R)
    if bad.any():
        rows = np.flatnonzero(bad)
        texts = pc.utf8_trim_whitespace(as_text(column).take(pa.array(rows)))
        micros_M, format_M = _from_texts(texts)
        values[rows], format_R[rows] = micros_M, format_M
        bad[rows[format_M > 0]] = False
    values[bad | empty] = 0
    format_R[bad | empty] = 0
    return ParsedTimes(values, empty, bad, format_R)


def spells_date(values: npt.NDArray[np.int64], pairs: int) -> npt.NDArray[np.bool_]:
    """Which whole numbers spell a date of 1990 to 2099, followed by `pairs` pairs of digits of a time."""
    return _spelled(values, pairs)[1]


def is_excel_serial(micros: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which values, read as seconds, are spreadsheet serial numbers of days from 1990 to 2099."""
    return (micros >= _EXCEL[0] * _MICRO) & (micros < _EXCEL[1] * _MICRO)


# --- numbers ----------------------------------------------------------------------------------------------------------


def _from_numbers(numbers: Numbers) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    size = np.abs(numbers.floats)
    per_second = np.select([size < 1e11, size < 1e14, size < 1e17], [1, 10**3, 10**6], default=10**9)
    format_R = np.select([size < 1e11, size < 1e14, size < 1e17], [1, 2, 3], default=4).astype(np.int8)
    exact = numbers.wholes * np.maximum(_MICRO // per_second, 1) // np.maximum(per_second // _MICRO, 1)
    # Python floats keep microseconds until the year 2255 or so, which is all a float timestamp holds.
    rough = np.where(np.isfinite(numbers.floats), numbers.floats, 0.0) / per_second * _MICRO
    values = np.where(numbers.is_whole, exact, np.clip(np.round(rough), -9e18, 9e18).astype(np.int64))
    return values, format_R


def _read_compact(
    numbers: Numbers, valid: npt.NDArray[np.bool_], values: npt.NDArray[np.int64], format_R: npt.NDArray[np.int8]
) -> None:
    """Read numbers as dates where all numbers of their size spell dates; otherwise some do by chance."""
    floats = np.where(np.isfinite(numbers.floats), numbers.floats, 0.0)
    for low, high, pairs, code in _COMPACT:
        # For 8 digits, all smaller numbers must spell dates too: as seconds they would be in 1970.
        at = np.flatnonzero(valid & (np.abs(floats) < high) & (np.abs(floats) >= (low if pairs else 0)))
        if not len(at):
            continue
        wholes = floats[at].astype(np.int64)  # exact below 2^53
        micros, spelled = _spelled(wholes, pairs)
        if spelled.all() and (wholes == floats[at]).all():
            values[at], format_R[at] = micros, code


def _spelled(wholes: npt.NDArray[np.int64], pairs: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Microseconds since 1970 of numbers that spell dates, and a mask of those that do."""
    rest, clock = np.divmod(np.maximum(wholes, 0), 100**pairs)
    year, month, day = rest // 10_000, rest // 100 % 100, rest % 100
    spelled = (year >= _FIRST_YEAR) & (year <= _LAST_YEAR) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(spelled, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - first
    spelled &= day <= length
    seconds = np.zeros(len(wholes), np.int64)
    for place in range(pairs):  # hours, minutes, seconds
        part = clock // 100 ** (pairs - 1 - place) % 100
        spelled &= part < (24 if place == 0 else 60)
        seconds += part * 60 ** (2 - place)
    return ((first + day - 1) * 86_400 + seconds) * _MICRO, spelled


# --- text -------------------------------------------------------------------------------------------------------------


def _from_texts(texts: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8]]:
    """Microseconds and format of texts that are no numbers; format 0 where they are no times. Shape: (M,)."""
    encoded = texts.dictionary_encode()
    distinct = pc.replace_substring_regex(encoded.dictionary, r"^(\d{4})[/.](\d{2})[/.](\d{2})", r"\1-\2-\3")
    distinct = pc.replace_substring_regex(distinct, r"(?i)\s*UTC$", "Z")
    zoned = as_mask(pc.match_substring_regex(distinct, r"\d\d:\d\d.*" + _ZONED))
    micros_D = np.full(len(distinct), _NO_TIME, dtype=np.int64)
    begins = as_mask(pc.match_substring_regex(distinct, r"^\d{4}-?[\dW]"))
    for mask, kind in ((~zoned, pa.timestamp("us")), (zoned, pa.timestamp("us", tz="UTC"))):
        at = np.flatnonzero(mask & begins)
        if len(at):
            micros_D[at] = _micros(distinct.take(pa.array(at)), kind)
    format_D = np.where(as_mask(pc.match_substring_regex(distinct, _DATE)), 5, np.where(zoned, 7, 6))
    format_D[micros_D == _NO_TIME] = 0
    codes = np.asarray(encoded.indices, dtype=np.int64)
    return np.where(micros_D == _NO_TIME, 0, micros_D)[codes], format_D[codes].astype(np.int8)


def _micros(texts: Any, kind: Any) -> npt.NDArray[np.int64]:
    """Microseconds of ISO-8601 texts, `_NO_TIME` for anything else."""
    try:
        return as_int64(texts.cast(kind).cast(pa.int64()))
    except pa.ArrowInvalid:  # one of them is unusual, or wrong
        return np.array([_iso_micros(text) for text in texts.to_pylist()], dtype=np.int64)


def _iso_micros(text: str) -> int:
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return (moment - _EPOCH) // _ONE_MICROSECOND
    except (ValueError, OverflowError):
        return _NO_TIME
