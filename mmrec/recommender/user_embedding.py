"""Customers in the space of items: what they would like, as one vector to search by.

A customer with a history is the mean of the fused vectors of the best items that would be recommended, weighted by the
softmax of their scores. So a vector holds what every channel of the recommender knows: its nearest items contain the
next one more often than those of the mean of the history, with or without decay, or of the items that the LLM expects
(`benchmarks/language_users.py`). Words are a query vector, as in search, and are mixed in by a weight.

Unit of work: one request. Knows nothing about gRPC and ranking.
"""

# Axes: K recommended items, D fused dimensions

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.items import Fallback, ScoredItem, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import Recommendations, UserEmbedding
from mmrec.contract.requests import EmbedUserRequest, RecommendRequest
from mmrec.errors import FailedPreconditionError, MmrecError
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec_encoders.item_encoder import Query
from mmrec_encoders.protocols import Vectors

RECOMMENDED = 10
"""Recommended items that a customer's vector is the mean of."""


class UserEmbedder:
    """Embeds customers in the space of one catalogue's items.

    Args:
        catalogue: The items.
        vectors: Their vectors, and the encoder of words.
        recommend: Recommends items to customers; one entry per request.
        versions: Named in every reply.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        vectors: ModalityVectors,
        recommend: Callable[[Sequence[RecommendRequest]], list[Recommendations | MmrecError]],
        versions: Versions,
    ) -> None:
        self._catalogue = catalogue
        self._vectors = vectors
        self._recommend = recommend
        self._versions = versions

    def embed_many(self, requests: Sequence[EmbedUserRequest]) -> list[UserEmbedding | MmrecError]:
        """Embed several customers; a request that cannot be answered fails alone."""
        asked = [RecommendRequest(one.history, one.user_id, RECOMMENDED) for one in requests]
        return [
            outcome(self._embed, request, found)
            for request, found in zip(requests, self._recommend(asked), strict=True)
        ]

    def _embed(self, request: EmbedUserRequest, found: Recommendations | MmrecError) -> UserEmbedding:
        if isinstance(found, MmrecError):
            raise found
        fusion = self._vectors.fusion
        fusion.check_dimension(request.dimension)
        words_D = self._vectors.query(Query(request.text)) if request.text.strip() else None
        known = found.fallback is Fallback.NONE
        if words_D is None:
            vector_D = self._liked(found.items)
        elif not known:
            vector_D = words_D
        else:
            mixed_D = (1 - request.text_weight) * self._liked(found.items) + request.text_weight * words_D
            vector_D = _unit(mixed_D) if np.linalg.norm(mixed_D) > 1e-6 else words_D
        fallback = Fallback.NONE if known or words_D is not None else Fallback.POPULARITY
        if request.dimension:
            vector_D = fusion.shorten(vector_D[None], request.dimension)[0]
        return UserEmbedding(vector_D, found.missing_ids, fallback, self._versions)

    def _liked(self, items: Sequence[ScoredItem]) -> Vectors:
        """The mean of recommended items, weighted by the softmax of their scores. Shape: (D,), unit norm."""
        rows_K = np.array([self._catalogue.row_of(scored.item_id) for scored in items], np.int64)
        scores_K = np.array([scored.score for scored in items], np.float64)
        if len(rows_K):
            weights_K = np.exp(scores_K - scores_K.max())
            mean_D = weights_K @ self._vectors.fused_ND[rows_K]
            if np.linalg.norm(mean_D) > 1e-6:
                return _unit(mean_D)
        raise FailedPreconditionError(
            "no item that would be recommended to this customer has a vector; pass a shorter history, or text"
        )


def _unit(vector_D: np.ndarray) -> Vectors:
    return np.asarray(vector_D / np.linalg.norm(vector_D), np.float32)
