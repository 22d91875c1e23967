"""Filters, lists and history as sets of items: the mask and what the search is told always say the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.items import FilterMode
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender import candidate_filter
from mmrec.recommender.candidate_filter import CandidateFilter
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.eligibility import eligible

ITEMS = 8
IDS = tuple(f"i{row}" for row in range(ITEMS))
PRICES = ("5", "10", "15", "20", "25", "30", "35", "")
CATALOGUE = Catalogue(
    item_ids=IDS,
    titles=IDS,
    descriptions=("",) * ITEMS,
    images=("",) * ITEMS,
    attributes={
        "price": PRICES,
        "in_stock": ("true", "false") * 4,
        "added": ("2024-05-31", "2024-05-30T12:00:00", "2024-05-01", "2023-01-01", "2024-06-05", "", "", ""),
    },
)
INDEX = build_decode_index(np.array([[row // 3, row % 3] for row in reversed(range(ITEMS))], np.int32))
NOW = datetime(2024, 6, 1, tzinfo=UTC).timestamp()


def _made(cache_size: int = 64) -> CandidateFilter:
    return CandidateFilter(CATALOGUE, CatalogueFilter(CATALOGUE, cache_size=cache_size), clock=lambda: NOW)


RELAXED = FilterMode.RELAXED


@pytest.mark.parametrize("few", [0, 4096], ids=["as-masks", "as-lists"])
@pytest.mark.parametrize(
    ("wishes", "seen", "expected"),
    [
        ({}, [], [[0, 1, 2, 3, 4, 5, 6, 7]]),
        ({}, [2, 5, 2], [[0, 1, 3, 4, 6, 7]]),
        ({"include_seen": True}, [2, 5], [[0, 1, 2, 3, 4, 5, 6, 7]]),
        ({"deny": ("i0", "ghost", "i7")}, [2], [[1, 3, 4, 5, 6]]),
        ({"deny": ("i0", "i7"), "include_seen": True}, [2], [[1, 2, 3, 4, 5, 6]]),
        ({"allow": ("i3", "ghost", "i1", "i2")}, [2], [[1, 3]]),
        ({"allow": ("ghost",)}, [], [[]]),
        ({"allow": ("i1", "i2"), "deny": ("i1",)}, [], [[2]]),
        # Item 7 has no price, so it passes the filter with NOT alone.
        ({"filter": "price < 18"}, [], [[0, 1, 2]]),
        ({"filter": "NOT price < 18"}, [4], [[3, 5, 6, 7]]),
        ({"filter": "in_stock = true AND price < 30"}, [], [[0, 2, 4]]),
        ({"filter": "price < 18", "allow": ("i2", "i3"), "deny": ("i2",)}, [], [[]]),
        ({"filter": "price > 100"}, [], [[]]),
        ({"filter": "price < 18", "filter_mode": RELAXED, "k": 3}, [], [[0, 1, 2]]),
        ({"filter": "price < 18", "filter_mode": RELAXED, "k": 4}, [], [[0, 1, 2], [3, 4, 5, 6, 7]]),
        ({"filter": "price < 18", "filter_mode": RELAXED, "k": 3}, [1, 6], [[0, 2], [3, 4, 5, 7]]),
        ({"filter": "price < 18", "filter_mode": RELAXED, "allow": ("i2", "i3"), "deny": ("i2",)}, [], [[], [3]]),
        ({"filter": "price > 100", "filter_mode": RELAXED, "k": 1}, [], [[], [0, 1, 2, 3, 4, 5, 6, 7]]),
        ({"filter": " ", "filter_mode": RELAXED, "k": 9}, [0], [[1, 2, 3, 4, 5, 6, 7]]),
    ],
    ids=str,
)
def test_tiers_hold_exactly_what_may_be_shown_and_the_search_is_told_the_same(
    wishes: dict[str, Any], seen: list[int], expected: list[list[int]], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate_filter, "FEW", few)
    tiers = _made().tiers(RecommendRequest(**wishes), np.array(seen, np.int64))
    assert [np.flatnonzero(tier.mask_N).tolist() for tier in tiers] == expected
    places = INDEX.place_of_rows(ITEMS).numpy()
    found = eligible(INDEX, [places[tier.left_out] for tier in tiers], [tier.within for tier in tiers])
    by_place_BN = found.items(INDEX).numpy()
    assert [sorted(INDEX.items_N.numpy()[by_place_N].tolist()) for by_place_N in by_place_BN] == expected


def test_what_a_customer_rejected_stays_out_though_seen_items_may_come_back() -> None:
    request = RecommendRequest(include_seen=True)
    (tier,) = _made().tiers(request, np.array([2, 5]), np.array([5, 6]))
    assert np.flatnonzero(tier.mask_N).tolist() == [0, 1, 2, 3, 4, 7]


def test_a_filter_is_made_ready_once() -> None:
    own, nothing = _made(), np.empty(0, np.int64)
    first, second = (own.tiers(RecommendRequest(filter=text), nothing)[0] for text in ("price < 18", " price < 18 "))
    assert first.within is second.within is not None
    assert first.within.counts(INDEX.items_N) is second.within.counts(INDEX.items_N)
    assert own.tiers(RecommendRequest(), nothing)[0].within is None
    relaxed = RecommendRequest(filter="price < 18", filter_mode=FilterMode.RELAXED)
    (_, rest), (_, again) = (own.tiers(relaxed, nothing) for _ in range(2))
    assert rest.within is again.within is not None


def test_filters_that_were_used_longest_ago_are_forgotten() -> None:
    own, nothing = _made(cache_size=2), np.empty(0, np.int64)
    sets = [own.tiers(RecommendRequest(filter=f"price < {n}"), nothing)[0].within for n in (1, 2, 1, 3, 1, 2)]
    assert sets[0] is sets[2] is sets[4]
    assert sets[1] is not sets[5]


def test_a_bad_filter_is_refused_with_a_finger_on_the_character() -> None:
    with pytest.raises(InvalidArgumentError, match=r"pric") as refused:
        _made().tiers(RecommendRequest(filter="pric < 5"), np.empty(0, np.int64))
    assert [violation.field for violation in refused.value.violations] == ["filter"]


def test_promoted_items_are_those_by_id_and_those_of_the_filter() -> None:
    found = _made().promoted([Promotion(("i7", "ghost"), "price < 12"), Promotion(filter="price > 32")])
    assert [np.flatnonzero(members_N).tolist() for members_N in found] == [[0, 1, 7], [6]]
    with pytest.raises(InvalidArgumentError) as refused:
        _made().promoted([Promotion(("i7",)), Promotion(filter="prize > 32")])
    assert [violation.field for violation in refused.value.violations] == ["promotions[1].filter"]


def test_items_are_young_for_as_many_days_as_a_request_says() -> None:
    own = _made()
    ages = {
        days: np.flatnonzero(own.young(RecommendRequest(exploration_column="added", exploration_max_age_days=days)))
        for days in (1.0, 1.5, 31.0)
    }
    assert {days: rows.tolist() for days, rows in ages.items()} == {1.0: [0, 4], 1.5: [0, 1, 4], 31.0: [0, 1, 2, 4]}
    assert own.young(RecommendRequest(exploration=0.5)) is None


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ("adde", r"no column 'adde'; did you mean 'added'\?"),
        ("price", "column 'price' holds numbers; it must hold nothing but dates"),
        ("title", "column 'title' holds text"),
    ],
)
def test_a_column_that_holds_no_dates_has_no_ages(column: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says) as refused:
        _made().young(RecommendRequest(exploration_column=column, exploration_max_age_days=7))
    assert [violation.field for violation in refused.value.violations] == ["exploration_column"]
