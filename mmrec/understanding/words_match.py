"""Compares texts: share of common words, weighted by rarity, and numbers that contradict each other.

Works on a list of texts and pairs of its indices; knows nothing about items and encoders. Words are compared without
case, punctuation inside them, and the plural or possessive s.
"""

# Axes: N texts, V vocabulary, P pairs

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

_WORD = re.compile(r"\w+(?:['’.-]\w+)*")
_INSIDE = re.compile(r"['’.-]")


class WordsMatches(NamedTuple):
    """What pairs of texts have in common.

    Attributes:
        overlap_P: Weight of the shared words over that of all words of the two, 0 to 1; 0 for a text without words.
            Shape: (P,), float32.
        contradict_P: Whether each has a number that the other lacks: a size, a shade, a model. Shape: (P,), bool.
    """

    overlap_P: npt.NDArray[np.float32]
    contradict_P: npt.NDArray[np.bool_]


def words_of(text: str) -> frozenset[str]:
    """The distinct words of a text, normalised for comparison."""
    words = (_INSIDE.sub("", word) for word in _WORD.findall(text.casefold()))
    return frozenset(
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in words
    )


class WordsMatcher:
    """Compares pairs of texts.

    Args:
        texts: All texts; rarity of words is counted over the distinct ones. Length N.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        place_of = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        self._place_N = np.fromiter((place_of[text] for text in texts), np.int64, len(texts))
        sets = [words_of(text) for text in place_of]
        vocabulary = {word: column for column, word in enumerate(sorted(frozenset().union(*sets)))}
        columns = [sorted(vocabulary[word] for word in words) for words in sets]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in columns])]).astype(np.int64)
        indices = np.fromiter((column for row in columns for column in row), np.int64, int(indptr[-1]))
        counts_V = np.bincount(indices, minlength=max(1, len(vocabulary)))
        weight_V = np.log1p(len(sets) / np.maximum(1, counts_V)).astype(np.float32)
        is_number_V = np.zeros(len(counts_V), np.float32)
        for word, column in vocabulary.items():
            is_number_V[column] = any(character.isdigit() for character in word)
        shape = (len(sets), len(counts_V))
        self._words = sp.csr_array((np.sqrt(weight_V[indices]), indices, indptr), shape=shape)
        # A copy, since eliminate_zeros() changes indices that the other matrix would share.
        self._numbers = sp.csr_array((is_number_V[indices], indices, indptr), shape=shape, copy=True)
        self._numbers.eliminate_zeros()
        self._total = np.asarray(self._words.multiply(self._words).sum(axis=1), np.float32).ravel()
        self._number_count = np.asarray(self._numbers.sum(axis=1), np.float32).ravel()

    def match(self, first_P: npt.NDArray[np.int64], second_P: npt.NDArray[np.int64]) -> WordsMatches:
        """Compare the texts with these indices. Shape: (P,) each."""
        one, two = self._place_N[first_P], self._place_N[second_P]
        shared = np.zeros(len(one), np.float32)
        numbers = np.zeros(len(one), np.float32)
        for at in range(0, len(one), 100_000):
            here = slice(at, at + 100_000)
            shared[here] = _row_products(self._words, one[here], two[here])
            numbers[here] = _row_products(self._numbers, one[here], two[here])
        either = self._total[one] + self._total[two] - shared
        overlap = np.where(either > 0, shared / np.maximum(either, 1e-6), 0.0)
        own = (self._number_count[one] > numbers) & (self._number_count[two] > numbers)
        return WordsMatches(np.clip(overlap, 0.0, 1.0).astype(np.float32), own)


def _row_products(
    rows: sp.csr_array, one: npt.NDArray[np.int64], two: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    return np.asarray(rows[one].multiply(rows[two]).sum(axis=1), np.float32).ravel()
