"""Numbers, amounts and dates in a sentence: ``two and a half hours``, ``€45.50``, ``the 80s``.

Unit of work: the tokens of one sentence. Knows nothing about columns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mmrec.language.words import Token, stem, vocabulary

CONVERTED = {"time": "minute", "way": "km", "mass": "kg"}
"""The unit in which amounts of a measure are given, whatever the sentence has."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of a sentence.

    Attributes:
        value: The number, in `unit`; of a period, its first year.
        unit: As in the table of units; empty for none.
        measure: What the unit measures; empty for none.
        begin: Its first token.
        end: The token after its last.
        until: Last year of a period such as the 80s; None for a single number.
        month: A month that is named with a year; 0 for none.
    """

    value: float
    unit: str
    measure: str
    begin: int
    end: int
    until: float | None = None
    month: int = 0


class _Read(NamedTuple):
    value: float
    end: int


def amounts_of(tokens: Sequence[Token], taken: set[int]) -> list[Amount]:
    """The amounts of a sentence, in order.

    Args:
        tokens: The sentence.
        taken: Tokens that are something else already.
    """
    found: list[Amount] = []
    place = 0
    while place < len(tokens):
        amount = None if place in taken else _amount(tokens, place, taken)
        if amount is None:
            place += 1
            continue
        previous = found[-1] if found else None
        if previous is not None and _continues(tokens, previous, amount):
            found[-1] = _joined(previous, amount)
        else:
            found.append(amount)
        place = amount.end
    return found


def _amount(tokens: Sequence[Token], place: int, taken: set[int]) -> Amount | None:
    table = vocabulary().table
    word = tokens[place].text
    begin = place
    decade = _decade(tokens, place)
    if decade is not None:
        return decade
    months: dict[str, int] = table["months"]
    if word in months and place + 1 < len(tokens) and (year := _year(tokens[place + 1].text)):
        return Amount(year, "", "", begin, place + 2, month=months[word])
    units: dict[str, list[object]] = table["units"]
    sign = ""
    if word in units and not word.isalnum() and place + 1 < len(tokens):
        sign, place = word, place + 1
    read = _number(tokens, place)
    if read is None or any(at in taken for at in range(place, read.end)):
        return None
    value, end = read
    unit, after = (sign, end) if sign else _unit(tokens, end)
    halved = _and_a_half(tokens, after)
    if halved and unit:
        value, after = value + 0.5, halved
    if unit and unit == "h" and after < len(tokens) and re.fullmatch(r"\d\d", tokens[after].text):
        return Amount(value * 60 + float(tokens[after].text), "minute", "time", begin, after + 1)
    measure = str(units[unit][0]) if unit else ""
    if measure in CONVERTED:
        factor = float(str(units[unit][1]))
        return Amount(value * factor, CONVERTED[measure], measure, begin, after)
    return Amount(value, unit, measure, begin, after)


def _unit(tokens: Sequence[Token], place: int) -> tuple[str, int]:
    """The unit at a place, also after a hyphen, and the place after it."""
    units = vocabulary().table["units"]
    if place < len(tokens) and tokens[place].text == "-" and place + 1 < len(tokens):
        unit, end = _unit(tokens, place + 1)
        return (unit, end) if unit else ("", place)
    if place < len(tokens):
        word = tokens[place].text
        for form in (word, stem(word)):
            if form in units and (len(form) > 1 or not form.isalpha() or _beside(tokens, place)):
                return form, place + 1
        if stem(word) in ("person",):
            return "person", place + 1
    return "", place


def _beside(tokens: Sequence[Token], place: int) -> bool:
    """Whether a unit of one letter stands by a number: ``18 V``, ``2h``."""
    return place > 0 and tokens[place - 1].text[0].isdigit()


def _and_a_half(tokens: Sequence[Token], place: int) -> int:
    words = [token.text for token in tokens[place : place + 3]]
    if words == ["and", "a", "half"]:
        return place + 3
    return 0


def _number(tokens: Sequence[Token], place: int) -> _Read | None:
    """A number in digits or words."""
    word = tokens[place].text
    if word[0].isdigit():
        value = _digits(word)
        if value is None:
            return None
        end = place + 1
        if end < len(tokens) and tokens[end].text in ("k", "thousand"):
            return _Read(value * 1000, end + 1)
        if end < len(tokens) and tokens[end].text == "hundred":
            return _Read(value * 100, end + 1)
        half = _and_a_half(tokens, end)
        return _Read(value + 0.5, half) if half else _Read(value, end)
    return _words(tokens, place)


def _digits(word: str) -> float | None:
    if not re.fullmatch(r"\d+(?:[.,]\d+)*", word):
        return None
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", word):
        return float(word.replace(",", ""))
    if re.fullmatch(r"\d+[.,]\d+|\d+", word):
        return float(word.replace(",", "."))
    return None


def _words(tokens: Sequence[Token], place: int) -> _Read | None:
    numbers: dict[str, int] = vocabulary().table["numbers"]
    texts = [token.text for token in tokens]
    at, total, current, seen = place, 0.0, 0.0, False
    if texts[at] == "half" and texts[at + 1 : at + 2] in (["a"], ["an"]):
        return _Read(0.5, at + 2) if _unit(tokens, at + 2)[0] else None
    if texts[at] in ("a", "an", "one"):
        following = texts[at + 1 : at + 2]
        if following in (["hundred"], ["thousand"]):
            current, at, seen = 1, at + 1, True
        elif following == ["dozen"]:
            return _Read(12, at + 2)
        elif following == ["couple"]:
            return _Read(2, at + 2 + (texts[at + 2 : at + 3] == ["of"]))
        elif following == ["half"]:
            return None
        elif texts[at] == "one" and _and_a_half(tokens, at + 1):
            return _Read(1.5, at + 4)
        elif _unit(tokens, at + 1)[1] == at + 2 or (
            texts[at] == "one"
            and following in (["and"], ["to"], ["or"])
            and texts[at + 2 : at + 3]
            and texts[at + 2] in numbers
        ):
            return _Read(1, at + 1)
        else:
            return None
    while at < len(texts):
        word = texts[at]
        if word in numbers and (not seen or current % 100 == 0 or (current % 10 == 0 and numbers[word] < 10)):
            if seen and current % 100 == 0 and current and texts[at - 1] not in ("and", "hundred", "-"):
                break
            current += numbers[word]
        elif word == "one" and seen and current % 10 == 0 and texts[at - 1] in ("-", *numbers):
            current += 1
        elif word == "hundred" and (seen or current):
            current = max(current, 1) * 100
        elif word == "thousand" and seen:
            total, current = (total + max(current, 1)) * 1000, 0
        elif word == "and" and seen and texts[at - 1] in ("hundred", "thousand") and texts[at + 1 : at + 2]:
            if texts[at + 1] not in numbers:
                break
        elif word == "-" and seen and texts[at + 1 : at + 2] and (texts[at + 1] in numbers or texts[at + 1] == "one"):
            if numbers.get(texts[at + 1], 1) >= 10 or current % 10:
                break
        else:
            break
        seen = True
        at += 1
    if not seen:
        return None
    half = _and_a_half(tokens, at)
    if half:
        return _Read(total + current + 0.5, half)
    if texts[at : at + 1] == ["point"] and texts[at + 1 : at + 2] and texts[at + 1] in numbers:
        return _Read(total + current + numbers[texts[at + 1]] / 10, at + 2)
    return _Read(total + current, at)


def _decade(tokens: Sequence[Token], place: int) -> Amount | None:
    table = vocabulary().table
    word = tokens[place].text
    decades: dict[str, int] = table["decades"]
    after = tokens[place + 1].text if place + 1 < len(tokens) else ""
    if word in decades:
        first = decades[word]
        first = first if first >= 1000 else 1900 + first
        return Amount(first, "", "", place, place + 1, until=first + 9)
    if re.fullmatch(r"\d0|\d{3}0", word) and after == "s" and tokens[place].end == tokens[place + 1].start:
        number = int(word)
        first = number if number >= 1000 else (2000 if number < 20 else 1900) + number
        last = first + 99 if first % 100 == 0 and first < 2000 else first + 9
        return Amount(first, "", "", place, place + 2, until=last)
    return None


def _year(word: str) -> int:
    return int(word) if re.fullmatch(r"(?:1[5-9]|20)\d\d", word) else 0


def _continues(tokens: Sequence[Token], first: Amount, second: Amount) -> bool:
    """Whether two amounts are one: ``an hour and forty minutes``."""
    between = [token.text for token in tokens[first.end : second.begin]]
    if between not in ([], ["and"], [","]):
        return False
    return first.measure == second.measure == "time" and second.value < 60 <= first.value and bool(first.unit)


def _joined(first: Amount, second: Amount) -> Amount:
    return Amount(first.value + second.value, first.unit, first.measure, first.begin, second.end)
