"""Rows of words after changes: those of a matrix made anew, to the bit, in every state at once."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.catalogue import segments
from mmrec.channels.lexical import LexicalConfig, LexicalIndex, Vocabulary, build_lexical_index
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
@given(
    st.lists(TEXT, min_size=1, max_size=6),
    CHANGES,
    st.lists(st.integers(0, 99), min_size=1, max_size=6),
    st.integers(0, 5),
)
def test_every_state_holds_and_scores_what_rows_made_anew_do(
    first: list[list[int]],
    changes: list[tuple[dict[int, list[int]], list[list[int]], bool]],
    history: list[int],
    fewest: int,
) -> None:
    states = [(LexicalIndex(sparse(first), NO_TERMS), sparse(first).toarray())]
    patch = pytest.MonkeyPatch()
    patch.setattr(segments, "FEWEST_IN_DELTA", fewest)
    for some, more, branch in changes:
        index, dense = states[0] if branch else states[-1]
        rows = sorted({row % len(dense) for row in some})
        words = [some[key] for key in sorted(some)][: len(rows)] + more
        rows += range(len(dense), len(dense) + len(more))
        values = sparse(words)
        expected = np.concatenate([dense, np.zeros((len(more), WORDS), np.float32)])
        expected[rows] = values.toarray()
        states.append((index.with_changes(np.array(rows, np.int64), values), expected))
    patch.undo()
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


@pytest.mark.parametrize(("rows", "width"), [([0], 3), ([0, 1], WORDS), ([3], WORDS)])
def test_a_change_that_does_not_fit_is_refused(rows: list[int], width: int) -> None:
    with pytest.raises(InvalidArgumentError, match=r"give one row for each|set rows that are there"):
        LexicalIndex(sparse([[0], [1]]), NO_TERMS).with_changes(
            np.array(rows), sp.csr_array((1, width), dtype=np.float32)
        )


def test_texts_that_come_are_scored_with_those_that_were_there() -> None:
    index = build_lexical_index(["red boots", "blue boots", "green hat"], LexicalConfig(max_document_share=1.0))
    assert index.vocabulary is not None
    changed = index.with_changes(np.array([3, 1]), index.vocabulary.rows(["red hat", "blue hat"]))
    scores = changed.scores([np.array([3], np.int32)], LexicalConfig())[0]
    assert changed.vocabulary is index.vocabulary
    assert (scores > 0).tolist() == [True, True, True, True]
    assert scores[3] == pytest.approx(1.0, abs=1e-6)
    assert index.scores([np.array([1], np.int32)], LexicalConfig())[0][2] == 0
