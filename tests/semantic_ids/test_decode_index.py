import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.decode_index import DecodeIndex, build_decode_index, change_decode_index


@st.composite
def unique_paths(draw: st.DrawFn) -> np.ndarray:
    levels = draw(st.integers(1, 4))
    path = st.tuples(*[st.integers(0, 4)] * levels)
    return np.array(draw(st.lists(path, min_size=1, max_size=60, unique=True)), dtype=np.int32)


def test_the_layout_of_a_small_tree() -> None:
    index = build_decode_index(np.array([[1, 0], [0, 2], [1, 1], [0, 0]], dtype=np.int32))
    assert index.items_N.tolist() == [3, 1, 0, 2]
    assert [begin.tolist() for begin in index.child_begin] == [[0, 2], [0, 2, 4]]
    assert [codes.tolist() for codes in index.child_code] == [[0, 1], [0, 2, 0, 1]]
    assert [begin.tolist() for begin in index.item_begin] == [[0, 4], [0, 2, 4], [0, 1, 2, 3, 4]]
    assert index.fan_out == (2, 2)
    assert index.choices == (1, 2)
    assert index.nodes == (1, 2, 4)
    assert index.widths == (2, 3)
    assert index.place_of_rows(5).tolist() == [2, 1, 3, 0, -1]
    assert index.parents(2).tolist() == [0, 0, 1, 1]
    assert index.nodes_of(torch.arange(4), 1).tolist() == [0, 0, 1, 1]
    # Items, where the children of depth 0 begin (those of depth 1 begin where its items do), where items begin, codes.
    assert index.memory == 4 * (4 + 2 + (2 + 3 + 5) + (2 + 4))


@given(unique_paths())
def test_paths_come_back_as_they_went_in(paths: np.ndarray) -> None:
    assert np.array_equal(build_decode_index(paths).paths(), paths)


@given(unique_paths())
def test_children_of_a_node_are_the_codes_that_continue_its_prefix(paths: np.ndarray) -> None:
    index = build_decode_index(paths)
    for depth in range(paths.shape[1]):
        prefixes = np.unique(paths[:, :depth], axis=0)
        children = index.children(torch.arange(len(prefixes)), depth)
        for node, prefix in enumerate(prefixes):
            below = paths[(paths[:, :depth] == prefix).all(axis=1), depth]
            assert children.codes[node][children.exists[node]].tolist() == np.unique(below).tolist()


def test_children_padded_tightly_are_the_same_and_no_more_than_any_of_the_nodes_has() -> None:
    index = build_decode_index(np.array([[0, 0], [0, 1], [0, 2], [1, 0], [2, 1], [2, 3]], dtype=np.int32))
    assert index.fan_out == (3, 3)
    for nodes, most in (([1], 1), ([1, 2, 1], 2), ([0, 2], 3)):
        tight = index.children(torch.tensor([nodes]), 1, tight=True)
        assert tight.exists.shape == (1, len(nodes), most)
        for found, padded in zip(tight, index.children(torch.tensor([nodes]), 1), strict=True):
            assert torch.equal(found, padded[..., :most])


def test_when_two_items_share_a_path() -> None:
    with pytest.raises(InvalidArgumentError, match=r"items 0 and 2 share the path \[1, 1\]"):
        build_decode_index(np.array([[1, 1], [0, 0], [1, 1]], dtype=np.int32))


@pytest.mark.parametrize("paths", [[[-1, 0]], [[0, 5]]])
def test_when_a_code_is_out_of_range(paths: list[list[int]]) -> None:
    with pytest.raises(InvalidArgumentError, match="out of range"):
        build_decode_index(np.array(paths, dtype=np.int32), widths=(2, 5))


def test_when_there_are_no_items() -> None:
    with pytest.raises(InvalidArgumentError, match="at least 1"):
        build_decode_index(np.zeros((0, 3), dtype=np.int32))


def same(one: DecodeIndex, two: DecodeIndex) -> bool:
    arrays = [[o.items_N, *o.child_begin, *o.child_code, *o.item_begin] for o in (one, two)]
    return one[4:] == two[4:] and all(a.equal(b) and a.dtype == b.dtype for a, b in zip(*arrays, strict=True))


@given(st.data(), unique_paths(), st.booleans())
def test_a_changed_index_is_the_index_of_the_changed_catalogue(
    data: st.DataObject, paths: np.ndarray, long: bool
) -> None:
    # Paths that are too long to be whole numbers go another way.
    widths = (2**31 - 1 if long else 5,) * paths.shape[1]
    before = data.draw(st.integers(1, len(paths)))
    gone = data.draw(st.lists(st.integers(0, len(paths) + 3), max_size=before))
    kept = [row for row in range(before) if row not in gone]
    index = build_decode_index(paths[:before], widths)
    rows = np.arange(before, len(paths))
    if not kept and not len(rows):
        with pytest.raises(InvalidArgumentError, match="all items would be deleted"):
            change_decode_index(index, added_MP=paths[rows], rows_M=rows, removed_R=np.array(gone))
        return
    changed = change_decode_index(index, added_MP=paths[rows], rows_M=rows, removed_R=np.array(gone, dtype=np.int64))
    order = np.array([*kept, *rows])
    expected = build_decode_index(paths[order], widths)
    assert same(changed, expected._replace(items_N=torch.from_numpy(order.astype(np.int32))[expected.items_N]))
    assert same(index, build_decode_index(paths[:before], widths))


def test_a_new_item_must_have_a_path_of_its_own() -> None:
    index = build_decode_index(np.array([[0, 0], [1, 0]], dtype=np.int32), (2, 2))
    with pytest.raises(InvalidArgumentError, match=r"items 5 and 1 share the path \[1, 0\]"):
        change_decode_index(
            index, added_MP=np.array([[1, 0]], dtype=np.int32), rows_M=np.array([5]), removed_R=np.array([0])
        )
    with pytest.raises(InvalidArgumentError, match="out of range"):
        change_decode_index(
            index, added_MP=np.array([[1, 2]], dtype=np.int32), rows_M=np.array([5]), removed_R=np.array([])
        )


@given(unique_paths(), st.data())
def test_rows_that_are_no_items_are_left_out(paths: np.ndarray, data: st.DataObject) -> None:
    alive = np.array(data.draw(st.lists(st.booleans(), min_size=len(paths), max_size=len(paths)).filter(any)))
    widths = (5,) * paths.shape[1]
    index, expected = build_decode_index(paths, widths, alive), build_decode_index(paths[alive], widths)
    assert index.sorted_paths().tolist() == expected.sorted_paths().tolist()
    assert paths[index.items_N.numpy()].tolist() == expected.sorted_paths().tolist()


def test_two_items_with_one_path_are_told_by_their_rows() -> None:
    paths = np.array([[0, 0], [1, 0], [0, 1], [1, 0]], dtype=np.int32)
    with pytest.raises(InvalidArgumentError, match=r"items 1 and 3 share the path \[1, 0\]"):
        build_decode_index(paths, (2, 2), np.array([False, True, True, True]))
