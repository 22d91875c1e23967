"""Sentences about items for training: each item has several, and a draw takes one of them."""

# Axes: S sentences, D dimensions of a sentence's vector, N items, E entries of all items, X items of a draw

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class SentenceBank:
    """Sentences and what they are about.

    Attributes:
        sentences: Their texts.
        vectors_SD: Unit vectors of the sentences. Shape: (S, D), float32.
        begin_N1: The entries of an item begin at its number and end at the next one. Shape: (N + 1,), int64.
        sentences_E: Sentence of each entry. Shape: (E,), int64.
        weights_E: How often an entry is drawn among those of its item. Shape: (E,), float32, above 0.
    """

    sentences: Sequence[str]
    vectors_SD: npt.NDArray[np.float32]
    begin_N1: npt.NDArray[np.int64]
    sentences_E: npt.NDArray[np.int64]
    weights_E: npt.NDArray[np.float32]

    @property
    def dimension(self) -> int:
        """Dimensions of a vector."""
        return int(self.vectors_SD.shape[1])

    @cached_property
    def _cumulative_E1(self) -> npt.NDArray[np.float64]:
        return np.concatenate([[0.0], np.cumsum(self.weights_E, dtype=np.float64)])

    def draw(self, items_X: npt.NDArray[np.integer], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """A sentence about each item; -1 for an item without one. Shape: (X,), int64."""
        if not len(self.sentences_E):
            return np.full(len(items_X), -1, dtype=np.int64)
        cumulative_E1 = self._cumulative_E1
        begin_X, end_X = self.begin_N1[items_X], self.begin_N1[items_X + 1]
        low_X, high_X = cumulative_E1[begin_X], cumulative_E1[end_X]
        at_X = low_X + rng.random(len(items_X)) * (high_X - low_X)
        entry_X = np.searchsorted(cumulative_E1, at_X, side="right") - 1
        # Rounding may leave the range of the item.
        entry_X = np.clip(entry_X, begin_X, np.maximum(end_X - 1, begin_X))
        sentence_X = self.sentences_E[np.minimum(entry_X, len(self.sentences_E) - 1)]
        return np.where(end_X > begin_X, sentence_X, -1)
