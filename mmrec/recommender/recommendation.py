"""Recommending: requests in, lists of exactly min(k, eligible) items out, whatever the filter and business rules.

Two stages: candidates within the filter (`mmrec.recommender.candidates`), then blend, business rules and rerank, which
see the candidates alone. Unit of work: a batch of requests. Knows nothing about gRPC.
"""

# Axes: B customers, N items, C candidates of a customer, K results

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.channels.blend import Blend
from mmrec.contract.items import ChannelShare, Fallback, ItemRecord, Modality, ScoredItem, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import Explanation, Explanations, Recommendations
from mmrec.contract.requests import ExplainRequest, RankRequest, RecommendRequest
from mmrec.contract.rules import MAX_BEAM_WIDTH
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError
from mmrec.recommender.artefact import INSTRUCTED
from mmrec.recommender.candidate_filter import CandidateFilter, Tier
from mmrec.recommender.candidates import Candidates, CandidateSearch, Search
from mmrec.recommender.explain import explain_ranking, rule_shares
from mmrec.recommender.explainer import Explainer, InWords, Wish
from mmrec.recommender.live_events import Graphs, LiveEvents, given_events
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec.recommender.ranking_model import INSTRUCTED_CHANNELS, SENTENCE, WISH, RankingModel
from mmrec.recommender.rerank import Arranged, Likeness, Quota, arrange, damping
from mmrec.recommender.steering import INSTRUCTION, Steered, Steering
from mmrec.runtime.stages import stage

DAMPING = "popularity-damping"
EXPLORATION = "exploration"
PROMOTION = "promotion"
"""Names, in an explanation, of what the business rules of a request added to a score."""
ATTRIBUTE = "attribute:"
"""Begins, before the name of a column, the name of what its weight added."""

Scores = npt.NDArray[np.float32]
Bitmap = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
Shares = Sequence[tuple[ChannelShare, ...]]

_FALLBACKS = {
    (True, False): Fallback.NONE,
    (True, True): Fallback.FILTER_RELAXED,
    (False, False): Fallback.POPULARITY,
    (False, True): Fallback.POPULARITY_FILTER_RELAXED,
}
"""By whether a list is personal, and whether it has items outside its filter."""


class _History(NamedTuple):
    """What is known of a customer, as catalogue rows.

    Attributes:
        taken: Stored and given history, oldest first.
        missing: Ids of the request that the catalogue lacks.
        rejected: What the customer rejected and has not taken since, ascending.
    """

    taken: npt.NDArray[np.int32]
    missing: tuple[str, ...]
    rejected: npt.NDArray[np.int32]


class _Customer(NamedTuple):
    """A request as catalogue rows.

    Attributes:
        request: The request.
        history: Stored and given history, oldest first.
        missing: Ids of the request that the catalogue lacks.
        tiers: Items that may be returned, and, in relaxed mode, items that may follow when these are too few.
        promotions: The items of each promotion, and what it adds to their scores. Shape of each: (N,), bool.
        quotas: Places for promotions and exploration.
        places: Length of the list.
        promoted_N: Items that a promotion of the request raises; None: none. Shape: (N,), bool.
        blend: Weights of the channels.
        attributes: For each weight of a column its name, the weight, and the standardised values. Shape of these: (N,),
            float32.
        steered: What its instruction asks for; None: it has none.
        asked_N: Items that are listed, among those that are ranked; None: all. Shape: (N,), bool.
    """

    request: RecommendRequest
    history: npt.NDArray[np.int32]
    missing: tuple[str, ...]
    tiers: tuple[Tier, ...]
    promotions: tuple[tuple[Bitmap, float], ...]
    quotas: tuple[Quota, ...]
    places: int
    promoted_N: npt.NDArray[np.bool_] | None
    blend: Blend
    attributes: tuple[tuple[str, float, Scores], ...] = ()
    steered: Steered | None = None
    asked_N: Bitmap | None = None

    @property
    def instruction_D(self) -> Scores | None:
        """Vector of the sentence that the LLM reads behind the history; None: none. Shape: (D,), float32."""
        return None if self.steered is None else self.steered.sentence_D

    @property
    def raised(self) -> tuple[Bitmap, ...]:
        """Sets of items that need candidates of their own. Shape of each: (N,), bool."""
        quotas = (quota.members_N for quota in self.quotas)
        asked = () if self.asked_N is None else (self.asked_N,)
        return *quotas, *(members_N for members_N, boost in self.promotions if boost > 0), *asked

    @property
    def reading(self) -> str:
        """What the LLM reads of this customer; see `_reading`."""
        return _reading(self.history, self.steered)


class _Search(NamedTuple):
    """Candidates of one tier with their scores, and what was added to those of new items."""

    found: Candidates
    scores_C: Scores
    lift: float


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
        self._nearest = None if vectors is None else vectors.index(Modality.FUSED)
        self._explainer = Explainer(ranker, vectors)
        self._parts = ranker.parts
        self._candidate_filter = candidate_filter
        self._record = record
        self._versions = versions
        self._steering = steering
        self._likeness = Likeness(self._parts.semantic_ids_NP, self._parts.fused_ND)
        self._live_ranker: tuple[Graphs, RankingModel] | None = None

    def recommend_many(
        self, requests: Sequence[RecommendRequest], live: LiveEvents
    ) -> list[Recommendations | MmrecError]:
        """Recommend for several customers; a request that cannot be answered fails alone.

        Args:
            requests: Requests of any customers.
            live: Events of customers; histories and counts are those of this value.
        """
        with stage("histories"):
            customers = [outcome(self._customer, request, live, request.k) for request in requests]
        return self._answers(customers, live)

    def rank_many(self, requests: Sequence[RankRequest], live: LiveEvents) -> list[Recommendations | MmrecError]:
        """Order the items of several requests; a request that cannot be answered fails alone.

        Args:
            requests: Requests of any customers. Items that the customer rejected are ranked like the others.
            live: As in `recommend_many`.
        """
        with stage("histories"):
            customers = [outcome(self._ranking, request, live) for request in requests]
        return self._answers(customers, live)

    def explain_many(self, requests: Sequence[ExplainRequest], live: LiveEvents) -> list[Explanations | MmrecError]:
        """Explain the items of several requests in words; a request that cannot be answered fails alone.

        Args:
            requests: Requests of any customers.
            live: As in `recommend_many`.
        """
        with stage("histories"):
            customers = [outcome(self._explaining, request, live) for request in requests]
        answers = self._answers(customers, live)
        return [
            answer if isinstance(answer, MmrecError) else _explanations(request, answer)
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _answers(
        self, customers: Sequence[_Customer | MmrecError], live: LiveEvents
    ) -> list[Recommendations | MmrecError]:
        replies: dict[int, Recommendations | MmrecError] = {}
        known: dict[tuple[Any, ...], list[tuple[int, _Customer]]] = {}
        for row, customer in enumerate(customers):
            if isinstance(customer, MmrecError):
                replies[row] = customer
            elif customer.request.validate_only:
                replies[row] = Recommendations("", (), versions=self._versions)
            elif len(customer.history) or customer.instruction_D is not None:
                factors = tuple(sorted(customer.request.channel_weights.items()))
                alike = self._beam_width(customer), customer.request.exact, customer.reading, factors
                known.setdefault(alike, []).append((row, customer))
            else:
                replies[row] = self._popular(customer)
        for (width, exact, *_), group in sorted(known.items(), key=lambda entry: entry[0]):
            found = self._personal([customer for _, customer in group], width, self._ranker_of(live), exact=exact)
            replies |= zip([row for row, _ in group], found, strict=True)
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
            history_events=asked.history_events,
            allow=request.item_ids,
            include_seen=True,
            beam_width=asked.beam_width,
            explain=True,
            popularity_damping=asked.popularity_damping,
            promotions=tuple(replace(promotion, min_share=0.0) for promotion in asked.promotions),
            explain_in_words=True,
            instruction=asked.instruction,
            ignored_conditions=asked.ignored_conditions,
            channel_weights=asked.channel_weights,
            attribute_weights=asked.attribute_weights,
            expected_versions=asked.expected_versions,
            validate_only=asked.validate_only,
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
        self._versions.check_expected(request.expected_versions)
        history, missing, refused = self._history(request, live)
        steered, asked_N = self._read_instruction(request), None
        if steered is not None and narrowed:
            request = replace(request, filter=steered.filter)
        elif steered is not None and self._steering is not None:
            # The part of a wish is measured as in a list for that wish, whatever is asked about.
            steered = steered._replace(over_N=self._steering.met(steered.filter))
            asked_N = self._candidate_filter.tiers(request, history, None, places)[0].mask_N
            request = replace(request, allow=())
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
        boosts = tuple(
            (members_N, promotion.boost)
            for promotion, members_N in zip(request.promotions, promoted, strict=True)
            if promotion.boost
        )
        attributes = tuple(
            (column, weight, self._candidate_filter.standardised(column))
            for column, weight in request.attribute_weights.items()
        )
        blend = self._blend(_reading(history, steered), request.channel_weights)
        never = refused if rejected else None
        tiers = self._candidate_filter.tiers(request, history, never, places)
        raised = [
            members_N
            for promotion, members_N in zip(request.promotions, promoted, strict=True)
            if promotion.boost > 0 or promotion.min_share
        ]
        promoted_N = np.logical_or.reduce(raised) if raised else None
        return _Customer(
            request,
            history,
            missing,
            tiers,
            boosts,
            tuple(quotas),
            places,
            promoted_N,
            blend,
            attributes,
            steered,
            asked_N,
        )

    def _read_instruction(self, request: RecommendRequest) -> Steered | None:
        if not request.instruction.strip():
            return None
        if self._steering is None:
            raise FailedPreconditionError("this engine reads no instructions; leave instruction empty")
        return self._steering.read(request.instruction, request.filter, request.ignored_conditions)

    def _history(self, request: RecommendRequest, live: LiveEvents) -> _History:
        catalogue = self._parts.catalogue
        given = given_events(request.history, request.history_events, live.rule)
        known = live.of(request.user_id, catalogue).after(given, catalogue.row_of)
        acted_on = (event.item_id for event in request.history_events)
        promoted = (item_id for promotion in request.promotions for item_id in promotion.item_ids)
        mentioned = (*request.history, *acted_on, *request.allow, *request.deny, *promoted)
        return _History(known.taken_T, catalogue.missing(mentioned), known.rejected_R)

    def _beam_width(self, customer: _Customer) -> int:
        return max(customer.request.beam_width or self._parts.beam_width, min(customer.places, MAX_BEAM_WIDTH))

    # --- lists -----------------------------------------------------------------------------------------------------

    def _ranker_of(self, live: LiveEvents) -> RankingModel:
        """The ranker with the transitions of these events; cached for the last ones."""
        graphs = live.transitions(self._parts.catalogue)
        if graphs is None:
            return self._ranker
        known = self._live_ranker
        if known is None or known[0] is not graphs:
            self._live_ranker = known = graphs, self._ranker.with_transitions(*graphs)
        return known[1]

    def _personal(
        self, customers: Sequence[_Customer], width: int, ranker: RankingModel, *, exact: bool
    ) -> Iterator[Recommendations]:
        """Replies to customers with the same weights of whom the LLM reads the same: a history, a sentence, or both."""
        blend = customers[0].blend
        if not blend.channels:
            # This bundle ranks every customer by popularity alone.
            yield from (self._popular(customer, personal=True) for customer in customers)
            return
        # Items outside the filter have a search of their own.
        searches = [
            Search(
                customer.history,
                tier,
                customer.places,
                customer.instruction_D,
                "" if customer.steered is None else customer.steered.sentence,
                customer.raised,
                None if customer.steered is None else customer.steered.liked_N,
                None if customer.steered is None else customer.steered.meaning_D,
            )
            for customer in customers
            for tier in customer.tiers
        ]
        sought = CandidateSearch(ranker, self._nearest)
        found = sought.find(searches, blend, beam_width=width, exact=exact)
        for customer in customers:
            candidates = list(islice(found, len(customer.tiers)))
            with stage("blend"):
                own = [_Search(one, *ranker.blend_candidates(blend, one.features, one.rows_C)) for one in candidates]
            with stage("rerank"):
                listed = self._listed(customer, [(one.found.rows_C, one.scores_C) for one in own])
            with stage("reply"):
                shares = None
                if customer.request.explain or customer.request.explain_in_words:
                    shares = self._explained(ranker, customer, listed, own, blend)
                reply = self._reply(customer, listed, shares, candidates, personal=True)
            yield reply

    def _blend(self, reading: str, factors: Mapping[str, float]) -> Blend:
        """The weights for what is read of a customer, multiplied by those of the request."""
        fitted = self._fitted(reading)
        if not factors:
            return fitted
        known = {name for blend in (fitted, *self._parts.blends.values()) for name in blend.weights}
        channels = ", ".join(name for name in INSTRUCTED_CHANNELS if name in known)
        for name in factors:
            if name not in known:
                raise InvalidArgumentError(
                    f"channel_weights has {name!r:.80}; the channels are {channels}", field="channel_weights"
                )
        blend = fitted.times(factors)
        if fitted.channels and not blend.channels:
            raise InvalidArgumentError(
                f"channel_weights leave out every channel that ranks for this customer: "
                f"{', '.join(sorted(fitted.channels))}; leave one of them in",
                field="channel_weights",
            )
        return blend

    def _fitted(self, reading: str) -> Blend:
        """The bundle's weights for what is read of a customer."""
        parts = self._parts
        if reading == "history":
            return parts.blend
        blend = parts.blends.get(INSTRUCTED, parts.blend)
        if reading == "sentence":
            # The other channels say what follows the items of a history.
            weights = {name: blend.weights.get(name, 0.0) for name in (SENTENCE, WISH, "popularity")}
            weights[SENTENCE] = weights[SENTENCE] or blend.weights.get("item-head") or 1.0
            blend = Blend(weights, blend.cold_share)
        return blend

    def _popular(self, customer: _Customer, *, personal: bool = False) -> Recommendations:
        """The most popular items, under the same business rules; `personal` when that is no fallback."""
        sought = CandidateSearch(self._ranker, self._nearest)
        ranked = []
        for tier in customer.tiers:
            rows_C = sought.popular(tier, customer.places, customer.raised, exact=customer.request.exact)
            ranked.append((rows_C, self._ranker.popularity_at(rows_C)))
        listed = self._listed(customer, ranked)
        shares: list[tuple[ChannelShare, ...]] | None = None
        if customer.request.explain or customer.request.explain_in_words:
            shares = []
            popularity_K = self._ranker.popularity_at(listed.arranged.rows_K)
            for popularity, added in zip(popularity_K, listed.added, strict=True):
                own = [ChannelShare("popularity", float(popularity)), *rule_shares(added)]
                shares.append(tuple(sorted(own, key=lambda share: -share.share)))
        return self._reply(customer, listed, shares, personal=personal)

    def _listed(self, customer: _Customer, ranked: Sequence[tuple[Rows, Scores]]) -> _Listed:
        """The list that follows from the candidates of each tier, their scores, and the rules of a request."""
        request = customer.request
        rows_C = np.concatenate([rows for rows, _ in ranked])
        order_C = np.argsort(rows_C, kind="stable")
        rows_C = rows_C[order_C]
        scores_C = np.concatenate([scores for _, scores in ranked])[order_C]
        tier_C = np.repeat(np.arange(len(ranked)), [len(rows) for rows, _ in ranked])[order_C]
        adjustments: dict[str, Scores] = {}
        if request.popularity_damping:
            popularity_C = self._ranker.log_popularity_at(rows_C)
            adjustments[DAMPING] = damping(scores_C, popularity_C, request.popularity_damping)
        # An LLM that reads the sentence knows better than likeness alone.
        if customer.steered is not None and customer.instruction_D is None:
            added_C = customer.steered.among(rows_C).added(scores_C)
            if added_C is not None:
                adjustments[INSTRUCTION] = added_C
        if customer.promotions:
            adjustments[PROMOTION] = np.zeros(len(rows_C), np.float32)
            for members_N, boost in customer.promotions:
                adjustments[PROMOTION][members_N[rows_C]] += np.float32(boost)
        for column, weight, values_N in customer.attributes:
            adjustments[ATTRIBUTE + column] = np.float32(weight) * values_N[rows_C]
        adjusted_C = scores_C
        for part_C in adjustments.values():
            adjusted_C = adjusted_C + part_C
        quotas = [quota._replace(members_N=quota.members_N[rows_C]) for quota in customer.quotas]
        asked_C = True if customer.asked_N is None else customer.asked_N[rows_C]
        arranged = arrange(
            adjusted_C,
            [(tier_C == tier) & asked_C for tier in range(len(ranked))],
            customer.places,
            quotas,
            diversity=request.diversity,
            likeness=self._likeness._replace(rows_A=rows_C),
        )
        added: list[dict[str, float]] = []
        for place, lack, quota in zip(arranged.rows_K, arranged.added_K, arranged.quota_K, strict=True):
            parts = {name: float(part_C[place]) for name, part_C in adjustments.items()}
            if quota >= 0:
                name = quotas[quota].name
                parts[name] = parts.get(name, 0.0) + float(lack)
            added.append(parts)
        return _Listed(arranged._replace(rows_K=rows_C[arranged.rows_K]), added)

    def _explained(
        self,
        ranker: RankingModel,
        customer: _Customer,
        listed: _Listed,
        searches: Sequence[_Search],
        blend: Blend,
    ) -> list[tuple[ChannelShare, ...]]:
        """Parts of each score, by the search of its tier."""
        shares: list[tuple[ChannelShare, ...]] = []
        rows_K = listed.arranged.rows_K
        for (found, _, lift), tier in zip(searches, customer.tiers, strict=True):
            begin = len(shares)
            end = begin + int(np.count_nonzero(tier.mask_N[rows_K]))
            place_K = np.searchsorted(found.rows_C, rows_K[begin:end])
            shares += explain_ranking(
                ranker,
                customer.history,
                rows_K[begin:end],
                {name: feature_C[place_K] for name, feature_C in found.features.items()},
                blend=blend,
                lift=lift,
                added=listed.added[begin:end],
            )
        return shares

    def _wished(self, steered: Steered | None) -> list[Wish]:
        if steered is None or self._steering is None:
            return []
        return [Wish(one.condition, self._steering.met(one.condition)) for one in steered.constraints]

    def _reply(
        self,
        customer: _Customer,
        listed: _Listed,
        shares: Shares | None,
        searches: Sequence[Candidates] = (),
        *,
        personal: bool,
    ) -> Recommendations:
        arranged, nothing = listed.arranged, [()] * len(listed.arranged.rows_K)
        sources: list[tuple[str, ...]] = [()] * len(nothing)
        if customer.request.explain:
            for found in searches:
                sources = [*map(tuple.__add__, sources, found.sources_of(arranged.rows_K))]
        words: Sequence[InWords] = [InWords("", ())] * len(nothing)
        if customer.request.explain_in_words and shares is not None:
            words = self._explainer.explain(
                arranged.rows_K, shares, _promoted(customer, listed), self._wished(customer.steered)
            )
        shares = shares if customer.request.explain and shares is not None else nothing
        relaxed = not customer.tiers[0].mask_N[arranged.rows_K].all()
        return Recommendations(
            recommendation_id=uuid.uuid4().hex,
            items=tuple(
                ScoredItem(
                    self._record(int(row)).only(customer.request.item_fields),
                    float(score),
                    parts,
                    said.text,
                    said.statements,
                    of_row,
                )
                for row, score, parts, said, of_row in zip(
                    arranged.rows_K, arranged.scores_K, shares, words, sources, strict=True
                )
            ),
            missing_ids=customer.missing,
            fallback=_FALLBACKS[personal, bool(relaxed)],
            versions=self._versions,
            constraints=() if customer.steered is None else customer.steered.constraints,
        )


def _reading(history: npt.NDArray[np.int32], steered: Steered | None) -> str:
    """What the LLM reads: a history, a history and a sentence, or a sentence alone."""
    if steered is None or steered.sentence_D is None:
        return "history"
    return "history and sentence" if len(history) else "sentence"


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
