"""Columns of which a few texts change: what they hold, and that the old ones stay as they were."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.catalogue import segments
from mmrec.catalogue.text_columns import TextColumn
from mmrec.errors import InvalidArgumentError


def test_a_column_is_read_as_a_tuple_is() -> None:
    end = 69
    texts = tuple(f"t{row}" for row in range(end))
    column = TextColumn(texts).changed([1, 64, end], ["x", "y", "z"])
    expected = (texts[0], "x", *texts[2:64], "y", *texts[65:], "z")
    assert column == expected
    assert expected == column
    assert (len(column), column[-1], column[np.int64(1)], column[64]) == (70, "z", "x", "y")
    assert column[63:66] == expected[63:66]
    assert column[::-2] == expected[::-2]
    assert list(column) == list(expected)
    assert hash(column) == hash(expected)
    assert (column.index("y"), "z" in column, "w" in column) == (64, True, False)
    assert np.array(column).tolist() == list(expected)
    assert pickle.loads(pickle.dumps(column)) == column
    assert repr(TextColumn(("a", "b", "c", "d"))) == "TextColumn('a', 'b', 'c', ...; 4 rows)"
    for row in (70, -71):
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


@given(st.integers(0, 600), st.lists(st.tuples(ROWS, st.integers(0, 300)), max_size=4), st.integers(0, 300))
def test_every_state_stays_what_it_was(length: int, changes: list[tuple[list[int], int]], fewest: int) -> None:
    expected = [tuple(f"t{row}" for row in range(length))]
    states = [TextColumn(expected[0])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "FEWEST_IN_DELTA", fewest)
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


def test_in_which_rows_two_columns_with_one_base_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    first = TextColumn(("a", "b", "c"))
    one, other = first.changed([1, 3], ["x", "y"]), first.changed([0], ["z"])
    assert (one.changed_since(first), first.changed_since(one), one.changed_since(other)) == ([1, 3], [1, 3], [0, 1, 3])
    assert first.changed_since(TextColumn(["a", "b", "c"])) is None
    monkeypatch.setattr(segments, "FEWEST_IN_DELTA", 1)
    merged = first.changed([0, 1], ["d", "e"])
    assert merged == ("d", "e", "c")
    assert merged.changed_since(first) is None
