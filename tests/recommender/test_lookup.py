"""Rows page by page, and between items and semantic IDs, over a small catalogue with two versions of the codebooks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.items import ItemRecord, Versions
from mmrec.contract.replies import ItemPage, ResolvedPaths, SemanticIds
from mmrec.contract.requests import ListItemsRequest, ResolveRequest, SemanticIdsRequest
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.lookup import CatalogueLookup, CodebookPaths
from mmrec.semantic_ids.decode_index import build_decode_index

VERSIONS = Versions("m1", "c1", "b2")
OLD = np.array([[5, 0], [5, 1], [6, 0], [7, 0]], dtype=np.int32)
NEW = np.array([[0, 1, 0], [2, 0, 0], [0, 1, 1], [0, 3, 0]], dtype=np.int32)


def _lookup(prices: list[int], codebooks: dict[str, np.ndarray] | None = None) -> CatalogueLookup:
    items = len(prices)
    own = np.arange(items, dtype=np.int32)[:, None]
    catalogue = Catalogue(
        tuple(f"i{row}" for row in range(items)),
        tuple(f"Item {row}" for row in range(items)),
        ("",) * items,
        ("",) * items,
        {"price": tuple(map(str, prices))},
    )
    paths = {name: CodebookPaths(build_decode_index(ids), ids) for name, ids in (codebooks or {"b2": own}).items()}

    def record(row: int) -> ItemRecord:
        return replace(catalogue.record(row), semantic_id=paths["b2"].path(row))

    return CatalogueLookup(catalogue, CatalogueFilter(catalogue), paths, record, VERSIONS)


@pytest.fixture
def lookup() -> CatalogueLookup:
    return _lookup([1, 2, 3, 4], {"b1": OLD, "b2": NEW})


# --- rows page by page ---


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 10), st.integers(1, 12))
def test_a_walk_over_the_pages_meets_every_passing_item_exactly_once(prices: list[int], under: int, size: int) -> None:
    lookup = _lookup(prices)
    passing = sorted(f"i{row}" for row, price in enumerate(prices) if price < under)
    request, walked = ListItemsRequest(f"price < {under}", page_size=size), []
    while True:
        (page,) = lookup.list_items_many([request])
        assert isinstance(page, ItemPage)
        assert page.total == len(passing)
        walked += page.item_ids
        if not page.next_page_token:
            break
        assert len(page.items) == size
        request = replace(request, page_token=page.next_page_token)
    assert walked == passing


def test_rows_come_with_the_asked_fields_and_the_versions(lookup: CatalogueLookup) -> None:
    whole, sparse = lookup.list_items_many(
        [ListItemsRequest(page_size=1), ListItemsRequest(page_size=1, item_fields=("title",))]
    )
    assert isinstance(whole, ItemPage)
    assert whole.items == (ItemRecord("i0", "Item 0", attributes={"price": "1"}, semantic_id=(0, 1, 0)),)
    assert (whole.total, whole.versions) == (4, VERSIONS)
    assert isinstance(sparse, ItemPage)
    assert sparse.items == (ItemRecord("i0", "Item 0"),)


def test_a_page_token_works_with_another_page_size_but_no_other_filter(lookup: CatalogueLookup) -> None:
    first = lookup.list_items_many([ListItemsRequest("price > 1", page_size=1)])[0]
    assert isinstance(first, ItemPage)
    rest, other = lookup.list_items_many(
        [
            ListItemsRequest("price > 1", page_token=first.next_page_token),
            ListItemsRequest("price > 2", page_token=first.next_page_token),
        ]
    )
    assert isinstance(rest, ItemPage)
    assert rest.item_ids == ("i2", "i3")
    assert isinstance(other, InvalidArgumentError)
    assert [violation.field for violation in other.violations] == ["page_token"]


def test_a_filter_that_cannot_be_read_costs_its_own_request_only(lookup: CatalogueLookup) -> None:
    bad, good = lookup.list_items_many([ListItemsRequest("price <"), ListItemsRequest("price < 2")])
    assert isinstance(bad, InvalidArgumentError)
    assert isinstance(good, ItemPage)
    assert good.item_ids == ("i0",)


# --- between items and semantic IDs ---


def test_items_have_the_paths_of_the_version_that_is_served(lookup: CatalogueLookup) -> None:
    (found,) = lookup.semantic_ids_many([SemanticIdsRequest(("i3", "ghost", "i0", "ghost", "i3"))])
    assert isinstance(found, SemanticIds)
    assert [(entry.item_id, entry.semantic_id) for entry in found.entries] == [
        ("i3", (0, 3, 0)),
        ("i0", (0, 1, 0)),
        ("i3", (0, 3, 0)),
    ]
    assert (found.missing_ids, found.versions) == (("ghost",), VERSIONS)


def test_a_path_and_the_beginning_of_one_lead_to_their_items(lookup: CatalogueLookup) -> None:
    (found,) = lookup.resolve_many([ResolveRequest(((0, 1, 1), (0,), (0, 2), (2, 0, 5)), page_size=2)])
    assert isinstance(found, ResolvedPaths)
    assert [[item.item_id for item in entry.items] for entry in found.entries] == [["i2"], ["i0", "i2"], [], []]
    assert [entry.total for entry in found.entries] == [1, 3, 0, 0]
    assert [entry.error for entry in found.entries] == [None] * 4
    assert found.entries[0].items[0].semantic_id == (0, 1, 1)


def test_a_path_that_cannot_be_one_is_refused_by_itself_and_by_place(lookup: CatalogueLookup) -> None:
    (found,) = lookup.resolve_many([ResolveRequest(((0, 1, 1), (3,), (), (0, 1, 1, 1)))])
    assert isinstance(found, ResolvedPaths)
    good, *refused = found.entries
    assert [item.item_id for item in good.items] == ["i2"]
    fields = [entry.error.violations[0].field for entry in refused if isinstance(entry.error, InvalidArgumentError)]
    assert fields == ["semantic_ids[1]", "semantic_ids[2]", "semantic_ids[3]"]


def test_while_codebooks_are_replaced_paths_of_both_versions_can_be_looked_up(lookup: CatalogueLookup) -> None:
    (old,) = lookup.semantic_ids_many([SemanticIdsRequest(("i1",), "b1")])
    assert isinstance(old, SemanticIds)
    assert [entry.semantic_id for entry in old.entries] == [(5, 1)]
    assert old.versions == Versions("m1", "c1", "b1")
    in_old, in_new = lookup.resolve_many([ResolveRequest(((5,),), codebook_version="b1"), ResolveRequest(((2,),))])
    assert isinstance(in_old, ResolvedPaths)
    assert [(item.item_id, item.semantic_id) for item in in_old.entries[0].items] == [("i0", (5, 0)), ("i1", (5, 1))]
    assert in_old.versions.codebook == "b1"
    assert isinstance(in_new, ResolvedPaths)
    assert [(item.item_id, item.semantic_id) for item in in_new.entries[0].items] == [("i1", (2, 0, 0))]
    assert in_new.versions.codebook == "b2"


def test_a_version_that_is_not_here_is_a_failed_precondition_that_names_those_that_are(
    lookup: CatalogueLookup,
) -> None:
    for found in (
        *lookup.semantic_ids_many([SemanticIdsRequest(("i1",), "b7")]),
        *lookup.resolve_many([ResolveRequest(((0,),), codebook_version="b7")]),
    ):
        assert isinstance(found, FailedPreconditionError)
        assert "codebook_version is 'b7'; paths are known here in b1, b2" in found.message
