"""A shop of eight items whose scores are literals: no training, and a model that is made by hand.

`AFTER` has the scores of the channel ``transitions``, `AFTER_WIDE` those of ``transitions-wide``; the item before the
last of a history counts half. Cosines of `VECTORS` are the scores of ``content``. The LLM has random weights. Items g
and h are new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np
import scipy.sparse as sp
import torch

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.segments import Segmented
from mmrec.channels.blend import Blend
from mmrec.channels.content import ContentConfig
from mmrec.channels.lexical import LexicalIndex, Vocabulary
from mmrec.channels.lsa_projection import LsaProjection
from mmrec.channels.transitions import TransitionConfig, build_graph
from mmrec.contract.items import Versions
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import RankRequest, RecommendRequest
from mmrec.data.interactions import Interactions
from mmrec.filters.filter import CatalogueFilter
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.item_tokens import ItemTable
from mmrec.generator.model import Generator
from mmrec.recommender.artefact import CandidateConfig, ChannelConfigs, Parts
from mmrec.recommender.candidate_filter import CandidateFilter
from mmrec.recommender.live_events import LiveEvent, LiveEvents
from mmrec.recommender.ranking_model import RankingModel
from mmrec.recommender.recommendation import RecommendationPipeline
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.item_paths import ItemPaths

IDS = tuple("abcdefgh")
NOW = datetime(2024, 6, 1, tzinfo=UTC).timestamp()
CATALOGUE = Catalogue(
    item_ids=IDS,
    titles=IDS,
    descriptions=("",) * 8,
    images=("",) * 8,
    attributes={
        "kind": ("mug", "mug", "mug", "lamp", "lamp", "lamp", "mug", "lamp"),
        "added": ("2020-01-01",) * 6 + ("2024-05-31", "2024-01-01"),
        "stock": ("3", "1", "3", "", "1", "", "3", "1"),
    },
)
AFTER = {"a": (0, 8, 7, 6, 5, 4, 0, 0), "b": (0, 0, 1, 2, 4, 8, 0, 0), "d": (0, 6, 0, 0, 0, 6, 0, 0)}
AFTER_WIDE = {"a": (0, 0, 0, 0, 8, 4, 0, 0)}
EVENTS = (1, 7, 3, 1, 1, 1, 0, 0)
"""In training. Log popularity on a scale from 0 to 1: 1 for b, 2/3 for c, 1/3 for a, d, e and f, 0 for g and h."""
VECTORS = ((1, 0), (1, 0), (0.6, 0.8), (0, 1), (-1, 0), (0.8, 0.6), (0, -1), (0, 1))
PATHS = ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (2, 0, 1))
PLAIN = TransitionConfig(backward=0.0, degree_power=0.0, popularity_power=0.0, two_hop=0.0, decay=0.5)


def ranking_model(
    weights: Mapping[str, float],
    catalogue: Catalogue = CATALOGUE,
    bought: Mapping[str, str] | None = None,
    candidates: CandidateConfig | None = None,
) -> RankingModel:
    """The shop's, with these weights of the channels.

    Args:
        weights: Of the channels.
        catalogue: Other columns.
        bought: Items of past customers, by user id; they are in no score.
        candidates: How many items are ranked; None: all.
    """
    events_N = np.array(EVENTS, np.float32)
    paths_NP, vectors_ND = np.array(PATHS, np.int32), np.array(VECTORS, np.float32)
    index = build_decode_index(paths_NP)
    near, wide = (
        build_graph(sp.csr_array(np.array([table.get(item_id, (0,) * 8) for item_id in IDS], float)), events_N, PLAIN)
        for table in (AFTER, AFTER_WIDE)
    )
    table = ItemTable(torch.from_numpy(vectors_ND), torch.from_numpy(paths_NP).long(), torch.from_numpy(events_N > 0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        llm = Generator(GeneratorConfig(hidden=8, layers=1, heads=2, max_history=8), table, index.widths)
    parts = Parts(
        catalogue=catalogue,
        interactions=_interactions(bought or {}),
        fused_ND=Segmented(vectors_ND),
        semantic_ids_NP=Segmented(paths_NP),
        decode_index=index,
        tokenizer=ItemPaths(paths_NP[:, :2]),
        generator=llm,
        transitions=near,
        transitions_wide=wide,
        lexical=LexicalIndex(sp.csr_array((8, 1), dtype=np.float32), Vocabulary((), np.zeros(0, np.float32))),
        sketch=LsaProjection(np.zeros((1, 1), np.float32)),
        popularity_N=events_N,
        channels=ChannelConfigs(PLAIN, PLAIN, content=ContentConfig(decay=0.5)),
        blends={"fused": Blend(weights)},
        beam_width=8,
        candidates=candidates or CandidateConfig(),
    )
    return RankingModel(parts, torch.device("cpu"), torch.float32)


def _interactions(bought: Mapping[str, str]) -> Interactions:
    events = [(user_id, IDS.index(item_id)) for user_id, item_ids in bought.items() for item_id in item_ids]
    users, rows = [user_id for user_id, _ in events], [row for _, row in events]
    return Interactions.from_columns(users, rows, range(len(events)))


def ask(
    *requests: RecommendRequest | RankRequest,
    weights: Mapping[str, float] | None = None,
    events: Iterable[LiveEvent] = (),
    candidates: CandidateConfig | None = None,
) -> list[object]:
    """The shop's replies, ranked by ``transitions`` alone where no weights are given.

    Args:
        requests: Of any customers, all of one kind.
        weights: Of the channels.
        events: What customers did meanwhile.
        candidates: How many items are ranked; None: all.
    """
    ranker = ranking_model(weights or {"transitions": 1.0}, candidates=candidates)
    filters = CandidateFilter(CATALOGUE, CatalogueFilter(CATALOGUE), clock=lambda: NOW)
    pipeline = RecommendationPipeline(ranker, filters, CATALOGUE.record, Versions("m1", "c1", "b1"))
    answer = pipeline.rank_many if isinstance(requests[0], RankRequest) else pipeline.recommend_many
    return list(answer(requests, LiveEvents.begin(ranker.parts).after(events)))


def recommended(
    request: RecommendRequest | RankRequest,
    weights: Mapping[str, float] | None = None,
    candidates: CandidateConfig | None = None,
) -> Recommendations:
    """The shop's reply to a request that is in order."""
    (reply,) = ask(request, weights=weights, candidates=candidates)
    assert isinstance(reply, Recommendations), reply
    return reply
