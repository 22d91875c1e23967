"""Converts values as shop systems write them into the form that datasets and filters use: prices, lists, category
paths, booleans and timestamps.

Unit of work: one value. Knows nothing of columns and files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from mmrec.catalogue.written_values import THREE_DECIMALS

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_SPACES = "'’\u00a0\u2007\u2009\u202f "
_AMOUNT = re.compile(rf"\d[\d.,{_SPACES}]*", re.ASCII)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:\.\d{3})+|\d{1,2}(?:,\d{2})+,\d{3}", re.ASCII)
"""Groups of three digits, or Indian grouping."""
_SYMBOLS = {"€": "EUR", "£": "GBP", "$": "", "¥": ""}
"""Currency by its symbol; several currencies share the dollar and the yen symbol."""
_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\d* ?(Z|UTC|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_NUMBER = re.compile(r"\d{1,19}(?:\.\d{1,9})?", re.ASCII)
_BOOLEANS = {"true": "true", "yes": "true", "1": "true", "false": "false", "no": "false", "0": "false"}


class Price(NamedTuple):
    """amount: a plain decimal number, as text.  currency: three capital letters, or '' where it is unknown."""

    amount: str
    currency: str


def price_of(text: str) -> Price | None:
    """A price such as ``19.90 USD``, ``EUR 1.299,00`` or ``1,299.00``; None for anything else.

    With both a point and a comma, the later one is the decimal mark. A single kind of mark separates thousands if it is
    repeated, or if exactly three digits follow a comma, or follow a point beside a currency without three decimals:
    ``1.299 EUR`` is 1299, and ``0,299`` less than one.
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
    digits = re.sub(f"[{_SPACES}]", "", rest)
    digits = digits[:-1] if digits.endswith((".", ",")) else digits
    mark = max(".,", key=digits.rfind)
    whole, _, fraction = digits.rpartition(mark) if mark in digits else (digits, "", "")
    only_mark = mark in digits and not {".", ","} <= set(digits)
    three = len(fraction) == 3 and whole.strip("0") != ""
    two_decimals = (currency or signed) and currency not in THREE_DECIMALS
    if only_mark and (digits.count(mark) > 1 or (three and (mark == "," or two_decimals))):
        whole, fraction = digits, ""
    if re.search("[.,]", whole) and not _GROUPED.fullmatch(whole):
        return None
    whole = re.sub("[.,]", "", whole).lstrip("0") or "0"
    return Price(f"{whole}.{fraction}" if fraction else whole, currency)


def as_list(entries: Iterable[str]) -> str:
    """Entries as a list of a dataset, joined by ``|``, without empty and repeated ones.

    A ``|`` in an entry becomes ``/``, in a URL ``%7C``.
    """
    kept = dict.fromkeys(filter(None, (" ".join(entry.split()) for entry in entries)))
    return "|".join(entry.replace("|", "%7C" if "://" in entry else "/") for entry in kept)


def category_path(text: str) -> str:
    """``Home > Lamps > Desk lamps`` as a list, from the widest to the narrowest, so that filters match any level."""
    return as_list(text.split(">"))


def boolean_of(text: str) -> str:
    """``true`` or ``false`` for one of the usual spellings, '' for anything else."""
    return _BOOLEANS.get(text.strip().lower(), "")


def timestamp_of(text: str) -> str | None:
    """A timestamp as a number of seconds (or milli-, micro- or nanoseconds) since 1970, or in ISO-8601 (UTC).

    Args:
        text: A number, or a date, or a date and time with or without a zone (UTC where there is none), as in
            ``2026-09-03 10:14:00 -0400``.

    Returns:
        None for anything else, or a date that does not exist.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return text
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    day, time, zone = found[1], found[2] or "00:00", found[3] or "Z"
    try:
        timestamp = datetime.fromisoformat(f"{day}T{time}{'Z' if zone == 'UTC' else zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return timestamp.isoformat().replace("+00:00", "Z")


def plain_name(text: str) -> str:
    """A column name: lower case, words joined by ``_``; '' where no letter or digit is left."""
    return re.sub(r"[\W_]+", "_", text.lower()).strip("_")
