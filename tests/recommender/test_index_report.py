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
from mmrec.recommender.saved_index import DECODE_INDEX
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.path_lookup import parse_path
from tests.bundles import rewritten

PATHS = np.array([[1, 0, 0], [0, 2, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=np.int32)


@pytest.fixture(scope="module")
def small() -> OpenIndex:
    names = tuple("abcde")
    catalogue = Catalogue(names, tuple(f"Title {name}" for name in names), ("",) * 5, ("",) * 5)
    return OpenIndex(Paths(catalogue, PATHS, (2, 4, 2)), build_decode_index(PATHS, (2, 4, 2)), True)


def test_how_full_a_small_index_is(small: OpenIndex) -> None:
    found = index_stats(small)
    assert (found.items, found.depth, found.saved) == (5, 3, True)
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


def test_a_fitted_bundle_holds_its_index_and_it_is_sound(demo_bundle: Path) -> None:
    assert DECODE_INDEX in open_bundle(demo_bundle).manifest.files
    found = verify_index(demo_bundle)
    assert (found.items, found.depth, found.saved, found.faults) == (60, 4, True, ())
    stats = index_stats(open_index(demo_bundle))
    assert (stats.items, stats.depth, stats.levels[-1].nodes, stats.saved) == (60, 4, 60, True)


def test_every_item_is_found_at_its_path_and_beside_its_neighbours(demo_bundle: Path) -> None:
    opened = open_index(demo_bundle)
    ids = opened.paths.catalogue.item_ids
    places = item_places(opened, ids, 60)
    assert sorted(place.place for place in places) == list(range(60))
    for place in places:
        assert len(place.before) + len(place.after) == 59
        (below,) = items_below(opened, [parse_path(place.item.path)], 10)
        assert below.items == (place.item,)


@pytest.fixture(scope="module")
def older(demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle as it was made before bundles held the index."""
    return rewritten(demo_bundle, tmp_path_factory.mktemp("older") / "bundle", without=[DECODE_INDEX])


def test_a_bundle_from_before_bundles_held_it(older: Path, demo_bundle: Path) -> None:
    assert index_stats(open_index(older)).saved is False
    found = verify_index(older)
    assert (found.saved, found.faults) == (False, ())
    old, new = (mmrec.Recommender.load(bundle, device="cpu") for bundle in (older, demo_bundle))
    ids = new.list_items(page_size=3).item_ids
    assert old.recommend(ids).item_ids == new.recommend(ids).item_ids
    assert old.semantic_ids(ids) == new.semantic_ids(ids)


def test_the_index_of_another_catalogue_is_told_and_refused(demo_bundle: Path, tmp_path: Path) -> None:
    paths = open_bundle(demo_bundle).read_tensors("tokens.safetensors")["semantic_ids"]
    widths = open_index(demo_bundle).index.widths
    for name, other, message in (
        ("shorter", paths[1:], "it has 59 items, and the catalogue 60"),
        ("turned", paths[::-1], "60 items have another path in it than their semantic ID"),
    ):
        tensors = {DECODE_INDEX: build_decode_index(np.ascontiguousarray(other), widths).tensors()}
        wrong = rewritten(demo_bundle, tmp_path / name, tensors=tensors)
        assert [fault[: len(message)] for fault in verify_index(wrong).faults] == [message]
        with pytest.raises(BundleError, match=message):
            open_index(wrong)
        with pytest.raises(BundleError, match=r"decode_index\.safetensors does not belong to the semantic IDs"):
            mmrec.Recommender.load(wrong, device="cpu")


def test_arrays_that_say_the_same_in_another_way_are_told(demo_bundle: Path, tmp_path: Path) -> None:
    tensors = open_bundle(demo_bundle).read_tensors(DECODE_INDEX)
    wide = tensors | {"items": tensors["items"].astype(np.int64)}
    wrong = rewritten(demo_bundle, tmp_path / "wide", tensors={DECODE_INDEX: wide})
    assert verify_index(wrong).faults == ("items is not what building the index anew gives",)
