"""Search and similar items: requests in, exactly min(k, eligible) ranked items out, whatever the filter.

Unit of work: a batch of requests of one kind. Knows nothing about gRPC, customers or ranking. Paging works while the
catalogue changes: each page has the best items of the current catalogue that no earlier page returned; see
`mmrec.recommender.page_tokens`.
"""

# Axes: N items, D fused dimensions, K results, C candidates

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.items import Fallback, FilterMode, ItemRecord, Modality, ScoredItem, Versions
from mmrec.contract.outcomes import outcome
from mmrec.contract.replies import SearchResults
from mmrec.contract.requests import SearchRequest, SimilarRequest
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError, NotFoundError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec.recommender.page_tokens import ReturnedItems, page_by_rank
from mmrec_encoders.item_encoder import Query
from mmrec_encoders.protocols import Vectors

_MOST_CANDIDATES = 2_000
"""Most nearest items that a diverse list is chosen from."""


class _Found(NamedTuple):
    """Rows of a list, best first.

    rows_K: (K,) int64.  scores_K: (K,) cosines.  passing: how many of them pass the filter.  total: length of the list
    without a limit.
    """

    rows_K: npt.NDArray[np.int64]
    scores_K: npt.NDArray[np.float32]
    passing: int
    total: int


class Retriever:
    """Searches one catalogue.

    Args:
        catalogue: The items.
        vectors: Their vectors.
        filters: Conditions over the catalogue's columns.
        record: Gives a row as clients see it.
        versions: Named in every reply.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        vectors: ModalityVectors,
        filters: CatalogueFilter,
        record: Callable[[int], ItemRecord],
        versions: Versions,
    ) -> None:
        self._catalogue = catalogue
        self._vectors = vectors
        self._filters = filters
        self._record = record
        self._versions = versions

    # --- similar --------------------------------------------------------------------------------------------------

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items of several items; the item itself is left out."""
        return [outcome(self._similar, request) for request in requests]

    def _similar(self, request: SimilarRequest) -> SearchResults:
        row = self._row(request.item_id)
        query_D = self._item_vector(row, request.modality)
        wanted = request.k
        if request.diversity > 0:
            wanted = max(wanted, min(10 * request.k, _MOST_CANDIDATES))
        found = self._nearest(query_D, wanted, request.modality, request.filter, request.filter_mode, without=row)
        if request.diversity > 0:
            found = self._diverse(found, request)
        return self._results(found, request.item_fields)

    def _diverse(self, found: _Found, request: SimilarRequest) -> _Found:
        """Items chosen one by one, near the query and different from those before (maximal marginal relevance)."""
        vectors_CD = self._vectors.of(request.modality)[found.rows_K]
        # Items that do not pass the filter stay after all that do.
        parts = [np.arange(found.passing), np.arange(found.passing, len(found.rows_K))]
        chosen: list[int] = []
        closest_C = np.full(len(vectors_CD), -1.0, np.float32)
        for part in parts:
            left = list(part)
            while left and len(chosen) < request.k:
                gain = (1 - request.diversity) * found.scores_K[left]
                if chosen:
                    gain = gain - request.diversity * closest_C[left]
                best = left.pop(int(np.argmax(gain)))
                chosen.append(int(best))
                closest_C = np.maximum(closest_C, vectors_CD @ vectors_CD[best])
        passing = sum(place < found.passing for place in chosen)
        return _Found(found.rows_K[chosen], found.scores_K[chosen], passing, found.total)

    # --- search ---------------------------------------------------------------------------------------------------

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items to words, pictures, items, several of them, or vectors."""
        queries = {
            place: Query(request.text, request.image, request.text_weight)
            for place, request in enumerate(requests)
            if request.text.strip() or request.image
        }
        asked = [place for place in queries if not requests[place].validate_only]
        described: dict[int, Vectors | MmrecError] = {}
        if asked:
            found = self._vectors.encoder.encode_queries([queries[place] for place in asked])
            described |= zip(asked, found, strict=True)
        for place in queries.keys() - described.keys():
            described[place] = self._checked_query(queries[place])
        return [outcome(self._search, request, described.get(place)) for place, request in enumerate(requests)]

    def _checked_query(self, query: Query) -> Vectors | MmrecError:
        """Why a query cannot be encoded; zeros in place of its vector if it can."""
        errors = self._vectors.encoder.query_inputs([query]).errors
        return errors.get(0, np.zeros(self._vectors.fusion.dimension, np.float32))

    def _search(self, request: SearchRequest, described_D: Vectors | MmrecError | None) -> SearchResults:
        if isinstance(described_D, MmrecError):
            raise described_D
        returned, ids = ReturnedItems(request), self._catalogue.item_ids
        row = self._row(request.item_id) if request.item_id else None
        query_D = self._query(request, described_D, row)
        self._filters.check(request.filter)
        if request.validate_only:
            return SearchResults((), self._versions)
        # At most len(returned) of them were on earlier pages, so at least k are new.
        wanted = len(returned) + request.k
        found = self._nearest(query_D, wanted, request.modality, request.filter, request.filter_mode, without=row)
        remaining = (place for place, at in enumerate(found.rows_K.tolist()) if ids[at] not in returned)
        more = len(found.rows_K) < found.total
        page = page_by_rank(
            request, request.k, returned, remaining, lambda place: (ids[found.rows_K[place]],), more=more
        )
        chosen = list(page.entries)
        passing = sum(place < found.passing for place in chosen)
        shown = _Found(found.rows_K[chosen], found.scores_K[chosen], passing, found.total)
        return self._results(shown, request.item_fields, page.next_page_token)

    def _query(self, request: SearchRequest, described_D: Vectors | None, row: int | None) -> Vectors:
        if request.vector:
            return self._checked_vector(request.vector)
        if row is None:
            assert described_D is not None  # ensured by the request
            return described_D
        item_D = self._item_vector(row, request.modality)
        if described_D is None:
            return item_D
        mixed = request.item_weight * item_D + (1.0 - request.item_weight) * described_D
        norm = float(np.linalg.norm(mixed))
        return np.asarray(mixed / norm if norm > 1e-6 else item_D, np.float32)

    def _checked_vector(self, numbers: tuple[float, ...]) -> Vectors:
        dimension = self._vectors.fused_ND.shape[1]
        if len(numbers) != dimension:
            raise InvalidArgumentError(
                f"vector has {len(numbers):,} numbers; the vectors of this catalogue have {dimension}: pass one that "
                "embed returned, of its whole length",
                field="vector",
            )
        vector = np.array(numbers, np.float64)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    # --- shared ---------------------------------------------------------------------------------------------------

    def _row(self, item_id: str) -> int:
        row = self._catalogue.row_of(item_id)
        if row is None:
            raise NotFoundError(
                f"the catalogue has no item {item_id!r}; it holds {self._catalogue.items:,} items, ask with one of "
                "their ids"
            )
        return row

    def _item_vector(self, row: int, modality: Modality) -> Vectors:
        """Vector of one modality of an item. Shape: (D,)."""
        present = self._vectors.present(modality)
        if present is not None and not present[row]:
            if modality is Modality.FUSED:
                raise FailedPreconditionError(
                    f"item {self._catalogue.item_ids[row]!r} has neither words nor a picture, so nothing is like it; "
                    "give it one of them"
                )
            missing = "no picture that could be read" if modality is Modality.PICTURE else "no words"
            raise InvalidArgumentError(
                f"modality is {modality.value} and item {self._catalogue.item_ids[row]!r} has {missing}; compare its "
                "other side, or fused",
                field="modality",
            )
        return np.asarray(self._vectors.of(modality)[row])

    def _nearest(
        self,
        query_D: Vectors,
        k: int,
        modality: Modality,
        condition: str,
        mode: FilterMode,
        *,
        without: int | None = None,
    ) -> _Found:
        """The nearest items that pass the filter; in relaxed mode followed by the nearest others."""
        index = self._vectors.index(modality)
        present = self._vectors.present(modality)
        alive_N = self._filters.bitmap("")
        allowed_N = alive_N.copy() if present is None else alive_N & present
        if without is not None:
            allowed_N[without] = False
        passing_N = allowed_N & self._filters.bitmap(condition) if condition.strip() else allowed_N
        passing = int(np.count_nonzero(passing_N))
        total = passing if mode is FilterMode.STRICT else int(np.count_nonzero(allowed_N))
        query_1D = np.ascontiguousarray(query_D[None], np.float32)
        parts = [index.search(query_1D, k, None if passing == self._vectors.items else passing_N)]
        if passing < min(k, total):
            parts.append(index.search(query_1D, min(k, total) - passing, allowed_N & ~passing_N))
        rows_K = np.concatenate([part.rows_QK[0] for part in parts])
        scores_K = np.concatenate([part.scores_QK[0] for part in parts])
        return _Found(rows_K, scores_K, min(passing, len(rows_K)), total)

    def _results(self, found: _Found, item_fields: tuple[str, ...], token: str = "") -> SearchResults:
        items = tuple(
            ScoredItem(self._record(int(row)).only(item_fields), float(np.clip(score, -1.0, 1.0)))
            for row, score in zip(found.rows_K, found.scores_K, strict=True)
        )
        relaxed = found.passing < len(items)
        return SearchResults(items, self._versions, token, Fallback.FILTER_RELAXED if relaxed else Fallback.NONE)
