"""Checks that a text about a recommendation says nothing beside its evidence.

The text may be worded by a language model. It is accepted only if every word of it is accounted for: it belongs to a
title, a value or the column of the evidence, it is a number of the evidence, or it is one of the neutral words of
``neutral_words.toml``, which claim nothing. So an item, an attribute or a number that is not in the evidence, a
negation and a claim of another kind are rejected, and so is harmless wording that the table does not have: then the
plain sentence is shown instead. Case, accents, plurals, quotes and number words do not matter.

Unit of work: one text. Knows nothing about models.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import NamedTuple

from mmrec.contract.items import Statement, StatementKind
from mmrec.language.numbers import amounts_of
from mmrec.language.sentences import TitleOf, shown_column, shown_title
from mmrec.language.words import Token, plain, stem, stems, tokens_of, vocabulary

_ENDS = frozenset(".!?;\n")
_QUOTES = frozenset('"“”«»„')
_ITSELF = frozenset(["it", "this", "that", "these", "those"])
"""Words for the item that is explained."""


class _Words(NamedTuple):
    """The table of neutral words, as stems.

    Attributes:
        neutral: Words that claim nothing.
        plain: Those of the plain sentences, which stay neutral whatever the columns of a catalogue are called.
        more: Words that may follow a number of items.
        leads: Words that may come before the title of a history item: a suggestion rests on it.
        acts: What a customer did with an item of the history.
        past: Words about what a customer did, or why an item is suggested, which its own values do not tell.
        claims: Kinds of the statements that may use a word.
    """

    neutral: frozenset[str]
    plain: frozenset[str]
    more: frozenset[str]
    leads: frozenset[str]
    acts: frozenset[str]
    past: frozenset[str]
    claims: Mapping[str, frozenset[str]]


@cache
def _words() -> _Words:
    text = resources.files("mmrec.language").joinpath("neutral_words.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    claims: dict[str, frozenset[str]] = {}
    for claim in table["claims"].values():
        for word in claim["words"].split():
            claims[stem(word)] = frozenset(claim["kinds"]) | claims.get(stem(word), frozenset())
    named = ("neutral", "plain", "more", "leads", "acts", "past")
    lists = {name: frozenset(map(stem, table[name].split())) for name in named}
    return _Words(**lists, claims=claims)


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a text is rejected.

    Attributes:
        found: What is in the text and not in the evidence.
        reason: Why, in a sentence.
    """

    found: str
    reason: str


@dataclass(frozen=True, slots=True)
class SuggestedItem:
    """Evidence for a sentence that suggests an item: its own title and values.

    Attributes:
        item_id: The item.
        title: Its title as it is shown.
        facts: Columns and values as they are shown.
    """

    item_id: str
    title: str
    facts: tuple[tuple[str, str], ...] = ()


class _Name(NamedTuple):
    """What evidence holds, as stems.

    Attributes:
        phrase: One stem or more.
        item_id: Of a title; empty for a value or a column.
        column: The column of a value, or the column that is meant; empty for a title.
        named: Whether it is a title or a value.
    """

    phrase: tuple[str, ...]
    item_id: str
    column: str
    named: bool


class _Evidence(NamedTuple):
    """What one sentence may say.

    Attributes:
        kind: Kind of the statement, or `_SUGGESTION`.
        text: The plain sentence.
        item_ids: Items of the history.
        customers: A number of customers; 0 for none.
        names: Titles, values and columns.
        is_named: Whether a sentence must name something of it.
    """

    kind: str
    text: str
    item_ids: tuple[str, ...]
    customers: int
    names: list[_Name]
    is_named: bool


_SUGGESTION = "suggestion"


class _Mention(NamedTuple):
    """Evidence that a text names: tokens ``begin`` to ``end``."""

    begin: int
    end: int
    item_id: str
    column: str
    named: bool


class EvidenceChecker:
    """Checks texts about the items of one catalogue.

    Args:
        title_of: Titles of the items.
        names: Titles and values of the catalogue; those made of neutral words alone are recognised by their capitals.
        columns: Columns of the catalogue; their names are claims wherever the evidence does not hold them.
    """

    def __init__(self, title_of: TitleOf, names: Iterable[str] = (), columns: Iterable[str] = ()) -> None:
        self._title_of = title_of
        taken = {word for column in columns for word in stems(shown_column(column))} - _words().plain
        self._neutral = _words().neutral - taken
        self._neutral_names: dict[str, set[tuple[str, ...]]] = {}
        for name in names:
            first = re.search(r"[^\W_]+", name)  # most names are out after one word
            if first is not None and stem(plain(first.group())) not in self._neutral:
                continue
            phrase = stems(name)
            if phrase and all(word in self._neutral for word in phrase):
                self._neutral_names.setdefault(phrase[0], set()).add(phrase)

    def check(self, text: str, statements: Sequence[Statement | SuggestedItem]) -> Rejection | None:
        """Check a text: each of its sentences must say what one of the statements says.

        Args:
            text: One sentence or more, in English.
            statements: The statements with their evidence. A sentence about a suggested item may say of it what its
                values say, but nothing about the customer.

        Returns:
            What is wrong with it; None: nothing is.
        """
        tokens = tokens_of(text)
        evidence = [self._evidence(statement) for statement in statements]
        every = [mention for one in evidence for mention in self._mentions(tokens, one)]
        inside = {place for mention in every for place in range(mention.begin, mention.end)}
        sentences = _sentences(tokens, inside)
        if not sentences:
            return Rejection(text, "the text is empty")
        for sentence in sentences:
            rejection: Rejection | None = Rejection(text, "there is no evidence")
            for one in evidence:
                rejection = self._rejection(sentence, one)
                if rejection is None:
                    break
            if rejection is not None:
                return rejection
        return None

    def _evidence(self, statement: Statement | SuggestedItem) -> _Evidence:
        if isinstance(statement, SuggestedItem):
            names = _names([(statement.item_id, statement.title)], statement.facts)
            return _Evidence(_SUGGESTION, "", (), 0, names, True)
        names = _names(
            [(item_id, self._title_of(item_id)) for item_id in statement.item_ids],
            [(statement.column, statement.value)],
        )
        rests = bool(statement.item_ids or statement.value or statement.count)
        kind = statement.kind.value if statement.kind else ""
        return _Evidence(kind, statement.text, statement.item_ids, statement.count, names, rests)

    def _mentions(self, tokens: Sequence[Token], evidence: _Evidence) -> list[_Mention]:
        """The evidence that tokens name, longest first at each place."""
        words, quoted = [stem(token.text) for token in tokens], _quoted(tokens)
        found: list[_Mention] = []
        place = 0
        while place < len(tokens):
            best: _Mention | None = None
            for phrase, item_id, column, named in evidence.names:
                end = _match(words, place, phrase)
                bare = named and not {*range(place, end)} & quoted and all(word in self._neutral for word in phrase)
                if bare and not (place and all(tokens[at].original[0].isupper() for at in range(place, end))):
                    continue  # a title such as "It" is named in quotes or by its capital
                if end and (best is None or end > best.end):
                    best = _Mention(place, end, item_id, column, named)
            if best is None:
                place += 1
            else:
                found.append(best)
                place = best.end
        return found

    def _rejection(self, tokens: Sequence[Token], evidence: _Evidence) -> Rejection | None:
        """What one sentence says beside one statement."""
        mentions = self._mentions(tokens, evidence)
        named = {place for mention in mentions if mention.named for place in range(mention.begin, mention.end)}
        taken = {place for mention in mentions for place in range(mention.begin, mention.end)}
        quoted = _quoted(tokens)
        for place in sorted(quoted - named):
            if tokens[place].text not in _QUOTES and _is_word(tokens[place]):
                return Rejection(tokens[place].original, "it is quoted and not in the evidence")
        numbers = self._numbers(tokens, taken, mentions, evidence)
        if isinstance(numbers, Rejection):
            return numbers
        taken |= numbers
        for place, token in enumerate(tokens):
            if place not in taken and _is_word(token):
                why = self._unaccounted(tokens, place, numbers, evidence)
                if why:
                    return Rejection(token.original, why)
        is_suggestion = evidence.kind == _SUGGESTION
        wrong = self._neutral_name(tokens, taken) or (
            _wrong_column(tokens, mentions) if is_suggestion else _wrong_role(tokens, taken, mentions)
        )
        if wrong:
            return wrong
        if evidence.is_named and not (named or numbers):
            return Rejection("", "the sentence names none of the evidence")
        return None

    def _unaccounted(self, tokens: Sequence[Token], place: int, numbers: set[int], evidence: _Evidence) -> str:
        """Why a word is not accounted for; empty: it is."""
        word, table = stem(tokens[place].text), _words()
        if word in table.more and place - 1 in numbers:
            return ""
        if evidence.kind == _SUGGESTION and word in table.past:
            return "it is about the customer"
        if word == "both" and len(evidence.item_ids) == 2:
            return ""
        if word == "one" and place and tokens[place - 1].text in ("this", "that", "the"):
            return ""
        if word in table.claims:
            said = word in stems(evidence.text) or word not in ("popular", "popularity")
            return "" if evidence.kind in table.claims[word] and said else "the evidence does not say this"
        if word in self._neutral:
            return ""
        if word in vocabulary().negations or re.search(r"n['’]?t$", tokens[place].text):
            return "it negates the evidence"
        return "it is not in the evidence"

    @staticmethod
    def _numbers(
        tokens: Sequence[Token], taken: set[int], mentions: Sequence[_Mention], evidence: _Evidence
    ) -> set[int] | Rejection:
        """Tokens of numbers that are in the evidence, or the first number that is not."""
        items = len(evidence.item_ids)
        named = len({mention.item_id for mention in mentions if mention.item_id})
        allowed = {float(evidence.customers)} if evidence.customers else set()
        found: set[int] = set()
        for amount in amounts_of(tokens, taken):
            after = tokens[amount.end].text if amount.end < len(tokens) else ""
            counts = {float(items - named)} if stem(after) in _words().more else {float(items)} if not named else set()
            span = range(amount.begin, amount.end)
            foreign = bool(amount.unit) and (amount.measure != "people" or amount.value not in allowed)
            if foreign or amount.until is not None or not amount.value or amount.value not in allowed | counts:
                said = " ".join(tokens[place].original for place in span)
                return Rejection(said, "the evidence has no such number")
            found.update(span)
        for place, token in enumerate(tokens):
            if token.text[0].isdigit() and place not in taken and place not in found:
                return Rejection(token.original, "the evidence has no such number")
        return found

    def _neutral_name(self, tokens: Sequence[Token], taken: set[int]) -> Rejection | None:
        """A title or value made of neutral words that the text names with capitals, or at length."""
        free = [place for place, token in enumerate(tokens) if _is_word(token)]
        words = [stem(tokens[place].text) for place in free]
        shouted = not any(character.islower() for token in tokens for character in token.original)
        for at, word in enumerate(words):
            for phrase in self._neutral_names.get(word, ()):
                span = free[at : at + len(phrase)]
                if tuple(words[at : at + len(phrase)]) != phrase or taken & set(span):
                    continue
                capitals = not shouted and all(tokens[place].original[0].isupper() for place in span)
                if len(phrase) > 3 or (capitals and (at > 0 or len(phrase) > 1) and phrase != ("i",)):
                    text = " ".join(tokens[place].original for place in span)
                    return Rejection(text, "it is a name of the catalogue that is not in the evidence")
        return None


def _wrong_column(tokens: Sequence[Token], mentions: Sequence[_Mention]) -> Rejection | None:
    """A column that is named beside the value of another, or a number without its column."""
    values = [mention for mention in mentions if mention.named and mention.column]
    columns = [mention for mention in mentions if not mention.named]
    for mention in columns:
        before = next((value for value in reversed(values) if value.end <= mention.begin), None)
        after = next((value for value in values if value.begin >= mention.end), None)
        meant = before if after is None or (before and _is_as(tokens[before.end : mention.begin])) else after
        if meant is not None and meant.column != mention.column:
            said = " ".join(token.original for token in tokens[mention.begin : mention.end])
            return Rejection(said, "it is named beside the value of another column")
    told = {mention.column for mention in columns}
    for value in values:
        digits = any(token.text[0].isdigit() for token in tokens[value.begin : value.end])
        if digits and value.column not in told:
            said = " ".join(token.original for token in tokens[value.begin : value.end])
            return Rejection(said, "it is a number without its column")
    return None


def _is_as(between: Sequence[Token]) -> bool:
    """Whether words between a value and a column tie the two: "red" as its colour."""
    words = [token.text for token in between if _is_word(token)]
    return bool(words) and words[0] in ("as", "for") and all(word in ("its", "the", "a", "an") for word in words[1:])


def _wrong_role(tokens: Sequence[Token], taken: set[int], mentions: Sequence[_Mention]) -> Rejection | None:
    """A history item that is said to be suggested, or a suggested one that is said to be in the history."""
    for mention in mentions:
        if mention.item_id and _lead(tokens, mention.begin, taken) not in _words().leads:
            said = " ".join(token.original for token in tokens[mention.begin : mention.end])
            return Rejection(said, "it is an item of the history, and is named as something else")
    words = [token.text for token in tokens]
    for place, word in enumerate(words):
        if word in ("you", "i", "we") and place not in taken:
            at = place + 1
            while words[at + 1 : at + 2] and words[at] in _words().acts and at + 1 not in taken:
                at += 1
                if words[at] in _ITSELF:
                    return Rejection(words[at], "the evidence does not have it in the history")
    return None


def _lead(tokens: Sequence[Token], begin: int, taken: set[int]) -> str:
    """The word before a mention, without quotes, commas, articles and other mentions; its stem."""
    place = begin - 1
    while place >= 0:
        text = tokens[place].text
        if place in taken or not _is_word(tokens[place]) or text in ("the", "a", "an", "your", "and", "title", "item"):
            place -= 1
            continue
        return stem(text)
    return ""


def _names(titles: Sequence[tuple[str, str]], facts: Sequence[tuple[str, str]]) -> list[_Name]:
    """Everything that titles of items, by id, and values of columns may be called."""
    names = [_Name(phrase, item_id, "", True) for item_id, title in titles for phrase in _title_forms(item_id, title)]
    for column, value in facts:
        names += [_Name(stems(value), "", column, True), _Name(stems(shown_column(column)), "", column, False)]
    return [name for name in names if name.phrase]


def _title_forms(item_id: str, title: str) -> list[tuple[str, ...]]:
    """Stems of the ways in which an item's title is written: whole, cut, without brackets, its article in front."""
    forms = {title, shown_title(item_id, title)}
    for form in list(forms):
        bare = re.sub(r"\s*[(\[][^()\[\]]*[)\]]\s*$", "", form)
        forms.add(bare)
        turned = re.fullmatch(r"(.+), (the|an?)", bare, re.IGNORECASE)
        if turned:
            forms.add(f"{turned[2]} {turned[1]}")
    return [phrase for phrase in map(stems, sorted(forms)) if phrase]


def _match(words: Sequence[str], place: int, phrase: tuple[str, ...]) -> int:
    """End of a phrase that begins at a place, signs between its words left out; 0 where it does not."""
    at = place
    for word in phrase:
        while at > place and at < len(words) and not words[at][0].isalnum() and words[at] not in _QUOTES:
            at += 1
        if at >= len(words) or words[at] != word:
            return 0
        at += 1
    return at


def _sentences(tokens: Sequence[Token], inside: set[int]) -> list[list[Token]]:
    """Sentences, divided at signs that do not belong to a title or a value: not in quotes, nor before small letters."""
    found: list[list[Token]] = [[]]
    kept = inside | _quoted(tokens)
    for place, token in enumerate(tokens):
        after = next((one.original[0] for one in tokens[place + 1 :] if _is_word(one)), "")
        if token.text in _ENDS and place not in kept and not after.islower():
            found.append([])
        else:
            found[-1].append(token)
    return [sentence for sentence in found if any(map(_is_word, sentence))]


def _quoted(tokens: Sequence[Token]) -> set[int]:
    """Places between quotes."""
    found: set[int] = set()
    opened = False
    for place, token in enumerate(tokens):
        if token.text in _QUOTES:
            opened = not opened
        elif opened:
            found.add(place)
    return found


def _is_word(token: Token) -> bool:
    return token.text[0].isalnum()


def is_worded(kind: StatementKind | None) -> bool:
    """Whether a language model may word statements of a kind: a promotion is always told in the same words."""
    return kind is not None and kind is not StatementKind.PROMOTION
