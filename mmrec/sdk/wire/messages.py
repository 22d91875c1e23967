"""Requests and replies as messages, both ways: recommending, embedding, items, the service itself.

Unit of work: one message. A request that sets a field which is not built yet is refused here. In a batch, an
entry that cannot be read becomes its own error, told with its place: ``items[17].image``.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmrec.contract.items import ItemFailure, NumberFormat
from mmrec.contract.replies import EmbedResults, ItemEmbedding, ItemLookup, Recommendations, ServiceInfo
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.contract.rules import Ids
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.batches import EmbedBatch, RecommendBatch, prefixed
from mmrec.sdk.wire.reading import read_each, refuse_not_built
from mmrec.sdk.wire.status import error_from_status, error_to_status
from mmrec.sdk.wire.values import (
    fallback_from_wire,
    fallback_to_wire,
    filter_mode_from_wire,
    filter_mode_to_wire,
    item_from_wire,
    item_input_to_wire,
    item_inputs_from_wire,
    item_to_wire,
    modality_from_wire,
    modality_to_wire,
    pack_vector,
    scored_item_from_wire,
    scored_item_to_wire,
    semantic_id_to_wire,
    unpack_vector,
    versions_from_wire,
    versions_to_wire,
)
from mmrec.v1 import common_pb2, item_pb2, recommendation_pb2, system_pb2, understanding_pb2

# --- recommending -------------------------------------------------------------------------------------------


def recommend_request_to_wire(request: RecommendRequest) -> recommendation_pb2.RecommendRequest:
    """`RecommendRequest` as a message."""
    return recommendation_pb2.RecommendRequest(
        history=request.history,
        user_id=request.user_id,
        k=request.k,
        allow=request.allow,
        deny=request.deny,
        include_seen=request.include_seen,
        beam_width=request.beam_width,
        explain=request.explain,
        filter=request.filter,
        filter_mode=filter_mode_to_wire(request.filter_mode),
        diversity=request.diversity,
        exploration=request.exploration,
        exploration_column=request.exploration_column,
        exploration_max_age_days=request.exploration_max_age_days,
        popularity_damping=request.popularity_damping,
        promotions=[
            recommendation_pb2.Promotion(
                item_ids=promotion.item_ids,
                filter=promotion.filter,
                min_share=promotion.min_share,
                boost=promotion.boost,
            )
            for promotion in request.promotions
        ],
    )


def recommend_request_from_wire(message: recommendation_pb2.RecommendRequest, where: str = "") -> RecommendRequest:
    """`RecommendRequest` from a message.

    Raises:
        InvalidArgumentError: a value breaks a rule.
        NotImplementedYetError: a field of `FIELDS_NOT_BUILT` is set; the message names it after `where`.
    """
    refuse_not_built(message, where)
    return RecommendRequest(
        history=message.history,
        user_id=message.user_id,
        k=message.k,
        allow=message.allow,
        deny=message.deny,
        include_seen=message.include_seen,
        beam_width=message.beam_width,
        explain=message.explain,
        filter=message.filter,
        filter_mode=filter_mode_from_wire(message.filter_mode),
        diversity=message.diversity,
        exploration=message.exploration,
        exploration_column=message.exploration_column,
        exploration_max_age_days=message.exploration_max_age_days,
        popularity_damping=message.popularity_damping,
        promotions=tuple(_promotion_from_wire(entry, i) for i, entry in enumerate(message.promotions)),
    )


def _promotion_from_wire(message: recommendation_pb2.Promotion, place: int) -> Promotion:
    try:
        return Promotion(message.item_ids, message.filter, message.min_share, message.boost)
    except MmrecError as err:
        raise prefixed(err, f"promotions[{place}]") from None


def recommendations_to_wire(reply: Recommendations) -> recommendation_pb2.RecommendResponse:
    """`Recommendations` as a message."""
    return recommendation_pb2.RecommendResponse(
        recommendation_id=reply.recommendation_id,
        items=[scored_item_to_wire(scored) for scored in reply.items],
        missing_ids=reply.missing_ids,
        fallback=fallback_to_wire(reply.fallback),
        versions=versions_to_wire(reply.versions),
    )


def recommendations_from_wire(message: recommendation_pb2.RecommendResponse) -> Recommendations:
    """`Recommendations` from a message. A fallback this version does not know is read as NONE."""
    return Recommendations(
        recommendation_id=message.recommendation_id,
        items=tuple(scored_item_from_wire(scored) for scored in message.items),
        missing_ids=tuple(message.missing_ids),
        fallback=fallback_from_wire(message.fallback),
        versions=versions_from_wire(message.versions),
    )


def recommend_batch_to_wire(batch: RecommendBatch) -> recommendation_pb2.BatchRecommendRequest:
    """`RecommendBatch` as a message; entries that are already refused are left out."""
    return recommendation_pb2.BatchRecommendRequest(
        requests=[recommend_request_to_wire(request) for request in batch.split()]
    )


def recommend_batch_from_wire(message: recommendation_pb2.BatchRecommendRequest) -> RecommendBatch:
    """`RecommendBatch` from a message; a bad request becomes its error, told as ``requests[3].k``.

    Raises:
        InvalidArgumentError: there are too many.
    """
    RecommendBatch(message.requests)  # refused by its length before anything is read
    return RecommendBatch(tuple(read_each(message.requests, "requests", recommend_request_from_wire)))


def recommend_results_to_wire(
    results: Sequence[Recommendations | MmrecError],
) -> recommendation_pb2.BatchRecommendResponse:
    """One entry per request: a list, or the status of what refused it."""
    result = recommendation_pb2.BatchRecommendResult
    return recommendation_pb2.BatchRecommendResponse(
        results=[
            result(error=error_to_status(entry))
            if isinstance(entry, MmrecError)
            else result(response=recommendations_to_wire(entry))
            for entry in results
        ]
    )


def recommend_results_from_wire(
    message: recommendation_pb2.BatchRecommendResponse,
) -> list[Recommendations | MmrecError]:
    """One entry per request: a list, or the error that refused it."""
    return [
        error_from_status(entry.error)
        if entry.WhichOneof("result") == "error"
        else recommendations_from_wire(entry.response)
        for entry in message.results
    ]


# --- embedding ----------------------------------------------------------------------------------------------


_DTYPE_TO_WIRE = {
    NumberFormat.FLOAT32: common_pb2.DTYPE_FLOAT32,
    NumberFormat.FLOAT16: common_pb2.DTYPE_FLOAT16,
    NumberFormat.BFLOAT16: common_pb2.DTYPE_BFLOAT16,
}
_DTYPE_FROM_WIRE = {number: dtype for dtype, number in _DTYPE_TO_WIRE.items()}


def embed_batch_to_wire(batch: EmbedBatch) -> understanding_pb2.EmbedItemsRequest:
    """`EmbedBatch` as a message; items that are already refused are left out."""
    good = [item for item in batch.items if not isinstance(item, ItemFailure)]
    return understanding_pb2.EmbedItemsRequest(
        items=[item_input_to_wire(item) for item in good],
        dimension=batch.dimension,
        modality=modality_to_wire(batch.modality),
        dtype=_DTYPE_TO_WIRE[batch.dtype],
    )


def embed_batch_from_wire(message: understanding_pb2.EmbedItemsRequest) -> EmbedBatch:
    """`EmbedBatch` from a message; a bad item becomes its failure, told as ``items[17].image``.

    Raises:
        InvalidArgumentError: there are too many, the dimension is not a length, or the dtype or the modality is none.
        NotImplementedYetError: a field of `FIELDS_NOT_BUILT` is set.
    """
    refuse_not_built(message)
    if message.dtype not in (common_pb2.DTYPE_UNSPECIFIED, *_DTYPE_FROM_WIRE):
        raise InvalidArgumentError(f"dtype is {message.dtype}; it must be one of mmrec.v1.DType", field="dtype")
    dtype = _DTYPE_FROM_WIRE.get(message.dtype, NumberFormat.FLOAT32)
    modality = modality_from_wire(message.modality)
    EmbedBatch(message.items, message.dimension)  # refused by its length before anything is read
    return EmbedBatch(item_inputs_from_wire(message.items), message.dimension, modality, dtype)


def embed_results_to_wire(results: EmbedResults) -> understanding_pb2.EmbedItemsResponse:
    """`EmbedResults` as a message."""
    return understanding_pb2.EmbedItemsResponse(
        results=[_embed_result_to_wire(entry, results.dtype) for entry in results.items],
        versions=versions_to_wire(results.versions),
    )


def _embed_result_to_wire(entry: ItemEmbedding | ItemFailure, dtype: NumberFormat) -> understanding_pb2.EmbedItemResult:
    if isinstance(entry, ItemFailure):
        return understanding_pb2.EmbedItemResult(item_id=entry.item_id, error=error_to_status(entry.error))
    embedding = understanding_pb2.ItemEmbedding(
        vector=pack_vector(entry.vector, _DTYPE_TO_WIRE[dtype]), semantic_id=semantic_id_to_wire(entry.semantic_id)
    )
    return understanding_pb2.EmbedItemResult(item_id=entry.item_id, embedding=embedding)


def embed_results_from_wire(message: understanding_pb2.EmbedItemsResponse) -> EmbedResults:
    """`EmbedResults` from a message. The number format is that of the first vector.

    Raises:
        InvalidArgumentError: a vector cannot be read.
    """
    sent = [entry.embedding.vector.dtype for entry in message.results if entry.WhichOneof("result") == "embedding"]
    return EmbedResults(
        items=tuple(
            ItemFailure(entry.item_id, error_from_status(entry.error))
            if entry.WhichOneof("result") == "error"
            else ItemEmbedding(
                entry.item_id,
                unpack_vector(entry.embedding.vector),
                tuple(entry.embedding.semantic_id.codes),
            )
            for entry in message.results
        ),
        versions=versions_from_wire(message.versions),
        dtype=_DTYPE_FROM_WIRE.get(sent[0], NumberFormat.FLOAT32) if sent else NumberFormat.FLOAT32,
    )


# --- items and the service itself ---------------------------------------------------------------------------


def item_ids_to_wire(item_ids: Sequence[str]) -> item_pb2.GetItemsRequest:
    """Ids to look up, as a message."""
    return item_pb2.GetItemsRequest(item_ids=item_ids)


def item_ids_from_wire(message: item_pb2.GetItemsRequest) -> tuple[str, ...]:
    """Ids to look up, from a message.

    Raises:
        InvalidArgumentError: there are too many, or one is too long.
        NotImplementedYetError: a field of `FIELDS_NOT_BUILT` is set.
    """
    refuse_not_built(message)
    return Ids().check(message.item_ids, "item_ids")


def item_lookup_to_wire(found: ItemLookup) -> item_pb2.GetItemsResponse:
    """`ItemLookup` as a message."""
    return item_pb2.GetItemsResponse(
        items=[item_to_wire(item) for item in found.items],
        missing_ids=found.missing_ids,
        versions=versions_to_wire(found.versions),
    )


def item_lookup_from_wire(message: item_pb2.GetItemsResponse) -> ItemLookup:
    """`ItemLookup` from a message."""
    return ItemLookup(
        items=tuple(item_from_wire(item) for item in message.items),
        missing_ids=tuple(message.missing_ids),
        versions=versions_from_wire(message.versions),
    )


def info_request_to_wire(_: None) -> system_pb2.GetServiceInfoRequest:
    """The request for `ServiceInfo`, which says nothing."""
    return system_pb2.GetServiceInfoRequest()


def info_request_from_wire(_: system_pb2.GetServiceInfoRequest) -> None:
    """The request for `ServiceInfo`, which says nothing."""


def info_to_wire(info: ServiceInfo) -> system_pb2.GetServiceInfoResponse:
    """`ServiceInfo` as a message."""
    return system_pb2.GetServiceInfoResponse(
        info=system_pb2.ServiceInfo(
            name=info.name,
            versions=versions_to_wire(info.versions),
            items=info.items,
            users=info.users,
            dimension=info.dimension,
            prefixes=info.prefixes,
            levels=info.levels,
            codebook_size=info.codebook_size,
            device=info.device,
            preset=info.preset,
            codebook_versions=info.codebook_versions,
        )
    )


def info_from_wire(message: system_pb2.GetServiceInfoResponse) -> ServiceInfo:
    """`ServiceInfo` from a message."""
    info = message.info
    return ServiceInfo(
        name=info.name,
        versions=versions_from_wire(info.versions),
        items=info.items,
        users=info.users,
        dimension=info.dimension,
        prefixes=tuple(info.prefixes),
        levels=info.levels,
        codebook_size=info.codebook_size,
        device=info.device,
        preset=info.preset,
        codebook_versions=tuple(info.codebook_versions),
    )
