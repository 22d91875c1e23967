"""Conversations about one catalogue: the dialogue of `mmrec.language`, with items chosen by the recommender.

A catalogue with events is recommended from as ever, within the filter that the conversation has come to. In one without
a single event the best items are those that are rated well by many, as far as its own columns say so, and that are like
the words and pictures of the wish and the history. Unit of work: a batch of messages. Knows nothing about gRPC.
"""

# Axes: N items, Q texts, T dimensions of the text encoder

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from mmrec.channels.content import content_scores
from mmrec.contract.conversation import ConversationTurn, ConverseRequest
from mmrec.contract.engine import Recommend
from mmrec.contract.items import ItemRecord, ScoredItem, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import MmrecError
from mmrec.filters.filter import CatalogueFilter
from mmrec.language.attributes import Attributes, Measure, Vectors
from mmrec.language.dialogue import Dialogue, Wanted
from mmrec.language.parser import WishParser
from mmrec.recommender.artefact import Parts
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec_encoders.item_encoder import Query

Scores = npt.NDArray[np.float64]

WISH_WEIGHT = 0.5
"""Weight of the likeness to a wish beside what speaks for an item otherwise, both in standard deviations."""
_MOST_KEPT = 50_000
_LOOKED_AT = 50
"""Best recommendations among which a wish chooses."""


class TextVectors:
    """Vectors of short texts, each encoded once; shared by the snapshots of a recommender.

    Args:
        encode: Encodes texts.
    """

    def __init__(self, encode: Callable[[Sequence[str]], Vectors]) -> None:
        self._encode = encode
        self._kept: dict[str, Vectors] = {}

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Vectors of some texts. Shape: (Q, T), float32."""
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        made = dict(zip(new, self._encode(new), strict=True)) if new else {}
        found = np.stack([made[text] if text in made else self._kept[text] for text in texts])
        if len(self._kept) + len(made) <= _MOST_KEPT:
            self._kept |= made
        return found


class Conversations:
    """Conversations about one catalogue.

    Args:
        parts: The catalogue, and everything that it is ranked with.
        vectors: Its vectors by modality, and the encoders.
        filters: Conditions over its columns.
        record: Returns a row as clients see it.
        versions: Named in every reply.
        texts: Vectors of short texts; None: its own.
    """

    def __init__(
        self,
        parts: Parts,
        vectors: ModalityVectors,
        filters: CatalogueFilter,
        record: Callable[[int], ItemRecord],
        versions: Versions,
        texts: TextVectors | None = None,
    ) -> None:
        self._parts = parts
        self._vectors = vectors
        self._filters = filters
        self._record = record
        self._versions = versions
        encoder = vectors.encoder
        self.texts = texts or TextVectors(lambda words: encoder.text.encode(words, query=False))
        self._made = threading.Lock()

    def converse_many(
        self, requests: Sequence[ConverseRequest], recommend: Recommend
    ) -> list[ConversationTurn | MmrecError]:
        """Answer messages of several conversations; one that cannot be answered fails alone.

        Args:
            requests: One message each.
            recommend: What is asked for recommendations where the catalogue has events.
        """
        return [outcome(self._turn, request, recommend) for request in requests]

    def _turn(self, request: ConverseRequest, recommend: Recommend) -> ConversationTurn:
        missing = tuple(
            item_id for item_id in dict.fromkeys(request.history) if self._parts.catalogue.last_row_of(item_id) is None
        )
        turn = Dialogue(self._parts.catalogue, self._filters, self.parser()).turn(
            request, partial(self._choose, recommend)
        )
        return ConversationTurn(
            turn.text, turn.items, turn.state, turn.asked_column, missing_ids=missing, versions=self._versions
        )

    def parser(self) -> WishParser:
        """The parser of the catalogue, made when it is first needed."""
        with self._made:
            return self._parser

    @cached_property
    def _parser(self) -> WishParser:
        return WishParser(Attributes(self._parts.catalogue, self.texts, self._filters))

    # --- choosing ----------------------------------------------------------------------------------------------------

    def _choose(self, recommend: Recommend, wanted: Wanted) -> list[ScoredItem]:
        if self._parts.interactions.events:
            request = RecommendRequest(
                wanted.request.history,
                user_id=wanted.request.user_id,
                k=max(wanted.request.k, _LOOKED_AT if _has_wish(wanted) else 1),
                filter=wanted.filter,
                deny=wanted.deny,
            )
            (reply,) = recommend([request])
            if isinstance(reply, MmrecError):
                raise reply
            return self._steered(wanted, reply.items)[: wanted.request.k]
        scores_N = self._scores(wanted)
        rows = np.flatnonzero(self._eligible(wanted))
        best = rows[np.argsort(-scores_N[rows], kind="stable")][: wanted.request.k]
        return [ScoredItem(self._record(int(row)), float(scores_N[row])) for row in best]

    def _eligible(self, wanted: Wanted) -> npt.NDArray[np.bool_]:
        eligible_N = self._filters.bitmap(wanted.filter).copy()
        eligible_N[self._parts.catalogue.rows_of(wanted.deny)] = False
        return eligible_N

    def _scores(self, wanted: Wanted) -> Scores:
        """Scores without events: quality, and likeness to the wish and the history. Shape: (N,), float64."""
        scores_N = _standardised(self._quality_N)
        history = np.array(self._parts.catalogue.rows_of(wanted.request.history), np.int32)
        if len(history):
            like_N = content_scores([history], self._parts.fused_ND, self._parts.channels.content)[0]
            scores_N = scores_N + WISH_WEIGHT * _standardised(like_N.astype(np.float64))
        like_N = self._likeness(wanted)
        if like_N is not None:
            scores_N = scores_N + WISH_WEIGHT * _standardised(like_N)
        return scores_N

    def _steered(self, wanted: Wanted, items: Sequence[ScoredItem]) -> list[ScoredItem]:
        """Recommended items, those that are like the wish first."""
        like_N = self._likeness(wanted)
        rows = [self._parts.catalogue.row_of(scored.item_id) for scored in items]
        if like_N is None or any(row is None for row in rows):  # an item is newer than this snapshot
            return list(items)
        likeness = _standardised(like_N[np.array(rows, np.int64)])
        scores = _standardised(np.array([scored.score for scored in items])) + WISH_WEIGHT * likeness
        return [items[place] for place in np.argsort(-scores, kind="stable")]

    def _likeness(self, wanted: Wanted) -> Scores | None:
        """Cosine of each item and the words and picture of the wish; None without both. Shape: (N,), float64."""
        if not _has_wish(wanted):
            return None
        return self._vectors.likeness(Query(wanted.wish, wanted.request.image, 0.5)).astype(np.float64)

    @cached_property
    def _quality_N(self) -> Scores:
        """How good items are said to be: ratings drawn to their mean where few gave them. Shape: (N,), float64."""
        measures = self.parser().attributes.measures.values()
        rating, votes = _of_quantity(measures, "rating"), _of_quantity(measures, "votes")
        if rating is None:
            return np.zeros(len(self._parts.catalogue)) if votes is None else np.log1p(_filled(votes, 0.0))
        mean = float(np.nanmean(rating.numbers_N))
        ratings_N = _filled(rating, mean)
        if votes is None:
            return ratings_N
        votes_N = np.maximum(_filled(votes, 0.0), 0.0)
        usual = max(1.0, float(np.median(votes_N)))
        return (votes_N * ratings_N + usual * mean) / (votes_N + usual)


def _has_wish(wanted: Wanted) -> bool:
    return bool(wanted.wish.strip()) or wanted.request.image is not None


def _of_quantity(measures: Iterable[Measure], quantity: str) -> Measure | None:
    return next((one for one in measures if any(held.name == quantity for held in one.quantities)), None)


def _filled(measure: Measure, value: float) -> Scores:
    return np.where(np.isnan(measure.numbers_N), value, measure.numbers_N)


def _standardised(values_N: Scores) -> Scores:
    spread = float(values_N.std())
    return (values_N - values_N.mean()) / spread if spread > 1e-9 else np.zeros_like(values_N)
