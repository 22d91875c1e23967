"""What one text can be read as: a number, a date or a boolean, as people and programs write them.

The unit of work is one text. The module finds every kind that the text *fits*; several readings may disagree
(``1,299`` is 1299 or 1.299, ``05/06/2024`` is in May or in June), and `mmrec.catalogue.column_kinds` decides between
them from the whole column. Knows nothing about columns and filters.

Conventions, where the other reading is very rare:

- A plain number as programs write it (``1.299``, ``5e3``) has a decimal point, unless its column holds others that need
  a comma. Eight digits in a row (``20240531``) are a number; they are a date only where ``dataset.toml`` declares the
  column as dates.
- A price has two decimals or none, so beside a currency three digits after one lone point or comma are thousands:
  ``$1,299`` and ``1.299 €`` are 1299. Not for dinars and rials, which have three decimals.
- A date that begins with four digits goes on with the month; one with points (``05.06.2024``) begins with the day.
- Names of months are English: ``May 31, 2024``, ``31 May 2024``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

FITS = ("boolean", "number", "number-comma", "date", "date-dmy", "date-mdy", "list")
"""Kinds of `mmrec.catalogue.column_kinds.COLUMN_KINDS` that a text can fit; every text fits ``text``."""

_LONGEST = 60
"""Characters of the longest text that can be a number or a date; longer texts skip all parsers."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MOST_DIGITS = 15
"""Above the precision of a float64, a run of digits is a code (a bar code, an id), not a number."""
_BOOLEANS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_CONFIGURED_BOOLEANS = {**_BOOLEANS, "1": 1.0, "0": 0.0, "y": 1.0, "n": 0.0, "t": 1.0, "f": 0.0, "on": 1.0, "off": 0.0}
"""Spellings in a column that ``dataset.toml`` declares as boolean."""

# --- amounts ----------------------------------------------------------------------------------------------------------

_CODES = """
AED AFN ALL AMD ARS AUD AZN BAM BDT BGN BHD BOB BRL BYN CAD CHF CLP CNY COP CRC CZK DKK DOP DZD EGP ETB EUR GBP GEL GHS
GTQ HKD HNL HRK HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KRW KWD KZT LBP LKR LYD MAD MDL MKD MMK MXN MYR NGN NIO NOK
NPR NZD OMR PAB PEN PHP PKR PLN PYG QAR RON RSD RUB SAR SEK SGD THB TND TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND XAF
XOF YER ZAR ZMW
"""
_NAMES = {"€": "EUR", "£": "GBP", "₹": "INR", "₽": "RUB", "₩": "KRW", "₺": "TRY", "₫": "VND", "₴": "UAH", "₦": "NGN"}
_NAMES |= {"₱": "PHP", "฿": "THB", "₪": "ILS", "zł": "PLN", "Kč": "CZK", "Ft": "HUF", "US$": "USD", "R$": "BRL"}
_NAMES |= {"A$": "AUD", "C$": "CAD", "NZ$": "NZD", "HK$": "HKD", "S$": "SGD", "MX$": "MXN", "Rs.": "INR", "%": "%"}
_NAMES |= {sign: sign for sign in ("$", "¥", "kr", "kr.", "Rs", "lei", "Fr.")}
_UNITS = {**{code: code for code in _CODES.split()}, **_NAMES}
"""Spelling of a unit to its one name."""
THREE_DECIMALS = frozenset(["BHD", "IQD", "IRR", "JOD", "KWD", "LYD", "OMR", "TND", "YER"])
"""Currencies whose amounts have three decimals."""
_UNIT = r"[^\d\s.,+\-−'’]{1,4}\.?"
_AMOUNT = re.compile(
    rf"(?P<sign>[+\-−])?\s*(?P<before>{_UNIT})?\s*(?P<sign_after>[+\-−])?\s*"
    rf"(?P<digits>\.?\d[\d.,'’\u00a0\u2007\u2009\u202f ]*?)\s*(?P<after>{_UNIT})?",
    re.ASCII,
)
_SPACES = "[ \u00a0\u2007\u2009\u202f'’]"
_POINT = re.compile(
    rf"(?:\d+|[1-9]\d{{0,2}}(?:(?:,\d{{3}})+|(?:{_SPACES}\d{{3}})+)|[1-9]\d?(?:,\d{{2}})+,\d{{3}})(?:\.\d+)?|\.\d+",
    re.ASCII,
)
_COMMA = re.compile(rf"(?:\d+|[1-9]\d{{0,2}}(?:(?:\.\d{{3}})+|(?:{_SPACES}\d{{3}})+))(?:,\d+)?|,\d+", re.ASCII)
_NO_SPACES = str.maketrans("", "", " \u00a0\u2007\u2009\u202f'’")
_AMBIGUOUS = re.compile(r"[1-9]\d{0,2}([.,])\d{3}", re.ASCII)
"""Digits whose last three are thousands or decimals, depending on the convention."""


class _Amount(NamedTuple):
    """A number as people write it: its reading with a decimal point and with a decimal comma, and its unit."""

    point: float | None
    comma: float | None
    unit: str
    digits: str


def number_of(text: str) -> float | None:
    """A number as programs write it; None for anything else."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or not _few_digits(found.group(1)):
        return None
    number = float(found.group())
    return number if abs(number) != float("inf") else None


def _few_digits(digits: str) -> bool:
    return len(digits) <= _MOST_DIGITS or sum(map(str.isdigit, digits.lstrip("0.,"))) <= _MOST_DIGITS


def _amount_of(text: str) -> _Amount | None:
    found = _AMOUNT.fullmatch(text)
    if found is None:
        return None
    sign, before, sign_after, digits, after = found.groups()
    unit = before or after or ""
    if (before and after) or (sign and sign_after) or (unit and unit not in _UNITS) or not _few_digits(digits):
        return None
    bare = digits.translate(_NO_SPACES)
    point = float(bare.replace(",", "")) if _POINT.fullmatch(digits) else None
    comma = float(bare.replace(".", "").replace(",", ".")) if _COMMA.fullmatch(digits) else None
    if point is comma is None:
        return None
    if (sign or sign_after or "+") != "+":
        point, comma = None if point is None else -point, None if comma is None else -comma
    return _Amount(point, comma, _UNITS[unit] if unit else "", digits)


def unit_of(text: str) -> str:
    """The currency of an amount, or ``%``; empty where it has none or the text is no amount."""
    amount = _amount_of(text.strip())
    return "" if amount is None else amount.unit


def _with_point(text: str) -> float | None:
    plain = number_of(text)
    if plain is not None:
        return plain
    amount = _amount_of(text)
    return None if amount is None else amount.point


def _with_comma(text: str) -> float | None:
    amount = _amount_of(text)
    return None if amount is None else amount.comma


# --- dates ------------------------------------------------------------------------------------------------------------

_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_CLOCK = r"(?:(?:T|,?\s+)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
_YEAR_FIRST = re.compile(rf"(?P<year>\d{{4}})([/.-])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}}){_CLOCK}", re.ASCII)
_YEAR_LAST = re.compile(
    rf"(?P<one>\d{{1,2}})(?P<gap>[/.-])(?P<two>\d{{1,2}})(?P=gap)(?P<year>\d{{4}}){_CLOCK}", re.ASCII
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?"
)
_NAMED = tuple(
    re.compile(pattern + _CLOCK, re.ASCII | re.IGNORECASE)
    for pattern in (
        rf"{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}})",
        rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[\s-]+{_MONTH},?[\s-]+(?P<year>\d{{4}})",
    )
)
_COMPACT = re.compile(r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)" + _CLOCK, re.ASCII)


def _plain_date(text: str) -> float | None:
    """Seconds since 1970 of a date with only one reading: ISO, year first, or with the name of a month."""
    if _ISO.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    found = _YEAR_FIRST.fullmatch(text)
    if found is not None:
        return _timestamp(found, int(found["month"]), int(found["day"]))
    for pattern in _NAMED:
        found = pattern.fullmatch(text)
        if found is not None:
            return _timestamp(found, _MONTHS.index(found["name"][:3].lower()) + 1, int(found["day"]))
    return None


def _day_first(text: str) -> float | None:
    found = _YEAR_LAST.fullmatch(text)
    return _plain_date(text) if found is None else _timestamp(found, int(found["two"]), int(found["one"]))


def _month_first(text: str) -> float | None:
    found = _YEAR_LAST.fullmatch(text)
    return _plain_date(text) if found is None else _timestamp(found, int(found["one"]), int(found["two"]))


def _timestamp(found: re.Match[str], month: int, day: int) -> float | None:
    hour, half = int(found["hour"] or 0), (found["half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half == "p" else 0)
    try:
        return datetime(
            int(found["year"]), month, day, hour, int(found["minute"] or 0), int(found["second"] or 0), tzinfo=UTC
        ).timestamp()
    except (ValueError, OverflowError):
        return None


# --- what a text fits -------------------------------------------------------------------------------------------------


class Fit(NamedTuple):
    """What a text can be read as.

    Attributes:
        kinds: Which of `FITS`; none for plain text.
        unit: The currency of an amount, or ``%``; empty for none.
        plain: Whether it is written as programs write it: a plain number, an ISO 8601 date, true or false.
        disputed: Whether the readings in `kinds` give different values.
        year: Whether it is a whole number from 1000 to 2100, as years are.
    """

    kinds: frozenset[str] = frozenset()
    unit: str = ""
    plain: bool = False
    disputed: bool = False
    year: bool = False


_TEXT_ONLY, _LIST = Fit(), Fit(frozenset(["list"]))
_BOOLEAN_FITS = {plain: Fit(frozenset(["boolean"]), plain=plain) for plain in (True, False)}
_POINT_OR_COMMA = frozenset(["number", "number-comma"])
_WHOLE, _YEAR = Fit(_POINT_OR_COMMA, plain=True), Fit(_POINT_OR_COMMA, plain=True, year=True)
_PADDING = " \u00a0\u2007\u2009\u202f+-−."
_DIGIT, _FOUR_DIGITS = re.compile(r"\d", re.ASCII), re.compile(r"\d{4}", re.ASCII)


def fit_of(text: str) -> Fit | None:
    """What a text can be read as; None for a blank one."""
    text = text.strip()
    if not text:
        return None
    if "|" in text:
        return _LIST
    if len(text) > _LONGEST:
        return _TEXT_ONLY
    first = _DIGIT.search(text)
    if first is None:
        word = text.casefold()
        return _BOOLEAN_FITS[word in ("true", "false")] if word in _BOOLEANS else _TEXT_ONLY
    # Most texts with a digit are words; this test rejects them before the slower parsers run.
    head = text[: first.start()].strip(_PADDING)
    if head and head not in _UNITS and f"{head}." not in _UNITS and head[:3].lower() not in _MONTHS:
        return _TEXT_ONLY
    return _number_fit(text) or (_date_fit(text) if _FOUR_DIGITS.search(text) else None) or _TEXT_ONLY


def _number_fit(text: str) -> Fit | None:
    plain = number_of(text)
    if plain is not None:
        if text.isdigit():
            return _YEAR if len(text) == 4 and 1000 <= plain <= 2100 else _WHOLE
        # With a point, 1.299 can be 1299 as well; 1.5 cannot, and no more can 1e5.
        lone = _AMBIGUOUS.fullmatch(text.lstrip("+-")) is not None
        whole = lone or text.lstrip("+-").isdigit()
        return Fit(_POINT_OR_COMMA if whole else _POINT_OR_COMMA - {"number-comma"}, "", True, lone)
    amount = _amount_of(text)
    if amount is None:
        return None
    point, comma = amount.point, amount.comma
    ambiguous = _AMBIGUOUS.fullmatch(amount.digits)
    if ambiguous is not None and amount.unit not in ("", "%") and amount.unit not in THREE_DECIMALS:
        point, comma = (point, None) if ambiguous[1] == "," else (None, comma)
    named = frozenset(kind for kind, value in (("number", point), ("number-comma", comma)) if value is not None)
    return Fit(named, amount.unit, False, len(named) == 2 and point != comma)


def _date_fit(text: str) -> Fit | None:
    if _plain_date(text) is not None:
        return Fit(frozenset(["date", "date-dmy", "date-mdy"]), plain=_ISO.fullmatch(text) is not None)
    day, month = _day_first(text), _month_first(text)
    found = _YEAR_LAST.fullmatch(text)
    if found is not None and found["gap"] == "." and day is not None:
        month = None
    named = frozenset(kind for kind, value in (("date-dmy", day), ("date-mdy", month)) if value is not None)
    return Fit(named, disputed=len(named) == 2 and day != month) if named else None


def _boolean(text: str, words: dict[str, float]) -> float | None:
    return words.get(text.casefold())


def _configured_date(text: str) -> float | None:
    found = _COMPACT.fullmatch(text)
    return _plain_date(text) if found is None else _timestamp(found, int(found["month"]), int(found["day"]))


_READERS: dict[str, Callable[[str], float | None]] = {
    "boolean": partial(_boolean, words=_BOOLEANS),
    "number": _with_point,
    "number-comma": _with_comma,
    "date": _plain_date,
    "date-dmy": _day_first,
    "date-mdy": _month_first,
}
_CONFIGURED_READERS = _READERS | {"boolean": partial(_boolean, words=_CONFIGURED_BOOLEANS), "date": _configured_date}


def read_value(kind: str, text: str, *, configured: bool = False) -> float | None:
    """A text as a value of a kind; None where it does not fit.

    Args:
        kind: One of `FITS` but ``list``.
        text: The text; white space around it does not count.
        configured: Whether ``dataset.toml`` sets this kind for the column: then 1, 0, y, n, on and off are
            booleans as well, and ``20240531`` is a date.

    Returns:
        A number, 1 or 0 for a boolean, or seconds since 1970 (UTC where no zone is named).
    """
    text = text.strip()
    return (_CONFIGURED_READERS if configured else _READERS)[kind](text) if len(text) <= _LONGEST else None
