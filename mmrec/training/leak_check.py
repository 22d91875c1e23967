"""Detects questions whose item sequences are in the training data of a fit, regardless of user ids and times.

Unit of work: the questions of one split. A target is known if it and the items before it occur in this order in the
training events. Users also share sequences by chance; that rate is measured on the fit's own test questions, whose
targets it has certainly not seen. Knows nothing of models.
"""

# Axes: Q questions, E events

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from mmrec.data.splits import LeaveOneOut, Split

_MIN_LENGTH, _MAX_LENGTH = 3, 9
"""Lengths of sequences, target included: pairs are common to many users, nine items never by chance."""
_MAX_CHANCE = 0.5
"""Chance rate above which sequences of a length are not used."""
_MIN_EXCESS = 0.2
_SIGNIFICANCE = 1e-6
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class KnownAnswers(NamedTuple):
    """Number of targets that are in the training data.

    asked: questions that can be tested.  known: those whose sequence is in the training data.  expected: how many would
    be by chance.
    """

    asked: int
    known: int
    expected: float

    @property
    def learned(self) -> bool:
        """Whether the number of known targets is significantly above chance."""
        if not self.asked or self.known - self.expected < _MIN_EXCESS * self.asked:
            return False
        return bool(binom.sf(self.known - 1, self.asked, self.expected / self.asked) < _SIGNIFICANCE)


def count_known_answers(questions: Split, fitted: LeaveOneOut) -> KnownAnswers:
    """Count the questions whose target follows the same items in the training data.

    Args:
        questions: Questions, in catalogue rows of `fitted`.
        fitted: The split of the fit.
    """
    learned = _TrainingSequences(fitted)
    lengths_Q = _lengths(questions)
    own_lengths = _lengths(fitted.test)
    asked = known = 0
    expected, chance = 0.0, 1.0
    for length in range(_MIN_LENGTH, _MAX_LENGTH + 1):
        codes = learned.codes(length)
        own = np.flatnonzero(own_lengths >= length)
        if len(own):
            hits = int(np.isin(_question_codes(fitted.test, own, length), codes).sum())
            chance = (hits + 1) / (len(own) + 2)
        judged = np.flatnonzero(lengths_Q == length if length < _MAX_LENGTH else lengths_Q >= length)
        if len(judged) and chance <= _MAX_CHANCE:
            asked += len(judged)
            known += int(np.isin(_question_codes(questions, judged, length), codes).sum())
            expected += chance * len(judged)
    return KnownAnswers(asked, known, expected)


class _TrainingSequences:
    """All sequences in the training data of a fit, validation targets included."""

    def __init__(self, fitted: LeaveOneOut) -> None:
        train, validation = fitted.train, fitted.validation
        ends = train.offsets_U[1:][validation.users_U]
        self._items_E = _hashed(np.insert(train.items_E, ends, validation.targets_U))
        more_U = np.zeros(train.users, dtype=np.int64)
        more_U[validation.users_U] = 1
        self._users_E = np.repeat(np.arange(train.users), train.lengths_U + more_U)

    def codes(self, length: int) -> npt.NDArray[np.uint64]:
        """Hashes of all sequences of this length within one user's events."""
        places = len(self._items_E) - length + 1
        if places <= 0:
            return np.empty(0, dtype=np.uint64)
        codes: npt.NDArray[np.uint64] = np.zeros(places, dtype=np.uint64)
        for place in range(length):
            codes = codes * _FACTOR + self._items_E[place : place + places]
        of_one_user = self._users_E[:places] == self._users_E[length - 1 :]
        return np.asarray(codes[of_one_user], dtype=np.uint64)


def _question_codes(questions: Split, chosen: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.uint64]:
    """Hashes of the last items of each history followed by the target."""
    sequences = np.stack(
        [np.append(questions.histories[q][-(length - 1) :], questions.targets_U[q]) for q in chosen.tolist()]
    )
    codes = np.zeros(len(sequences), dtype=np.uint64)
    for place in range(length):
        codes = codes * _FACTOR + _hashed(sequences[:, place])
    return codes


def _hashed(items: npt.NDArray[np.int32]) -> npt.NDArray[np.uint64]:
    """Hashes of item rows (the finaliser of SplitMix64)."""
    hashed = items.astype(np.uint64) + _FACTOR
    hashed = (hashed ^ (hashed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashed ^ (hashed >> np.uint64(31))


def _lengths(questions: Split) -> npt.NDArray[np.int64]:
    """Length of each question's sequence, target included. Shape: (Q,), int64."""
    return np.array([len(history) + 1 for history in questions.histories], dtype=np.int64)
