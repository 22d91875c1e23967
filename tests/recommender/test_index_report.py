"""Looking inside the decode index of a real, tiny bundle, and of bundles that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmrec
from mmrec.bundle import open_bundle
from mmrec.catalogue.catalogue import Catalogue
from mmrec.errors import BundleError, InvalidArgumentError, NotFoundError
from mmrec.recommender.artefact import Paths
from mmrec.recommender.index_report import (
    OpenIndex,
    PlacedItem,
    index_stats,
    item_places,
    items_below,
    open_index,
    verify_index,
)
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.path_lookup import parse_path
from tests.bundles import rewritten

PATHS = np.array([[1, 0, 0], [0, 2, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=np.int32)


@pytest.fixture(scope="module")
def small() -> OpenIndex:
    names = tuple("abcde")
    catalogue = Catalogue(names, tuple(f"Title {name}" for name in names), ("",) * 5, ("",) * 5)
    return OpenIndex(Paths(catalogue, PATHS, (2, 4, 2)), build_decode_index(PATHS, (2, 4, 2)))


def test_how_full_a_small_index_is(small: OpenIndex) -> None:
    found = index_stats(small)
    assert (found.items, found.depth) == (5, 3)
    assert (found.colliding_share, found.largest_group) == (0.4, 2)
    assert found.memory_per_item == found.memory / 5
    rows = [
        (lev.level, lev.nodes, lev.codes, lev.codes_used, lev.most_children, lev.most_items) for lev in found.levels
    ]
    assert rows == [(1, 2, 2, 2, 2, 3), (2, 4, 4, 3, 2, 2), (3, 5, 2, 2, 2, 1)]
    assert [level.mean_children for level in found.levels] == [2.0, 2.0, 1.25]
    assert [level.mean_items for level in found.levels] == [2.5, 1.25, 1.0]


def test_where_items_lie_and_what_lies_beside_them(small: OpenIndex) -> None:
    first, middle = item_places(small, ["d", "b"], 2)
    assert first.item == PlacedItem("d", "Title d", "0/0/0")
    assert (first.place, first.before) == (0, ())
    assert [item.item_id for item in first.after] == ["e", "b"]
    assert (middle.item.path, middle.place) == ("0/2/0", 2)
    assert [item.path for item in middle.before] == ["0/0/0", "0/0/1"]
    assert [item.path for item in middle.after] == ["1/0/0", "1/1/0"]
    (alone,) = item_places(small, ["c"], 0)
    assert (alone.before, alone.after) == ((), ())


def test_what_lies_below_a_path(small: OpenIndex) -> None:
    wide, exact, none = items_below(small, [(0,), (1, 1, 0), (0, 3)], 2)
    assert (wide.path, wide.total, [item.item_id for item in wide.items]) == ("0", 3, ["d", "e"])
    assert (exact.total, exact.items) == (1, (PlacedItem("c", "Title c", "1/1/0"),))
    assert (none.path, none.total, none.items) == ("0/3", 0, ())


def test_what_cannot_be_asked_is_refused(small: OpenIndex) -> None:
    with pytest.raises(NotFoundError, match="no item 'ghost', 'spirit'; it holds 5 items"):
        item_places(small, ["a", "ghost", "spirit"], 1)
    with pytest.raises(InvalidArgumentError, match="beside is -1"):
        item_places(small, ["a"], -1)
    with pytest.raises(InvalidArgumentError, match="limit is -1"):
        items_below(small, [(0,)], -1)
    with pytest.raises(InvalidArgumentError, match="code 2 of path 0/4 is 4"):
        items_below(small, [(0, 4)], 1)


# --- bundles ---


def test_the_index_of_a_fitted_bundle_is_sound(demo_bundle: Path) -> None:
    found = verify_index(demo_bundle)
    assert (found.items, found.depth, found.faults) == (60, 4, ())
    stats = index_stats(open_index(demo_bundle))
    assert (stats.items, stats.depth, stats.levels[-1].nodes) == (60, 4, 60)


def test_every_item_is_found_at_its_path_and_beside_its_neighbours(demo_bundle: Path) -> None:
    opened = open_index(demo_bundle)
    ids = opened.paths.catalogue.item_ids
    places = item_places(opened, ids, 60)
    assert sorted(place.place for place in places) == list(range(60))
    for place in places:
        assert len(place.before) + len(place.after) == 59
        (below,) = items_below(opened, [parse_path(place.item.path)], 10)
        assert below.items == (place.item,)


@pytest.mark.parametrize(
    ("code", "message", "on_loading"),
    [
        (None, "items 0 and 1 share the path", "items 0 and 1 share the path"),
        (-1, "a code is out of range", "'semantic_ids' holds -1; it must be 0 or more"),
        (999, "a code is out of range", "'semantic_ids' holds 999; it must be 0 or more"),
    ],
)
def test_semantic_ids_that_no_index_can_be_built_from_are_told_and_refused(
    code: int | None, message: str, on_loading: str, demo_bundle: Path, tmp_path: Path
) -> None:
    tensors = dict(open_bundle(demo_bundle).read_tensors("tokens.safetensors"))
    ids = tensors["semantic_ids"].copy()
    if code is None:
        ids[1] = ids[0]
    else:
        ids[0, 0] = code
    wrong = rewritten(demo_bundle, tmp_path / "wrong", tensors={"tokens.safetensors": tensors | {"semantic_ids": ids}})
    (fault,) = verify_index(wrong).faults
    assert f"no decode index can be built: {message}" in fault
    assert fault.endswith("fit again")
    with pytest.raises(BundleError, match=message):
        open_index(wrong)
    with pytest.raises(BundleError, match=on_loading):
        mmrec.Recommender.load(wrong, device="cpu")
