"""Reports about the decode index of a bundle: how full it is, the place of an item, the items below a path, its faults.

Unit of work: one report about one bundle. No model is loaded. Knows nothing about requests or printing.
"""

# Axes: N items, P levels of a semantic ID, V_l nodes at depth l (V_0 = 1 root, V_P = N leaves)

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmrec.bundle import open_bundle
from mmrec.errors import BundleError, NotFoundError
from mmrec.recommender.artefact import Paths, load_decode_index, read_paths
from mmrec.runtime.limits import check_number
from mmrec.semantic_ids.decode_index import DecodeIndex
from mmrec.semantic_ids.path_lookup import check_path, path_range, print_path


@dataclass(frozen=True, slots=True, eq=False)
class OpenIndex:
    """The decode index of a bundle, with its items.

    Attributes:
        paths: Items and semantic IDs.
        index: On the CPU.
    """

    paths: Paths
    index: DecodeIndex


@dataclass(frozen=True, slots=True)
class LevelOccupancy:
    """How one level of the tree is filled.

    Attributes:
        level: 1 for the first code of a path.
        nodes: Distinct prefixes of `level` codes.
        codes: Codes of the level.
        codes_used: Codes that at least one item has.
        mean_children: Nodes of this level per node of the level above.
        most_children: Most nodes of this level below one node.
        mean_items: Items per node of this level.
        most_items: Most items of one node.
    """

    level: int
    nodes: int
    codes: int
    codes_used: int
    mean_children: float
    most_children: int
    mean_items: float
    most_items: int


@dataclass(frozen=True, slots=True)
class IndexStats:
    """How full a decode index is.

    Attributes:
        items: Items in it.
        depth: Codes of a path, the one that separates collisions included.
        levels: One entry per code of a path.
        colliding_share: Share of items whose path differs from another item's in the last code only, 0 to 1.
        largest_group: Most items that have the same path but for the last code.
        memory: Bytes of the index in memory.
        memory_per_item: Bytes.
    """

    items: int
    depth: int
    levels: tuple[LevelOccupancy, ...]
    colliding_share: float
    largest_group: int
    memory: int
    memory_per_item: float


@dataclass(frozen=True, slots=True)
class PlacedItem:
    """An item and its path, written with slashes."""

    item_id: str
    title: str
    path: str


@dataclass(frozen=True, slots=True)
class ItemPlace:
    """The place of an item in the index.

    Attributes:
        item: The item.
        place: Its place among all items in the order of their paths, from 0.
        before: Items just before it in that order, nearest last.
        after: Items just after it, nearest first.
    """

    item: PlacedItem
    place: int
    before: tuple[PlacedItem, ...]
    after: tuple[PlacedItem, ...]


@dataclass(frozen=True, slots=True)
class PathItems:
    """The items below a path or a prefix of one.

    Attributes:
        path: The path, written with slashes.
        total: Items whose path begins with it.
        items: The first of them, in the order of their paths.
    """

    path: str
    total: int
    items: tuple[PlacedItem, ...]


@dataclass(frozen=True, slots=True)
class IndexCheck:
    """Whether a decode index can be built from the semantic IDs of a bundle.

    Attributes:
        items: Items of the catalogue.
        depth: Codes of a path.
        faults: Messages of what is wrong; empty when the index is valid.
    """

    items: int
    depth: int
    faults: tuple[str, ...]


def open_index(bundle: str | os.PathLike[str]) -> OpenIndex:
    """Verify a bundle and build its decode index.

    Raises:
        NotFoundError: there is no such folder.
        BundleError: it is damaged, or its semantic IDs are not unique or out of range.
    """
    opened = open_bundle(bundle)
    paths = read_paths(opened)
    return OpenIndex(paths, load_decode_index(opened, paths))


def index_stats(opened: OpenIndex) -> IndexStats:
    """How full an index is."""
    index = opened.index
    items = len(index.items_N)
    same_V = np.diff(index.item_begin[-2].numpy())
    return IndexStats(
        items=items,
        depth=index.levels,
        levels=tuple(_level(index, depth) for depth in range(1, index.levels + 1)),
        colliding_share=float(same_V[same_V > 1].sum() / items),
        largest_group=int(same_V.max()),
        memory=index.memory,
        memory_per_item=index.memory / items,
    )


def _level(index: DecodeIndex, depth: int) -> LevelOccupancy:
    nodes = index.nodes
    return LevelOccupancy(
        level=depth,
        nodes=nodes[depth],
        codes=index.widths[depth - 1],
        codes_used=len(np.unique(index.child_code[depth - 1].numpy())),
        mean_children=nodes[depth] / nodes[depth - 1],
        most_children=index.fan_out[depth - 1],
        mean_items=nodes[-1] / nodes[depth],
        most_items=int(np.diff(index.item_begin[depth].numpy()).max()),
    )


def item_places(opened: OpenIndex, item_ids: Sequence[str], beside: int) -> tuple[ItemPlace, ...]:
    """Places of items, and the items beside them.

    Args:
        opened: The index.
        item_ids: The items.
        beside: Most neighbours on each side, 0 or more.

    Raises:
        InvalidArgumentError: `beside` is below 0.
        NotFoundError: the catalogue does not have one of the items.
    """
    check_number("beside", beside, low=0)
    catalogue = opened.paths.catalogue
    rows = [catalogue.row_of(item_id) for item_id in item_ids]
    missing = [item_id for item_id, row in zip(item_ids, rows, strict=True) if row is None]
    if missing:
        raise NotFoundError(
            f"the catalogue has no item {', '.join(repr(item_id) for item_id in missing)}; it holds "
            f"{catalogue.items:,} items, ask with their ids"
        )
    places_N = opened.index.place_of_rows(len(catalogue)).numpy()
    found = []
    for row in rows:
        assert row is not None  # checked above
        place = int(places_N[row])
        found.append(
            ItemPlace(
                _placed(opened, place, place + 1)[0],
                place,
                _placed(opened, max(0, place - beside), place),
                _placed(opened, place + 1, place + 1 + beside),
            )
        )
    return tuple(found)


def items_below(opened: OpenIndex, paths: Sequence[Sequence[int]], limit: int) -> tuple[PathItems, ...]:
    """The items below paths or prefixes of paths.

    Args:
        opened: The index.
        paths: Each of one code or more.
        limit: Most items listed per path, 0 or more; `total` counts all.

    Raises:
        InvalidArgumentError: `limit` is below 0, or a path cannot be one of this catalogue.
    """
    check_number("limit", limit, low=0)
    found = []
    for codes in paths:
        written = print_path(codes)
        check_path(codes, opened.index.widths, f"path {written}")
        below = path_range(opened.index, codes)
        found.append(PathItems(written, below.items, _placed(opened, below.begin, min(below.end, below.begin + limit))))
    return tuple(found)


def _placed(opened: OpenIndex, begin: int, end: int) -> tuple[PlacedItem, ...]:
    """The items at some places of the sorted table; places past its end are left out."""
    catalogue, semantic_ids_NP = opened.paths.catalogue, opened.paths.semantic_ids_NP
    return tuple(
        PlacedItem(catalogue.item_ids[row], catalogue.titles[row], print_path(semantic_ids_NP[row]))
        for row in opened.index.items_N[begin:end].tolist()
    )


def verify_index(bundle: str | os.PathLike[str]) -> IndexCheck:
    """Verify a bundle's hashes, and that its semantic IDs are unique and in range.

    Raises:
        NotFoundError: there is no such folder.
        BundleError: the bundle is damaged in another way.
    """
    opened = open_bundle(bundle)
    paths = read_paths(opened)
    faults: tuple[str, ...] = ()
    try:
        load_decode_index(opened, paths)
    except BundleError as err:
        faults = (err.message,)
    return IndexCheck(paths.catalogue.items, paths.semantic_ids_NP.shape[1], faults)
