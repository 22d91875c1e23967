"""What can be asked of the catalogue's rows and paths checks itself when it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmrec.contract.requests import ListItemsRequest, ResolveRequest, SemanticIdsRequest
from mmrec.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ListItemsRequest(page_size=-1), "page_size"),
        (lambda: ListItemsRequest(filter="x" * 10_001), "filter"),
        (lambda: ListItemsRequest(page_token="x" * 1_000_001), "page_token"),
        (lambda: ListItemsRequest(item_fields=("title", "colour")), "item_fields[1]"),
        (lambda: SemanticIdsRequest(("a",) * 1001), "item_ids"),
        (lambda: SemanticIdsRequest("abc"), "item_ids"),  # type: ignore[arg-type]
        (lambda: SemanticIdsRequest(("a",), "x" * 513), "codebook_version"),
        (lambda: ResolveRequest(((0,),) * 1001), "semantic_ids"),
        (lambda: ResolveRequest("12/200"), "semantic_ids"),  # type: ignore[arg-type]
        (lambda: ResolveRequest((12, 200)), "semantic_ids[0]"),  # type: ignore[arg-type]
        (lambda: ResolveRequest(((0, 1), (0, -1))), "semantic_ids[1][1]"),
        (lambda: ResolveRequest(((2**32,),)), "semantic_ids[0][0]"),
        (lambda: ResolveRequest(((True,),)), "semantic_ids[0][0]"),
        (lambda: ResolveRequest(((0,),), page_size=-1), "page_size"),
        (lambda: ResolveRequest(((0,),), codebook_version="\ud800"), "codebook_version"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        make()
    assert [violation.field for violation in refused.value.violations] == [field]


def test_zero_is_the_default_and_more_than_there_may_be_is_coerced() -> None:
    assert ListItemsRequest(page_size=0).page_size == 100
    assert ListItemsRequest(page_size=10**9).page_size == 1000
    assert ResolveRequest(((0,),), page_size=0).page_size == 10
    assert ResolveRequest(((0,),) * 100, page_size=10**9).page_size == 1000


def test_many_paths_share_a_hundred_thousand_items() -> None:
    assert ResolveRequest(((0,),) * 1000, page_size=1000).page_size == 100
    assert ResolveRequest(((0,),) * 1000, page_size=10).page_size == 10


def test_paths_may_be_any_lists_of_whole_numbers() -> None:
    request = ResolveRequest([np.array([1, 2], dtype=np.int32), [3]])  # type: ignore[arg-type]
    assert request.semantic_ids == ((1, 2), (3,))
    assert {type(code) for path in request.semantic_ids for code in path} == {int}
