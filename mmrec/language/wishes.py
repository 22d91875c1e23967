"""Sentences about items, as customers wish for them: values of their columns in several wordings, and their own words.

Follows from a catalogue's own columns and values. Unit of work: one catalogue.
"""

# Axes: N items, S sentences, E entries of all items, D dimensions of the text encoder

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.generator.sentence_bank import SentenceBank
from mmrec.language.attributes import Attributes, entries_of
from mmrec.language.sentences import shown_column

WORDINGS = (
    "{value}",
    "something {value}",
    "I am in the mood for {value}",
    "{column}: {value}",
    "I would like {value} this time",
    "looking for {value}",
    "do you have anything with {value}?",
    "show me {value}, please",
    "a good {value} one",
    "the {column} should be {value}",
    "today I want {value}",
    "recommend me some {value}",
)
"""Ways to wish for a value of a column."""
OTHER_WORDINGS = (
    "could I have {value}?",
    "my wish is {value}",
    "what about {value}",
    "I want to see {value}",
    "give me {value}",
    "any {column} like {value}",
)
"""Ways that nothing is trained on: weights are fitted on them."""

_OWN_SHARE = 0.3
"""Share of the sentences, and of the draws, that are items' own words."""
_CLAUSE = re.compile(r"[^.!?;\n]+")
_LETTER = re.compile(r"[^\W\d_]")
_FEWEST_WORDS, _MOST_WORDS = 4, 30


class Wishes(NamedTuple):
    """Sentences about the items of a catalogue; see `SentenceBank`.

    Attributes:
        sentences: The texts.
        begin_N1: Where the entries of each item begin. Shape: (N + 1,), int64.
        sentences_E: Sentence of each entry. Shape: (E,), int64.
        weights_E: Weight of each entry. Shape: (E,), float32.
    """

    sentences: tuple[str, ...]
    begin_N1: npt.NDArray[np.int64]
    sentences_E: npt.NDArray[np.int64]
    weights_E: npt.NDArray[np.float32]

    def bank(self, vectors_SD: npt.NDArray[np.float32]) -> SentenceBank:
        """With the vectors of the sentences, of unit length. Shape: (S, D), float32."""
        return SentenceBank(self.sentences, vectors_SD, self.begin_N1, self.sentences_E, self.weights_E)


def make_wishes(
    catalogue: Catalogue,
    most: int,
    *,
    wordings: Sequence[str] = WORDINGS,
    own_words: bool = True,
    seed: int = 0,
) -> Wishes:
    """Write sentences about every item.

    Args:
        catalogue: The items.
        most: Most sentences, 1 or more. Frequent values get all wordings; where there are too many values, the rest get
            fewer, and the rarest none.
        wordings: Ways to wish for a value of a column, with ``{value}`` and ``{column}``.
        own_words: Whether sentences of the items' descriptions are among them.
        seed: Of which wordings and which of an item's own sentences are taken.
    """
    rng = np.random.default_rng(seed)
    items = len(catalogue)
    texts: dict[str, int] = {}
    entries: list[list[tuple[int, float]]] = [[] for _ in range(items)]
    by_value = _rows_by_value(catalogue)
    # Wishes are for kinds of items rather than for names that one item has.
    strength = {value: math.sqrt(len(rows)) for value, rows in by_value.items()}
    total_N = np.zeros(items)
    for named, rows in by_value.items():
        total_N[rows] += strength[named]

    has_words = own_words and any(catalogue.descriptions)
    budget = max(1, int(most * (1 - _OWN_SHARE))) if has_words else most
    ordered = sorted(by_value.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    for number, ((column, value), rows) in enumerate(ordered):
        ways = min(len(wordings), max(1, (budget - len(texts)) // max(1, len(ordered) - number)))
        if number < 200:
            ways = len(wordings)
        if len(texts) + ways > budget:
            break
        chosen = rng.choice(len(wordings), ways, replace=False)
        name = shown_column(column)
        said = [wordings[place].format(value=value, column=name) for place in chosen]
        numbers = [texts.setdefault(text, len(texts)) for text in said]
        for row in rows:
            weight = strength[column, value] / (total_N[row] * ways)
            entries[row] += [(sentence, weight) for sentence in numbers]

    if has_words:
        for row in rng.permutation(items):
            clauses = _clauses(catalogue.descriptions[row])
            if not clauses or len(texts) >= most:
                continue
            text = clauses[int(rng.integers(len(clauses)))]
            weight = _OWN_SHARE / (1 - _OWN_SHARE) * (sum(weight for _, weight in entries[row]) or 1.0)
            entries[row].append((texts.setdefault(text, len(texts)), weight))
    return _wishes(texts, entries)


def make_described_wishes(catalogue: Catalogue, columns: Collection[str], *, each: int = 8, seed: int = 0) -> Wishes:
    """Write wishes of many words: the name of a value, and the description of another item that has it.

    Such a sentence lies between a wish that names a value and one that says it in other words.

    Args:
        catalogue: The items.
        columns: Columns whose values are wished for.
        each: Descriptions for each value.
        seed: Of which descriptions.
    """
    rng = np.random.default_rng(seed)
    texts: dict[str, int] = {}
    entries: list[list[tuple[int, float]]] = [[] for _ in range(len(catalogue))]
    for (column, value), rows in sorted(_rows_by_value(catalogue).items()):
        told = [row for row in rows if catalogue.descriptions[row].strip()]
        if column not in columns or len(told) < 2:
            continue
        shown = rng.permutation(told)[:each].tolist()
        said = {row: texts.setdefault(f"{value}: {catalogue.descriptions[row].strip()}", len(texts)) for row in shown}
        for row in rows:
            own = [sentence for other, sentence in said.items() if other != row]
            entries[row] += [(sentence, math.sqrt(len(rows)) / len(own)) for sentence in own]
    return _wishes(texts, entries)


def _wishes(texts: Mapping[str, int], entries: Sequence[Sequence[tuple[int, float]]]) -> Wishes:
    """From sentences and their numbers, and the numbers and weights of each item's."""
    flat = [entry for own in entries for entry in own]
    return Wishes(
        tuple(texts),
        np.concatenate([[0], np.cumsum([len(own) for own in entries])]).astype(np.int64),
        np.array([sentence for sentence, _ in flat], dtype=np.int64),
        np.array([weight for _, weight in flat], dtype=np.float32),
    )


def _rows_by_value(catalogue: Catalogue) -> dict[tuple[str, str], list[int]]:
    """Rows of the items that have each value of a column of words."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for attribute in Attributes(catalogue).attributes.values():
        if attribute.kind == "boolean":
            continue
        for row, text in enumerate(catalogue.attributes[attribute.name]):
            for value in dict.fromkeys(entries_of(text, attribute.kind)):
                if _LETTER.search(value):
                    found[attribute.name, value].append(row)
    return found


def _clauses(description: str) -> list[str]:
    clauses = (clause.strip() for clause in _CLAUSE.findall(description))
    return [clause for clause in clauses if _FEWEST_WORDS <= len(clause.split()) <= _MOST_WORDS]
