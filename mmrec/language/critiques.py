"""Criticism of an item that was shown as bounds on columns: ``too long``, ``cheaper``, ``better rated``.

Unit of work: one sentence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmrec.language.attributes import Attributes, Measure
from mmrec.language.constraints import StatedConstraint, day_text, number_text
from mmrec.language.measures import CLAUSE_ENDS, NEGATORS, words_at
from mmrec.language.words import Token, comparatives, stem, vocabulary

_MORE_OR_LESS = dict.fromkeys(("more", "higher", "longer", "bigger", "larger", "better", "greater"), 1) | dict.fromkeys(
    ("fewer", "less", "lower", "smaller", "shorter"), -1
)
"""Comparatives before the name of a column: ``more bedrooms``."""
_JUDGED = {"low": 1, "few": 1, "good": 1, "high": -1, "much": -1, "many": -1}
"""Adjectives behind the name of a column, and in which direction they find it wanting."""


class CritiqueReader:
    """Reads criticism in sentences about one catalogue.

    Args:
        attributes: The columns of the catalogue.
        cue_words: Words that say that a number of some column is meant.
    """

    def __init__(self, attributes: Attributes, cue_words: frozenset[str]) -> None:
        self.measures = attributes.measures
        self.cue_words = cue_words

    def critiques(self, tokens: Sequence[Token], taken: set[int], shown: int | None) -> list[StatedConstraint]:
        """Constraints relative to an item that was shown: ``too long``, ``cheaper``, ``better rated``.

        Args:
            tokens: The sentence.
            taken: Tokens that are something else; those of a critique are added.
            shown: Catalogue row of the item; None: there is none, and criticism says nothing.
        """
        if shown is None:
            return []
        found: list[StatedConstraint] = []
        known = comparatives()
        for at, token in enumerate(tokens):
            if at in taken:
                continue
            length, sign, quantity, columns = 1, 0, "", frozenset[str]()
            pair = f"{token.text} {tokens[at + 1].text}" if at + 1 < len(tokens) else ""
            before = tokens[at - 1].text if at else ""
            if pair in known:
                (quantity, sign), length = known[pair], 2
            elif token.text in known:
                quantity, sign = known[token.text]
            noun, noun_length = self._noun_at(tokens, at + length)
            compared = token.text in known and _is_comparative(token.text)
            if token.text in _MORE_OR_LESS and (noun or self._noun_at(tokens, at + 1)[0]):
                noun, noun_length = self._noun_at(tokens, at + 1)
                sign = _MORE_OR_LESS[token.text]
                columns, length = noun, 1 + noun_length
            elif token.text in ("more", "less") and at + 1 < len(tokens) and tokens[at + 1].text in known:
                quantity, sign = known[tokens[at + 1].text]
                sign, length = (-sign if token.text == "less" else sign), 2
            elif sign and before == "too":
                sign = -sign
            elif token.text in _JUDGED and (before_it := self._noun_before(tokens, at)):
                columns, sign = before_it, _JUDGED[token.text]
                if before != "too" and token.text != "good" and not self._enough(tokens, at):
                    continue
                if self._enough(tokens, at):
                    sign = 1
            elif not (sign and (compared or pair in known or self._enough(tokens, at))):
                continue
            measure = self._criticised_column(quantity, columns)
            if measure is None:
                continue
            value = float(measure.numbers_N[shown])
            if math.isnan(value):
                continue
            begin = at - 1 if before in ("too", "more", "less") else at
            end = min(len(tokens), at + length)
            taken.update(range(begin, end))
            text = day_text(value) if measure.kind == "date" else number_text(value)
            words = words_at(tokens, begin, end)
            found.append(StatedConstraint(measure.name, ">" if sign > 0 else "<", (text,), words, 0.9, relative=True))
        return found

    def _noun_at(self, tokens: Sequence[Token], at: int) -> tuple[frozenset[str], int]:
        """Columns that the words at a place name, and how many words."""
        for length in (2, 1):
            words = {stem(token.text) for token in tokens[at : at + length]}
            if len(words) < length:
                continue
            columns = frozenset(name for name, measure in self.measures.items() if words <= measure.words)
            if not columns and length == 1:
                columns = self._columns_of_cue(tokens, at)
            if columns:
                return columns, length
        return frozenset(), 0

    def _columns_of_cue(self, tokens: Sequence[Token], at: int) -> frozenset[str]:
        if at >= len(tokens):
            return frozenset()
        word = tokens[at].text
        if word in vocabulary().ordinary and word not in self.cue_words:
            return frozenset()
        return frozenset(
            name
            for name, measure in self.measures.items()
            if any(
                word in quantity.words and word not in ("from", "out", "away", "made")
                for quantity in measure.quantities
            )
        )

    def _noun_before(self, tokens: Sequence[Token], at: int) -> frozenset[str]:
        for place in range(at - 1, max(-1, at - 6), -1):
            if tokens[place].text in CLAUSE_ENDS:
                break
            columns, _ = self._noun_at(tokens, place)
            if columns:
                return columns
        return frozenset()

    def _enough(self, tokens: Sequence[Token], at: int) -> bool:
        after = tokens[at + 1].text if at + 1 < len(tokens) else ""
        return after == "enough" and any(token.text in NEGATORS for token in tokens[max(0, at - 3) : at])

    def _criticised_column(self, quantity: str, columns: frozenset[str]) -> Measure | None:
        """The column of a critique: a named one, else one of its quantity, a bound from below before one from above."""
        candidates = [
            measure
            for measure in self.measures.values()
            if (measure.name in columns if columns else any(held.name == quantity for held in measure.quantities))
        ]
        if columns and len(candidates) > 1:
            rated = [measure for measure in candidates if any(held.name == "rating" for held in measure.quantities)]
            candidates = rated or candidates
        if not candidates and quantity == "size":
            return self._criticised_column("capacity", columns)
        return max(candidates, key=lambda measure: ("max" in measure.words, "release" in measure.words), default=None)


def _is_comparative(word: str) -> bool:
    return word.endswith("er") or word in ("better", "worse", "further")
