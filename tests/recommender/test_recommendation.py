"""Filters and control of recommendations, over a real, tiny bundle."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import mmrec
from mmrec.bundle import open_bundle
from mmrec.contract.items import Fallback, FilterMode
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.candidate_filter import CandidateFilter
from mmrec.recommender.recommendation import Suggester
from mmrec.recommender.rerank import top_k
from tests.recommender.conftest import ITEM_IDS


@pytest.fixture(scope="module")
def recommender(demo_bundle: Path) -> mmrec.Recommender:
    return mmrec.Recommender.load(demo_bundle, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def categories(recommender: mmrec.Recommender) -> dict[str, str]:
    return {item.item_id: item.attributes["category"] for item in recommender.list_items(page_size=1000).items}


@pytest.fixture(scope="module")
def few(categories: dict[str, str]) -> str:
    """A category with a few items."""
    names = list(categories.values())
    return min(set(names), key=lambda name: (names.count(name) < 3, names.count(name), name))


def _one(recommender: mmrec.Recommender, request: RecommendRequest) -> Recommendations:
    reply = recommender.recommend_many([request])[0]
    assert isinstance(reply, Recommendations)
    return reply


def _half_is_new(recommender: mmrec.Recommender, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Takes every third item for one that training has never seen; their ids."""
    monkeypatch.setattr(recommender.snapshot().ranker, "new_N", np.arange(60) % 3 == 0)
    return list(ITEM_IDS[::3])


def test_whatever_a_request_wishes_it_gets_min_k_eligible_items_and_none_that_is_ruled_out(
    recommender: mmrec.Recommender,
    item_ids: list[str],
    categories: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = _half_is_new(recommender, monkeypatch)
    rng = np.random.default_rng(7)
    names = sorted(set(categories.values()))

    def some(most: int) -> tuple[str, ...]:
        return tuple(str(item_id) for item_id in rng.choice(item_ids, rng.integers(0, most + 1), replace=False))

    requests = []
    for _ in range(80):
        wanted = [str(name) for name in rng.choice(names, rng.integers(1, 4), replace=False)]
        condition = rng.choice(["", f"category IN ({', '.join(map(repr, wanted))})".replace("'", '"')])
        shares = rng.dirichlet(np.ones(3))[:2] * rng.random()
        requests.append(
            RecommendRequest(
                history=some(6),
                k=int(rng.integers(1, 25)),
                allow=some(30) if rng.random() < 0.3 else (),
                deny=some(10),
                include_seen=bool(rng.random() < 0.3),
                filter=str(condition),
                filter_mode=FilterMode.RELAXED if rng.random() < 0.5 else FilterMode.STRICT,
                diversity=float(rng.choice([0.0, 0.4, 1.0])),
                exploration=float(rng.choice([0.0, 0.3])),
                popularity_damping=float(rng.choice([0.0, 1.0])),
                promotions=(
                    Promotion(some(5), f'category = "{names[0]}"', float(shares[0]), 0.5),
                    Promotion((), f'category = "{names[1]}"', float(shares[1])),
                ),
                explain=bool(rng.random() < 0.2),
            )
        )
    for request, reply in zip(requests, recommender.recommend_many(requests), strict=True):
        assert isinstance(reply, Recommendations), reply
        allowed = {
            item_id
            for item_id in item_ids
            if (not request.allow or item_id in request.allow)
            and item_id not in request.deny
            and (request.include_seen or item_id not in request.history)
        }
        passing = {item_id for item_id in allowed if not request.filter or f'"{categories[item_id]}"' in request.filter}
        relaxed = request.filter_mode is FilterMode.RELAXED and len(passing) < request.k
        eligible = allowed if relaxed else passing
        got = reply.item_ids
        assert len(got) == len(set(got)) == min(request.k, len(eligible))
        assert set(got) <= eligible
        assert set(got[: len(passing)]) <= passing
        beyond = len(got) > len(passing)
        popular = not request.history
        assert (
            reply.fallback
            is {
                (False, False): Fallback.NONE,
                (False, True): Fallback.FILTER_RELAXED,
                (True, False): Fallback.POPULARITY,
                (True, True): Fallback.POPULARITY_FILTER_RELAXED,
            }[popular, beyond]
        )
        if not relaxed:
            for promotion in request.promotions:
                members = {
                    item_id
                    for item_id in passing
                    if item_id in promotion.item_ids or f'"{categories[item_id]}"' in promotion.filter
                }
                assert len(members & set(got)) >= min(len(members), int(promotion.min_share * len(got)))
            if not any(promotion.min_share * len(got) > 1e-9 for promotion in request.promotions):
                wanted = int(request.exploration * len(got) + 0.5)
                assert len(set(new) & set(got)) >= min(wanted, len(set(new) & passing))
        if request.explain:
            for item in reply.items:
                assert sum(share.share for share in item.shares) == pytest.approx(item.score, abs=1e-3)


def test_without_wishes_a_list_is_the_best_of_the_blend(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    history = tuple(item_ids[4:8])
    rows = np.arange(4, 8, dtype=np.int32)
    eligible_1N = np.ones((1, len(item_ids)), bool)
    eligible_1N[0, rows] = False
    ranker = recommender.snapshot().ranker
    features = ranker.features([rows], eligible_1N, beam_width=ranker.parts.beam_width).by_channel
    scores_N = ranker.blend(ranker.parts.blend, features, eligible_1N).scores_BN[0]
    found = _one(recommender, RecommendRequest(history, k=12))
    ranked = top_k(scores_N, eligible_1N[0], 12)
    assert found.item_ids == tuple(item_ids[row] for row in ranked.rows_K)
    assert [item.score for item in found.items] == pytest.approx(ranked.scores_K.tolist(), abs=1e-5)


def test_strict_keeps_to_the_filter_and_relaxed_goes_on_after_the_same_items(
    recommender: mmrec.Recommender, item_ids: list[str], categories: dict[str, str], few: str
) -> None:
    asked = RecommendRequest(tuple(item_ids[:3]), k=20, filter=f'category = "{few}"', include_seen=True)
    strict = _one(recommender, asked)
    relaxed = _one(recommender, replace(asked, filter_mode=FilterMode.RELAXED))
    count = list(categories.values()).count(few)
    assert len(strict.items) == count < 20
    assert {categories[item_id] for item_id in strict.item_ids} == {few}
    assert strict.fallback is Fallback.NONE
    assert len(relaxed.items) == 20
    assert relaxed.item_ids[:count] == strict.item_ids
    assert relaxed.fallback is Fallback.FILTER_RELAXED
    assert few not in {categories[item_id] for item_id in relaxed.item_ids[count:]}
    enough = _one(recommender, replace(asked, k=count, filter_mode=FilterMode.RELAXED))
    assert (enough.item_ids, enough.fallback) == (strict.item_ids, Fallback.NONE)


def test_a_stranger_is_held_to_the_filter_too(recommender: mmrec.Recommender, few: str) -> None:
    asked = RecommendRequest(k=20, filter=f'category = "{few}"')
    strict = _one(recommender, asked)
    relaxed = _one(recommender, replace(asked, filter_mode=FilterMode.RELAXED))
    assert {item.item.attributes["category"] for item in strict.items} == {few}
    assert strict.fallback is Fallback.POPULARITY
    assert relaxed.item_ids[: len(strict.items)] == strict.item_ids
    assert (len(relaxed.items), relaxed.fallback) == (20, Fallback.POPULARITY_FILTER_RELAXED)


def test_a_request_with_a_bad_filter_fails_alone(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    good, bad, promoted, dated = recommender.recommend_many(
        [
            RecommendRequest(tuple(item_ids[:2]), k=3),
            RecommendRequest(tuple(item_ids[:2]), filter='categori = "mug"'),
            RecommendRequest(promotions=(Promotion(filter="category ="),)),
            RecommendRequest(exploration_column="category", exploration_max_age_days=3),
        ]
    )
    assert isinstance(good, Recommendations)
    for refused, field in (
        (bad, "filter"),
        (promoted, "promotions[0].filter"),
        (dated, "exploration_column"),
    ):
        assert isinstance(refused, InvalidArgumentError)
        assert [violation.field for violation in refused.violations] == [field]
    assert isinstance(bad, InvalidArgumentError)
    assert "did you mean 'category'?" in bad.message


def test_a_promotion_gets_its_places_and_says_what_it_added(
    recommender: mmrec.Recommender, item_ids: list[str]
) -> None:
    asked = RecommendRequest(tuple(item_ids[:3]), k=10, explain=True)
    plain = _one(recommender, asked)
    rest = [item_id for item_id in item_ids[3:] if item_id not in plain.item_ids][-5:]
    shown = _one(recommender, replace(asked, promotions=(Promotion(tuple(rest), min_share=0.3),)))
    places = [place for place, item_id in enumerate(shown.item_ids) if item_id in rest]
    assert places == [1, 5, 8]
    scores = [item.score for item in shown.items]
    assert scores == sorted(scores, reverse=True)
    for item in shown.items:
        named = [share.share for share in item.shares if share.channel == "promotion"]
        assert bool(named) == (item.item_id in rest)
        assert sum(share.share for share in item.shares) == pytest.approx(item.score, abs=1e-3)
    denied = _one(recommender, replace(asked, deny=tuple(rest), promotions=(Promotion(tuple(rest), min_share=1),)))
    assert denied.item_ids == plain.item_ids


def test_a_boost_is_added_to_the_score(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    asked = RecommendRequest(tuple(item_ids[:3]), k=5, explain=True)
    plain = _one(recommender, asked)
    last = plain.items[-1]
    boosted = _one(recommender, replace(asked, promotions=(Promotion((last.item_id, "ghost"), boost=100.0),)))
    assert boosted.item_ids == (last.item_id, *plain.item_ids[:-1])
    assert boosted.items[0].score == pytest.approx(last.score + 100.0, abs=1e-3)
    assert [share.share for share in boosted.items[0].shares if share.channel == "promotion"] == [100.0]
    assert boosted.missing_ids == ("ghost",)


def test_new_items_get_their_share_of_the_places_up_to_an_age(
    recommender: mmrec.Recommender, item_ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = _half_is_new(recommender, monkeypatch)
    now = recommender.snapshot()
    catalogue = now.parts.catalogue
    # The item of row 0 came today, that of row 1 yesterday, and so on.
    dates = tuple(datetime.fromtimestamp((1000 - row) * 86400, UTC).date().isoformat() for row in range(len(item_ids)))
    dated = replace(catalogue, attributes={**catalogue.attributes, "added": dates})
    candidates = CandidateFilter(dated, CatalogueFilter(dated), clock=lambda: 1000 * 86400.0)
    suggester = Suggester(now.ranker, candidates, now.record, now.versions)
    asked = RecommendRequest(tuple(item_ids[-3:]), k=10, deny=tuple(new[:2]), exploration=1.0)
    young = [item_id for item_id in new[2:] if item_ids.index(item_id) <= 20]
    every, limited = suggester.recommend_many(
        [asked, replace(asked, exploration_column="added", exploration_max_age_days=20)], now.live
    )
    assert isinstance(every, Recommendations)
    assert isinstance(limited, Recommendations)
    assert set(every.item_ids) <= set(new)
    assert len(limited.items) == 10
    assert set(young) <= set(limited.item_ids)
    assert len(young) == 5


def test_diversity_keeps_the_first_item_and_brings_in_others_that_are_less_alike(
    recommender: mmrec.Recommender, item_ids: list[str], demo_bundle: Path
) -> None:
    asked = RecommendRequest(tuple(item_ids[:3]), k=8)
    fused = open_bundle(demo_bundle).read_tensors("embeddings.safetensors")["fused"]

    def likeness(reply: Recommendations) -> float:
        own = fused[[item_ids.index(item_id) for item_id in reply.item_ids]]
        return float((own @ own.T)[np.triu_indices(8, 1)].mean())

    plain, varied = _one(recommender, asked), _one(recommender, replace(asked, diversity=1.0))
    assert varied.item_ids[0] == plain.item_ids[0]
    assert likeness(varied) < likeness(plain)


def test_damping_brings_in_less_popular_items(
    recommender: mmrec.Recommender, item_ids: list[str], demo_dataset: Path
) -> None:
    counts = Counter(pq.read_table(demo_dataset / "events.parquet")["item_id"].to_pylist())

    def popularity(reply: Recommendations) -> float:
        return float(np.mean([counts[item_id] for item_id in reply.item_ids]))

    for history in (tuple(item_ids[:3]), ()):
        asked = RecommendRequest(history, k=10, explain=True)
        plain, damped = _one(recommender, asked), _one(recommender, replace(asked, popularity_damping=1.0))
        assert popularity(damped) < popularity(plain)
        for item in damped.items:
            assert sum(share.share for share in item.shares) == pytest.approx(item.score, abs=1e-3)
            assert all(share.share < 0 for share in item.shares if share.channel == "popularity-damping")
