"""Two stages: candidates, then blend and rerank among them. The shop has eight items, so budgets are small."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.catalogue.segments import Segmented
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError
from mmrec.recommender.artefact import CandidateConfig
from mmrec.recommender.token_index import TokenIndex
from tests.recommender.small_shop import IDS, ask, recommended

FEW = CandidateConfig(0, 1, 1, transitions_wide=0, lexical=0, content=0, popular=1, new=0, raised=1)
"""At most four candidates, and those of the beam."""
EVERY_CHANNEL = {
    "item-head": 1.0,
    "semantic-id": 0.7,
    "transitions": 2.0,
    "transitions-wide": 0.3,
    "lexical": 1.0,
    "content": 1.0,
    "popularity": 0.5,
}
CHANNELS = st.lists(st.sampled_from(sorted(EVERY_CHANNEL)), min_size=1, unique=True)
HISTORIES = st.lists(st.sampled_from(IDS), max_size=6).map(tuple)


@settings(max_examples=40)
@given(CHANNELS, HISTORIES, st.integers(1, 8), st.floats(0, 1), st.sampled_from(["", 'kind = "mug"']))
def test_where_every_eligible_item_is_a_candidate_the_list_is_that_of_all_scores(
    channels: list[str], history: tuple[str, ...], k: int, damping: float, condition: str
) -> None:
    weights = {name: EVERY_CHANNEL[name] for name in channels}
    asked = RecommendRequest(
        history, k=k, filter=condition, popularity_damping=damping, promotions=(Promotion(("h",), boost=1.5),)
    )
    exact = recommended(asked, weights)
    # The other channels are left out by the bundle, or by the request.
    chosen = replace(asked, channel_weights=dict.fromkeys(EVERY_CHANNEL.keys() - weights.keys(), 0.0))
    found = recommended(chosen, EVERY_CHANNEL, CandidateConfig(exact_up_to=0))
    assert found.item_ids == exact.item_ids
    # Only differences of scores mean something.
    best = exact.items[0].score - found.items[0].score if exact.items else 0.0
    assert [item.score + best for item in found.items] == pytest.approx([item.score for item in exact.items], abs=1e-4)


@settings(max_examples=60)
@given(CHANNELS, HISTORIES, st.integers(1, 8), st.sampled_from(["", 'kind = "mug"', 'kind = "lamp"']), st.booleans())
def test_a_list_has_as_many_eligible_items_as_there_are_however_few_candidates(
    channels: list[str], history: tuple[str, ...], k: int, condition: str, seen: bool
) -> None:
    weights = {name: EVERY_CHANNEL[name] for name in channels}
    asked = RecommendRequest(history, k=k, filter=condition, include_seen=seen)
    found = recommended(asked, weights, FEW).item_ids
    assert len(found) == len(set(found)) == len(recommended(asked, weights).item_ids)
    assert set(found) <= set(recommended(RecommendRequest(history, k=8, filter=condition, include_seen=seen)).item_ids)


REQUESTS = st.builds(
    RecommendRequest,
    history=HISTORIES,
    k=st.integers(1, 8),
    filter=st.sampled_from(["", 'kind = "mug"']),
    allow=st.sampled_from([(), IDS[:5]]),
    deny=st.lists(st.sampled_from(IDS), max_size=2).map(tuple),
)


@settings(max_examples=30)
@given(st.lists(REQUESTS, min_size=2, max_size=6))
def test_a_list_does_not_depend_on_the_other_requests(requests: list[RecommendRequest]) -> None:
    few = replace(FEW, item_head=1, content=1)
    together = ask(*requests, weights=EVERY_CHANNEL, candidates=few)
    alone = [recommended(request, EVERY_CHANNEL, few) for request in requests]
    assert [getattr(reply, "item_ids", reply) for reply in together] == [reply.item_ids for reply in alone]


def test_the_best_items_of_a_channel_are_candidates() -> None:
    asked = RecommendRequest(("a",), k=2)
    assert recommended(asked, {"transitions": 1.0}).item_ids == ("b", "c")
    assert recommended(asked, {"transitions": 1.0}, replace(FEW, transitions=2)).item_ids == ("b", "c")


def test_exact_ranks_every_item() -> None:
    weights = {"transitions": 1.0}
    assert recommended(RecommendRequest(("b",), k=2), weights, FEW).item_ids == ("f", "c")
    assert recommended(RecommendRequest(("b",), k=2, exact=True), weights, FEW).item_ids == ("f", "e")


def test_a_promoted_item_is_a_candidate_wherever_it_would_rank() -> None:
    asked = RecommendRequest(("a",), k=2, promotions=(Promotion(("f",), min_share=0.5),))
    assert "f" in recommended(asked, {"transitions": 1.0}, FEW).item_ids


def test_an_explanation_says_what_made_an_item_a_candidate() -> None:
    promotion = Promotion(("f",), boost=50.0)
    asked = RecommendRequest(("a",), k=3, explain=True, promotions=(promotion,))
    found = {item.item_id: item.sources for item in recommended(asked, {"transitions": 1.0}, FEW).items}
    assert found["b"] == ("transitions", "popularity")
    assert found["f"] == ("raised",)
    assert all(item.sources == () for item in recommended(asked, {"transitions": 1.0}).items)
    assert recommended(RecommendRequest(("a",)), {"transitions": 1.0}, FEW).items[0].sources == ()


def test_a_budget_below_zero_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="lexical is -1"):
        CandidateConfig(lexical=-1)


# --- the item head's ----------------------------------------------------------------------------------------------


def tokens_of(items: int) -> torch.Tensor:
    """Tokens around a hundred centres, as items of a hundred kinds have."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(100, 16, generator=generator)
    kind = torch.randint(100, (items,), generator=generator)
    return centres[kind] + 0.5 * torch.randn(items, 16, generator=generator)


def best(tokens_NH: torch.Tensor, state_H: torch.Tensor, eligible_N: np.ndarray, most: int) -> set[int]:
    scores_N = (tokens_NH @ state_H).numpy()
    rows = np.flatnonzero(eligible_N)
    return set(rows[np.argsort(-scores_N[rows])][:most].tolist())


@pytest.mark.parametrize("share", [1.0, 0.3, 0.01])
def test_lists_find_nearly_all_of_the_best_tokens_within_a_filter(share: float) -> None:
    tokens_NH, state_H = tokens_of(4000), torch.ones(16)
    eligible_N = np.random.default_rng(0).random(4000) < share
    wanted = best(tokens_NH, state_H, eligible_N, 20)
    exact = TokenIndex(Segmented(tokens_NH)).best(state_H[None], 20, eligible_N)[0]
    assert set(exact.tolist()) == wanted
    found = TokenIndex(Segmented(tokens_NH), exact_up_to=100).best(state_H[None], 40, eligible_N)[0]
    assert eligible_N[found].all()
    assert len(wanted & set(found.tolist())) >= 0.8 * len(wanted)


def test_changed_tokens_are_found_as_they_are_now() -> None:
    tokens = Segmented(tokens_of(4000))
    state_H, eligible_N = torch.ones(16), np.ones(4001, np.bool_)
    index = TokenIndex(tokens, exact_up_to=100)
    rows = np.array([7, 4000])
    changed = tokens.replaced(torch.from_numpy(rows), torch.full((2, 16), 9.0))
    found = index.with_changes(changed, rows).best(state_H[None], 5, eligible_N)[0]
    assert {7, 4000} <= set(found.tolist())
    eligible_N[4000] = False
    assert 4000 not in index.with_changes(changed, rows).best(state_H[None], 5, eligible_N)[0]
