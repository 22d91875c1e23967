"""From a sentence to constraints on the columns of a catalogue.

The words of a sentence are read in turn: references to items that were shown, values by their words, numbers with what
compares them, criticism of what was shown, and at last, by likeness in the text encoder's space, values that are called
otherwise than the catalogue calls them. What a word is used for once is not read again; what is left is the part of the
wish that no filter can express. Unit of work: one sentence. Knows nothing about conversations.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from mmrec.language.attributes import Attributes, Likeness, Value, entries_of, name_words
from mmrec.language.constraints import NEGATED, StatedConstraint
from mmrec.language.critiques import CritiqueReader
from mmrec.language.measures import MeasureReader
from mmrec.language.negation import Polarity, polarities
from mmrec.language.numbers import amounts_of
from mmrec.language.words import Token, comparative_forms, comparatives, stem, tokens_of, vocabulary

_LONGEST = 7
"""Most tokens of a value that is named."""
_PHRASE = 3
"""Most tokens that are compared with values by likeness."""
_VALUES_TOO = frozenset(["man", "men", "woman", "women", "family"])
"""Ordinary words that are mostly meant where they are values."""
_JOINS = frozenset([",", "or", "and", "nor", "/", "a", "an", "the", "either", "any", "in", "of", "no", "not", "&"])


@dataclass(frozen=True, slots=True)
class ParserConfig:
    """Thresholds of likeness, calibrated on sentences of catalogues that no figure is reported on.

    Attributes:
        accept: Likeness from which on a phrase is taken to mean a value, 0 to 1.
        ask: Likeness from which on the customer is asked whether it does.
        margin_weight: What a lead of one over the second nearest value adds to a likeness.
        stem_bonus: What a common beginning of phrase and value adds.
    """

    accept: float = 0.64
    ask: float = 0.56
    margin_weight: float = 0.6
    stem_bonus: float = 0.12


@dataclass(frozen=True, slots=True)
class ParsedWish:
    """What a sentence says.

    Attributes:
        constraints: Conditions that it states.
        unsure: Conditions that it may state, below the confidence to act on.
        reference: Which of the shown items it refers to, counted from 0; None for none.
        rest: Its words that are neither of these, without ordinary words.
    """

    constraints: tuple[StatedConstraint, ...] = ()
    unsure: tuple[StatedConstraint, ...] = ()
    reference: int | None = None
    rest: str = ""

    @property
    def means_something(self) -> bool:
        """Whether any of its words says something about items."""
        return bool(self.constraints or self.unsure or self.rest.strip())


class _Mention(NamedTuple):
    """Values that some tokens name, or are like."""

    begin: int
    end: int
    value: Value
    confidence: float
    alike: bool = False


class WishParser:
    """Reads sentences about one catalogue.

    Args:
        attributes: The columns of the catalogue.
        config: Thresholds.
    """

    def __init__(self, attributes: Attributes, config: ParserConfig | None = None) -> None:
        self.attributes = attributes
        self.config = config or ParserConfig()
        self._measures = MeasureReader(attributes)
        self._critiques = CritiqueReader(attributes, self._measures.cue_words)

    def parse(self, text: str, shown: Sequence[int] = (), *, asked: str = "") -> ParsedWish:
        """Read a sentence.

        Args:
            text: What the customer says.
            shown: Catalogue rows of the items that were shown last, in their order.
            asked: The column that the sentence answers a question about; empty for none.
        """
        tokens = tokens_of(text)
        taken: set[int] = set()
        reference = self._reference(tokens, taken, len(shown))
        named = self._named(text, tokens, taken, asked)
        amounts = amounts_of(tokens, taken)
        bounds = self._measures.bounds(tokens, taken, amounts, asked)
        about = None if not shown else shown[reference if reference is not None else -1]
        bounds += self._critiques.critiques(tokens, taken, about)
        # Nothing that a number or a criticism was read from is compared by likeness.
        alike, unsure = self._alike(tokens, taken)
        mentions = sorted([*named, *alike])
        spans = [(mention.begin, mention.end) for mention in mentions]
        signs = [
            Polarity.WANTED if sign is Polarity.NEGATED and self._is_missed(tokens, mention, about) else sign
            for mention, sign in zip(mentions, polarities(tokens, spans), strict=True)
        ]
        constraints = [*self._grouped(text, tokens, mentions, signs), *bounds]
        unsure_signs = polarities(tokens, [(mention.begin, mention.end) for mention in unsure])
        return ParsedWish(
            constraints=tuple(sorted(_without_repeats(constraints), key=lambda c: text.find(c.words))),
            unsure=tuple(_without_repeats(self._grouped(text, tokens, unsure, unsure_signs))),
            reference=reference,
            rest=" ".join(token.text for at, token in enumerate(tokens) if self._is_content(token, at, taken)),
        )

    # --- references --------------------------------------------------------------------------------------------------

    def _reference(self, tokens: Sequence[Token], taken: set[int], shown: int) -> int | None:
        ordinals: dict[str, int] = vocabulary().table["ordinals"]
        for at, token in enumerate(tokens):
            if token.text not in ordinals or not shown:
                continue
            place = ordinals[token.text]
            found = shown - 1 if place < 0 else place - 1
            before = tokens[at - 1].text if at else ""
            if found >= shown or before not in ("the", "your", "that", "like", ""):
                continue
            taken.update({at} | ({at - 1} if before == "the" else set()))
            if at + 1 < len(tokens) and tokens[at + 1].text in ("one", "ones", "item", "film", "option", "suggestion"):
                taken.add(at + 1)
            return found
        return None

    # --- values by their words ---------------------------------------------------------------------------------------

    def _named(self, text: str, tokens: Sequence[Token], taken: set[int], asked: str) -> list[_Mention]:
        found: list[_Mention] = []
        short = self.attributes.short_values()
        at = 0
        while at < len(tokens):
            mention = None
            for length in range(min(_LONGEST, len(tokens) - at), 0, -1):
                if any(place in taken for place in range(at, at + length)):
                    continue
                mention = self._value_at(text, tokens, at, length, short, asked)
                if mention is not None:
                    break
            if mention is None:
                at += 1
                continue
            taken.update(range(mention.begin, mention.end))
            found.append(mention)
            at = mention.end
        return found

    def _value_at(
        self, text: str, tokens: Sequence[Token], at: int, length: int, short: Mapping[str, list[Value]], asked: str
    ) -> _Mention | None:
        span = tokens[at : at + length]
        if not span[0].text[0].isalnum() and length > 1:
            return None
        raw = text[span[0].start : span[-1].end]
        if raw in short and (len(raw) > 1 or (raw.isupper() and raw not in ("I", "A"))):
            return _Mention(at, at + length, self._one_of(short[raw], tokens, asked), 1.0)
        if not span[-1].text[0].isalnum() and span[-1].text != "+":
            return None
        form = tuple(stem(token.text) for token in span if token.text[0].isalnum())
        if span[-1].text == "+":
            form = (*form, stem("plus"))
        values = [value for value in self.attributes.by_stems.get(form, ()) if len(value.text) > 3 or raw.islower()]
        values = [value for value in values if len(value.text) > 2]
        if values and not (length == 1 and self._ordinary_value(span[0]) and not _after_article(tokens, at)):
            return _Mention(at, at + length, self._one_of(values, tokens, asked, raw), 1.0)
        letters = "".join(form)
        if (
            len(letters) > 3
            and (joined := self.attributes.joined.get(letters))
            and letters not in vocabulary().ordinary
        ):
            return _Mention(at, at + length, self._one_of(joined, tokens, asked), 0.95)
        if length == 1 and (part := self.attributes.by_part.get(form[0])) and not self._is_measure_word(span[0]):
            # A part of a name is meant where it is written as a name.
            named = self.attributes.attributes[part.column].alike or (span[0].original[0].isupper() and at > 0)
            return _Mention(at, at + 1, part, 0.85) if named else None
        return None

    def _is_missed(self, tokens: Sequence[Token], mention: _Mention, shown: int | None) -> bool:
        """Whether "it is not a comedy" asks for one: the item that was shown is none."""
        if shown is None or not _speaks_of_it(tokens, mention.begin):
            return False
        column = self.attributes.columns[mention.value.column]
        entries = entries_of(column.texts[shown], column.kind)
        return mention.value.text not in entries and not self.attributes.is_boolean(mention.value.column)

    def _ordinary_value(self, token: Token) -> bool:
        """Whether a word is too common to be a value where it is not written as one."""
        return token.text in vocabulary().ordinary and token.original.islower() and token.text not in _VALUES_TOO

    def _one_of(self, values: Sequence[Value], tokens: Sequence[Token], asked: str, raw: str = "") -> Value:
        """Of values of several columns the one that was asked about, whose column is named, or that is written so.

        Else it is the first.
        """
        if len(values) == 1:
            return values[0]
        answers = [value for value in values if value.column == asked]
        if answers:
            return answers[0]
        said = {stem(token.text) for token in tokens}
        named = [value for value in values if said & set(value.column.casefold().replace("_", " ").split())]
        written = [value for value in values if value.text.casefold() == raw.casefold()]
        return (named or written or list(values))[0]

    # --- values by their likeness ------------------------------------------------------------------------------------

    def _alike(self, tokens: Sequence[Token], taken: set[int]) -> tuple[list[_Mention], list[_Mention]]:
        spans = [
            (begin, end)
            for begin in range(len(tokens))
            for end in range(begin + 1, min(begin + _PHRASE, len(tokens)) + 1)
            if self._is_phrase(tokens, begin, end, taken)
        ]
        phrases = [
            " ".join(_base(token.text) for token in tokens[begin:end]).replace(" - ", "-") for begin, end in spans
        ]
        scored: list[tuple[float, int, int, Likeness]] = []
        for (begin, end), phrase, likeness in zip(spans, phrases, self.attributes.nearest(phrases), strict=True):
            if likeness is not None:
                scored.append((self._score(phrase, likeness), begin, end, likeness))
        # The longer phrase first, where it is about as good.
        scored.sort(key=lambda entry: (-round(entry[0] + 0.02 * (entry[2] - entry[1]), 3), entry[1]))
        sure: list[_Mention] = []
        unsure: list[_Mention] = []
        for score, begin, end, likeness in scored:
            if score < self.config.ask or any(place in taken for place in range(begin, end)):
                continue
            mention = _Mention(begin, end, likeness.value, min(1.0, score), alike=True)
            (sure if score >= self.config.accept else unsure).append(mention)
            taken.update(range(begin, end))
        return sure, sorted(unsure)

    def _score(self, phrase: str, likeness: Likeness) -> float:
        value = likeness.value.text.casefold()
        score = likeness.score + self.config.margin_weight * likeness.margin
        common = len(os.path.commonprefix([phrase, value]))  # noqa: RUF071 - by character
        if common >= 4 and common >= 0.7 * min(len(phrase), len(value)):
            score += self.config.stem_bonus
        return score

    def _is_phrase(self, tokens: Sequence[Token], begin: int, end: int, taken: set[int]) -> bool:
        if not (tokens[begin].text[0].isalpha() and tokens[end - 1].text[0].isalpha()):
            return False
        return all(
            at not in taken if _is_hyphenated(tokens, at) else self._is_content(tokens[at], at, taken)
            for at in range(begin, end)
        ) and not (_hyphen_at(tokens, begin - 1) or _hyphen_at(tokens, end))

    def _is_content(self, token: Token, at: int, taken: set[int]) -> bool:
        """Whether a word can say something about items beyond what was read from it."""
        word = token.text
        if at in taken or not word[0].isalpha() or len(word) < 3:
            return False
        table = vocabulary()
        if {word, stem(word)} & table.ordinary or word in table.negations or word in comparatives():
            return False
        if stem(word) in self.attributes.common or self._names_a_column(word):
            return False
        return not self._is_measure_word(token) and word not in table.table["numbers"]

    def _names_a_column(self, word: str) -> bool:
        """Whether a word is one of an attribute's name, or begins as one does: ``stream`` of ``streaming_services``."""
        return any(
            len(named) >= 4 and (named.startswith(word) or word.startswith(named))
            for name, attribute in self.attributes.attributes.items()
            if attribute.kind != "boolean"
            for named in name_words(name)
        )

    def _is_measure_word(self, token: Token) -> bool:
        word = stem(token.text)
        return word in self._measures.name_words or token.text in self._measures.cue_words

    # --- constraints of mentions -------------------------------------------------------------------------------------

    def _grouped(
        self, text: str, tokens: Sequence[Token], mentions: Sequence[_Mention], signs: Sequence[Polarity]
    ) -> list[StatedConstraint]:
        groups: list[list[tuple[_Mention, Polarity]]] = []
        for mention, sign in zip(mentions, signs, strict=True):
            if sign is Polarity.DROPPED:
                continue
            last = groups[-1] if groups else None
            if last is not None and self._joins(tokens, last, mention, sign):
                last.append((mention, sign))
            else:
                groups.append([(mention, sign)])
        found: list[StatedConstraint] = []
        for group in groups:
            column = group[0][0].value.column
            negated = group[0][1] is Polarity.NEGATED
            words = text[tokens[group[0][0].begin].start : tokens[group[-1][0].end - 1].end]
            values = tuple(dict.fromkeys(mention.value.text for mention, _ in group))
            confidence = min(mention.confidence for mention, _ in group)
            is_list = self.attributes.is_list(column)
            alike = any(mention.alike for mention, _ in group)
            if self.attributes.is_boolean(column):
                values = ("false",) if negated else ("true",)
                found.append(StatedConstraint(column, "has", values, words, confidence, alike=alike))
            elif negated:
                found += [
                    StatedConstraint(column, NEGATED, (value,), words, confidence, is_list=is_list, alike=alike)
                    for value in values
                ]
            elif is_list and len(values) > 1 and not _any_of(tokens, group[0][0].begin, group[-1][0].end):
                found += [
                    StatedConstraint(column, "has", (value,), words, confidence, is_list=True, alike=alike)
                    for value in values
                ]
            else:
                found.append(StatedConstraint(column, "has", values, words, confidence, is_list=is_list, alike=alike))
        return _merged(found)

    def _joins(
        self,
        tokens: Sequence[Token],
        group: Sequence[tuple[_Mention, Polarity]],
        mention: _Mention,
        sign: Polarity,
    ) -> bool:
        last, last_sign = group[-1]
        if last.value.column != mention.value.column or last_sign is not sign:
            return False
        between = [token.text for token in tokens[last.end : mention.begin]]
        return bool(between) and all(word in _JOINS for word in between)


def _speaks_of_it(tokens: Sequence[Token], at: int) -> bool:
    """Whether the clause before a place speaks of an item that was shown: ``that is no ...``, ``it is not on ...``."""
    while at > 0 and tokens[at - 1].text not in (",", ".", ";", "!", "?", "but"):
        at -= 1
        if tokens[at].text in ("it", "that", "this", "thats", "its"):
            return True
    return False


def _after_article(tokens: Sequence[Token], at: int) -> bool:
    return at > 0 and tokens[at - 1].text in ("a", "an")


def _any_of(tokens: Sequence[Token], begin: int, end: int) -> bool:
    words = {token.text for token in tokens[begin:end]}
    before = {token.text for token in tokens[max(0, begin - 3) : begin]}
    return bool(words & {"or", "/"}) or bool(before & {"either", "have", "got", "subscribe"})


def _hyphen_at(tokens: Sequence[Token], at: int) -> bool:
    """Whether a hyphen joins the words before and after a place."""
    if not 0 < at < len(tokens) - 1 or tokens[at].text != "-":
        return False
    return tokens[at - 1].end == tokens[at].start and tokens[at].end == tokens[at + 1].start


def _is_hyphenated(tokens: Sequence[Token], at: int) -> bool:
    """Whether a token is a part of a hyphenated word: each part alone may be short or ordinary."""
    return _hyphen_at(tokens, at) or (
        tokens[at].text[0].isalpha() and (_hyphen_at(tokens, at - 1) or _hyphen_at(tokens, at + 1))
    )


def _merged(constraints: Iterable[StatedConstraint]) -> list[StatedConstraint]:
    """A column with one value an item that is asked for several of them: any of these will do."""
    found: list[StatedConstraint] = []
    for constraint in constraints:
        for place, other in enumerate(found):
            same = other.column == constraint.column and other.operator == constraint.operator == "has"
            if same and not constraint.is_list and constraint.values not in (("true",), ("false",)):
                values = tuple(dict.fromkeys((*other.values, *constraint.values)))
                confidence = min(other.confidence, constraint.confidence)
                alike = other.alike or constraint.alike
                found[place] = replace(other, values=values, confidence=confidence, alike=alike)
                break
        else:
            found.append(constraint)
    return found


def _without_repeats(constraints: Iterable[StatedConstraint]) -> list[StatedConstraint]:
    found: dict[str, StatedConstraint] = {}
    for constraint in constraints:
        found.setdefault(constraint.condition, constraint)
    return list(found.values())


def _base(word: str) -> str:
    """The adjective of a comparative: ``funnier`` is funny."""
    for ending, root in (("ier", "y"), ("er", ""), ("er", "e")):
        if word.endswith(ending) and len(word) > len(ending) + 3:
            base = word[: -len(ending)] + root
            if word in comparative_forms(base) and ending == "ier":
                return base
    return word
