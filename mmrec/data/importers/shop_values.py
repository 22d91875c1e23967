"""Values as shop systems write them, put into the form that datasets and filters use: prices, lists, paths of
categories, truths and moments.

Unit of work: one value. Knows nothing of columns and files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from mmrec.catalogue.written_values import THREE_DECIMALS

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_GAPS = "'’\u00a0\u2007\u2009\u202f "
_AMOUNT = re.compile(rf"\d[\d.,{_GAPS}]*", re.ASCII)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:\.\d{3})+|\d{1,2}(?:,\d{2})+,\d{3}", re.ASCII)
"""Thousands by threes, or as in India."""
_SYMBOLS = {"€": "EUR", "£": "GBP", "$": "", "¥": ""}
"""Currency by its sign; several currencies share the dollar sign and the yen sign."""
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\d* ?(Z|UTC|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_NUMBER = re.compile(r"\d{1,19}(?:\.\d{1,9})?", re.ASCII)
_TRUTHS = {"true": "true", "yes": "true", "1": "true", "false": "false", "no": "false", "0": "false"}


class Price(NamedTuple):
    """amount: a plain decimal number, as text.  currency: three capital letters, or '' where it is unknown."""

    amount: str
    currency: str


def price_of(text: str) -> Price | None:
    """A price such as ``19.90 USD``, ``EUR 1.299,00`` or ``1,299.00``; None for what is none.

    Of a point and a comma, the later one divides the fraction, and the other one thousands. One of them alone is a mark
    of thousands where it is there several times, or where exactly three digits come after a comma, or after a point
    beside a currency that has no three decimals: ``1.299 EUR`` is 1299, and ``0,299`` less than one.
    """
    found = _CURRENCY.search(text)
    currency = found[0] if found else ""
    rest = text.replace(currency, "", 1) if currency else text
    signed = False
    for symbol, code in _SYMBOLS.items():
        if symbol in rest:
            rest, currency, signed = rest.replace(symbol, "", 1), currency or code, True
    rest = rest.strip()
    if not _AMOUNT.fullmatch(rest):
        return None
    digits = re.sub(f"[{_GAPS}]", "", rest)
    digits = digits[:-1] if digits.endswith((".", ",")) else digits
    mark = max(".,", key=digits.rfind)
    whole, _, fraction = digits.rpartition(mark) if mark in digits else (digits, "", "")
    alone = mark in digits and not {".", ","} <= set(digits)
    three = len(fraction) == 3 and whole.strip("0") != ""
    priced = (currency or signed) and currency not in THREE_DECIMALS
    if alone and (digits.count(mark) > 1 or (three and (mark == "," or priced))):
        whole, fraction = digits, ""
    if re.search("[.,]", whole) and not _GROUPED.fullmatch(whole):
        return None
    whole = re.sub("[.,]", "", whole).lstrip("0") or "0"
    return Price(f"{whole}.{fraction}" if fraction else whole, currency)


def as_list(entries: Iterable[str]) -> str:
    """Entries as a list of a dataset, divided by ``|``; empty ones and repeated ones are left out.

    A ``|`` in an entry becomes ``/``, in a URL ``%7C``.
    """
    kept = dict.fromkeys(filter(None, (" ".join(entry.split()) for entry in entries)))
    return "|".join(entry.replace("|", "%7C" if "://" in entry else "/") for entry in kept)


def category_path(text: str) -> str:
    """``Home > Lamps > Desk lamps`` as a list, from the widest to the narrowest: a filter asks for any level."""
    return as_list(text.split(">"))


def truth_of(text: str) -> str:
    """``true`` or ``false`` for one of the usual spellings, '' for anything else."""
    return _TRUTHS.get(text.strip().lower(), "")


def moment_of(text: str) -> str | None:
    """A moment as a number of seconds (or milli-, micro- or nanoseconds) since 1970, or in ISO-8601 (UTC).

    Args:
        text: A number, or a date, or a date and time with or without a zone (UTC where there is none), as in
            ``2026-09-03 10:14:00 -0400``.

    Returns:
        None for what is none of them, or no date that there is.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return text
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    day, time, zone = found[1], found[2] or "00:00", found[3] or "Z"
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{'Z' if zone == 'UTC' else zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment.isoformat().replace("+00:00", "Z")


def plain_name(text: str) -> str:
    """A name fit for a column: lower case, words joined by ``_``; '' where no letter or digit is left."""
    return re.sub(r"[\W_]+", "_", text.lower()).strip("_")
