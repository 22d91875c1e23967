"""The decode index of a bundle is read back as it was, and never taken for that of other semantic IDs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.bundle import Bundle, BundleWriter, open_bundle
from mmrec.contract.items import Versions
from mmrec.errors import BundleError
from mmrec.recommender.saved_index import DECODE_INDEX, index_faults, read_decode_index
from mmrec.semantic_ids.decode_index import build_decode_index

PATHS = np.array([[1, 0, 0], [0, 2, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=np.int32)
WIDTHS = (2, 3, 2)


def _bundle(root: Path, tensors: dict[str, np.ndarray] | None) -> Bundle:
    with BundleWriter(root, preset="embedded", name="tiny") as writer:
        writer.write_json("metrics.json", {})
        if tensors is not None:
            writer.write_tensors(DECODE_INDEX, tensors)
        writer.commit(versions=Versions("m1", "c1", "b1"), parameters={})
    return open_bundle(root)


def _tensors(paths: np.ndarray = PATHS) -> dict[str, np.ndarray]:
    return build_decode_index(paths, WIDTHS).tensors()


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    index = read_decode_index(_bundle(tmp_path, _tensors()), PATHS, WIDTHS)
    assert index.paths().tolist() == PATHS.tolist()
    assert (index.widths, index.fan_out, index.choices) == (WIDTHS, (2, 2, 2), (1, 2, 1))
    assert [begin.tolist() for begin in index.child_begin] == [[0, 2], [0, 2, 4], [0, 2, 3, 4, 5]]


def test_the_same_index_makes_the_same_file(tmp_path: Path) -> None:
    one, other = (_bundle(tmp_path / name, _tensors()).manifest.files[DECODE_INDEX] for name in "ab")
    assert one == other


def test_a_bundle_from_before_bundles_held_it_has_it_built(tmp_path: Path) -> None:
    index = read_decode_index(_bundle(tmp_path, None), PATHS, WIDTHS)
    assert index.paths().tolist() == PATHS.tolist()
    with pytest.raises(BundleError, match=r"no decode index can be built: items 0 and 1 share the path.*fit again"):
        read_decode_index(_bundle(tmp_path, None), np.zeros((2, 3), dtype=np.int32), WIDTHS)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (_tensors(PATHS[:4]), r"it has 4 items, and the catalogue 5"),
        (_tensors(PATHS[::-1]), r"4 items have another path in it than their semantic ID, the first in row 0"),
        (_tensors() | {"layout": np.array([7])}, r"its layout is \[7\], and this version reads \[1\]"),
        ({}, r"its layout is None"),
        (_tensors() | {"widths": np.array([2, 3, 9])}, r"it has \[2, 3, 9\] codes per level, and the catalogue"),
        (
            _tensors() | {"items": np.array([3, 4, 1, 0, 3])},
            r"1 items of the catalogue are not in it, the first in row 2",
        ),
        (_tensors() | {"items": np.array([3, 4, 1, 0, 5])}, r"it has rows 0 to 5, and the catalogue 0 to 4"),
        (_tensors() | {"items": np.zeros((5, 1), np.int32)}, r"items are no lists of whole numbers"),
        (_tensors() | {"codes.1": np.zeros(4, np.float32)}, r"codes\.1 are no lists of whole numbers"),
        (_tensors() | {"starts.1": np.array([0, 3, 3, 5])}, r"the nodes of depth 1 are no ranges that cover 5 items"),
        (_tensors() | {"starts.0": np.array([0, 3, 5])}, r"it has 2 roots instead of one"),
        (_tensors() | {"codes.2": np.array([0, 1, 0])}, r"depth 3 has 5 nodes and codes for 3"),
        (_tensors() | {"starts.1": np.array([0, 1, 5])}, r"a node of depth 2 reaches over the end of one of depth 1"),
        (_tensors() | {"codes.0": np.array([1, 0])}, r"paths are not unique and in order: 1 nodes of depth 1"),
        (_tensors() | {"codes.2": np.array([0, 0, 0, 0, 0])}, r"paths are not unique.*code 0 after 0"),
        (_tensors() | {"codes.3": np.array([0])}, r"it has 10 arrays; for paths of 3 codes there are 9"),
        ({k: v for k, v in _tensors().items() if k != "codes.1"}, r"it lacks codes\.1, which paths of 3 codes need"),
    ],
)
def test_an_index_that_is_not_of_the_semantic_ids_is_refused_with_what_to_do(
    tensors: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=message) as refused:
        read_decode_index(_bundle(tmp_path, tensors), PATHS, WIDTHS)
    assert "decode_index.safetensors does not belong to the semantic IDs of the catalogue" in refused.value.message
    assert "restore the bundle from its source, or fit again" in refused.value.message


@st.composite
def unique_paths(draw: st.DrawFn) -> np.ndarray:
    levels = draw(st.integers(1, 4))
    path = st.tuples(*[st.integers(0, 3)] * levels)
    return np.array(draw(st.lists(path, min_size=1, max_size=30, unique=True)), dtype=np.int32)


@given(unique_paths(), st.data())
def test_a_built_index_has_no_fault_and_one_with_any_other_number_has(paths: np.ndarray, data: st.DataObject) -> None:
    index = build_decode_index(paths)
    tensors = {name: array.copy() for name, array in index.tensors().items()}
    assert index_faults(tensors, paths, index.widths) == []
    array = tensors[data.draw(st.sampled_from(sorted(tensors)))]
    place = data.draw(st.integers(0, len(array) - 1))
    other = data.draw(st.integers(-1, int(array.max()) + 1).filter(lambda number: number != array[place]))
    array[place] = other
    assert index_faults(tensors, paths, index.widths) != []
