"""Times as logs have them, how each is written, and what is not taken for a date."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmrec.data.time_parsing import TIME_FORMATS, is_excel_serial, parse_timestamps, spells_date

MAY_31 = 1_717_113_600_000_000


def _written(*texts: str) -> list[str]:
    return [TIME_FORMATS[way] for way in parse_timestamps(pa.array(texts)).format_R]


@pytest.mark.parametrize(
    ("text", "micros", "writing"),
    [
        ("1717113600", MAY_31, "seconds since 1970"),
        ("1717113600.5", MAY_31 + 500_000, "seconds since 1970"),
        ("1717113600000", MAY_31, "milliseconds since 1970"),
        ("1717113600000000", MAY_31, "microseconds since 1970"),
        ("1717113600000000000", MAY_31, "nanoseconds since 1970"),
        ("2024-05-31", MAY_31, "dates like 2024-05-31"),
        ("2024/05/31", MAY_31, "dates like 2024-05-31"),
        ("2024-05-31 00:00:01", MAY_31 + 1_000_000, "dates with a time, without a zone"),
        ("2024-05-31T02:00:00+02:00", MAY_31, "dates with a time and a zone"),
        ("2024-05-31 00:00:00 UTC", MAY_31, "dates with a time and a zone"),
        ("20240531", MAY_31, "dates like 20240531"),
        ("20240531.0", MAY_31, "dates like 20240531"),
        ("202405310010", MAY_31 + 600_000_000, "dates like 202405311015"),
        ("20240531000001", MAY_31 + 1_000_000, "dates like 20240531101502"),
    ],
)
def test_a_moment_and_how_it_is_written(text: str, micros: int, writing: str) -> None:
    moments = parse_timestamps(pa.array([text]))
    assert (moments.values.tolist(), moments.bad.tolist()) == ([micros], [False])
    assert _written(text) == [writing]


def test_numbers_spell_dates_only_where_all_of_their_size_do() -> None:
    assert _written("20240531", "20240601", "") == ["dates like 20240531"] * 2 + ["no time"]
    assert _written("20240531", "20240230") == ["seconds since 1970"] * 2
    assert _written("20240531", "5") == ["seconds since 1970"] * 2
    assert _written("20240531", "1717113600") == ["dates like 20240531", "seconds since 1970"]
    assert _written("20240531101502", "20240531101562") == ["milliseconds since 1970"] * 2


def test_numbers_of_parquet_spell_dates_too() -> None:
    assert parse_timestamps(pa.array([20240531, None])).values.tolist() == [MAY_31, 0]
    assert parse_timestamps(pa.array([20240531.0, None])).values.tolist() == [MAY_31, 0]


@pytest.mark.parametrize(
    ("number", "spelled"),
    [(20240229, True), (20230229, False), (20241301, False), (20240500, False), (19891231, False), (21000101, False)],
)
def test_which_numbers_spell_a_date(number: int, spelled: bool) -> None:
    assert spells_date(np.array([number]), 0).tolist() == [spelled]


def test_days_of_a_spreadsheet() -> None:
    micros = parse_timestamps(pa.array(["45443.4", "32873", "100000"])).values
    assert is_excel_serial(micros).tolist() == [True, False, False]


def test_a_wrong_date_among_good_ones_is_bad_alone() -> None:
    moments = parse_timestamps(pa.array(["2024-05-31", "2024-02-30", "31.05.2024", "soon", None]))
    assert moments.bad.tolist() == [False, True, True, True, False]
    assert moments.values.tolist() == [MAY_31, 0, 0, 0, 0]
