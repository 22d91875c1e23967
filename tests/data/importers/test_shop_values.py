"""Prices, lists, truths and moments as shop systems write them."""

from __future__ import annotations

import pytest

from mmrec.data.importers.shop_values import as_list, boolean_of, category_path, plain_name, price_of, timestamp_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("19.90 USD", ("19.90", "USD")),
        ("EUR 1.299,00", ("1299.00", "EUR")),
        ("1,299.00", ("1299.00", "")),
        ("1,299 USD", ("1299", "USD")),
        ("19,90", ("19.90", "")),
        ("1.299.000", ("1299000", "")),
        ("€ 5", ("5", "EUR")),
        ("$3.17", ("3.17", "")),
        ("0.5", ("0.5", "")),
        ("007", ("7", "")),
        ("1 299,00 SEK", ("1299.00", "SEK")),
        ("19.", ("19", "")),
        ("1.299 EUR", ("1299", "EUR")),
        ("$1.299", ("1299", "")),
        ("1.299 KWD", ("1.299", "KWD")),
        ("1.299", ("1.299", "")),
        ("0.299 EUR", ("0.299", "EUR")),
        ("0,299", ("0.299", "")),
        ("12.500,5", ("12500.5", "")),
        ("1,29,900.00 INR", ("129900.00", "INR")),
        ("1\u2009299,00 EUR", ("1299.00", "EUR")),
    ],
)
def test_prices(text: str, expected: tuple[str, str]) -> None:
    assert price_of(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "free", "USD", "-5", "5 - 10", "1.2e3", "12x", ".", "1..2", "12,,5", "1,2,3", "1,299,00", "1.2.3,4"],
)
def test_what_is_no_price(text: str) -> None:
    assert price_of(text) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1588687728", "1588687728"),
        ("1588687728923", "1588687728923"),
        ("1588687728.5", "1588687728.5"),
        ("2026-09-03 10:14:00 -0400", "2026-09-03T14:14:00Z"),
        ("2026-09-03T10:14:00+02:00", "2026-09-03T08:14:00Z"),
        ("2026-09-03 10:14:00 UTC", "2026-09-03T10:14:00Z"),
        ("2026-09-03 10:14", "2026-09-03T10:14:00Z"),
        ("2026-09-03", "2026-09-03T00:00:00Z"),
        ("2026-09-03T10:14:00.123456789Z", "2026-09-03T10:14:00.123456Z"),
        ("2026-02-30", None),
        ("soon", None),
        ("", None),
        ("03/09/2026", None),
    ],
)
def test_moments(text: str, moment: str | None) -> None:
    assert timestamp_of(text) == moment


def test_lists_paths_truths_and_names() -> None:
    assert as_list([" a ", "", "b|c", "a", "https://x.example/?q=1|2"]) == "a|b/c|https://x.example/?q=1%7C2"
    assert category_path("Home & Garden > Decor >  Lamps ") == "Home & Garden|Decor|Lamps"
    assert [boolean_of(text) for text in ("TRUE", "no", "1", "", "maybe")] == ["true", "false", "true", "", ""]
    assert [plain_name(text) for text in ("Shoe size", "Größe", "color-pattern", " ! ")] == [
        *("shoe_size", "größe", "color_pattern", ""),
    ]
