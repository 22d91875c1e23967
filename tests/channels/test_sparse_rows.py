"""Sparse rows after changes: those of a matrix made anew, to the bit, in every state at once."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.channels.lexical import LexicalConfig, LexicalIndex, Vocabulary, build_lexical_index
from mmrec.channels.sparse_rows import WordRows
from mmrec.errors import InvalidArgumentError

WORDS = 7
NO_TERMS = Vocabulary((), np.zeros(0, np.float32))


def sparse(rows: list[list[int]]) -> sp.csr_array:
    """Rows of a few words, of weights that do not add up exactly."""
    dense = np.zeros((len(rows), WORDS), np.float32)
    for row, words in enumerate(rows):
        for word in words:
            dense[row, word] = 1 / (3 + row + word)
    return sp.csr_array(dense)


def same(one: sp.csr_array, two: sp.csr_array) -> bool:
    return bool(one.shape == two.shape and np.array_equal(one.toarray(), two.toarray()))


TEXT = st.lists(st.integers(0, WORDS - 1), max_size=4)
CHANGES = st.lists(
    st.tuples(st.dictionaries(st.integers(0, 9), TEXT, max_size=4), st.lists(TEXT, max_size=3), st.booleans()),
    max_size=5,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=6), CHANGES, st.lists(st.integers(0, 99), min_size=1, max_size=6))
def test_every_state_holds_and_scores_what_rows_made_anew_do(
    first: list[list[int]], changes: list[tuple[dict[int, list[int]], list[list[int]], bool]], history: list[int]
) -> None:
    states = [(LexicalIndex(sparse(first), NO_TERMS), sparse(first).toarray())]
    for some, more, branch in changes:
        index, dense = states[0] if branch else states[-1]
        rows = sorted({row % len(dense) for row in some})
        words = [some[key] for key in sorted(some)][: len(rows)] + more
        rows += range(len(dense), len(dense) + len(more))
        values = sparse(words)
        expected = np.concatenate([dense, np.zeros((len(more), WORDS), np.float32)])
        expected[rows] = values.toarray()
        states.append((index.over(np.array(rows, np.int64), values, len(expected)), expected))
    config = LexicalConfig(recent=4)
    for index, dense in states:
        fresh = LexicalIndex(sp.csr_array(dense), NO_TERMS)
        asked = np.array([row % len(dense) for row in history], np.int32)
        assert index.shape == dense.shape
        assert same(index.rows_of(asked), fresh.rows[asked])
        histories = [asked, asked[:1]]
        assert np.array_equal(index.scores(histories, config), fresh.scores(histories, config))
        # The way it is done without postings.
        plain = fresh.rows[asked[-4:]] @ fresh.rows.T
        decayed = config.decay ** np.arange(len(asked[-4:]) - 1, -1, -1.0) @ plain.toarray()
        assert index.scores([asked], config)[0] == pytest.approx(decayed, abs=1e-6)
        assert np.array_equal(index.parts(asked, asked, config), fresh.parts(asked, asked, config))
        assert same(index.rows, fresh.rows)


def test_many_changed_rows_are_joined_with_the_first_ones() -> None:
    rng = np.random.default_rng(0)
    words = WordRows(sp.csr_array(rng.integers(0, 2, (3000, WORDS)).astype(np.float32)))
    expected = words.matrix.toarray()
    for _ in range(4):
        rows = np.concatenate([rng.choice(3000, 700, replace=False), np.arange(len(words), len(words) + 100)])
        values = sp.csr_array(rng.integers(0, 2, (800, WORDS)).astype(np.float32))
        words = words.over(rows, values, len(words) + 100)
        expected = np.concatenate([expected, np.zeros((100, WORDS), np.float32)])
        expected[rows] = values.toarray()
        asked = sp.csr_array(np.arange(WORDS, dtype=np.float32)[None])
        assert np.array_equal(words.products(asked)[0], expected @ np.arange(WORDS, dtype=np.float32))
    assert np.array_equal(words.matrix.toarray(), expected)


def test_rows_that_are_never_set_are_silent() -> None:
    index = LexicalIndex(sparse([[1, 2], [3]]), NO_TERMS).over(np.array([3]), sparse([[1]]), 5)
    assert index.rows.toarray().any(axis=1).tolist() == [True, True, False, True, False]
    scores = index.scores([np.array([0], np.int32)], LexicalConfig())[0]
    assert (scores > 0).tolist() == [True, False, False, True, False]
    grown = LexicalIndex(sparse([[1]]), NO_TERMS).over(np.empty(0, np.int64), sparse([]), 2)
    assert grown.rows.shape == grown.shape == (2, WORDS)
    assert grown.scores([np.array([0], np.int32)], LexicalConfig()).shape == (1, 2)


@pytest.mark.parametrize(
    ("rows", "width", "items"), [([0], WORDS, 1), ([2], WORDS, 2), ([0, 1], WORDS, 2), ([0], 3, 2)]
)
def test_a_change_that_does_not_fit_is_refused(rows: list[int], width: int, items: int) -> None:
    with pytest.raises(InvalidArgumentError, match="set rows below that number"):
        WordRows(sparse([[0], [1]])).over(np.array(rows), sp.csr_array((1, width), dtype=np.float32), items)


def test_texts_that_come_are_scored_with_those_that_were_there() -> None:
    index = build_lexical_index(["red boots", "blue boots", "green hat"], LexicalConfig(max_document_share=1.0))
    assert index.vocabulary is not None
    changed = index.over(np.array([3, 1]), index.vocabulary.rows(["red hat", "blue hat"]), 4)
    scores = changed.scores([np.array([3], np.int32)], LexicalConfig())[0]
    assert changed.vocabulary is index.vocabulary
    assert (scores > 0).tolist() == [True, True, True, True]
    assert scores[3] == pytest.approx(1.0, abs=1e-6)
    assert index.scores([np.array([1], np.int32)], LexicalConfig())[0][2] == 0
