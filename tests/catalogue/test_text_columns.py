"""Columns of which a few texts change: what they hold, and that the old ones stay as they were."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.catalogue.text_columns import CHUNK, TextColumn
from mmrec.errors import InvalidArgumentError


def test_a_column_is_read_as_a_tuple_is() -> None:
    texts = tuple(f"t{row}" for row in range(CHUNK + 5))
    column = TextColumn(texts).changed([1, CHUNK, CHUNK + 5], ["x", "y", "z"])
    expected = (texts[0], "x", *texts[2:CHUNK], "y", *texts[CHUNK + 1 :], "z")
    assert column == expected
    assert expected == column
    assert (len(column), column[-1], column[np.int64(1)], column[CHUNK]) == (CHUNK + 6, "z", "x", "y")
    assert column[CHUNK - 1 : CHUNK + 2] == expected[CHUNK - 1 : CHUNK + 2]
    assert column[::-2] == expected[::-2]
    assert list(column) == list(expected)
    assert hash(column) == hash(expected)
    assert (column.index("y"), "z" in column, "w" in column) == (CHUNK, True, False)
    assert column.take([CHUNK, 0]) == ["y", "t0"]
    assert np.array(column).tolist() == list(expected)
    assert pickle.loads(pickle.dumps(column)) == column
    assert repr(TextColumn(("a", "b", "c", "d"))) == "TextColumn('a', 'b', 'c', ...; 4 rows)"
    for row in (CHUNK + 6, -CHUNK - 7):
        with pytest.raises(IndexError):
            column[row]


def test_it_is_not_equal_to_other_texts_or_other_things() -> None:
    column = TextColumn(("a", "b"))
    assert column == TextColumn(["a", "b"])
    assert column != ("a", "c")
    assert column != ("a",)
    assert column != ["a", "b"]
    assert TextColumn.of(column) is column
    assert column.changed([], []) is column


@pytest.mark.parametrize("rows", [[-1], [3], [2, 4]])
def test_a_gap_is_refused(rows: list[int]) -> None:
    with pytest.raises(InvalidArgumentError, match="set rows that are there, or the next one"):
        TextColumn(("a", "b")).changed(rows, ["x"] * len(rows))


ROWS = st.lists(st.integers(0, 700), max_size=8)


@given(st.integers(0, 600), st.lists(st.tuples(ROWS, st.integers(0, 300)), max_size=4))
def test_every_state_stays_what_it_was(length: int, changes: list[tuple[list[int], int]]) -> None:
    expected = [tuple(f"t{row}" for row in range(length))]
    states = [TextColumn(expected[0])]
    for number, (rows, more) in enumerate(changes):
        texts = list(expected[-1])
        size = len(texts)
        set_rows = [row % size for row in rows] if size else []
        set_rows += range(size, size + more)
        new = [f"{number}-{place}" for place in range(len(set_rows))]
        for row, text in zip(set_rows, new, strict=True):
            texts[row : row + 1] = [text]
        states.append(states[-1].changed(set_rows, new))
        expected.append(tuple(texts))
    assert states == expected
