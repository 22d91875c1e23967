"""Growing tables: every version keeps what it was, whatever is made of it afterwards."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmrec.growing import LEAST_SPARE, GrowingRows


def rows(*values: float) -> Tensor:
    return torch.tensor([[value] for value in values])


def test_appending_writes_behind_the_rows_that_are_there() -> None:
    first = GrowingRows.of(rows(1, 2))
    second = first.append(rows(3))
    assert (first.rows.flatten().tolist(), second.rows.flatten().tolist()) == ([1, 2], [1, 2, 3])
    assert first.rows.data_ptr() == second.rows.data_ptr()
    assert second.spare == first.spare - 1 == LEAST_SPARE - 1


def test_of_two_versions_made_from_one_the_second_is_a_copy() -> None:
    first = GrowingRows.of(rows(1))
    one, two = first.append(rows(2)), first.append(rows(3))
    assert (one.rows.flatten().tolist(), two.rows.flatten().tolist()) == ([1, 2], [1, 3])
    assert one.rows.data_ptr() != two.rows.data_ptr()


def test_rows_that_are_set_anew_leave_the_older_version_as_it_is() -> None:
    first = GrowingRows.of(rows(1, 2, 3))
    second = first.over(torch.tensor([1, 4]), rows(7, 8), 5)
    assert first.rows.flatten().tolist() == [1, 2, 3]
    assert second.rows.flatten().tolist() == [1, 7, 3, 0, 8]
    assert first.over(torch.empty(0, dtype=torch.long), rows(), 3) is first


def test_a_table_outgrows_its_room() -> None:
    table = GrowingRows.of(rows(1))
    grown = table.append(torch.full((LEAST_SPARE + 1, 1), 2.0))
    assert len(table) == 1
    assert grown.rows.sum() == 1 + 2 * (LEAST_SPARE + 1)


STEPS = st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 12), unique=True, max_size=4)), max_size=8)


@given(STEPS)
def test_versions_are_what_copies_would_be(steps: list[tuple[int, list[int]]]) -> None:
    """Each step takes one of the versions before it, and sets some rows."""
    versions, copies = [GrowingRows.of(rows(1, 2, 3))], [[1.0, 2.0, 3.0]]
    for number, (which, set_rows) in enumerate(steps):
        base, copy = versions[which % len(versions)], [*copies[which % len(versions)]]
        values = [float(10 * number + 10 + place) for place in range(len(set_rows))]
        copy += [0.0] * (max([*set_rows, len(copy) - 1]) + 1 - len(copy))
        for row, value in zip(set_rows, values, strict=True):
            copy[row] = value
        where = torch.tensor(set_rows, dtype=torch.long)
        versions.append(base.over(where, torch.tensor(values).reshape(-1, 1), len(copy)))
        copies.append(copy)
    assert [version.rows.flatten().tolist() for version in versions] == copies
