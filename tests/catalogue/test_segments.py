"""Tables of a base and a delta segment: whatever is set, every value holds what an array made anew would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmrec.catalogue import segments
from mmrec.catalogue.segments import Segmented, scores_of
from mmrec.errors import InvalidArgumentError

KINDS: dict[str, Callable[[list[float]], Any]] = {
    "numpy": lambda values: np.array(values, np.float32).reshape(-1, 1),
    "torch": lambda values: torch.tensor(values).reshape(-1, 1),
    "arrow": lambda values: pa.array(values, pa.float64()),
    "sparse": lambda values: sp.csr_array(np.array(values, np.float32).reshape(-1, 1)),
}


def values_of(rows: Any) -> list[float]:
    """Rows of any kind as plain numbers."""
    if isinstance(rows, pa.Array):
        return list(rows.to_pylist())
    return list((rows.toarray() if sp.issparse(rows) else rows).reshape(-1).tolist())


def numbers(rows: list[int], kind: str) -> Any:
    return torch.tensor(rows, dtype=torch.long) if kind == "torch" else np.array(rows, np.int64)


CHANGES = st.lists(
    st.tuples(st.integers(0, 5), st.sets(st.integers(0, 9), max_size=4), st.integers(0, 3)), min_size=1, max_size=8
)


@pytest.mark.parametrize("kind", KINDS)
@given(CHANGES, st.integers(0, 6))
def test_after_any_changes_every_value_holds_what_one_made_anew_does(
    kind: str, changes: list[tuple[int, set[int], int]], fewest: int
) -> None:
    """Each change is made of any of the values before it, replaces some rows and appends others."""
    make = KINDS[kind]
    made = [(Segmented(make([1.0, 2.0, 3.0])), [1.0, 2.0, 3.0])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "FEWEST_IN_DELTA", fewest)
        for number, (which, some, more) in enumerate(changes):
            table, held = made[which % len(made)]
            rows = sorted(row for row in some if row < len(held)) + list(range(len(held), len(held) + more))
            new = [10.0 * (number + 1) + place for place in range(len(rows))]
            expected = [*held, *[0.0] * more]
            for row, value in zip(rows, new, strict=True):
                expected[row] = value
            made.append((table.replaced(numbers(rows, kind), make(new)), expected))
    for table, expected in made:
        assert len(table) == len(expected)
        assert values_of(table.whole()) == expected
        asked = [*range(len(expected)), 0, len(expected) - 1][::-1]
        assert values_of(table[numbers(asked, kind)]) == [expected[row] for row in asked]
        doubled = table.mapped(lambda rows: make([2 * value for value in values_of(rows)]))
        assert values_of(doubled.whole()) == [2 * value for value in expected]
        scores = table.scores(lambda rows: np.array([values_of(rows)] * 2))
        assert scores.tolist() == [expected, expected]


def test_a_change_shares_the_base_and_a_full_delta_segment_is_merged() -> None:
    table = Segmented(np.zeros((3, 2), np.float32))
    few = table.replaced(np.array([1, 3]), np.ones((2, 2), np.float32))
    assert few.base is table.base
    assert few.delta is not None
    more = np.arange(4, 4 + segments.FEWEST_IN_DELTA)
    merged = few.replaced(more, np.full((len(more), 2), 2.0, np.float32))
    assert (merged.delta, merged.place_N, len(merged)) == (None, None, 4 + segments.FEWEST_IN_DELTA)
    assert merged.whole()[:5, 0].tolist() == [0, 1, 0, 1, 2]


def test_one_row_and_rows_of_any_shape() -> None:
    table = Segmented(np.arange(6).reshape(3, 2)).replaced(np.array([0, 3]), np.array([[8, 9], [6, 7]]))
    assert (table[0].tolist(), table[np.int64(1)].tolist(), table[3].tolist()) == ([8, 9], [2, 3], [6, 7])
    assert table[np.array([[0, 1], [3, 3]])].tolist() == [[[8, 9], [2, 3]], [[6, 7], [6, 7]]]
    of_codes = Segmented(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 0, 1], dtype=torch.int32))
    assert of_codes[torch.tensor([[0, 2], [1, 1]])].tolist() == [[[2], [2]], [[1], [1]]]
    assert of_codes.whole().flatten().tolist() == [2, 1, 2]


def test_nothing_set_is_nothing_made() -> None:
    table = Segmented(np.zeros((3, 1)))
    assert table.replaced(np.empty(0, np.int64), np.empty((0, 1))) is table
    assert table.whole() is table.base
    assert scores_of(table.base, len) == scores_of(table, len) == 3


@pytest.mark.parametrize("rows", [[-1], [3], [2, 4]])
def test_a_gap_is_refused(rows: list[int]) -> None:
    with pytest.raises(InvalidArgumentError, match="set rows that are there, or the next ones"):
        Segmented(np.zeros((2, 1))).replaced(np.array(rows), np.zeros((len(rows), 1)))
