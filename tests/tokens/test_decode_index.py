import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.tokens.decode_index import build_decode_index


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
    assert index.widths == (2, 3)


@given(unique_paths())
def test_paths_come_back_as_they_went_in(paths: np.ndarray) -> None:
    assert np.array_equal(build_decode_index(paths).paths(), paths)


@settings(deadline=None)
@given(unique_paths(), st.randoms(use_true_random=False))
def test_a_node_is_open_exactly_when_an_eligible_item_lies_below_it(paths: np.ndarray, random) -> None:
    index = build_decode_index(paths)
    eligible = torch.tensor([[random.random() < 0.3 for _ in paths]])
    cumulative = index.cumulative(eligible)
    for depth in range(paths.shape[1] + 1):
        prefixes = np.unique(paths[:, :depth], axis=0)
        nodes = torch.arange(len(index.item_begin[depth]) - 1)
        expected = [bool((eligible[0].numpy() & (paths[:, :depth] == prefix).all(axis=1)).any()) for prefix in prefixes]
        assert index.eligible(nodes[None], depth, cumulative)[0].tolist() == expected


@given(unique_paths())
def test_children_of_a_node_are_the_codes_that_continue_its_prefix(paths: np.ndarray) -> None:
    index = build_decode_index(paths)
    for depth in range(paths.shape[1]):
        prefixes = np.unique(paths[:, :depth], axis=0)
        children = index.children(torch.arange(len(prefixes)), depth)
        for node, prefix in enumerate(prefixes):
            below = paths[(paths[:, :depth] == prefix).all(axis=1), depth]
            assert children.codes[node][children.exists[node]].tolist() == np.unique(below).tolist()


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
