"""Times, positions and ratings as people write them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mmrec.data.number_columns import parse_positions, parse_ratings
from mmrec.data.time_parsing import parse_timestamps


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("874965478", 874_965_478_000_000),
        ("+5", 5_000_000),
        (" 7 ", 7_000_000),
        ("-1", -1_000_000),
        ("874965478.25", 874_965_478_250_000),
        ("8.74965478e8", 874_965_478_000_000),
        ("1588687728923", 1_588_687_728_923_000),
        ("1588687728923456", 1_588_687_728_923_456),
        ("1588687728923456789", 1_588_687_728_923_456),
        ("1970-01-02", 86_400_000_000),
        ("1970-01-01T00:00:01Z", 1_000_000),
        ("1970-01-01 00:00:01.5", 1_500_000),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_timestamps(text: str, micros: int) -> None:
    parsed = parse_timestamps(pa.array([text]))
    assert (parsed.values.tolist(), parsed.empty.tolist(), parsed.bad.tolist()) == (
        [micros],
        [False],
        [False],
    )


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "1.2.3", "nan", "inf", "12:30", "1e999", "0x10", "٣"])
def test_what_is_no_timestamp(text: str) -> None:
    assert parse_timestamps(pa.array([text])).bad.tolist() == [True]


def test_empty_values_are_neither_good_nor_bad() -> None:
    for parse in (parse_timestamps, parse_positions, parse_ratings):
        for column in (
            pa.array(["", " ", None]),
            pa.array([None] * 3, pa.int64()),
            pa.array([None] * 3, pa.float64()),
        ):
            parsed = parse(column)
            assert parsed.empty.tolist() == [True] * 3
            assert parsed.bad.tolist() == [False] * 3


def test_typed_times() -> None:
    day = 86_400_000_000
    assert parse_timestamps(pa.array([1], pa.date32())).values.tolist() == [day]
    assert parse_timestamps(pa.array([1000], pa.timestamp("ms"))).values.tolist() == [1_000_000]
    assert parse_timestamps(pa.array([1], pa.timestamp("s", tz="Europe/Berlin"))).values.tolist() == [1_000_000]
    assert parse_timestamps(pa.array([1.5])).values.tolist() == [1_500_000]
    assert parse_timestamps(pa.array([2**63], pa.uint64())).bad.tolist() == [False]


def test_positions() -> None:
    parsed = parse_positions(pa.array(["3", "4.0", "-1", "1.5", "x", ""]))
    assert parsed.values.tolist() == [3, 4, -1, 0, 0, 0]
    assert parsed.bad.tolist() == [False, False, False, True, True, False]


def test_ratings() -> None:
    parsed = parse_ratings(pa.array(["4.5", "-2", "1e2", "five", "inf", "nan", "1e300", ""]))
    assert parsed.values.tolist()[:3] == [4.5, -2.0, 100.0]
    assert parsed.bad.tolist() == [False, False, False, True, True, True, True, False]
