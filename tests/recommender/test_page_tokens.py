"""Page tokens are opaque, work for the same question alone, and hold what was returned."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.contract.events import ListEventsRequest
from mmrec.contract.requests import DuplicatesRequest, ListItemsRequest, MismatchRequest, SearchRequest
from mmrec.errors import InvalidArgumentError
from mmrec.recommender.page_tokens import ReturnedItems, last_id, last_number, page_by_id, page_by_number, page_by_rank

REQUEST = SearchRequest("red shoes", image=b"picture", k=3, filter="a = 1")

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def _walk_by_rank(lists: list[list[str]], size: int) -> tuple[list[str], int]:
    """What the pages return of a list that is another one at each page; and how many of the lists they were made of."""
    request, seen = DuplicatesRequest(page_size=size), []
    for number in range(1000):
        returned, now = ReturnedItems(request), lists[min(number, len(lists) - 1)]
        page = page_by_rank(request, size, returned, (i for i in now if i not in returned), lambda i: (i,))
        seen += page.entries
        if not page.next_page_token:
            return seen, number + 1
        request = replace(request, page_token=page.next_page_token)
    raise AssertionError("it does not end")


@given(st.lists(ids, unique=True, max_size=30), st.integers(1, 10))
def test_pages_of_a_list_that_stays_are_the_whole_list_in_order(whole: list[str], size: int) -> None:
    assert _walk_by_rank([whole], size)[0] == whole


@given(st.lists(st.lists(ids, unique=True, max_size=12), min_size=1, max_size=6), st.integers(1, 4))
def test_whatever_becomes_of_the_order_nothing_is_returned_twice_and_what_stays_is_returned(
    lists: list[list[str]], size: int
) -> None:
    seen, pages = _walk_by_rank(lists, size)
    assert len(seen) == len(set(seen))
    assert set.intersection(*map(set, lists[:pages])) <= set(seen)


@given(st.lists(st.lists(ids, unique=True, max_size=12), min_size=1, max_size=6), st.integers(1, 4))
def test_a_list_by_id_goes_on_after_the_last_id(lists: list[list[str]], size: int) -> None:
    request, seen, pages = ListItemsRequest(page_size=size), [], 0
    while pages == 0 or request.page_token:
        now, last = sorted(lists[min(pages, len(lists) - 1)]), last_id(request)
        left = [item_id for item_id in now if item_id > last]
        page = page_by_id(request, left[:size], len(left) > size, lambda i: i)
        seen += page.entries
        pages += 1
        request = replace(request, page_token=page.next_page_token)
    assert seen == sorted(set(seen))
    assert set.intersection(*map(set, lists[:pages])) <= set(seen)


def test_a_list_by_number_goes_on_below_the_last_number_whatever_comes_in() -> None:
    request = ListEventsRequest("u", page_size=2)
    assert last_number(request) is None
    page = page_by_number(request, [7, 5], True, int)
    following = replace(request, page_token=page.next_page_token, page_size=3)
    assert last_number(following) == 5
    assert page_by_number(following, [2], False, int).next_page_token == ""
    with pytest.raises(InvalidArgumentError, match="of another request"):
        last_number(replace(following, user_id="v"))
    # The token of a list by id has the right length, and no number of an event.
    made = page_by_id(request, ["\uffff\uffffab"], True, str).next_page_token
    with pytest.raises(InvalidArgumentError, match="of another request"):
        last_number(replace(request, page_token=made))


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, text="red shoe"),
        replace(REQUEST, image=b"another"),
        replace(REQUEST, image=None),
        replace(REQUEST, filter="a = 2"),
        replace(REQUEST, modality="words"),
        replace(REQUEST, item_fields=("title",)),
        replace(REQUEST, text="red shoes\0", filter=""),
    ],
)
def test_a_token_of_another_question_is_refused(other: SearchRequest) -> None:
    token = ReturnedItems(REQUEST).token(REQUEST, ["a", "b"])
    returned = ReturnedItems(replace(REQUEST, page_token=token, k=50))
    assert ("a" in returned, "b" in returned, "c" in returned, len(returned)) == (True, True, False, 2)
    with pytest.raises(InvalidArgumentError, match="of another request") as refused:
        ReturnedItems(replace(other, page_token=token))
    assert [violation.field for violation in refused.value.violations] == ["page_token"]


def test_a_token_of_another_kind_of_question_or_that_was_altered_is_refused() -> None:
    token = ReturnedItems(DuplicatesRequest()).token(DuplicatesRequest(), ["a"])
    assert "a" in ReturnedItems(DuplicatesRequest(page_token=token))
    altered = token[:-1] + ("A" if token[-1] != "A" else "B")
    for request in (MismatchRequest(page_token=token), DuplicatesRequest(page_token=altered)):
        with pytest.raises(InvalidArgumentError):
            ReturnedItems(request)
    with pytest.raises(InvalidArgumentError):
        last_id(ListItemsRequest(page_token=token))


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.binary(min_size=1).map(bytes.hex)
)
def test_noise_is_no_token(noise: str) -> None:
    with pytest.raises(InvalidArgumentError):
        ReturnedItems(DuplicatesRequest(page_token=noise))
    with pytest.raises(InvalidArgumentError):
        last_id(ListItemsRequest(page_token=noise))


def test_a_token_that_has_grown_too_long_says_what_to_do() -> None:
    token = ReturnedItems(REQUEST).token(REQUEST, (str(number) for number in range(125_000)))
    with pytest.raises(InvalidArgumentError, match="use a filter to get fewer") as refused:
        replace(REQUEST, page_token=token)
    assert [violation.field for violation in refused.value.violations] == ["page_token"]
