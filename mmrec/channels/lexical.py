"""Lexical similarity: TF-IDF over the words of items, a channel of its own beside the neural ones.

Works on catalogue rows; knows nothing about models. Exact words (a brand, a director, a series) often say more about
what comes next than a sentence embedding does.
"""

# Axes: N items, V vocabulary, B customers, K requested items, T history places

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.catalogue.segments import Segmented
from mmrec.channels.sparse_scores import SparseScores, weighted_rows
from mmrec.channels.transitions import history_weights, recent_weights
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_numbers

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

MOST_POSTINGS = 50_000
"""Most entries of inverted lists that are read to find similar items; the words that weigh most come first."""

_SETTINGS: dict[str, Any] = {"sublinear_tf": True, "stop_words": "english", "dtype": np.float32}


@dataclass(frozen=True, slots=True)
class LexicalConfig:
    """How words become vectors and how a history is read.

    Attributes:
        max_features: Most terms, the most frequent ones.
        max_document_share: Terms in more than this share of items are left out, above 0 to 1.
        decay: Weight of a history item relative to the one after it, above 0 to 1.
        recent: History items that are read, the most recent ones.
    """

    max_features: int = 200_000
    max_document_share: float = 0.5
    decay: float = 0.7
    recent: int = 10

    def __post_init__(self) -> None:
        check_numbers(self, "max_features", "recent", low=1)
        check_numbers(self, "decay", "max_document_share", over=0, high=1)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The terms of a catalogue, for TF-IDF rows of new items in the same space.

    Attributes:
        terms: In the order of the columns. Length V; none where the catalogue has no usable term.
        idf_V: Inverse document frequencies. Shape: (V,), float32.
    """

    terms: tuple[str, ...]
    idf_V: npt.NDArray[np.float32]

    def rows(self, texts: Sequence[str]) -> sp.csr_array:
        """Unit-norm TF-IDF rows; words outside the vocabulary are ignored. Shape: (M, V) CSR, float32."""
        if not self.terms or not texts:
            return sp.csr_array((len(texts), max(1, len(self.terms))), dtype=np.float32)
        return sp.csr_array(self._vectorizer.transform(texts), dtype=np.float32)

    @cached_property
    def _vectorizer(self) -> TfidfVectorizer:
        """Cached, because making it reads all terms."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(vocabulary=self.terms, **_SETTINGS)
        vectorizer.idf_ = self.idf_V
        return vectorizer


class _Postings:
    """Rows, and the rows of each word, made at first use. Shapes: (R, V) CSR and (V, R) CSR."""

    def __init__(self, rows: sp.csr_array) -> None:
        self.rows = rows

    @cached_property
    def by_word(self) -> sp.csr_array:
        return self.rows.T.tocsr()


class LexicalIndex:
    """Unit-norm TF-IDF rows of one version of a catalogue. Safe to read from any thread.

    Args:
        rows: Zero rows for items without known words. Shape: (N, V) CSR, float32.
        vocabulary: Terms of the columns.

    Attributes:
        vocabulary: As given.
    """

    def __init__(self, rows: sp.csr_array, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._words = Segmented(rows)
        self._base = _Postings(rows)
        self._delta: _Postings | None = None
        # Of each row of the delta segment, the catalogue row, which may have been replaced since. A row of the base is
        # the catalogue row of the same number.
        self._delta_rows_D = np.empty(0, np.int64)

    def with_changes(self, rows_M: npt.NDArray[np.int64], values: sp.csr_array) -> LexicalIndex:
        """The index of a changed catalogue, as a new object.

        Args:
            rows_M: Rows that are replaced or added, as in `Segmented.replaced`. Shape: (M,), int64.
            values: Their TF-IDF rows. Shape: (M, V) CSR.

        Raises:
            InvalidArgumentError: rows leave a gap, or `values` has another vocabulary.
        """
        if values.shape != (len(rows_M), self.shape[1]):
            raise InvalidArgumentError(
                f"{len(rows_M)} rows of {self.shape[1]} words are set to a {values.shape} matrix; give one row for each"
            )
        made = LexicalIndex(self._base.rows, self.vocabulary)
        made._words = self._words.replaced(rows_M, values)
        made._base = self._base if made._words.base is self._base.rows else _Postings(made._words.base)
        if made._words.delta is not None:
            made._delta = _Postings(made._words.delta)
            made._delta_rows_D = np.concatenate([self._delta_rows_D, rows_M])
        if made._base is not self._base and "by_word" in vars(self._base):
            _ = made._base.by_word  # computed here, so that no request has to wait for it
        return made

    @cached_property
    def rows(self) -> sp.csr_array:
        """All rows, copied at first use after changes; for a few use `rows_of`. Shape: (N, V) CSR, float32."""
        return self._words.whole()

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and words."""
        return self._words.shape

    def rows_of(self, rows_M: npt.NDArray[np.int64]) -> sp.csr_array:
        """Some rows, in their order. Shape: (M, V) CSR, float32."""
        return self._words[rows_M]

    def scores(self, histories: Sequence[npt.NDArray[np.int32]], config: LexicalConfig) -> npt.NDArray[np.float32]:
        """Decayed sum of cosine similarities to the recent history items. Shape: (B, N), float32."""
        weights = history_weights(histories, len(self._words), decay=config.decay, recent=config.recent)
        read = np.arange(weights.nnz)
        each = sp.csr_array((weights.data, read, weights.indptr), shape=(weights.shape[0], weights.nnz))
        query_BV = each @ self._words[weights.indices]

        def products(rows: sp.csr_array) -> npt.NDArray[np.float32]:
            postings = self._base if rows is self._base.rows or self._delta is None else self._delta
            return np.asarray((query_BV @ postings.by_word).toarray(), np.float32)

        return self._words.scores(products)

    def query(self, history: npt.NDArray[np.int32], config: LexicalConfig) -> SparseScores:
        """The words of the recent history items, as columns, with their weights."""
        tail_T, weights_T = recent_weights(history, decay=config.decay, recent=config.recent)
        return SparseScores.summed(*weighted_rows(self._words[tail_T], np.arange(len(tail_T)), weights_T))

    def at(self, query: SparseScores, rows_X: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The `scores` of some items after the history of a query. Shape: (X,), float32."""
        query_V = np.zeros(self.shape[1], np.float32)
        query_V[query.rows_S] = query.values_S
        return np.asarray(self._words.scores_at(rows_X, lambda words_RV: words_RV @ query_V), np.float32)

    def similar(
        self, query: SparseScores, most: int, eligible_N: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.int64]:
        """Rows of items with the words of a query, by inverted lists; common words may be left out.

        Args:
            query: From `query`.
            most: How many at most.
            eligible_N: Items that may be returned; None for all. Shape: (N,), bool.
        """
        words, weights = query
        found, base = [], self._words.base.shape[0]
        for postings, begin, rows_R in ((self._base, 0, None), (self._delta, base, self._delta_rows_D)):
            if postings is not None:
                order = np.argsort(-weights, kind="stable")
                ends = postings.by_word.indptr
                read = np.cumsum((ends[words + 1] - ends[words])[order]) <= MOST_POSTINGS
                chosen = order[read]
                places_E, values_E = weighted_rows(postings.by_word, words[chosen], weights[chosen])
                rows_E = places_E.astype(np.int64) if rows_R is None else rows_R[places_E]
                if self._delta is not None:
                    current_E = self._words.places_N[rows_E] == begin + places_E
                    rows_E, values_E = rows_E[current_E], values_E[current_E]
                found.append((rows_E, values_E))
        rows_F, values_F = map(np.concatenate, zip(*found, strict=True))
        return SparseScores.summed(rows_F, values_F).best(most, eligible_N)

    def parts(
        self, history: npt.NDArray[np.int32], rows_K: npt.NDArray[np.int64], config: LexicalConfig
    ) -> npt.NDArray[np.float32]:
        """What each recent history item adds to the scores of the requested items; sums to `scores`.

        Args:
            history: Catalogue rows, oldest first.
            rows_K: The requested items. Shape: (K,).
            config: As in `scores`.

        Returns:
            One row for each of the last `recent` history items. Shape: (T, K), float32.
        """
        tail_T, weights_T = recent_weights(history, decay=config.decay, recent=config.recent)
        cosine_TK = (self._words[tail_T] @ self._words[rows_K].T).toarray()
        return np.asarray(weights_T[:, None] * cosine_TK, dtype=np.float32)


def build_lexical_index(texts: Sequence[str], config: LexicalConfig) -> LexicalIndex:
    """TF-IDF rows of item texts, with sublinear term frequency.

    Args:
        texts: Words of every item, in catalogue order; may be empty strings.
        config: See `LexicalConfig`.
    """
    # Here, because the import takes a second, and recommendations do without.
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(max_features=config.max_features, max_df=config.max_document_share, **_SETTINGS)
    try:
        rows = sp.csr_array(vectorizer.fit_transform(texts))
    except ValueError:
        # No usable term in the whole catalogue: the channel scores 0, which is no error.
        empty = sp.csr_array((len(texts), 1), dtype=np.float32)
        return LexicalIndex(empty, Vocabulary((), np.zeros(0, dtype=np.float32)))
    terms = tuple(vectorizer.get_feature_names_out().tolist())
    return LexicalIndex(rows, Vocabulary(terms, vectorizer.idf_.astype(np.float32)))
