"""Touched nodes: told by hand, and for any change the others are the same nodes in the same order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.semantic_ids.decode_index import DecodeIndex, build_decode_index, change_decode_index
from mmrec.semantic_ids.node_changes import node_changes

WIDTHS = (3, 3, 50)


def test_what_is_above_an_item_that_left_or_came_is_touched() -> None:
    before = build_decode_index(np.array([[0, 0, 0], [0, 1, 0], [2, 0, 0]], np.int32), WIDTHS)
    after = change_decode_index(
        before, added_MP=np.array([[0, 1, 1], [1, 1, 0]], np.int32), rows_M=np.array([3, 4]), removed_R=np.array([2])
    )
    # Places before: 0/0/0, 0/1/0, 2/0/0. After: 0/0/0, 0/1/0, 0/1/1, 1/1/0.
    first, second, third = node_changes(before, after, np.array([2]), np.array([2, 3]))
    assert (first.before_T.tolist(), first.after_T.tolist()) == ([0, 1], [0, 1])
    assert (second.before_T.tolist(), second.after_T.tolist()) == ([1, 2], [1, 2])
    assert (third.before_T.tolist(), third.after_T.tolist()) == ([2], [2, 3])


def prefixes(index: DecodeIndex, depth: int) -> list[tuple[int, ...]]:
    paths = index.sorted_paths()[:, :depth].tolist()
    return sorted({tuple(path) for path in paths})


PATHS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=12)


@settings(max_examples=150)
@given(PATHS, PATHS, st.sets(st.integers(0, 11)))
def test_nodes_that_are_not_touched_are_the_same_in_the_same_order(
    first: list[tuple[int, int]], arriving: list[tuple[int, int]], leaving: set[int]
) -> None:
    paths = np.array([(*path, place) for place, path in enumerate([*first, *arriving])], np.int32)
    items = len(first)
    before = build_decode_index(paths[:items], WIDTHS)
    came = np.arange(items, len(paths))
    gone = np.array(sorted(row for row in leaving if row < items), dtype=np.int64)
    after = change_decode_index(before, added_MP=paths[items:], rows_M=came, removed_R=gone)
    left = np.flatnonzero(np.isin(before.items_N.numpy(), gone))
    places = after.place_of_rows(len(paths)).numpy().astype(np.int64)[came]
    changes = node_changes(before, after, left, places)
    moved = {tuple(path) for path in (*paths[items:].tolist(), *paths[gone].tolist())}
    for depth, change in enumerate(changes, start=1):
        touched = {path[:depth] for path in moved}
        for index, nodes in ((before, change.before_T), (after, change.after_T)):
            all_of = prefixes(index, depth)
            assert [all_of[node] for node in nodes] == [path for path in all_of if path in touched]
