"""Sentences behind histories in recommendations: who gets which weights, and explanations that add up."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from mmrec.channels.blend import Blend
from mmrec.contract.items import Fallback, Versions
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.filters.filter import CatalogueFilter
from mmrec.language.value_reader import AboutModel, ColumnModel, ValueReader
from mmrec.recommender.artefact import INSTRUCTED
from mmrec.recommender.candidate_filter import CandidateFilter
from mmrec.recommender.live_events import LiveEvents
from mmrec.recommender.ranking_model import SENTENCE, WISH, RankingModel
from mmrec.recommender.recommendation import RecommendationPipeline
from mmrec.recommender.steering import Steered, Steering
from tests.recommender.small_shop import CATALOGUE, NOW, ranking_model

VECTOR = np.array([0.6, 0.8], np.float32)
HALVES = np.full(2, 0.5, np.float32)
WITH_HISTORY = RecommendRequest(history=("a", "b"), k=4, explain=True)
WITHOUT = RecommendRequest(k=4, explain=True)


class OneSentence(Steering):
    """Reads every instruction as `VECTOR`, and its values by another vector if there is one."""

    def __init__(self, meaning_D: npt.NDArray[np.float32] | None = None) -> None:
        self._meaning_D = meaning_D

    def read(self, instruction: str, condition: str, ignored: tuple[str, ...]) -> Steered:
        return Steered((), condition, "", None, VECTOR, meaning_D=self._meaning_D)


def shop() -> tuple[RecommendationPipeline, RankingModel]:
    """Ranked by ``transitions``, with a sentence by the item head as well."""
    ranker = ranking_model({"transitions": 1.0})
    torch.manual_seed(0)
    ranker.parts.generator.learn_sentences(2)
    ranker.parts = ranker.parts._replace(
        blends={"fused": Blend({"transitions": 1.0}), INSTRUCTED: Blend({SENTENCE: 2.0, "transitions": 0.5})}
    )
    candidates = CandidateFilter(CATALOGUE, CatalogueFilter(CATALOGUE), clock=lambda: NOW)
    versions = Versions("m1", "c1", "b1")
    return RecommendationPipeline(ranker, candidates, CATALOGUE.record, versions, None, OneSentence()), ranker


def replies(*requests: RecommendRequest) -> list[Recommendations]:
    pipeline, ranker = shop()
    found = pipeline.recommend_many(requests, LiveEvents.begin(ranker.parts))
    assert all(isinstance(reply, Recommendations) for reply in found), found
    return found  # type: ignore[return-value]


def steered(request: RecommendRequest) -> RecommendRequest:
    return replace(request, instruction="something warm")


def scores(reply: Recommendations) -> list[tuple[str, Any]]:
    return [(item.item.item_id, pytest.approx(item.score, rel=1e-5)) for item in reply.items]


def test_requests_with_and_without_a_sentence_in_one_batch() -> None:
    _, ranker = shop()
    mixed = replies(WITH_HISTORY, steered(WITH_HISTORY), WITHOUT, steered(WITHOUT))
    head = ranker.item_head(ranker.read([np.array([0, 1], np.int32)], VECTOR[None]), VECTOR[None])[0]
    # After a then b: transitions of b, and half of those of a.
    after = np.array([0, 0, 4.5, 5, 6.5, 10, 0, 0], np.float32)
    best = np.argsort(-(2 * head + 0.5 * after)[2:], kind="stable")[:4] + 2
    assert scores(mixed[1]) == [("abcdefgh"[row], float(2 * head[row] + 0.5 * after[row])) for row in best]
    assert [item.item.item_id for item in mixed[0].items] == ["f", "e", "d", "c"]
    assert [item.item.item_id for item in mixed[2].items] == ["b", "c", "a", "d"]
    alone = ranker.item_head(ranker.read([np.zeros(0, np.int32)], VECTOR[None]), VECTOR[None])[0]
    best = np.argsort(-alone, kind="stable")[:4]
    assert scores(mixed[3]) == [("abcdefgh"[row], float(2 * alone[row])) for row in best]
    assert [reply.fallback for reply in mixed] == [Fallback.NONE, Fallback.NONE, Fallback.POPULARITY, Fallback.NONE]


def test_parts_of_a_score_with_a_sentence_add_up() -> None:
    for reply in replies(steered(WITH_HISTORY), steered(WITHOUT)):
        for item in reply.items:
            assert sum(part.share for part in item.shares) == pytest.approx(item.score, rel=1e-5)
        assert {part.channel for part in reply.items[0].shares} <= {"item-head", "transitions", "instruction"}


def test_weights_of_a_request_also_hold_with_a_sentence() -> None:
    silent = replace(steered(WITH_HISTORY), channel_weights={"sentence": 0.0})
    louder = replace(steered(WITH_HISTORY), channel_weights={"sentence": 0.5, "transitions": 2.0})
    plain, (reply, mixed) = replies(WITH_HISTORY)[0], replies(silent, louder)
    # Half of the scores without a sentence.
    assert plain.item_ids == reply.item_ids == ("f", "e", "d", "c")
    assert [item.score for item in reply.items] == [5.0, 3.25, 2.5, 2.25]
    for item in mixed.items:
        assert sum(part.share for part in item.shares) == pytest.approx(item.score, rel=1e-5)
    pipeline, ranker = shop()
    (refused,) = pipeline.recommend_many(
        [replace(steered(WITHOUT), channel_weights={"sentence": 0.0})], LiveEvents.begin(ranker.parts)
    )
    assert isinstance(refused, InvalidArgumentError)
    assert "every channel that ranks for this customer: sentence" in refused.message


@pytest.mark.parametrize(
    ("meaning_D", "kinds", "chance"),
    # Softmax of 0.8 and 0.6: a lamp is meant with a chance of 0.55; and of 2 and 0, a mug with 0.88.
    [
        (None, ["lamp"] * 4 + ["mug"] * 2, 0.549834),
        (np.array([2.0, 0.0], np.float32), ["mug"] * 2 + ["lamp"] * 4, 0.880797),
    ],
)
def test_items_that_have_what_a_sentence_means_rank_higher_and_the_explanation_says_so(
    meaning_D: npt.NDArray[np.float32] | None, kinds: list[str], chance: float
) -> None:
    lamps = ColumnModel("kind", "text", ("mug", "lamp"), np.eye(2, dtype=np.float32), np.zeros(2, np.float32), HALVES)
    reader = ValueReader([lamps], AboutModel(np.zeros((2, 1), np.float32), np.zeros(1, np.float32)))
    plain = ranking_model({"transitions": 1.0})
    plain.parts.generator.learn_sentences(2)
    blends = {"fused": Blend({"transitions": 1.0}), INSTRUCTED: Blend({WISH: 5.0})}
    ranker = RankingModel(plain.parts._replace(blends=blends, value_reader=reader), plain.device, plain.dtype)
    candidates = CandidateFilter(CATALOGUE, CatalogueFilter(CATALOGUE), clock=lambda: NOW)
    pipeline = RecommendationPipeline(ranker, candidates, CATALOGUE.record, Versions(), None, OneSentence(meaning_D))
    (found,) = pipeline.recommend_many([steered(replace(WITH_HISTORY, k=6))], LiveEvents.begin(ranker.parts))
    assert isinstance(found, Recommendations)
    assert [item.item.attributes["kind"] for item in found.items] == kinds
    assert found.items[0].score == pytest.approx(5 * np.log(0.01 + 0.99 * chance), rel=1e-5)
    (part,) = found.items[0].shares
    assert part.channel == "instruction"
    assert part.share == pytest.approx(found.items[0].score)


def test_without_a_reader_of_values_every_item_is_as_good() -> None:
    assert ranking_model({"transitions": 1.0}).wish(VECTOR[None]).tolist() == [[0.0] * 8]


def test_a_bundle_that_reads_no_sentences() -> None:
    plain = ranking_model({"transitions": 1.0})
    with pytest.raises(FailedPreconditionError, match="so an instruction cannot be read"):
        plain.read([np.array([0], np.int32)], VECTOR[None])


def test_the_beam_follows_a_sentence() -> None:
    _, ranker = shop()
    history = [np.array([0, 1], np.int32)]
    found = [
        ranker.generate(ranker.read(history, sentence), width=8).items_BW[0].tolist()
        for sentence in (None, VECTOR[None], -VECTOR[None])
    ]
    assert [sorted(rows) for rows in found] == [list(range(8))] * 3
    assert found[1] != found[2]
