"""Steering a recommendation by a wish in words: what can be a filter becomes one, the other words steer by likeness.

Unit of work: one instruction. Knows nothing about histories and rankings.
"""

# Axes: N items

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.contract.conversation import Constraint
from mmrec.filters.filter import CatalogueFilter
from mmrec.language.constraints import StatedConstraint, joined_filter
from mmrec.language.dialogue import as_constraint
from mmrec.language.dictionary import Explained
from mmrec.language.parser import WishParser
from mmrec.language.value_reader import ValueReader
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec_encoders.item_encoder import Query

Scores = npt.NDArray[np.float32]

INSTRUCTION = "instruction"
"""Name, in an explanation, of what likeness to a wish added to a score."""
WISH_WEIGHT = 1.0
"""Standard deviations of the score that an item gains for each standard deviation of its likeness to the wish."""
SURE = 0.75
"""A condition of less confidence is not made where nothing would pass it, nor one that was found by likeness where the
whole sentence means it with a smaller chance."""


class Steered(NamedTuple):
    """What an instruction asks for.

    Attributes:
        constraints: Conditions that its words became, in the order of the words.
        filter: The request's own filter and these conditions.
        rest: Its words that no condition expresses; empty for none.
        like_N: Cosine of each item and these words; None without such words. Shape: (N,), float32.
        sentence_D: Vector of the sentence that the LLM reads behind the history; None where it reads none. Shape: (D,),
            float32.
        sentence: That sentence.
        meaning_D: Vector by which values of that sentence are read, drawn to the definitions of its words where there
            is a dictionary; None where the LLM reads none, or values are not read. Shape: (D,), float32.
        over_N: Items over which likeness is standardised; None: those that may be returned. Shape: (N,), bool.
        chances_N: Log of the chance that each item has the values that the words mean; None where these are not read.
            Shape: (N,), float32.
    """

    constraints: tuple[Constraint, ...]
    filter: str
    rest: str
    like_N: Scores | None
    sentence_D: Scores | None = None
    sentence: str = ""
    meaning_D: Scores | None = None
    over_N: npt.NDArray[np.bool_] | None = None
    chances_N: Scores | None = None

    @property
    def liked_N(self) -> Scores | None:
        """What speaks for each item, to find candidates by; None for nothing. Shape: (N,), float32."""
        return self.like_N if self.chances_N is None else self.chances_N

    def among(self, rows_C: npt.NDArray[np.int64]) -> Steered:
        """The same for some items alone, which are then the rows."""
        return self._replace(
            like_N=None if self.like_N is None else self.like_N[rows_C],
            over_N=None if self.over_N is None else self.over_N[rows_C],
            chances_N=None if self.chances_N is None else self.chances_N[rows_C],
        )

    def added(self, scores_N: Scores) -> Scores | None:
        """What the wish adds to scores, in their unit; None for nothing.


        Args:
            scores_N: Scores of the candidates, over which both are standardised, unless `over_N` says over which of
                them. Shape: (N,), float32.
        """
        if not len(scores_N):
            return None
        over = slice(None) if self.over_N is None or not self.over_N.any() else self.over_N
        total_N: npt.NDArray[np.floating] | None = self.chances_N
        if self.like_N is not None:
            like = self.like_N[over].astype(np.float64)
            spread = float(like.std())
            if spread > 1e-9:
                part_N = WISH_WEIGHT * (self.like_N - like.mean()) / spread
                total_N = part_N if total_N is None else total_N + part_N
        if total_N is None:
            return None
        # Where every item ranks alike, the wish alone decides.
        unit = float(scores_N[over].astype(np.float64).std()) or 1.0
        return np.asarray(unit * total_N, np.float32)


class Steering:
    """Reads instructions about one catalogue.

    Args:
        parser: Returns the parser of the catalogue, which is made when it is first needed.
        filters: Conditions over its columns.
        vectors: Its vectors, and the encoders.
        values: Says which values of the columns a sentence means; None: only likeness tells.
        chances: Log of the chance that each item has the values that sentences mean, from vectors of shape (B, D);
            returns shape (B, N).
        explained: Adds definitions of its words to a sentence; None: there is no dictionary.
        sentences: Whether the LLM reads sentences behind a history.
    """

    def __init__(
        self,
        parser: Callable[[], WishParser],
        filters: CatalogueFilter,
        vectors: ModalityVectors,
        values: ValueReader | None = None,
        chances: Callable[[Scores], Scores] | None = None,
        explained: Callable[[str], Explained] | None = None,
        *,
        sentences: bool = False,
    ) -> None:
        self._sentences = sentences
        self._parser = parser
        self._filters = filters
        self._vectors = vectors
        self._values = values
        self._chances = chances
        self._explained = explained

    def read(self, instruction: str, condition: str, ignored: tuple[str, ...]) -> Steered:
        """What an instruction asks for.

        Args:
            instruction: The words; not blank.
            condition: The request's own filter.
            ignored: Conditions that are not made.

        Raises:
            InvalidArgumentError: `condition` does not fit the catalogue.
        """
        self._filters.check(condition)
        parsed = self._parser().parse(instruction)
        wanted = [one for one in parsed.constraints if one.condition not in ignored]
        sentence = instruction
        sentence_D = self._vector(instruction) if parsed.means_something else None
        stated = [one for one in wanted if self._is_certain(one, sentence_D)]
        made = [as_constraint(one) for one in stated]
        while not self._any_passes(condition, made):
            doubtful = min(made, key=lambda one: one.confidence, default=None)
            if doubtful is None or doubtful.confidence >= SURE:
                break
            made.remove(doubtful)
        joined = joined_filter([condition, *(one.condition for one in made)])
        if ignored or any(one.negated for one in parsed.constraints):
            # Words of what is not wanted, or is switched off, would be read as wishes.
            left = [one.words for one in (*wanted, *parsed.unsure) if one not in stated and not one.negated]
            sentence = " ".join([*left, parsed.rest]).strip()
            sentence_D = self._vector(sentence) if sentence else None
        chances_N, meaning_D = None, None
        # What became a condition needs no dictionary, whose definitions would speak of other things too.
        explained = None if made else self._explained
        if sentence_D is not None and self._chances is not None:
            meaning_D = sentence_D
            if explained is not None:
                meaning_D = _drawn(sentence_D, explained(sentence), self._vector)
            chances_N = self._chances(meaning_D[None])[0]
        reads, means = (sentence_D, meaning_D) if self._sentences else (None, None)
        # What the LLM reads and what the values say is enough.
        like_N = None if self._sentences and chances_N is not None else self._likeness(parsed.rest)
        if like_N is not None and chances_N is not None and explained is not None:
            like_N = _drawn(like_N, explained(parsed.rest), self._liked)
        return Steered(tuple(made), joined, parsed.rest, like_N, reads, sentence, means, chances_N=chances_N)

    def met(self, condition: str) -> npt.NDArray[np.bool_]:
        """Which items meet a condition. Shape: (N,), bool."""
        return self._filters.bitmap(condition)

    def _is_certain(self, stated: StatedConstraint, sentence_D: Scores | None) -> bool:
        """Whether what is stated becomes a condition: by its own words, or because the whole sentence says so too."""
        if not stated.alike or self._values is None or sentence_D is None:
            return True
        chance = self._values.chance(sentence_D, stated.column, stated.values)
        return chance is None or chance >= SURE

    def _vector(self, words: str) -> Scores:
        return np.asarray(self._vectors.encoder.text.encode([words], query=True)[0], np.float32)

    def _any_passes(self, condition: str, made: list[Constraint]) -> bool:
        joined = joined_filter([condition, *(one.condition for one in made)])
        return bool(self._filters.bitmap(joined).any())

    def _likeness(self, words: str) -> Scores | None:
        return self._liked(words) if words.strip() else None

    def _liked(self, words: str) -> Scores:
        return self._vectors.likeness(Query(words, None, 1.0))


def _drawn(alone_X: Scores, explained: Explained, read: Callable[[str], Scores]) -> Scores:
    """What is read of words alone, drawn to what is read of them with definitions. Shapes: (X,)."""
    if not explained.share:
        return alone_X
    return np.asarray((1 - explained.share) * alone_X + explained.share * read(explained.text), np.float32)
