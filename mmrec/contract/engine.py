"""What answers requests: the protocol that `mmrec.Recommender` implements and the server serves.

Knows nothing of protobuf, torch or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.replies import (
    DuplicateGroups,
    EmbedResults,
    ItemLookup,
    ItemPage,
    Mismatches,
    Recommendations,
    ResolvedPaths,
    SearchResults,
    SemanticIds,
    ServiceInfo,
    TagResults,
)
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    ListItemsRequest,
    MismatchRequest,
    RecommendRequest,
    ResolveRequest,
    SearchRequest,
    SemanticIdsRequest,
    SimilarRequest,
    TagRequest,
)
from mmrec.errors import MmrecError


class Questions(Protocol):
    """Requests that one state of a catalogue, or the current state of an engine, answers.

    The batch law: each list call returns one entry per request, in the same order, and an entry is either the result
    or the error of that request alone. All entries of one call are from one state, which each of them names. Calls may
    come from one thread at a time only.
    """

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        """Recommend for several customers at once."""
        ...

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items of several items at once."""
        ...

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        """Several searches at once."""
        ...

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        """Several embedding batches at once."""
        ...

    def tag_many(self, requests: Sequence[TagRequest]) -> list[TagResults | MmrecError]:
        """Labels for several batches of items at once. A request without items makes its labels ready, in part."""
        ...

    def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
        """Things that are in the catalogue twice."""
        ...

    def mismatches_many(self, requests: Sequence[MismatchRequest]) -> list[Mismatches | MmrecError]:
        """Items whose picture and words do not agree."""
        ...

    def list_items_many(self, requests: Sequence[ListItemsRequest]) -> list[ItemPage | MmrecError]:
        """Pages of the catalogue."""
        ...

    def semantic_ids_many(self, requests: Sequence[SemanticIdsRequest]) -> list[SemanticIds | MmrecError]:
        """The semantic IDs of items."""
        ...

    def resolve_many(self, requests: Sequence[ResolveRequest]) -> list[ResolvedPaths | MmrecError]:
        """The items of semantic IDs."""
        ...

    def items_many(self, requests: Sequence[Sequence[str]]) -> list[ItemLookup | MmrecError]:
        """Catalogue rows by id, in the asked order, for several lists of ids."""
        ...

    def info(self) -> ServiceInfo:
        """What is served."""
        ...


class Engine(Questions, Protocol):
    """What the server serves; `mmrec.Recommender` is one. Calls may come from one thread at a time only."""

    def upsert_many(self, requests: Sequence[UpsertRequest]) -> list[ChangeResults | MmrecError]:
        """Several changes by items that come or are replaced, one after the other."""
        ...

    def delete_many(self, requests: Sequence[DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Several changes by items that go, one after the other."""
        ...

    def snapshot(self) -> Questions:
        """The engine as it is now: what it answers stays the same, and names the same versions, whatever changes."""
        ...
