"""The words of a sentence: tokens with their places, stems, and the table of general English words.

Unit of work: one sentence. Knows nothing about catalogues.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*(?:st|nd|rd|th)\b|\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]|_")
_SUFFIXES = ("ies", "es", "s")


class Token(NamedTuple):
    """A word, a number or a sign.

    Attributes:
        text: In lower case, without accents; a sign as it stands.
        start: Place of its first character in the sentence.
        end: Place after its last character.
        original: As it was written.
    """

    text: str
    start: int
    end: int
    original: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """What numbers of a column say.

    Attributes:
        name: As in the table.
        columns: Words in names of columns that hold it.
        more: Adjectives for more of it.
        less: Adjectives for less of it.
        bare: How a number without a comparison is meant: ``at most``, ``at least`` or ``equal``.
        words: Words beside a number that say that it is meant.
    """

    name: str
    columns: frozenset[str]
    more: tuple[str, ...]
    less: tuple[str, ...]
    bare: str
    words: frozenset[str]


@dataclass(frozen=True)
class Vocabulary:
    """The table of general English words, from ``vocabulary.toml``."""

    table: Mapping[str, Any]
    quantities: Mapping[str, Quantity]
    ordinary: frozenset[str]

    def words(self, name: str) -> tuple[str, ...]:
        """A list of the table."""
        return tuple(self.table[name])

    @property
    def negations(self) -> frozenset[str]:
        """Single words that negate what follows."""
        return frozenset(self.table["negations"])


@cache
def vocabulary() -> Vocabulary:
    """The table that comes with the package."""
    text = resources.files("mmrec.language").joinpath("vocabulary.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    quantities = {
        name: Quantity(
            name,
            frozenset(entry["columns"]),
            tuple(entry["more"]),
            tuple(entry["less"]),
            entry["bare"],
            frozenset(entry["words"]),
        )
        for name, entry in table["quantities"].items()
    }
    return Vocabulary(table, quantities, frozenset(table["ordinary"]["words"].split()))


def plain(text: str) -> str:
    """Text in lower case, without accents, with ``and`` for ``&``."""
    folded = unicodedata.normalize("NFKD", text.casefold().replace("&", " and ").replace("’", "'"))
    return "".join(character for character in folded if not unicodedata.combining(character))


def tokens_of(text: str) -> list[Token]:
    """The tokens of a sentence."""
    found = []
    for match in _TOKEN.finditer(text):
        word = plain(match.group()).strip() or match.group()
        if word.endswith("'s"):
            word = word[:-2]
        found.append(Token(word.replace("'", "") or word, match.start(), match.end(), match.group()))
    return found


@cache
def stem(word: str) -> str:
    """A word without its plural, in British spelling."""
    spellings: Mapping[str, str] = vocabulary().table["spellings"]
    if word in spellings:
        return spellings[word]
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            root = word[: -len(suffix)]
            if suffix == "ies":
                return root + "y"
            if suffix == "es" and not root.endswith(("s", "x", "z", "ch", "sh")):
                return root + "e"
            return root
    return word


def stems(text: str) -> tuple[str, ...]:
    """Stems of the words of a text, signs left out; ``+`` counts as the word plus."""
    return tuple(stem(token.text) for token in tokens_of(text.replace("+", " plus ")) if token.text[0].isalnum())


@cache
def comparatives() -> Mapping[str, tuple[str, int]]:
    """Adjectives and their comparatives: the quantity, and 1 for more of it or -1 for less."""
    found: dict[str, tuple[str, int]] = {}
    for quantity in vocabulary().quantities.values():
        for words, sign in ((quantity.more, 1), (quantity.less, -1)):
            for word in words:
                for form in (word, *comparative_forms(word)):
                    found.setdefault(form, (quantity.name, sign))
    return found


def comparative_forms(word: str) -> tuple[str, ...]:
    """Comparatives of an adjective as English makes them."""
    irregular = {"good": "better", "bad": "worse", "far": "further"}
    if word in irregular:
        return (irregular[word],)
    if " " in word:
        return ()
    if word.endswith("y"):
        return (word[:-1] + "ier",)
    if word.endswith("e"):
        return (word + "r",)
    if re.fullmatch(r"[^aeiou]*[aeiou][bdgmnpt]", word):
        return (word + word[-1] + "er",)
    return (word + "er",)


def phrase_at(tokens: Sequence[Token], place: int, phrases: Sequence[str]) -> int:
    """Number of tokens of the longest of some phrases that begins at a place; 0 for none."""
    best = 0
    for phrase in phrases:
        words = phrase.replace("'", "").split()
        if len(words) > best and [token.text for token in tokens[place : place + len(words)]] == words:
            best = len(words)
    return best


def phrase_before(tokens: Sequence[Token], place: int, phrases: Sequence[str]) -> int:
    """Number of tokens of the longest of some phrases that ends before a place; 0 for none."""
    best = 0
    for phrase in phrases:
        words = phrase.replace("'", "").split()
        if best < len(words) <= place and [token.text for token in tokens[place - len(words) : place]] == words:
            best = len(words)
    return best
