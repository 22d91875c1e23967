"""What is said of odd times: what they were read as, what was probably meant, and the mend."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest

from mmrec.data.event_times import read_positions, read_times
from mmrec.data.problems import ProblemGroup, ProblemLog
from mmrec.data.tables import Table

NOW = datetime.datetime(2024, 6, 1, tzinfo=datetime.UTC)


def _table(column: str, texts: list[str]) -> Table:
    lines = np.arange(2, len(texts) + 2, dtype=np.int64)
    return Table("events.csv", {column: pa.array(texts, pa.large_string())}, len(texts), lines)


def _told(*texts: str) -> tuple[str, dict[str, ProblemGroup]]:
    log = ProblemLog()
    _, use = read_times(_table("timestamp", list(texts)), log, NOW)
    return use.words, {group.kind: group for group in log.groups}


def test_good_times_are_told_in_one_line() -> None:
    assert _told("2024-05-31", "2024-06-01") == ("dates like 2024-05-31; 2024-05-31 to 2024-06-01 (UTC)", {})
    assert _told("")[0] == "no event has one"


def test_dates_without_hyphens_are_dates() -> None:
    words, problems = _told("20240531101502", "20240531101503")
    assert words == "dates like 20240531101502; 2024-05-31 to 2024-05-31 (UTC)"
    assert problems == {}


@pytest.mark.parametrize(
    ("texts", "kind", "hint"),
    [
        (["45443.4", "45444"], "time before 1990", "days in a spreadsheet"),
        (["20240531", "1000"], "time before 1990", "1 of these numbers spell dates, like 20240531"),
        (["0", "1717113600"], "time before 1990", "0 is what programs write where there is no time"),
        (["1", "2", "3"], "time before 1990", "name the column 'position'"),
        (["2100-01-01", "2024-05-31"], "time in the future", "see what wrote these rows"),
        (["20260101", "20240531"], "time in the future", "see what wrote these rows"),
        (["20240531101562", "20240531101502"], "time in the future", "1 of these numbers spell dates"),
    ],
)
def test_times_that_no_shop_has_are_warned_of(texts: list[str], kind: str, hint: str) -> None:
    _, problems = _told(*texts)
    assert problems[kind].severity == "warning"
    assert hint in problems[kind].hint


def test_what_an_odd_time_was_read_as() -> None:
    _, problems = _told("20240531101562")
    assert problems["time in the future"].examples[0].message == (
        "timestamp is '20240531101562', which is 2611-05-26 when read as milliseconds since 1970"
    )


def test_tomorrow_is_no_future() -> None:
    assert _told("2024-06-02", "2024-06-03T00:00:00")[1].keys() == {"mixed times"}
    assert "time in the future" in _told("2024-06-04")[1]


def test_a_mixture_of_writings_is_told_with_shares() -> None:
    words, problems = _told(*["1717113600"] * 3, "2024-05-31")
    assert words == "75.0% seconds since 1970, 25.0% dates like 2024-05-31; 2024-05-31 to 2024-05-31 (UTC)"
    (group,) = problems.values()
    assert (group.kind, group.severity, group.count, group.examples[0].row) == ("mixed times", "warning", 1, 5)
    assert "3 seconds since 1970, 1 dates like 2024-05-31" in group.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("31/05/2024", "the day or the month comes first"),
        ("31 May 2024", "write the month as a number"),
        ("NaT", "leave the field empty"),
        ("10:15", "a time of day needs its date"),
        ("soon", ""),
    ],
)
def test_the_mend_of_what_is_no_time(text: str, hint: str) -> None:
    _, problems = _told(text)
    assert problems["bad timestamp"].severity == "error"
    assert hint in problems["bad timestamp"].hint


def test_positions_beside_times_only_break_ties() -> None:
    log = ProblemLog()
    parsed, use = read_positions(_table("position", ["1", ""]), log, ties=True)
    assert (parsed.values.tolist(), use.words, log.groups) == ([1, 0], "orders events of one moment", ())
    _, use = read_positions(_table("position", ["1", ""]), log, ties=False)
    assert (use.words, [group.kind for group in log.groups]) == ("orders the events of a user", ["empty position"])
