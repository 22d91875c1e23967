"""The calls of the SDK without any I/O: from keyword arguments to requests.

Unit of work: one call. `Client` and `AsyncClient` use these functions before they send something, and `EngineCalls`
gives the same methods, in process, to any class that implements `mmrec.contract.types.Engine`. Knows nothing of
protobuf, gRPC or models.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TypeVar

from mmrec.contract.changes import ChangeResults, DeleteRequest
from mmrec.contract.field_mask import checked_field_mask
from mmrec.contract.items import FilterMode, ItemFailure, ItemInput, ItemLookup, Modality
from mmrec.contract.lookups import (
    ItemPage,
    ListItemsRequest,
    ResolvedPaths,
    ResolveRequest,
    SemanticIds,
    SemanticIdsRequest,
)
from mmrec.contract.promotions import Promotion
from mmrec.contract.questions import (
    DuplicateGroups,
    DuplicatesRequest,
    Mismatches,
    MismatchRequest,
    SearchRequest,
    SearchResults,
    SimilarRequest,
    TagRequest,
    TagResults,
)
from mmrec.contract.rules import DEFAULT_K, DEFAULT_PAGE, DEFAULT_TAGS, checked_item_ids, read_picture
from mmrec.contract.types import EmbedResults, Engine, NumberFormat, Recommendations, RecommendRequest
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.batches import (
    EmbedBatch,
    RecommendBatch,
    SearchBatch,
    SimilarBatch,
    TagBatch,
    UpsertBatch,
    only,
    prefixed,
)

T = TypeVar("T")

_ITEM_FIELDS = tuple(field.name for field in fields(ItemInput))


# --- from keyword arguments to requests ---------------------------------------------------------------------


def recommend_batch(requests: Iterable[RecommendRequest]) -> RecommendBatch:
    """Requests for several customers.

    Raises:
        InvalidArgumentError: an entry is no `RecommendRequest`, or there are more than `MAX_BATCH`.
    """
    return RecommendBatch(_of_kind(requests, RecommendRequest))


def search_batch(requests: Iterable[SearchRequest]) -> SearchBatch:
    """Several searches.

    Raises:
        InvalidArgumentError: an entry is no `SearchRequest`, or there are more than `MAX_BATCH`.
    """
    return SearchBatch(_of_kind(requests, SearchRequest))


def similar_batch(requests: Iterable[SimilarRequest]) -> SimilarBatch:
    """Several items to find others like.

    Raises:
        InvalidArgumentError: an entry is no `SimilarRequest`, or there are more than `MAX_BATCH`.
    """
    return SimilarBatch(_of_kind(requests, SimilarRequest))


def _of_kind(requests: Iterable[T], kind: type[T]) -> tuple[T, ...]:
    batch = tuple(requests)
    for i, request in enumerate(batch):
        if not isinstance(request, kind):
            raise InvalidArgumentError(
                f"requests[{i}] is a {type(request).__name__}; pass mmrec.{kind.__name__} values",
                field=f"requests[{i}]",
            )
    return batch


def recommend_request(
    history: Iterable[str],
    user_id: str,
    k: int,
    allow: Iterable[str],
    deny: Iterable[str],
    include_seen: bool,
    filter: str,
    filter_mode: FilterMode | str,
    diversity: float,
    exploration: float,
    exploration_column: str,
    exploration_max_age_days: float,
    popularity_damping: float,
    promotions: Iterable[Promotion],
    explain: bool,
) -> RecommendRequest:
    """A request for one customer; the lists may be any iterables.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    return RecommendRequest(
        history=history,  # type: ignore[arg-type]  # the request makes tuples, and says what is wrong
        user_id=user_id,
        k=k,
        allow=allow,  # type: ignore[arg-type]
        deny=deny,  # type: ignore[arg-type]
        include_seen=include_seen,
        explain=explain,
        filter=filter,
        filter_mode=filter_mode,  # type: ignore[arg-type]
        diversity=diversity,
        exploration=exploration,
        exploration_column=exploration_column,
        exploration_max_age_days=exploration_max_age_days,
        popularity_damping=popularity_damping,
        promotions=promotions,  # type: ignore[arg-type]
    )


def search_request(
    text: str,
    image: bytes | str | os.PathLike[str] | None,
    text_weight: float,
    item_id: str,
    item_weight: float,
    vector: Iterable[float] | None,
    k: int,
    modality: Modality | str,
    filter: str,
    filter_mode: FilterMode | str,
    page_token: str,
    item_fields: Iterable[str],
) -> SearchRequest:
    """A search by words, by a picture given as bytes or as a path, by an item, by several of them, or by a vector.

    Raises:
        InvalidArgumentError: nothing to search by, or a value breaks a rule.
        NotFoundError: the picture file cannot be read.
    """
    return SearchRequest(
        text=text,
        image=read_picture(image),
        text_weight=text_weight,
        k=k,
        item_id=item_id,
        item_weight=item_weight,
        vector=() if vector is None else vector,  # type: ignore[arg-type]  # the request makes tuples and members
        modality=modality,  # type: ignore[arg-type]
        filter=filter,
        filter_mode=filter_mode,  # type: ignore[arg-type]
        page_token=page_token,
        item_fields=item_fields,  # type: ignore[arg-type]
    )


def similar_request(
    item_id: str,
    k: int,
    modality: Modality | str,
    filter: str,
    filter_mode: FilterMode | str,
    diversity: float,
    item_fields: Iterable[str],
) -> SimilarRequest:
    """A request for items like another.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    return SimilarRequest(
        item_id=item_id,
        k=k,
        modality=modality,  # type: ignore[arg-type]  # the request makes tuples and members
        filter=filter,
        filter_mode=filter_mode,  # type: ignore[arg-type]
        diversity=diversity,
        item_fields=item_fields,  # type: ignore[arg-type]
    )


def tag_batch(
    items: Iterable[ItemInput | Mapping[str, object]],
    item_ids: Iterable[str],
    labels: Iterable[str],
    column: str,
    templates: Iterable[str],
    k: int,
    min_score: float,
    modality: Modality | str,
) -> TagBatch:
    """Items to tag. A described one that breaks a rule keeps its place as an `ItemFailure`; the others are done.

    Raises:
        InvalidArgumentError: a value breaks a rule, or there are too many items.
    """
    question = TagRequest(
        labels=labels,  # type: ignore[arg-type]  # the request makes tuples and members
        column=column,
        templates=templates,  # type: ignore[arg-type]
        k=k,
        min_score=min_score,
        modality=modality,  # type: ignore[arg-type]
    )
    return TagBatch(question, _item_inputs(items), checked_item_ids(item_ids))  # type: ignore[arg-type]


def duplicates_request(
    item_ids: Iterable[str],
    min_similarity: float | None,
    filter: str,
    modality: Modality | str,
    page_size: int,
    page_token: str,
) -> DuplicatesRequest:
    """A request for things that are in the catalogue twice.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    return DuplicatesRequest(
        item_ids=item_ids,  # type: ignore[arg-type]  # the request makes tuples and members
        min_similarity=min_similarity,
        filter=filter,
        modality=modality,  # type: ignore[arg-type]
        page_size=page_size,
        page_token=page_token,
    )


def mismatch_request(
    item_ids: Iterable[str],
    max_agreement: float | None,
    filter: str,
    page_size: int,
    page_token: str,
    item_fields: Iterable[str],
) -> MismatchRequest:
    """A request for items whose picture and words do not agree.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    return MismatchRequest(
        item_ids=item_ids,  # type: ignore[arg-type]  # the request makes tuples
        max_agreement=max_agreement,
        filter=filter,
        page_size=page_size,
        page_token=page_token,
        item_fields=item_fields,  # type: ignore[arg-type]
    )


def list_items_request(filter: str, page_size: int, page_token: str, item_fields: Iterable[str]) -> ListItemsRequest:
    """A request for a page of the catalogue.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    return ListItemsRequest(
        filter=filter,
        page_size=page_size,
        page_token=page_token,
        item_fields=item_fields,  # type: ignore[arg-type]  # the request makes tuples
    )


def semantic_ids_request(item_ids: Iterable[str], codebook_version: str) -> SemanticIdsRequest:
    """A request for the semantic IDs of items.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    return SemanticIdsRequest(item_ids, codebook_version)  # type: ignore[arg-type]  # the request makes tuples


def resolve_request(semantic_ids: Iterable[Iterable[int]], page_size: int, codebook_version: str) -> ResolveRequest:
    """A request for the items of semantic IDs.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    return ResolveRequest(semantic_ids, page_size, codebook_version)  # type: ignore[arg-type]  # it makes tuples


def embed_batch(
    items: Iterable[ItemInput | Mapping[str, object]],
    dimension: int,
    modality: Modality | str = Modality.FUSED,
    dtype: NumberFormat | str = NumberFormat.FLOAT32,
) -> EmbedBatch:
    """Items to embed. One that breaks a rule keeps its place as an `ItemFailure`; the others are done.

    Raises:
        InvalidArgumentError: an entry is neither an `ItemInput` nor a mapping of its fields, or there are too
            many.
    """
    return EmbedBatch(_item_inputs(items), dimension, modality, dtype)  # type: ignore[arg-type]


def upsert_batch(
    items: Iterable[ItemInput | Mapping[str, object]],
    request_id: str,
    validate_only: bool,
    wait_until_visible: bool,
    fields: Iterable[str] = (),
) -> UpsertBatch:
    """Items that come. One that breaks a rule keeps its place as an `ItemFailure`; the others are done.

    Raises:
        InvalidArgumentError: an entry is neither an `ItemInput` nor a mapping of its fields, there are too many, or
            another value breaks a rule.
    """
    names = checked_field_mask(fields)
    return UpsertBatch(_item_inputs(items), request_id, validate_only, wait_until_visible, names)


def delete_request(item_ids: Iterable[str], request_id: str, validate_only: bool) -> DeleteRequest:
    """Items that go.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    return DeleteRequest(item_ids, request_id, validate_only)  # type: ignore[arg-type]  # the request makes tuples


def _item_inputs(items: Iterable[ItemInput | Mapping[str, object]]) -> tuple[ItemInput | ItemFailure, ...]:
    if isinstance(items, str | bytes | Mapping | ItemInput):
        raise InvalidArgumentError(f"items is a {type(items).__name__}; pass a list of items", field="items")
    return tuple(_item_input(item, f"items[{i}]") for i, item in enumerate(items))


def _item_input(item: ItemInput | Mapping[str, object], where: str) -> ItemInput | ItemFailure:
    if isinstance(item, ItemInput):
        return item
    if not isinstance(item, Mapping):
        raise InvalidArgumentError(
            f"{where} is a {type(item).__name__}; pass an ItemInput or a mapping with its fields", field=where
        )
    unknown = [name for name in item if name not in _ITEM_FIELDS]
    if unknown:
        raise InvalidArgumentError(
            f"{where} has the field {unknown[0]!r}; an item has {', '.join(_ITEM_FIELDS)}: "
            "put other columns into attributes",
            field=where,
        )
    try:
        return ItemInput(**item)  # type: ignore[arg-type]  # ItemInput checks its own values
    except MmrecError as err:
        item_id = item.get("item_id", "")
        return ItemFailure(item_id if isinstance(item_id, str) else "", prefixed(err, where))


# --- the same methods in process ----------------------------------------------------------------------------


class EngineCalls:
    """The methods of `Client`, in process, for a class that implements `Engine`.

    `recommend_many`, `search_many`, `similar_many` and `info` are the engine's own. There is no deadline: the work is
    done by the caller's thread.
    """

    __slots__ = ()

    def recommend(
        self: Engine,
        history: Iterable[str] = (),
        *,
        user_id: str = "",
        k: int = DEFAULT_K,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        include_seen: bool = False,
        filter: str = "",
        filter_mode: FilterMode | str = FilterMode.STRICT,
        diversity: float = 0.0,
        exploration: float = 0.0,
        exploration_column: str = "",
        exploration_max_age_days: float = 0.0,
        popularity_damping: float = 0.0,
        promotions: Iterable[Promotion] = (),
        explain: bool = False,
    ) -> Recommendations:
        """Recommend items to one customer; see `Client.recommend`."""
        request = recommend_request(
            history,
            user_id,
            k,
            allow,
            deny,
            include_seen,
            filter,
            filter_mode,
            diversity,
            exploration,
            exploration_column,
            exploration_max_age_days,
            popularity_damping,
            promotions,
            explain,
        )
        return only(self.recommend_many([request]))

    def similar(
        self: Engine,
        item_id: str,
        k: int = DEFAULT_K,
        *,
        modality: Modality | str = Modality.FUSED,
        filter: str = "",
        filter_mode: FilterMode | str = FilterMode.STRICT,
        diversity: float = 0.0,
        item_fields: Iterable[str] = (),
    ) -> SearchResults:
        """Items nearest to an item of the catalogue; see `Client.similar`."""
        request = similar_request(item_id, k, modality, filter, filter_mode, diversity, item_fields)
        return only(self.similar_many([request]))

    def search(
        self: Engine,
        text: str = "",
        *,
        image: bytes | str | os.PathLike[str] | None = None,
        text_weight: float = 0.5,
        item_id: str = "",
        item_weight: float = 0.5,
        vector: Iterable[float] | None = None,
        k: int = DEFAULT_K,
        modality: Modality | str = Modality.FUSED,
        filter: str = "",
        filter_mode: FilterMode | str = FilterMode.STRICT,
        page_token: str = "",
        item_fields: Iterable[str] = (),
    ) -> SearchResults:
        """Items nearest to words, to a picture, to an item, or to several of them; see `Client.search`."""
        request = search_request(
            text,
            image,
            text_weight,
            item_id,
            item_weight,
            vector,
            k,
            modality,
            filter,
            filter_mode,
            page_token,
            item_fields,
        )
        return only(self.search_many([request]))

    def embed(
        self: Engine,
        items: Iterable[ItemInput | Mapping[str, object]],
        dimension: int = 0,
        *,
        modality: Modality | str = Modality.FUSED,
        dtype: NumberFormat | str = NumberFormat.FLOAT32,
    ) -> EmbedResults:
        """Fused embeddings and semantic IDs of items; see `Client.embed`."""
        batch = embed_batch(items, dimension, modality, dtype)
        parts = batch.split()
        return batch.join(self.embed_many(parts) if parts else [])

    def tag(
        self: Engine,
        items: Iterable[ItemInput | Mapping[str, object]] = (),
        *,
        item_ids: Iterable[str] = (),
        labels: Iterable[str] = (),
        column: str = "",
        templates: Iterable[str] = (),
        k: int = DEFAULT_TAGS,
        min_score: float = 0.0,
        modality: Modality | str = Modality.FUSED,
    ) -> TagResults:
        """Labels that fit items, with probabilities; see `Client.tag`."""
        batch = tag_batch(items, item_ids, labels, column, templates, k, min_score, modality)
        parts = batch.split()
        return batch.join(self.tag_many(parts) if parts else [])

    def duplicates(
        self: Engine,
        item_ids: Iterable[str] = (),
        *,
        min_similarity: float | None = None,
        filter: str = "",
        modality: Modality | str = Modality.FUSED,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
    ) -> DuplicateGroups:
        """Things that are in the catalogue twice; see `Client.duplicates`."""
        request = duplicates_request(item_ids, min_similarity, filter, modality, page_size, page_token)
        return only(self.duplicates_many([request]))

    def mismatches(
        self: Engine,
        item_ids: Iterable[str] = (),
        *,
        max_agreement: float | None = None,
        filter: str = "",
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
        item_fields: Iterable[str] = (),
    ) -> Mismatches:
        """Items whose picture and words do not agree; see `Client.mismatches`."""
        request = mismatch_request(item_ids, max_agreement, filter, page_size, page_token, item_fields)
        return only(self.mismatches_many([request]))

    def upsert_items(
        self: Engine,
        items: Iterable[ItemInput | Mapping[str, object]],
        *,
        request_id: str = "",
        validate_only: bool = False,
        wait_until_visible: bool = False,
        fields: Iterable[str] = (),
    ) -> ChangeResults:
        """Add items, or put them in place of those of the same id; see `Client.upsert_items`."""
        batch = upsert_batch(items, request_id, validate_only, wait_until_visible, fields)
        parts = batch.split()
        return batch.join(self.upsert_many(parts) if parts else [])

    def delete_items(
        self: Engine, item_ids: Iterable[str], *, request_id: str = "", validate_only: bool = False
    ) -> ChangeResults:
        """Remove items; see `Client.delete_items`."""
        request = delete_request(item_ids, request_id, validate_only)
        if not request.item_ids:
            return ChangeResults((), request_id=request_id)
        return only(self.delete_many([request]))

    def items(self: Engine, item_ids: Sequence[str]) -> ItemLookup:
        """Catalogue rows by id; see `Client.items`."""
        return only(self.items_many([checked_item_ids(item_ids)]))

    def list_items(
        self: Engine,
        filter: str = "",
        *,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
        item_fields: Iterable[str] = (),
    ) -> ItemPage:
        """A page of the catalogue; see `Client.list_items`."""
        return only(self.list_items_many([list_items_request(filter, page_size, page_token, item_fields)]))

    def semantic_ids(self: Engine, item_ids: Iterable[str], *, codebook_version: str = "") -> SemanticIds:
        """Semantic IDs of items; see `Client.semantic_ids`."""
        return only(self.semantic_ids_many([semantic_ids_request(item_ids, codebook_version)]))

    def resolve_semantic_ids(
        self: Engine,
        semantic_ids: Iterable[Iterable[int]],
        *,
        page_size: int = DEFAULT_K,
        codebook_version: str = "",
    ) -> ResolvedPaths:
        """Items of semantic IDs; see `Client.resolve_semantic_ids`."""
        return only(self.resolve_many([resolve_request(semantic_ids, page_size, codebook_version)]))
