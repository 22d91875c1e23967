"""Whether questions continue sequences of items that a fit has learned, regardless of user ids and times.

Unit of work: the questions of one split. An answer is known when it and the items before it stand in this order in what
was learned. Different people do the same things too, so how often that happens by chance is measured on questions whose
answers the fit has certainly not learned: its own. Knows nothing of models.
"""

# Axes: Q questions, E events

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from mmrec.data.splits import LeaveOneOut, Split

_SHORTEST, _LONGEST = 3, 9
"""Items of a sequence, the answer included: every user has common pairs, and no two users have nine by chance."""
_CHANCE = 0.5
"""Where more of the answers are known by chance, sequences of this length say nothing."""
_EXCESS = 0.2
_SURE = 1e-6
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class KnownAnswers(NamedTuple):
    """How many answers were learned, by the sequences they end.

    asked: questions that can be judged.  known: those whose sequence was learned.  expected: as many would be by
    chance.
    """

    asked: int
    known: int
    expected: float

    @property
    def learned(self) -> bool:
        """Whether so many are known that it is no chance."""
        if not self.asked or self.known - self.expected < _EXCESS * self.asked:
            return False
        return bool(binom.sf(self.known - 1, self.asked, self.expected / self.asked) < _SURE)


def count_known_answers(questions: Split, fitted: LeaveOneOut) -> KnownAnswers:
    """Count the questions whose answer was learned after the same items.

    Args:
        questions: What is asked, in the rows of the catalogue of `fitted`.
        fitted: How a fit divided its events.
    """
    learned = _Learned(fitted)
    lengths_Q = _lengths(questions)
    own_lengths = _lengths(fitted.test)
    asked = known = 0
    expected, chance = 0.0, 1.0
    for length in range(_SHORTEST, _LONGEST + 1):
        codes = learned.codes(length)
        own = np.flatnonzero(own_lengths >= length)
        if len(own):
            hits = int(np.isin(_question_codes(fitted.test, own, length), codes).sum())
            chance = (hits + 1) / (len(own) + 2)
        judged = np.flatnonzero(lengths_Q == length if length < _LONGEST else lengths_Q >= length)
        if len(judged) and chance <= _CHANCE:
            asked += len(judged)
            known += int(np.isin(_question_codes(questions, judged, length), codes).sum())
            expected += chance * len(judged)
    return KnownAnswers(asked, known, expected)


class _Learned:
    """All sequences that a fit has learned from, validation answers included, by which it chose its weights."""

    def __init__(self, fitted: LeaveOneOut) -> None:
        train, validation = fitted.train, fitted.validation
        ends = train.offsets_U[1:][validation.users_U]
        self._items_E = _mixed(np.insert(train.items_E, ends, validation.targets_U))
        more_U = np.zeros(train.users, dtype=np.int64)
        more_U[validation.users_U] = 1
        self._users_E = np.repeat(np.arange(train.users), train.lengths_U + more_U)

    def codes(self, length: int) -> npt.NDArray[np.uint64]:
        """A code of each sequence of so many items that stands in one user's events."""
        places = len(self._items_E) - length + 1
        if places <= 0:
            return np.empty(0, dtype=np.uint64)
        codes: npt.NDArray[np.uint64] = np.zeros(places, dtype=np.uint64)
        for place in range(length):
            codes = codes * _FACTOR + self._items_E[place : place + places]
        of_one_user = self._users_E[:places] == self._users_E[length - 1 :]
        return np.asarray(codes[of_one_user], dtype=np.uint64)


def _question_codes(questions: Split, chosen: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.uint64]:
    """Codes of the last items of each history with the answer after them."""
    sequences = np.stack(
        [np.append(questions.histories[q][-(length - 1) :], questions.targets_U[q]) for q in chosen.tolist()]
    )
    codes = np.zeros(len(sequences), dtype=np.uint64)
    for place in range(length):
        codes = codes * _FACTOR + _mixed(sequences[:, place])
    return codes


def _mixed(items: npt.NDArray[np.int32]) -> npt.NDArray[np.uint64]:
    """Item rows as numbers that have nothing to do with their order (the finaliser of SplitMix64)."""
    mixed = items.astype(np.uint64) + _FACTOR
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _lengths(questions: Split) -> npt.NDArray[np.int64]:
    """Items of each question, the answer included. Shape: (Q,), int64."""
    return np.array([len(history) + 1 for history in questions.histories], dtype=np.int64)
