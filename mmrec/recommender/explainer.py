"""Explanations in words: the evidence for each recommended item, from the parts of its score and the catalogue.

Unit of work: one customer's list. What is said of the evidence is decided by `mmrec.language`. Knows nothing about
requests.
"""

# Axes: N items, K recommended items, S items of the reference sample, D fused dimensions

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.contract.items import ChannelShare, Modality, Statement, StatementKind
from mmrec.language.shared_values import SharedValues
from mmrec.language.statements import (
    ItemEvidence,
    LikeEvidence,
    SharedEvidence,
    WishEvidence,
    explanation_of,
    ranked_statements,
    wish_evidence,
)
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec.recommender.ranking_model import NEW_ITEM, RankingModel
from mmrec.recommender.steering import INSTRUCTION

_MOST_HISTORY = 50
"""History items, those with the largest parts of the score, in which evidence is looked for."""
_FEWEST_TOGETHER = 3
"""Customers that chose both items, so that a statement is not about single persons."""
_MOST_TRIED = 3
"""History items that are looked at for customers who chose both, and for likeness."""
_REFERENCE = 2_000
"""Most items that a likeness is compared with."""
_ALIKE = 0.95
"""Share of these items that a history item must be less like."""
_POPULAR = 0.8
"""Share of the items with customers that a popular item must exceed."""


class InWords(NamedTuple):
    """An explanation in words.

    Attributes:
        text: A sentence or two; empty where nothing speaks for the item.
        statements: Best first.
    """

    text: str
    statements: tuple[Statement, ...]


class Wish(NamedTuple):
    """A condition that the words of a request became.

    Attributes:
        condition: The condition.
        met_N: Which items meet it. Shape: (N,), bool.
    """

    condition: str
    met_N: npt.NDArray[np.bool_]


class Explainer:
    """Explains recommendations from one catalogue.

    Args:
        ranker: What ranked them.
        vectors: Vectors by modality; None: likeness of pictures and words is not told.
    """

    def __init__(self, ranker: RankingModel, vectors: ModalityVectors | None) -> None:
        self._ranker = ranker
        self._catalogue = ranker.parts.catalogue
        self._interactions = ranker.parts.interactions
        self._vectors = vectors
        self._shared = SharedValues(ranker.parts.catalogue)
        step = max(1, -(-len(self._catalogue) // _REFERENCE))
        self._reference_S = np.arange(0, len(self._catalogue), step)
        self._reference: dict[Modality, npt.NDArray[np.float32]] = {}

    def explain(
        self,
        rows_K: npt.NDArray[np.int64],
        shares: Sequence[tuple[ChannelShare, ...]],
        promoted: Mapping[int, float],
        wished: Sequence[Wish] = (),
    ) -> list[InWords]:
        """Explanations of recommended items.

        Args:
            rows_K: The items. Shape: (K,).
            shares: Parts of each score.
            promoted: What the request's promotions added to the score, by row of each promoted item.
            wished: Conditions that the words of the request became.
        """
        title_of = self._catalogue.title_of
        found = []
        for row, parts in zip(rows_K.tolist(), shares, strict=True):
            statements = ranked_statements(self._evidence(row, parts, promoted.get(row), wished), title_of)
            found.append(InWords(explanation_of(statements), statements))
        return found

    def _evidence(
        self, row: int, parts: Sequence[ChannelShare], promotion: float | None, wished: Sequence[Wish]
    ) -> ItemEvidence:
        own = self._catalogue.item_ids[row]
        by_item: dict[str, float] = defaultdict(float)
        by_channel: dict[str, float] = defaultdict(float)
        by_both: dict[str, dict[str, float]] = defaultdict(dict)
        for part in parts:
            by_channel[part.channel] += part.share
            for share in part.history:
                if share.history_item_id != own:
                    by_item[share.history_item_id] += share.share
                    by_both[part.channel][share.history_item_id] = share.share
        largest = sorted(((item_id, share) for item_id, share in by_item.items() if share > 0), key=lambda x: -x[1])
        history = dict(largest[:_MOST_HISTORY])
        customers = len(self._interactions.users_of(row))
        return ItemEvidence(
            history=history,
            together=self._together(row, _sum(by_both["transitions"], by_both["transitions-wide"])),
            shared=self._shared_values(row, history),
            alike=self._alike(row, by_both["content"], by_both["lexical"]),
            customers=customers,
            popular=customers > self._popular_from,
            popularity=by_channel["popularity"],
            novelty=by_channel[NEW_ITEM] + by_channel["exploration"],
            new=bool(self._ranker.is_new(np.array([row]))[0]) and not customers,
            promoted=promotion is not None,
            promotion=promotion or 0.0,
            wishes=self._wishes(row, wished),
            wish=by_channel[INSTRUCTION],
        )

    def _wishes(self, row: int, wished: Sequence[Wish]) -> list[WishEvidence]:
        if not wished:
            return []
        attributes = self._catalogue.record(row).attributes
        found = [wish_evidence(wish.condition, attributes) for wish in wished if wish.met_N[row]]
        return [one for one in dict.fromkeys(found) if one is not None]

    @cached_property
    def _popular_from(self) -> float:
        customers_N = self._interactions.users_per_item(len(self._catalogue))
        chosen = customers_N[customers_N > 0]
        return float(np.quantile(chosen, _POPULAR)) if len(chosen) else 0.0

    def _together(self, row: int, by_item: Mapping[str, float]) -> tuple[str, int, float] | None:
        """The history item that most customers chose beside this one, of those with the largest parts."""
        best: tuple[str, int, float] | None = None
        for item_id, share in _largest(by_item, _MOST_TRIED):
            other = self._row(item_id)
            both = np.intersect1d(self._interactions.users_of(row), self._interactions.users_of(other), True)
            if len(both) >= _FEWEST_TOGETHER and (best is None or len(both) > best[1]):
                best = item_id, len(both), share
        return best

    def _shared_values(self, row: int, history: Mapping[str, float]) -> list[SharedEvidence]:
        item_ids = {self._row(item_id): item_id for item_id in history}
        return [
            SharedEvidence(
                shared.column,
                shared.value,
                tuple(item_ids[other] for other in shared.rows),
                shared.in_list,
                math.sqrt(shared.rarity * shared.lift),
                sum(history[item_ids[other]] for other in shared.rows),
            )
            for shared in self._shared.of(row, list(item_ids))
        ]

    def _alike(self, row: int, content: Mapping[str, float], lexical: Mapping[str, float]) -> list[LikeEvidence]:
        """For picture and words the history item that is most like the item, if it is very much like it.

        A part of the channel ``content`` rests on picture and words in proportion to their cosines; that of ``lexical``
        rests on words.
        """
        tried = [item_id for item_id, _ in _largest(_sum(content, lexical), _MOST_TRIED)]
        if self._vectors is None or not tried:
            return []
        rows = np.array([row, *(self._row(item_id) for item_id in tried)])
        cosine = {}
        share_alike = {}
        for modality in (Modality.PICTURE, Modality.WORDS):
            vectors = self._vectors.alone(rows, modality)
            cosine[modality] = vectors[1:] @ vectors[0]
            share_alike[modality] = (vectors[1:] @ self._reference_of(modality).T < cosine[modality][:, None]).mean(1)
        positive = {modality: np.maximum(found, 0.0) for modality, found in cosine.items()}
        total = positive[Modality.PICTURE] + positive[Modality.WORDS]
        found = []
        for modality, kind in ((Modality.PICTURE, StatementKind.PICTURE), (Modality.WORDS, StatementKind.WORDS)):
            best = int(np.argmax(share_alike[modality]))
            if share_alike[modality][best] < _ALIKE or positive[modality][best] <= 0:
                continue
            item_id = tried[best]
            share = content.get(item_id, 0.0) * float(positive[modality][best] / total[best])
            if modality is Modality.WORDS:
                share += lexical.get(item_id, 0.0)
            if share > 0:
                found.append(LikeEvidence(kind, item_id, share))
        return found

    def _reference_of(self, modality: Modality) -> npt.NDArray[np.float32]:
        """Vectors of the reference items that have this modality. Shape: (S, D)."""
        if modality not in self._reference and self._vectors is not None:
            vectors_SD = self._vectors.alone(self._reference_S, modality)
            self._reference[modality] = vectors_SD[vectors_SD.any(axis=1)]
        return self._reference[modality]

    def _row(self, item_id: str) -> int:
        row = self._catalogue.last_row_of(item_id)
        assert row is not None, item_id  # a history is made of rows of this catalogue
        return row


def _sum(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    return {item_id: first.get(item_id, 0.0) + second.get(item_id, 0.0) for item_id in {**first, **second}}


def _largest(by_item: Mapping[str, float], most: int) -> list[tuple[str, float]]:
    """The largest parts above 0."""
    positive = [(item_id, share) for item_id, share in by_item.items() if share > 0]
    return sorted(positive, key=lambda one: -one[1])[:most]
