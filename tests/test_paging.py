"""Page tokens are opaque, and work for the same question and catalogue alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.paging import next_page_token, page_of, page_start
from mmrec.types import DuplicatesRequest, MismatchRequest, SearchRequest

REQUEST = SearchRequest("red shoes", image=b"picture", k=3, filter="a = 1")


@given(st.integers(0, 2**63 - 1))
def test_a_token_leads_to_where_it_was_made_for(start: int) -> None:
    token = next_page_token(REQUEST, "v1", start)
    assert page_start(replace(REQUEST, page_token=token, k=50), "v1") == start


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
    token = next_page_token(REQUEST, "v1", 3)
    with pytest.raises(InvalidArgumentError, match="of another request") as refused:
        page_start(replace(other, page_token=token), "v1")
    assert [violation.field for violation in refused.value.violations] == ["page_token"]


def test_a_token_of_another_version_or_kind_of_question_is_refused() -> None:
    token = next_page_token(DuplicatesRequest(), "v1", 100)
    assert page_start(DuplicatesRequest(page_token=token), "v1") == 100
    with pytest.raises(InvalidArgumentError):
        page_start(DuplicatesRequest(page_token=token), "v2")
    with pytest.raises(InvalidArgumentError):
        page_start(MismatchRequest(page_token=token), "v1")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.binary(min_size=1).map(bytes.hex)
)
def test_noise_is_no_token(noise: str) -> None:
    with pytest.raises(InvalidArgumentError):
        page_start(DuplicatesRequest(page_token=noise), "v1")


@given(st.integers(0, 30), st.integers(1, 10))
def test_pages_are_the_whole_list_in_order(length: int, size: int) -> None:
    whole = list(range(length))
    request = DuplicatesRequest(page_size=size)
    seen: list[int] = []
    while True:
        page = page_of(request, "v1", whole)
        seen += page.entries
        if not page.next_page_token:
            break
        assert len(page.entries) == size
        request = replace(request, page_token=page.next_page_token)
    assert seen == whole
