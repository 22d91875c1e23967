"""Lists from score arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.catalogue.segments import Segmented
from mmrec.recommender.rerank import Arranged, Likeness, Quota, arrange, damping, quota_places
from tests.recommender.small_shop import AFTER, PATHS, VECTORS


class Shop(NamedTuple):
    scores_N: np.ndarray
    tiers: list[np.ndarray]
    quotas: list[Quota]
    likeness: Likeness


def likeness(codes_NL: np.ndarray, vectors_ND: np.ndarray) -> Likeness:
    """Of items with these codes and a last one that tells collisions apart."""
    paths_NP = np.concatenate([codes_NL, np.arange(len(codes_NL))[:, None]], axis=1)
    return Likeness(Segmented(paths_NP), Segmented(vectors_ND))


def _bits(draw: st.DrawFn, items: int) -> np.ndarray:
    return np.array(draw(st.lists(st.booleans(), min_size=items, max_size=items)), bool)


@st.composite
def shops(draw: st.DrawFn) -> Shop:
    items = draw(st.integers(1, 12))
    # Few distinct scores, so that ties are common.
    scores = draw(st.lists(st.integers(-3, 3), min_size=items, max_size=items))
    first_N = _bits(draw, items)
    tiers = [first_N, ~first_N & _bits(draw, items)][: draw(st.integers(1, 2))]
    total = 0.0
    quotas = []
    for _ in range(draw(st.integers(0, 3))):
        share = draw(st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0]).filter(lambda s, left=1 - total: s <= left))
        total += share
        quotas.append(Quota("promotion", _bits(draw, items), share))
    if draw(st.booleans()):
        quotas.append(Quota("exploration", _bits(draw, items), draw(st.floats(0, 1)), guaranteed=False))
    codes = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=items, max_size=items))
    seed = draw(st.integers(0, 1000))
    vectors = np.random.default_rng(seed).normal(size=(items, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Shop(np.array(scores, np.float32), tiers, quotas, likeness(np.array(codes), vectors))


@settings(max_examples=300, deadline=None)
@given(shops(), st.integers(1, 15), st.sampled_from([0.0, 0.3, 1.0]))
def test_a_list_has_exactly_as_many_items_as_there_are_each_once_and_the_first_tier_first(
    shop: Shop, k: int, diversity: float
) -> None:
    found = arrange(shop.scores_N, shop.tiers, k, shop.quotas, diversity=diversity, likeness=shop.likeness)
    rows = found.rows_K.tolist()
    sizes = [int(tier_N.sum()) for tier_N in shop.tiers]
    assert len(rows) == len(set(rows)) == min(k, sum(sizes))
    assert len(found.scores_K) == len(found.added_K) == len(found.quota_K) == len(rows)
    assert all(shop.tiers[0][row] for row in rows[: sizes[0]])
    assert all(shop.tiers[1][row] for row in rows[sizes[0] :])
    assert found.scores_K.tolist() == (shop.scores_N[rows] + found.added_K).astype(np.float32).tolist()
    assert (found.added_K >= 0).all()
    assert ((found.added_K > 0) == (found.quota_K >= 0)).all()


@settings(max_examples=300, deadline=None)
@given(shops(), st.integers(1, 15), st.sampled_from([0.0, 0.5]))
def test_every_guaranteed_share_is_honoured_as_far_as_there_are_items_for_it(
    shop: Shop, k: int, diversity: float
) -> None:
    (tier_N, *_) = shop.tiers
    found = arrange(shop.scores_N, [tier_N], k, shop.quotas, diversity=diversity, likeness=shop.likeness)
    guaranteed = [quota for quota in shop.quotas if quota.guaranteed]
    for quota in guaranteed:
        there, got = int((quota.members_N & tier_N).sum()), int(quota.members_N[found.rows_K].sum())
        exact = quota.share * len(found.rows_K) - 1e-9
        assert got >= min(there, exact if len(guaranteed) == 1 else int(exact))


@settings(max_examples=150, deadline=None)
@given(shops(), st.integers(1, 15))
def test_a_list_reads_from_high_to_low_though_some_were_moved_up(shop: Shop, k: int) -> None:
    found = arrange(shop.scores_N, shop.tiers[:1], k, shop.quotas)
    assert (np.diff(found.scores_K) <= 0).all()


def _arranged(scores: list[float], k: int, *quotas: Quota) -> Arranged:
    scores_N = np.array(scores, np.float32)
    return arrange(scores_N, [np.ones(len(scores), bool)], k, quotas)


def _members(items: int, *rows: int) -> np.ndarray:
    return np.isin(np.arange(items), rows)


def test_without_wishes_a_list_is_the_best_of_each_tier_with_ties_to_the_lower_row() -> None:
    scores_N, tiers = np.array([1, 5, 5, 2, 4], np.float32), [_members(5, 0, 1, 2), _members(5, 3, 4)]
    found = arrange(scores_N, tiers, 4)
    assert found.rows_K.tolist() == [1, 2, 0, 4]
    assert found.scores_K.tolist() == [5, 5, 1, 4]
    assert found.added_K.tolist() == [0] * 4
    assert found.quota_K.tolist() == [-1] * 4
    assert arrange(scores_N, tiers, 2).rows_K.tolist() == [1, 2]
    assert arrange(scores_N, tiers, 9).rows_K.tolist() == [1, 2, 0, 4, 3]
    idle = [Quota("promotion", _members(5, 3, 4), 0.0)]
    assert arrange(scores_N, tiers, 4, idle).rows_K.tolist() == [1, 2, 0, 4]


def test_places_of_a_share_are_spread_over_the_list_and_not_left_for_its_end() -> None:
    found = _arranged([float(20 - row) for row in range(20)], 10, Quota("promotion", _members(20, *range(15, 20)), 0.3))
    assert found.rows_K.tolist() == [0, 15, 1, 2, 3, 16, 4, 5, 17, 6]
    assert found.scores_K.tolist() == [20, 19, 19, 18, 17, 16, 16, 15, 14, 14]
    assert found.quota_K.tolist() == [-1, 0, -1, -1, -1, 0, -1, -1, 0, -1]


def test_items_that_stand_there_by_themselves_count_and_nothing_is_moved() -> None:
    found = _arranged([9, 8, 7, 6, 5], 4, Quota("promotion", _members(5, 0, 1, 4), 0.5))
    assert found.rows_K.tolist() == [0, 1, 2, 3]
    assert found.quota_K.tolist() == [-1] * 4


def test_exploration_is_rounded_to_whole_places_and_a_promotion_rounded_up() -> None:
    scores = [9.0, 8, 7, 6, 5, 4]
    new = _members(6, 4, 5)
    assert _arranged(scores, 4, Quota("exploration", new, 0.1, guaranteed=False)).rows_K.tolist() == [0, 1, 2, 3]
    assert _arranged(scores, 4, Quota("exploration", new, 0.2, guaranteed=False)).rows_K.tolist() == [0, 1, 4, 2]
    assert _arranged(scores, 4, Quota("promotion", new, 0.1)).rows_K.tolist() == [0, 1, 4, 2]


def test_shares_rounded_up_to_more_than_all_places_give_some_back() -> None:
    quotas = [Quota("promotion", _members(12, *range(start, start + 4)), 1 / 3) for start in (0, 4, 8)]
    everything = [np.ones(12, bool)]
    assert quota_places(quotas, everything, 10) == [4, 3, 3]
    assert quota_places(quotas, everything, 3) == [1, 1, 1]
    assert quota_places(quotas, everything, 1) == [1, 0, 0]


def test_promotions_come_before_exploration() -> None:
    everything = [np.ones(10, bool)]
    quotas = [
        Quota("promotion", _members(10, 0, 1, 2, 3), 0.4),
        Quota("exploration", _members(10, *range(4, 10)), 1.0, guaranteed=False),
    ]
    assert quota_places(quotas, everything, 10) == [4, 6]
    assert quota_places(quotas[1:], everything, 10) == [6]


def test_items_with_other_codes_and_other_vectors_are_less_alike() -> None:
    codes = np.array([[1, 2], [1, 2], [1, 3], [2, 2]])
    vectors = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], np.float32)
    assert likeness(codes, vectors).to(0, np.arange(4)).tolist() == [1.0, 1.0, 0.25, 0.0]


ALIKE = Likeness(Segmented(np.array(PATHS)), Segmented(np.array(VECTORS, np.float32)))
AFTER_A = np.array(AFTER["a"], np.float32)


@pytest.mark.parametrize(
    ("diversity", "rows"),
    [
        (0.0, [1, 2, 3, 4, 5, 6]),
        # After b, c has 0.5 * 7/8 - 0.5 * 0.55 and d 0.5 * 6/8. After d, whose codes e shares, e has 0.5 * (5/8 - 0.5).
        (0.5, [1, 3, 2, 4, 6, 5]),
        # d, e, g and h are unlike b, then g alone is unlike d; e, f and h are half alike to one of those.
        (1.0, [1, 3, 6, 4, 7, 2]),
    ],
)
def test_a_varied_list_is_by_maximal_marginal_relevance(diversity: float, rows: list[int]) -> None:
    found = arrange(AFTER_A, [~_members(8, 0)], 6, diversity=diversity, likeness=ALIKE)
    assert found.rows_K.tolist() == rows
    assert found.scores_K.tolist() == AFTER_A[rows].tolist()
    assert found.added_K.tolist() == [0] * 6


def test_items_of_a_later_tier_are_compared_with_those_of_the_first() -> None:
    tiers = [_members(8, 1, 2), _members(8, 3, 4, 5)]
    # d has 0.4 in common with c, e nothing with b and c.
    assert arrange(AFTER_A, tiers, 4, diversity=0.5, likeness=ALIKE).rows_K.tolist() == [1, 2, 3, 4]
    assert arrange(AFTER_A, tiers, 4, diversity=0.8, likeness=ALIKE).rows_K.tolist() == [1, 2, 4, 3]


def test_a_varied_list_of_equal_scores_begins_with_the_first_row() -> None:
    same_N = np.full(8, 3.0, np.float32)
    assert arrange(same_N, [np.ones(8, bool)], 3, diversity=0.5, likeness=ALIKE).rows_K.tolist() == [0, 3, 6]


def test_a_varied_list_keeps_the_places_of_a_promotion() -> None:
    promoted = Quota("promotion", _members(8, 5), 0.5)
    found = arrange(AFTER_A, [~_members(8, 0)], 2, [promoted], diversity=0.5, likeness=ALIKE)
    assert found.rows_K.tolist() == [1, 5]
    # In the place of d, the best by marginal relevance, which scores 6.
    assert found.scores_K.tolist() == [8, 6]


def test_a_ranking_by_log_popularity_is_flat_when_it_is_damped_in_full() -> None:
    popularity = np.array([0.0, 0.2, 0.5, 1.0], np.float32)
    scores = 7 * popularity + 3
    added = damping(scores, popularity, 1.0)
    assert (scores + added).tolist() == pytest.approx([3.0] * 4, abs=1e-5)
    half = damping(scores, popularity, 0.5)
    assert half.tolist() == pytest.approx((-3.5 * popularity).tolist(), abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(shops(), st.floats(0, 1))
def test_damping_never_adds_and_is_nothing_where_all_are_equally_popular(shop: Shop, strength: float) -> None:
    popularity = np.linspace(0, 1, len(shop.scores_N), dtype=np.float32)
    assert (damping(shop.scores_N, popularity, strength) <= 0).all()
    assert not damping(shop.scores_N, np.ones_like(popularity), strength).any()
    assert not damping(shop.scores_N, popularity, 0.0).any()
