"""Which of the values that a sentence names are not wanted.

A word such as *no*, *without* or *anything but* negates the values after it up to the end of its clause. *Too* and
*less* before a value negate it; *not ... enough* and *nothing beats* ask for it. Unit of work: one sentence. Knows
nothing about columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from mmrec.language.words import Token, phrase_at, vocabulary

_ARTICLES = frozenset(["a", "an", "the", "any", "too", "very", "from", "in", "by", "of", "for", "made"])
_LINKS = frozenset(["or", "and", "nor"])
_ENDS = frozenset([".", ";", "!", "?", ":", "but", "though", "however", "instead", "although"])
_RESTARTS = frozenset(
    ["i", "we", "im", "id", "it", "something", "only", "just", "should", "must", "make", "rather", "they"]
)


class Polarity(Enum):
    """Whether a value is wanted."""

    WANTED = "wanted"
    NEGATED = "negated"
    DROPPED = "dropped"
    """It is said not to matter: ``no sauna needed``."""


def polarities(tokens: Sequence[Token], spans: Sequence[tuple[int, int]]) -> list[Polarity]:
    """The polarity of each of some mentions.

    Args:
        tokens: The sentence.
        spans: First token of each mention and the token after its last, in order.
    """
    negated_T = _scopes(tokens, spans)
    found = []
    for begin, end in spans:
        before = tokens[begin - 1].text if begin else ""
        after = tokens[end].text if end < len(tokens) else ""
        negated = negated_T[begin]
        if negated and after in vocabulary().words("unneeded"):
            found.append(Polarity.DROPPED)
        elif before in ("too", "less", "overly") or phrase_at(tokens, end, ("free",)):
            found.append(Polarity.NEGATED)  # "not too scary" does not want it either
        elif after == "enough":
            found.append(Polarity.WANTED)
        else:
            found.append(Polarity.NEGATED if negated else Polarity.WANTED)
    return found


def _scopes(tokens: Sequence[Token], spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Whether each token is in the scope of a negation."""
    table = vocabulary()
    begins = dict(spans)
    inside = {at for begin, end in spans for at in range(begin, end)}
    phrases = table.words("negation_phrases")
    scope, seen = False, False
    found = [False] * len(tokens)
    at = 0
    while at < len(tokens):
        word = tokens[at].text
        praise = phrase_at(tokens, at, table.words("praise"))
        if praise and at not in inside:
            scope = False
            at += praise
            continue
        length = phrase_at(tokens, at, phrases)
        if length and at not in inside:
            scope, seen = True, False
            at += length
            continue
        if at not in inside and (word in table.negations or word in table.words("contracted")):
            # "not only" negates nothing; "no more than" belongs to a number.
            scope, seen = (tokens[at + 1].text if at + 1 < len(tokens) else "") != "only", False
        elif at not in inside and word in _ENDS:
            scope = False
        elif scope and at not in inside and word == ",":
            scope = seen and _list_goes_on(tokens, at + 1, begins)
        elif scope and seen and word in _LINKS:
            scope = _mention_follows(tokens, at + 1, begins) is not None or _negation_follows(tokens, at + 1)
        elif scope and seen and at not in inside and word in _RESTARTS:
            scope = False
        found[at] = scope
        if at in begins:
            for place in range(at, begins[at]):
                found[place] = scope
            seen = True
            at = begins[at]
            continue
        at += 1
    return found


def _mention_follows(tokens: Sequence[Token], at: int, begins: dict[int, int]) -> int | None:
    """The end of a mention that comes next, articles aside; None where there is none."""
    while at < len(tokens) and at not in begins and tokens[at].text in _ARTICLES:
        at += 1
    return begins.get(at)


def _negation_follows(tokens: Sequence[Token], at: int) -> bool:
    return at < len(tokens) and tokens[at].text in vocabulary().negations


def _list_goes_on(tokens: Sequence[Token], at: int, begins: dict[int, int]) -> bool:
    """Whether what follows a comma ends a list of mentions by *or*, *and* or *nor*."""
    end = _mention_follows(tokens, at, begins)
    while end is not None and end < len(tokens):
        if tokens[end].text in ("or", "nor", "and"):
            return _mention_follows(tokens, end + 1, begins) is not None
        if tokens[end].text != ",":
            return False
        if end + 1 < len(tokens) and tokens[end + 1].text in ("or", "nor", "and"):
            end += 1
            return _mention_follows(tokens, end + 1, begins) is not None
        end = _mention_follows(tokens, end + 1, begins)
    return False
