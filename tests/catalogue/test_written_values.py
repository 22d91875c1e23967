"""What one text can be read as."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.catalogue.written_values import FITS, fit_of, number_of, read_value, unit_of

BOTH = ["number", "number-comma"]
DATES = ["date", "date-dmy", "date-mdy"]


@pytest.mark.parametrize(
    ("text", "kinds", "unit"),
    [
        ("5", BOTH, ""),
        (" 1.299 ", BOTH, ""),
        ("1,299", BOTH, ""),
        ("1,299.00", ["number"], ""),
        ("1.299,00", ["number-comma"], ""),
        ("0,299", ["number-comma"], ""),
        ("1.299.000", ["number-comma"], ""),
        ("12.99 USD", ["number"], "USD"),
        ("USD12.99", ["number"], "USD"),
        ("US$ 12.99", ["number"], "USD"),
        ("12,99 zł", ["number-comma"], "PLN"),
        ("€12", BOTH, "EUR"),
        ("-€12", BOTH, "EUR"),
        ("$1,299", ["number"], "$"),
        ("1.299 €", ["number-comma"], "EUR"),
        ("KWD 1.299", BOTH, "KWD"),
        ("1'299.00", ["number"], ""),
        ("1\u202f299,00 €", ["number-comma"], "EUR"),
        ("10 %", BOTH, "%"),
        ("079 123", [], ""),
        ("12 monkeys", [], ""),
        ("12 USD EUR", [], ""),
        ("1234567890123456", [], ""),
        ("٣", [], ""),
        ("2024-05-31", DATES, ""),
        ("2024-05-31T10:00:00+02:00", DATES, ""),
        ("2024/5/31", DATES, ""),
        ("May 31st, 2024", DATES, ""),
        ("31-May-2024", DATES, ""),
        ("31/05/2024", ["date-dmy"], ""),
        ("05/31/2024", ["date-mdy"], ""),
        ("05/06/2024", ["date-dmy", "date-mdy"], ""),
        ("05-06-2024 10:30", ["date-dmy", "date-mdy"], ""),
        ("05.06.2024", ["date-dmy"], ""),
        ("31/31/2024", [], ""),
        ("2024-13-01", [], ""),
        ("20240531", BOTH, ""),
        ("yes", ["boolean"], ""),
        ("FALSE", ["boolean"], ""),
        ("maybe", [], ""),
        ("red|blue", ["list"], ""),
    ],
)
def test_what_a_text_fits(text: str, kinds: list[str], unit: str) -> None:
    fit = fit_of(text)
    assert fit is not None
    assert (sorted(fit.kinds), fit.unit) == (kinds, unit)


def test_a_blank_text_fits_nothing_and_is_no_text() -> None:
    assert fit_of(" \n") is None


@pytest.mark.parametrize(
    ("text", "disputed"),
    [("5", False), ("1,299", True), ("1.299", True), ("$1,299", False), ("05/05/2024", False), ("05/06/2024", True)],
)
def test_readings_that_disagree(text: str, disputed: bool) -> None:
    fit = fit_of(text)
    assert fit is not None
    assert fit.disputed == disputed


@pytest.mark.parametrize(
    ("kind", "text", "configured", "value"),
    [
        ("number", "1,299.50", False, 1299.5),
        ("number", "1.299 €", False, 1.299),
        ("number-comma", "1.299 €", False, 1299.0),
        ("number-comma", "−1 299,5", False, -1299.5),
        ("number", "12,99", False, None),
        ("date-dmy", "05/06/2024", False, 1717545600.0),
        ("date-mdy", "05/06/2024", False, 1714953600.0),
        ("date-mdy", "2024-06-05", False, 1717545600.0),
        ("date", "5 June 2024 11:30 pm", False, 1717630200.0),
        ("date", "20240605", False, None),
        ("date", "20240605", True, 1717545600.0),
        ("boolean", "1", False, None),
        ("boolean", "1", True, 1.0),
        ("boolean", "Off", True, 0.0),
    ],
)
def test_a_text_as_a_value(kind: str, text: str, configured: bool, value: float | None) -> None:
    assert read_value(kind, text, configured=configured) == value


@given(st.text(alphabet="0123456789.,'’ €$%USDEURaprMAY/-:T|+−()eé", max_size=24))
def test_whatever_fits_a_kind_has_a_value_of_it(text: str) -> None:
    fit = fit_of(text)
    for kind in fit.kinds if fit is not None else ():
        assert kind in FITS
        assert kind == "list" or read_value(kind, text) is not None


@given(st.integers(-(10**9), 10**9), st.integers(0, 99), st.sampled_from(["EUR", "USD", "%", ""]))
def test_amounts_written_in_both_ways_are_the_same_number(whole: int, cents: int, unit: str) -> None:
    point = f"{whole:,}.{cents:02d} {unit}"
    comma = point.replace(",", "_").replace(".", ",").replace("_", ".")
    assert read_value("number", point) == read_value("number-comma", comma)
    assert unit_of(point) == unit_of(comma) == unit


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_what_programs_write_is_read_back(value: float) -> None:
    number = number_of(repr(value))
    assert number is None or number == value
