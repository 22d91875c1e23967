"""Growing tables: every version keeps what it was, whatever is made of it afterwards."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmrec.catalogue.growing_rows import LEAST_SPARE, GrowingRows


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


def test_rows_set_anew_take_turns_in_two_buffers_once_nobody_reads_what_was_there() -> None:
    table = GrowingRows.of(rows(1, 2, 3))
    table.prepare()
    used = set()
    for number in range(6):
        table = table.over(torch.tensor([number % 3]), rows(10.0 + number), 3)
        used.add(table.rows.data_ptr())
    assert table.rows.flatten().tolist() == [13, 14, 15]
    assert len(used) == 2


def test_a_view_of_any_kind_keeps_a_version_as_it_is() -> None:
    table = GrowingRows.of(rows(1, 2))
    table.prepare()
    held = [table.rows.numpy()[1:], table.rows[:1], table.rows.T]
    kept = [view.tolist() for view in held]
    for number in range(4):
        table = table.over(torch.tensor([0, 1]), rows(number, number), 2)
        held.append(table.rows.numpy().view())
        kept.append(held[-1].tolist())
    assert [view.tolist() for view in held] == kept


STEP = st.tuples(st.integers(0, 9), st.lists(st.integers(0, 12), unique=True, max_size=4), st.booleans())


@given(st.booleans(), st.lists(STEP, max_size=12))
def test_versions_are_what_copies_would_be(ready: bool, steps: list[tuple[int, list[int], bool]]) -> None:
    """Each step takes one of the versions that are held, sets some rows, and lets go of the version or holds it."""
    held = [(GrowingRows.of(rows(1, 2, 3)), [1.0, 2.0, 3.0])]
    if ready:
        held[0][0].prepare()
    for number, (which, set_rows, let_go) in enumerate(steps):
        base, copy = held[which % len(held)]
        copy = [*copy, *[0.0] * (max([*set_rows, len(copy) - 1]) + 1 - len(copy))]
        values = [float(10 * number + 10 + place) for place in range(len(set_rows))]
        for row, value in zip(set_rows, values, strict=True):
            copy[row] = value
        made = base.over(torch.tensor(set_rows, dtype=torch.long), torch.tensor(values).reshape(-1, 1), len(copy))
        if let_go:
            held[which % len(held)] = (made, copy)
        else:
            held.append((made, copy))
        del base, made
        assert [version.rows.flatten().tolist() for version, _ in held] == [copy for _, copy in held]
