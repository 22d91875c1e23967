import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmrec.semantic_ids.semantic_ids import assign_semantic_ids


def test_collisions_are_counted_in_catalogue_order() -> None:
    codes = np.array([[1, 2], [0, 0], [1, 2], [1, 2], [0, 1]], dtype=np.int32)
    assert assign_semantic_ids(codes).tolist() == [[1, 2, 0], [0, 0, 0], [1, 2, 1], [1, 2, 2], [0, 1, 0]]


@given(arrays(np.int32, st.tuples(st.integers(0, 60), st.integers(1, 3)), elements=st.integers(0, 3)))
def test_paths_are_unique_and_start_with_the_codes(codes: np.ndarray) -> None:
    paths = assign_semantic_ids(codes)
    assert np.array_equal(paths[:, :-1], codes)
    assert len(np.unique(paths, axis=0)) == len(codes)


@given(arrays(np.int32, st.tuples(st.integers(1, 40), st.just(2)), elements=st.integers(0, 2)), st.integers(0, 40))
def test_an_item_keeps_its_id_when_items_are_appended(codes: np.ndarray, kept: int) -> None:
    assert np.array_equal(assign_semantic_ids(codes)[:kept], assign_semantic_ids(codes[:kept]))
