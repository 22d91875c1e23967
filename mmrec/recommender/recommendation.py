"""Recommending: requests in, lists of exactly min(k, eligible) items out, whatever the filter and business rules.

Unit of work: a batch of requests. Knows nothing about gRPC.
"""

# Axes: B customers, N items, K results, X searches: one or two for each customer

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.channels.blend import Blend
from mmrec.contract.items import ChannelShare, Fallback, ItemRecord, ScoredItem, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import Explanation, Explanations, Recommendations
from mmrec.contract.requests import ExplainRequest, RankRequest, RecommendRequest
from mmrec.contract.rules import MAX_BEAM_WIDTH
from mmrec.errors import FailedPreconditionError, MmrecError
from mmrec.recommender.artefact import INSTRUCTED
from mmrec.recommender.candidate_filter import CandidateFilter, Tier
from mmrec.recommender.explain import explain_ranking, rule_shares
from mmrec.recommender.explainer import Explainer, InWords, Wish
from mmrec.recommender.live_events import LiveEvents
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec.recommender.ranking_model import RankingModel
from mmrec.recommender.rejections import rejected_rows
from mmrec.recommender.rerank import Arranged, Likeness, Quota, arrange, damping
from mmrec.recommender.steering import INSTRUCTION, Steered, Steering

DAMPING = "popularity-damping"
EXPLORATION = "exploration"
PROMOTION = "promotion"
"""Names, in an explanation, of what the business rules of a request added to a score."""

Scores = npt.NDArray[np.float32]
Shares = Sequence[tuple[ChannelShare, ...]]

_FALLBACKS = {
    (True, False): Fallback.NONE,
    (True, True): Fallback.FILTER_RELAXED,
    (False, False): Fallback.POPULARITY,
    (False, True): Fallback.POPULARITY_FILTER_RELAXED,
}
"""By whether a list is personal, and whether it has items outside its filter."""


class _Customer(NamedTuple):
    """A request as catalogue rows.

    Attributes:
        request: The request.
        history: Stored and given history, oldest first.
        missing: Ids of the request that the catalogue lacks.
        tiers: Items that may be returned, and, in relaxed mode, items that may follow when these are too few.
        boosts_N: What promotions add to scores; None: nothing. Shape: (N,), float32.
        quotas: Places for promotions and exploration.
        places: Length of the list.
        promoted_N: Items that a promotion of the request raises; None: none. Shape: (N,), bool.
        steered: What its instruction asks for; None: it has none.
    """

    request: RecommendRequest
    history: npt.NDArray[np.int32]
    missing: list[str]
    tiers: tuple[Tier, ...]
    boosts_N: Scores | None
    quotas: tuple[Quota, ...]
    places: int
    promoted_N: npt.NDArray[np.bool_] | None
    steered: Steered | None = None

    @property
    def instruction_D(self) -> Scores | None:
        """Vector of the sentence that the LLM reads behind the history; None: none. Shape: (D,), float32."""
        return None if self.steered is None else self.steered.sentence_D

    @property
    def reading(self) -> str:
        """What the LLM reads of this customer: a history, a history and a sentence, or a sentence alone."""
        if self.instruction_D is None:
            return "history"
        return "history and sentence" if len(self.history) else "sentence"


class _Listed(NamedTuple):
    """A list, and what business rules added to the score of each item, by name."""

    arranged: Arranged
    added: list[dict[str, float]]


class RecommendationPipeline:
    """Answers requests from one state of the catalogue: candidates, ranking, business rules, rerank, explanation.

    Args:
        ranker: Scores items for customers.
        candidate_filter: Finds the items that a request may return.
        record: Converts a row to the record for clients.
        versions: Versions for the replies.
        vectors: Vectors by modality, for explanations in words; None: these tell nothing about pictures and words.
        steering: Reads instructions; None: requests with one are refused.
    """

    def __init__(
        self,
        ranker: RankingModel,
        candidate_filter: CandidateFilter,
        record: Callable[[int], ItemRecord],
        versions: Versions,
        vectors: ModalityVectors | None = None,
        steering: Steering | None = None,
    ) -> None:
        self._ranker = ranker
        self._explainer = Explainer(ranker, vectors)
        self._parts = ranker.parts
        self._candidate_filter = candidate_filter
        self._record = record
        self._versions = versions
        self._steering = steering
        self._likeness = Likeness(self._parts.semantic_ids_NP, self._parts.fused_ND)
        self._live_ranker: tuple[LiveEvents, RankingModel] | None = None

    def recommend_many(
        self, requests: Sequence[RecommendRequest], live: LiveEvents
    ) -> list[Recommendations | MmrecError]:
        """Recommend for several customers; a request that cannot be answered fails alone.

        Args:
            requests: Requests of any customers.
            live: Events of customers; histories and counts are those of this value.
        """
        return self._answers([outcome(self._customer, request, live, request.k) for request in requests], live)

    def rank_many(self, requests: Sequence[RankRequest], live: LiveEvents) -> list[Recommendations | MmrecError]:
        """Order the items of several requests; a request that cannot be answered fails alone.

        Args:
            requests: Requests of any customers. Items that the customer rejected are ranked like the others.
            live: As in `recommend_many`.
        """
        return self._answers([outcome(self._ranking, request, live) for request in requests], live)

    def explain_many(self, requests: Sequence[ExplainRequest], live: LiveEvents) -> list[Explanations | MmrecError]:
        """Explain the items of several requests in words; a request that cannot be answered fails alone.

        Args:
            requests: Requests of any customers.
            live: As in `recommend_many`.
        """
        answers = self._answers([outcome(self._explaining, request, live) for request in requests], live)
        return [
            answer if isinstance(answer, MmrecError) else _explanations(request, answer)
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _answers(
        self, customers: Sequence[_Customer | MmrecError], live: LiveEvents
    ) -> list[Recommendations | MmrecError]:
        replies: dict[int, Recommendations | MmrecError] = {}
        known: dict[tuple[int, str], list[tuple[int, _Customer]]] = {}
        for row, customer in enumerate(customers):
            if isinstance(customer, MmrecError):
                replies[row] = customer
            elif len(customer.history) or customer.instruction_D is not None:
                known.setdefault((self._beam_width(customer), customer.reading), []).append((row, customer))
            else:
                replies[row] = self._popular(customer)
        for (width, _), group in sorted(known.items(), key=lambda entry: entry[0]):
            for chunk in self._ranker.chunks(len(group)):
                part = group[chunk.begin : chunk.end]
                found = self._personal([customer for _, customer in part], width, self._ranker_of(live))
                replies |= zip([row for row, _ in part], found, strict=True)
        return [replies[row] for row in range(len(customers))]

    # --- requests --------------------------------------------------------------------------------------------------

    def _ranking(self, request: RankRequest, live: LiveEvents) -> _Customer:
        listed = replace(request.customer, allow=request.item_ids, include_seen=True)
        return self._customer(listed, live, len(request.item_ids), rejected=False)

    def _explaining(self, request: ExplainRequest, live: LiveEvents) -> _Customer:
        asked = request.customer
        plain = RecommendRequest(
            asked.history,
            asked.user_id,
            allow=request.item_ids,
            include_seen=True,
            beam_width=asked.beam_width,
            explain=True,
            popularity_damping=asked.popularity_damping,
            promotions=tuple(replace(promotion, min_share=0.0) for promotion in asked.promotions),
            explain_in_words=True,
            instruction=asked.instruction,
            ignored_conditions=asked.ignored_conditions,
        )
        return self._customer(plain, live, len(request.item_ids), rejected=False, narrowed=False)

    def _customer(
        self,
        request: RecommendRequest,
        live: LiveEvents,
        places: int,
        *,
        rejected: bool = True,
        narrowed: bool = True,
    ) -> _Customer:
        """A request as catalogue rows.

        Without `rejected`, items that the customer rejected may be returned; without `narrowed`, those that do not meet
        the conditions of its instruction.
        """
        history, missing = self._history(request, live)
        steered = self._read_instruction(request)
        if steered is not None and narrowed:
            request = replace(request, filter=steered.filter)
        elif steered is not None and self._steering is not None:
            steered = steered._replace(over_N=self._steering.met(steered.filter))
        promoted = self._candidate_filter.promoted(request.promotions)
        young_N = self._candidate_filter.young(request)
        quotas = [
            Quota(PROMOTION, members_N, promotion.min_share)
            for promotion, members_N in zip(request.promotions, promoted, strict=True)
            if promotion.min_share
        ]
        if request.exploration:
            new_N = self._ranker.new_N if young_N is None else self._ranker.new_N & young_N
            quotas.append(Quota(EXPLORATION, new_N, request.exploration, guaranteed=False))
        boosts_N: Scores | None = None
        for promotion, members_N in zip(request.promotions, promoted, strict=True):
            if promotion.boost:
                boosts_N = np.zeros(self._ranker.items, np.float32) if boosts_N is None else boosts_N
                boosts_N[members_N] += np.float32(promotion.boost)
        never = rejected_rows(self._parts, request.user_id, history) if rejected else None
        tiers = self._candidate_filter.tiers(request, history, never, places)
        raised = [
            members_N
            for promotion, members_N in zip(request.promotions, promoted, strict=True)
            if promotion.boost > 0 or promotion.min_share
        ]
        promoted_N = np.logical_or.reduce(raised) if raised else None
        return _Customer(request, history, missing, tiers, boosts_N, tuple(quotas), places, promoted_N, steered)

    def _read_instruction(self, request: RecommendRequest) -> Steered | None:
        if not request.instruction.strip():
            return None
        if self._steering is None:
            raise FailedPreconditionError("this engine reads no instructions; leave instruction empty")
        return self._steering.read(request.instruction, request.filter, request.ignored_conditions)

    def _history(self, request: RecommendRequest, live: LiveEvents) -> tuple[npt.NDArray[np.int32], list[str]]:
        """Catalogue rows of stored and given history, and every id of the request that the catalogue lacks."""
        catalogue = self._parts.catalogue
        stored = live.history(request.user_id)
        rows = [catalogue.row_of(item_id) for item_id in request.history]
        given = np.array([row for row in rows if row is not None], dtype=np.int32)
        promoted = (item_id for promotion in request.promotions for item_id in promotion.item_ids)
        mentioned = (*request.history, *request.allow, *request.deny, *promoted)
        missing = list(dict.fromkeys(item_id for item_id in mentioned if catalogue.row_of(item_id) is None))
        return np.concatenate([stored, given]), missing

    def _beam_width(self, customer: _Customer) -> int:
        return max(customer.request.beam_width or self._parts.beam_width, min(customer.places, MAX_BEAM_WIDTH))

    # --- lists -----------------------------------------------------------------------------------------------------

    def _ranker_of(self, live: LiveEvents) -> RankingModel:
        """The ranker whose transitions include these events; cached for the last value of `live`."""
        known = self._live_ranker
        if known is None or known[0] is not live:
            graphs = live.transitions(self._ranker.items)
            self._live_ranker = known = live, self._ranker if graphs is None else self._ranker.with_transitions(*graphs)
        return known[1]

    def _personal(self, customers: Sequence[_Customer], width: int, ranker: RankingModel) -> list[Recommendations]:
        """Replies to customers of whom the LLM reads the same: with a history, a sentence, or both."""
        blend = self._blend(customers[0].reading)
        searches = [(place, tier) for place, customer in enumerate(customers) for tier in customer.tiers]
        tiers = [tier for _, tier in searches]
        vectors = [customer.instruction_D for customer in customers if customer.instruction_D is not None]
        features = ranker.features(
            [customers[place].history for place, _ in searches],
            tiers,
            beam_width=width,
            channels=blend.channels,
            instructions_BD=np.stack([vectors[place] for place, _ in searches]) if vectors else None,
        ).by_channel
        if not features:
            # This bundle ranks every customer by popularity alone.
            return [self._popular(customer, personal=True) for customer in customers]
        scores_XN, boosts_X = ranker.blend(blend, features, np.stack([tier.mask_N for tier in tiers]))
        replies, first = [], 0
        for customer in customers:
            own = slice(first, first + len(customer.tiers))
            first = own.stop
            # Items outside the filter have a search of their own.
            scores_N = scores_XN[own.start]
            for tier, others_N in zip(customer.tiers[1:], scores_XN[own][1:], strict=True):
                scores_N = np.where(tier.mask_N, others_N, scores_N)
            listed = self._listed(customer, scores_N)
            shares = None
            if customer.request.explain or customer.request.explain_in_words:
                of_own = {name: feature[own] for name, feature in features.items()}
                shares = self._explained(ranker, customer, listed, of_own, boosts_X[own], blend)
            replies.append(self._reply(customer, listed, shares, personal=True))
        return replies

    def _blend(self, reading: str) -> Blend:
        """The weights for what is read of a customer."""
        parts = self._parts
        if reading == "history":
            return parts.blend
        blend = parts.blends.get(INSTRUCTED, parts.blend)
        if reading == "sentence":
            # The other channels count what follows the items of a history.
            alone = ("item-head", "semantic-id", "popularity")
            weights = {name: weight for name, weight in blend.weights.items() if name in alone}
            blend = Blend(weights if any(weights.values()) else {"item-head": 1.0}, blend.cold_share)
        return blend

    def _popular(self, customer: _Customer, *, personal: bool = False) -> Recommendations:
        """The most popular items, under the same business rules; `personal` when that is no fallback."""
        popularity_N = self._ranker.most_popular()
        listed = self._listed(customer, popularity_N)
        shares: list[tuple[ChannelShare, ...]] | None = None
        if customer.request.explain or customer.request.explain_in_words:
            shares = []
            for row, added in zip(listed.arranged.rows_K, listed.added, strict=True):
                own = [ChannelShare("popularity", float(popularity_N[row])), *rule_shares(added)]
                shares.append(tuple(sorted(own, key=lambda share: -share.share)))
        return self._reply(customer, listed, shares, personal=personal)

    def _listed(self, customer: _Customer, scores_N: Scores) -> _Listed:
        """The list that follows from scores and the business rules of a request."""
        request, tiers = customer.request, [tier.mask_N for tier in customer.tiers]
        adjustments: dict[str, Scores] = {}
        if request.popularity_damping:
            candidates_N = np.logical_or.reduce(tiers)
            adjustments[DAMPING] = damping(
                scores_N, candidates_N, self._ranker.log_popularity_N, request.popularity_damping
            )
        # An LLM that reads the sentence knows better than likeness alone.
        if customer.steered is not None and customer.instruction_D is None:
            added_N = customer.steered.added(scores_N, np.logical_or.reduce(tiers))
            if added_N is not None:
                adjustments[INSTRUCTION] = added_N
        if customer.boosts_N is not None:
            adjustments[PROMOTION] = customer.boosts_N
        adjusted_N = scores_N
        for part_N in adjustments.values():
            adjusted_N = adjusted_N + part_N
        arranged = arrange(
            adjusted_N,
            tiers,
            customer.places,
            customer.quotas,
            diversity=request.diversity,
            likeness=self._likeness,
        )
        added: list[dict[str, float]] = []
        for row, lack, quota in zip(arranged.rows_K, arranged.added_K, arranged.quota_K, strict=True):
            parts = {name: float(part_N[row]) for name, part_N in adjustments.items()}
            if quota >= 0:
                name = customer.quotas[quota].name
                parts[name] = parts.get(name, 0.0) + float(lack)
            added.append(parts)
        return _Listed(arranged, added)

    def _explained(
        self,
        ranker: RankingModel,
        customer: _Customer,
        listed: _Listed,
        features: Mapping[str, npt.NDArray[np.float32]],
        boosts_X: Scores,
        blend: Blend,
    ) -> list[tuple[ChannelShare, ...]]:
        """Parts of each score, by the search of its tier. Shape of each feature: (X, N)."""
        shares: list[tuple[ChannelShare, ...]] = []
        rows_K = listed.arranged.rows_K
        for search, tier in enumerate(customer.tiers):
            begin = len(shares)
            end = begin + int(np.count_nonzero(tier.mask_N[rows_K]))
            shares += explain_ranking(
                ranker,
                customer.history,
                rows_K[begin:end],
                {name: feature_XN[search] for name, feature_XN in features.items()},
                blend=blend,
                lift=float(boosts_X[search]),
                instruction_D=customer.instruction_D,
                added=listed.added[begin:end],
            )
        return shares

    def _wished(self, steered: Steered | None) -> list[Wish]:
        if steered is None or self._steering is None:
            return []
        return [Wish(one.condition, self._steering.met(one.condition)) for one in steered.constraints]

    def _reply(self, customer: _Customer, listed: _Listed, shares: Shares | None, *, personal: bool) -> Recommendations:
        arranged, nothing = listed.arranged, [()] * len(listed.arranged.rows_K)
        words: Sequence[InWords] = [InWords("", ())] * len(nothing)
        if customer.request.explain_in_words and shares is not None:
            words = self._explainer.explain(
                arranged.rows_K, shares, _promoted(customer, listed), self._wished(customer.steered)
            )
        shares = shares if customer.request.explain and shares is not None else nothing
        relaxed = len(arranged.rows_K) > np.count_nonzero(customer.tiers[0].mask_N)
        return Recommendations(
            recommendation_id=uuid.uuid4().hex,
            items=tuple(
                ScoredItem(self._record(int(row)), float(score), parts, said.text, said.statements)
                for row, score, parts, said in zip(arranged.rows_K, arranged.scores_K, shares, words, strict=True)
            ),
            missing_ids=tuple(customer.missing),
            fallback=_FALLBACKS[personal, bool(relaxed)],
            versions=self._versions,
            constraints=() if customer.steered is None else customer.steered.constraints,
        )


def _promoted(customer: _Customer, listed: _Listed) -> dict[int, float]:
    """What promotions added to the score of each item that one raises, by row."""
    if customer.promoted_N is None:
        return {}
    rows = listed.arranged.rows_K.tolist()
    return {
        row: added.get(PROMOTION, 0.0)
        for row, added in zip(rows, listed.added, strict=True)
        if customer.promoted_N[row]
    }


def _explanations(request: ExplainRequest, answer: Recommendations) -> Explanations:
    """The reasons, in the order of the request."""
    by_id = {scored.item_id: scored for scored in answer.items}
    found = [by_id[item_id] for item_id in dict.fromkeys(request.item_ids) if item_id in by_id]
    return Explanations(
        tuple(Explanation(one.item_id, one.explanation, one.statements, one.shares) for one in found),
        answer.missing_ids,
        answer.versions,
    )
