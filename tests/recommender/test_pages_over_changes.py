"""Pages go on while the catalogue changes: no item twice, none left out that was there all the while."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mmrec
from mmrec.bundle import BundleWriter
from mmrec.contract.items import ItemInput
from mmrec.contract.requests import DuplicatesRequest, ListItemsRequest, MismatchRequest, SearchRequest
from mmrec.errors import InvalidArgumentError, NotFoundError

pytestmark = pytest.mark.slow(10)

LISTS: dict[str, tuple[Any, Callable[[Any], list[str]]]] = {
    "list-items": (ListItemsRequest(page_size=7), lambda page: [item.item_id for item in page.items]),
    "search": (SearchRequest("mug", k=7), lambda page: list(page.item_ids)),
    "relaxed": (
        SearchRequest("mug", k=7, filter='title : "lamp"', filter_mode="relaxed"),
        lambda page: list(page.item_ids),
    ),
    "mismatches": (
        MismatchRequest(max_agreement=1.0, page_size=7),
        lambda page: [entry.item.item_id for entry in page.items],
    ),
}


def ask(engine: mmrec.Recommender, request: Any) -> Any:
    kind = {
        ListItemsRequest: engine.list_items_many,
        SearchRequest: engine.search_many,
        MismatchRequest: engine.mismatches_many,
        DuplicatesRequest: engine.duplicates_many,
    }[type(request)]
    (page,) = kind([request])
    assert not isinstance(page, mmrec.MmrecError), page
    return page


def walk(
    engine: mmrec.Recommender,
    request: Any,
    between: Callable[[int, list[str]], mmrec.Recommender | None],
    ids_of: Callable[[Any], list[str]],
) -> list[str]:
    """All that the pages tell; after each, `between` does something, or gives another engine to go on with."""
    told: list[str] = []
    for number in range(100):
        page = ask(engine, request)
        assert page.versions == engine.info().versions
        told += ids_of(page)
        if not page.next_page_token:
            return told
        request = replace(request, page_token=page.next_page_token)
        engine = between(number, told) or engine
    raise AssertionError("it does not end")


@pytest.mark.parametrize("name", LISTS)
def test_pages_go_on_while_items_come_change_and_go(own: mmrec.Recommender, pictures: list[bytes], name: str) -> None:
    request, ids_of = LISTS[name]
    before = walk(own, request, lambda *_: None, ids_of)
    touched: set[str] = set()

    def change(number: int, told: list[str]) -> None:
        # One that was told becomes the best of all, one that was not becomes the last or the first, others go.
        left = [item_id for item_id in before if item_id not in told]
        rewritten = [told[0], told[-1], *left[-1:]]
        own.upsert_items([ItemInput(i, f"mug {number}", "", pictures[number % 8]) for i in rewritten])
        own.upsert_items([ItemInput(f"{letter}-new-{number}", "mug", "", pictures[0]) for letter in "az"])
        own.delete_items([told[1], *left[2:3]])
        touched.update([*rewritten, told[1], *left[2:3]])

    told = walk(own, request, change, ids_of)
    assert len(told) == len(set(told))
    assert set(before) - touched <= set(told)
    assert len(set(before) - touched) > 20


@pytest.mark.parametrize("name", LISTS)
def test_pages_go_on_after_a_restart_on_another_server_and_on_another_version_of_the_bundle(
    demo_bundle: Path, tmp_path: Path, name: str
) -> None:
    root = Path(shutil.copytree(demo_bundle, tmp_path / "bundle"))
    own = mmrec.Recommender.load(root, device="cpu")
    request, ids_of = LISTS[name]
    whole = walk(own, request, lambda *_: None, ids_of)

    def elsewhere(number: int, told: list[str]) -> mmrec.Recommender | None:
        if number == 0:
            return own.load_current()
        if number == 1:
            # Folded, and swapped while it is served.
            other = own.load_current()
            other.upsert_items([ItemInput("new", "Quartz lamp")])
            other.delete_items([told[3]])
            with BundleWriter(root, preset="p", name="n") as writer:
                other.publish(writer, catalogue="folded", folded={})
            own.adopt(own.load_current())
            return own
        return None

    told = walk(own, request, elsewhere, ids_of)
    assert len(told) == len(set(told))
    assert set(whole) <= set(told) <= {*whole, "new"}


def test_groups_of_duplicates_go_on(own: mmrec.Recommender, pictures: list[bytes]) -> None:
    for number in range(6):
        own.upsert_items([ItemInput(f"{side}-{number}", f"Thing {number}", "", pictures[number]) for side in "ab"])
    request = DuplicatesRequest(page_size=1)

    def members(page: Any) -> list[str]:
        return [item_id for group in page.groups for item_id in group.item_ids]

    whole = walk(own, request, lambda *_: None, members)
    assert {f"{side}-{number}" for side in "ab" for number in range(6)} <= set(whole)

    def change(number: int, told: list[str]) -> None:
        # A third comes to a group that was told, and the first group of all is another one.
        own.upsert_items([ItemInput(f"c-{number}", "Any", "", pictures[int(told[0][-1])])])

    # Each picture is that of an item of the catalogue too.
    told = walk(own, request, change, members)
    assert len(told) == len(set(told))
    assert set(whole) <= set(told)


def test_a_group_that_has_grown_by_two_is_told_with_these_alone(own: mmrec.Recommender, pictures: list[bytes]) -> None:
    own.upsert_items([ItemInput(f"{side}-{n}", f"Thing {n}", "", pictures[n]) for side in "ab" for n in range(2)])
    first = ask(own, DuplicatesRequest(page_size=1))
    (group,) = first.groups
    number = int(next(item_id for item_id in group.item_ids if item_id[:2] in ("a-", "b-"))[-1])
    own.upsert_items([ItemInput(f"late-{n}", f"Thing {number}", "", pictures[number]) for n in range(2)])
    rest = ask(own, DuplicatesRequest(page_token=first.next_page_token))
    assert ("late-0", "late-1") in [group.item_ids for group in rest.groups]


def test_a_search_by_an_item_goes_on_when_that_item_changes_and_ends_when_it_goes(own: mmrec.Recommender) -> None:
    asked = "p0006"
    request = SearchRequest(item_id=asked, k=10)
    first = ask(own, request)
    own.upsert_items([ItemInput(asked, "Quartz lamp")])
    second = ask(own, replace(request, page_token=first.next_page_token))
    assert not set(first.item_ids) & set(second.item_ids)
    own.delete_items([asked])
    (gone,) = own.search_many([replace(request, page_token=second.next_page_token)])
    assert isinstance(gone, NotFoundError)


def test_a_token_of_another_question_is_refused_on_a_changed_catalogue(own: mmrec.Recommender) -> None:
    token = ask(own, SearchRequest("mug", k=3)).next_page_token
    own.upsert_items([ItemInput("new", "Quartz lamp")])
    (refused,) = own.search_many([SearchRequest("lamp", k=3, page_token=token)])
    assert isinstance(refused, InvalidArgumentError)
    assert [violation.field for violation in refused.violations] == ["page_token"]
