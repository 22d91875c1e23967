"""Filters, lists and history as sets of items: the mask and what the search is told always say the same."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

conditions = st.sampled_from(["", "price < 18", "in_stock = true AND price < 50", "price > 100", "NOT price < 18"])
some_ids = st.lists(st.sampled_from([*IDS, "ghost"]), max_size=4).map(tuple)


def _made(cache_size: int = 64) -> CandidateFilter:
    return CandidateFilter(CATALOGUE, CatalogueFilter(CATALOGUE, cache_size=cache_size), clock=lambda: NOW)


def _passes(condition: str, row: int) -> bool:
    price = float(PRICES[row]) if PRICES[row] else None
    return {
        "": True,
        "price < 18": price is not None and price < 18,
        "in_stock = true AND price < 50": row % 2 == 0 and price is not None and price < 50,
        "price > 100": False,
        "NOT price < 18": not (price is not None and price < 18),
    }[condition]


@settings(max_examples=300, deadline=None)
@given(
    conditions,
    st.sampled_from(FilterMode),
    some_ids,
    some_ids,
    st.lists(st.integers(0, ITEMS - 1), max_size=4),
    st.booleans(),
    st.integers(1, 10),
    st.sampled_from([0, 4096]),
)
def test_tiers_hold_exactly_what_may_be_shown_and_the_search_is_told_the_same(
    condition: str,
    mode: FilterMode,
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    seen: list[int],
    include_seen: bool,
    k: int,
    few: int,
) -> None:
    request = RecommendRequest(
        k=k, allow=allow, deny=deny, include_seen=include_seen, filter=condition, filter_mode=mode
    )
    own = _made()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(candidate_filter, "FEW", few)
        tiers = own.tiers(request, np.array(seen, np.int64))
    allowed = [
        row
        for row, item_id in enumerate(IDS)
        if (not allow or item_id in allow) and item_id not in deny and (include_seen or row not in seen)
    ]
    inside = [row for row in allowed if _passes(condition, row)]
    expected = [inside]
    if condition and mode is FilterMode.RELAXED and len(inside) < k:
        expected.append([row for row in allowed if not _passes(condition, row)])
    assert [np.flatnonzero(tier.mask_N).tolist() for tier in tiers] == expected
    places = INDEX.place_of_rows(ITEMS).numpy()
    found = eligible(INDEX, [places[tier.left_out] for tier in tiers], [tier.within for tier in tiers])
    by_place_BN = found.items(INDEX).numpy()
    for tier, by_place_N in zip(tiers, by_place_BN, strict=True):
        assert (by_place_N == tier.mask_N[INDEX.items_N.numpy()]).all()


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
