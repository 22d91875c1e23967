"""Reads the column of an events table that orders the events, and reports what is suspicious about it.

Unit of work: one column of one table. Knows nothing of users and items. Suspicious times are reported and used;
only an event whose time cannot be read is left out.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.number_columns import Parsed, parse_positions
from mmrec.data.problems import Problem, ProblemLog, quoted
from mmrec.data.row_problems import report_rows, report_values
from mmrec.data.summary import ColumnUse
from mmrec.data.tables import Table
from mmrec.data.time_parsing import EARLIEST, TIME_FORMATS, ParsedTimes, is_excel_serial, parse_timestamps, spells_date

BAD_TIMESTAMP = "bad timestamp"
BAD_POSITION = "bad position"

_MICRO = 1_000_000
_TWO_DAYS = 2 * 86_400 * _MICRO
"""Tolerance for wrong clocks and missing time zones."""
_HINT_SAMPLE = 10_000
_LAST_COUNT = TIME_FORMATS.index("nanoseconds since 1970")

_TIME_RULE = (
    "a timestamp is a number of seconds or milliseconds since 1970, or an ISO-8601 date like 2024-05-31, or a date and "
    "time like 2024-05-31T10:15:02"
)
_BAD_TIMES = (
    (
        r"^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}",
        "the day or the month comes first in these, and which one a file cannot say; write dates as 2024-05-31",
    ),
    (r"(?i)\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", "write the month as a number, as in 2024-05-31"),
    (r"(?i)^(nan|none|null|nat|n/?a|-)$", "where there is no time, leave the field empty"),
    (r"^\d{1,2}:\d{2}", "a time of day needs its date, as in 2024-05-31T10:15:02"),
)


def read_times(table: Table, log: ProblemLog, now: datetime.datetime) -> tuple[ParsedTimes, ColumnUse]:
    """Parse the column ``timestamp``.

    Args:
        table: Has the column.
        log: Takes bad and suspicious times.
        now: Time with a zone; later events are suspicious.
    """
    times = parse_timestamps(table.columns["timestamp"])
    bad = np.flatnonzero(times.bad)
    if len(bad):
        sample = table.text("timestamp").take(bad[:_HINT_SAMPLE])
        hints = [words for pattern, words in _BAD_TIMES if pc.any(pc.match_substring_regex(sample, pattern)).as_py()]
        report_values(
            log,
            table,
            bad,
            "timestamp",
            BAD_TIMESTAMP,
            lambda value: f"timestamp is {quoted(value)}; {_TIME_RULE}",
            hint="; ".join(hints),
        )
    _report_empty(table, "timestamp", times.empty, log)
    counts = np.bincount(times.format_R, minlength=len(TIME_FORMATS))[1:]
    _report_mixed(table, times, counts, log)
    _report_suspicious(table, times, now, log)
    return times, ColumnUse("timestamp", _format_summary(times, counts))


def read_positions(table: Table, log: ProblemLog, *, ties: bool) -> tuple[Parsed, ColumnUse]:
    """Parse the column ``position`` as whole numbers.

    Args:
        table: Has the column.
        log: Takes bad positions.
        ties: Whether the position only orders events with equal timestamps.
    """
    parsed = parse_positions(table.columns["position"])
    bad = np.flatnonzero(parsed.bad)
    if len(bad):
        report_values(
            log,
            table,
            bad,
            "position",
            BAD_POSITION,
            lambda value: f"position is {quoted(value)}; a position is a whole number",
        )
    if not ties:
        _report_empty(table, "position", parsed.empty, log)
    words = "orders events of one moment" if ties else "orders the events of a user"
    return parsed, ColumnUse("position", words)


def _report_empty(table: Table, column: str, empty: npt.NDArray[np.bool_], log: ProblemLog) -> None:
    missing = int(empty.sum())
    if missing:
        first = int(np.flatnonzero(empty)[0])
        message = (
            f"{missing:,} events have no {column}, the first of them here; each is kept and comes before the user's "
            "other events"
        )
        log.append(Problem(*table.place(first), column, f"empty {column}", message, severity="warning"))


def _format_summary(times: ParsedTimes, counts: npt.NDArray[np.int64]) -> str:
    dated = int(counts.sum())
    if not dated:
        return "no event has one"
    formats = ", ".join(
        (f"{count / dated:.1%} " if count < dated else "") + TIME_FORMATS[code]
        for code, count in sorted(enumerate(counts.tolist(), start=1), key=lambda entry: -entry[1])
        if count
    )
    known = times.values[times.format_R > 0]
    return f"{formats}; {_day(int(known.min()))} to {_day(int(known.max()))} (UTC)"


def _report_mixed(table: Table, times: ParsedTimes, counts: npt.NDArray[np.int64], log: ProblemLog) -> None:
    formats = [code for code, count in enumerate(counts.tolist(), start=1) if count]
    if len(formats) < 2:
        return
    main = int(counts.argmax()) + 1
    other = np.flatnonzero((times.format_R > 0) & (times.format_R != main))
    format_M = times.format_R[other]
    values = table.text("timestamp").take(other)
    report_rows(
        log,
        table,
        other,
        "timestamp",
        "mixed times",
        lambda places: (
            f"timestamp is {quoted(value)}, which is read as one of {TIME_FORMATS[code]}, "
            f"and most here are {TIME_FORMATS[main]}"
            for value, code in zip(values.take(places).to_pylist(), format_M[places].tolist(), strict=True)
        ),
        severity="warning",
        hint="times are written in several formats: "
        + ", ".join(f"{counts[code - 1]:,} {TIME_FORMATS[code]}" for code in formats)
        + "; all are read, but use one format, to rule out mistakes (without a zone they are taken as UTC)",
    )


def _report_suspicious(table: Table, times: ParsedTimes, now: datetime.datetime, log: ProblemLog) -> None:
    """Warn of times before 1990 and in the future."""
    dated = times.format_R > 0
    latest = int(now.timestamp()) * _MICRO + _TWO_DAYS
    early, late = dated & (times.values < EARLIEST), dated & (times.values > latest)
    for found, kind in ((early, "time before 1990"), (late, "time in the future")):
        rows = np.flatnonzero(found)
        if not len(rows):
            continue
        values, times_us, format_codes = table.text("timestamp").take(rows), times.values[rows], times.format_R[rows]

        def messages(
            places: npt.NDArray[np.int64],
            values: Any = values,
            times_us: Any = times_us,
            format_codes: Any = format_codes,
        ) -> Iterator[str]:
            for value, moment, code in zip(
                values.take(places).to_pylist(), times_us[places].tolist(), format_codes[places].tolist(), strict=True
            ):
                yield f"timestamp is {quoted(value)}, which is {_day(moment)} when read as {TIME_FORMATS[code]}"

        report_rows(
            log,
            table,
            rows,
            "timestamp",
            kind,
            messages,
            severity="warning",
            hint=_probable_cause(
                values, times_us, format_codes <= _LAST_COUNT, everything=len(rows) == int(dated.sum())
            ),
        )


def _probable_cause(
    values: Any, times_us: npt.NDArray[np.int64], counted_R: npt.NDArray[np.bool_], *, everything: bool
) -> str:
    """The probable cause of suspicious times with its remedy; `counted_R` marks numbers counted from 1970."""
    wholes = pc.if_else(
        pc.and_(pc.match_substring_regex(values, r"^\s*\d{1,15}\s*$"), pa.array(counted_R)), values, "0"
    )
    numbers = np.asarray(pc.utf8_trim_whitespace(wholes).cast(pa.int64()), dtype=np.int64)
    for pairs, example in ((0, "20240531"), (2, "202405311015"), (3, "20240531101502")):
        spelled = int(spells_date(numbers, pairs).sum())
        if spelled:
            date = f"{example[:4]}-{example[4:6]}-{example[6:8]}"
            return (
                f"{spelled:,} of these numbers spell dates, like {example}, and are not read as dates because other "
                f"numbers of the column do not; write dates as {date}"
            )
    if bool((times_us == 0).all()):
        return "0 is what programs write where there is no time; leave the field empty"
    if int(is_excel_serial(times_us).sum()) * 2 > len(times_us):
        return (
            "numbers like 45443.4 are days in a spreadsheet; format the column as yyyy-mm-dd hh:mm:ss there, and "
            "export it again"
        )
    if everything:
        return "if these numbers only say what came first, name the column 'position'"
    return "see what wrote these rows; they are used in the order of these times"


def _day(times_us: int) -> str:
    return str(np.datetime64(times_us // _MICRO, "s").astype("datetime64[D]"))
