"""Questions about a catalogue and their replies as messages, both ways: search, similar, tag, duplicates, mismatches.

Unit of work: one message. A request that sets a field which is not built yet is refused here. In a batch, an entry that
cannot be read becomes its own error, told with its place: ``requests[3].filter``.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmrec.contract.items import Evidence, ItemFailure
from mmrec.contract.replies import (
    DuplicateGroup,
    DuplicateGroups,
    ItemTags,
    Mismatch,
    Mismatches,
    SearchResults,
    Tag,
    TagCalibration,
    TagResults,
)
from mmrec.contract.requests import DuplicatesRequest, MismatchRequest, SearchRequest, SimilarRequest, TagRequest
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.batches import SearchBatch, SimilarBatch, TagBatch
from mmrec.sdk.wire.reading import mask_from_wire, mask_to_wire, read_each, refuse_not_built
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
    pack_numbers,
    scored_item_from_wire,
    scored_item_to_wire,
    unpack_vector,
    versions_from_wire,
    versions_to_wire,
)
from mmrec.v1 import understanding_pb2

# --- similar --------------------------------------------------------------------------------------------------------


def similar_request_to_wire(request: SimilarRequest) -> understanding_pb2.SimilarItemsRequest:
    """`SimilarRequest` as a message."""
    return understanding_pb2.SimilarItemsRequest(
        item_id=request.item_id,
        k=request.k,
        modality=modality_to_wire(request.modality),
        filter=request.filter,
        filter_mode=filter_mode_to_wire(request.filter_mode),
        diversity=request.diversity,
        item_fields=mask_to_wire(request.item_fields),
    )


def similar_request_from_wire(message: understanding_pb2.SimilarItemsRequest, where: str = "") -> SimilarRequest:
    """`SimilarRequest` from a message.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    refuse_not_built(message, where)
    return SimilarRequest(
        item_id=message.item_id,
        k=message.k,
        modality=modality_from_wire(message.modality),
        filter=message.filter,
        filter_mode=filter_mode_from_wire(message.filter_mode),
        diversity=message.diversity,
        item_fields=mask_from_wire(message, "item_fields"),
    )


def similar_results_to_wire(results: SearchResults) -> understanding_pb2.SimilarItemsResponse:
    """`SearchResults` as the reply of a similar-items call."""
    return understanding_pb2.SimilarItemsResponse(
        items=[scored_item_to_wire(scored) for scored in results.items],
        versions=versions_to_wire(results.versions),
        fallback=fallback_to_wire(results.fallback),
    )


def similar_results_from_wire(message: understanding_pb2.SimilarItemsResponse) -> SearchResults:
    """`SearchResults` from the reply of a similar-items call."""
    return SearchResults(
        items=tuple(scored_item_from_wire(scored) for scored in message.items),
        versions=versions_from_wire(message.versions),
        fallback=fallback_from_wire(message.fallback),
    )


def similar_batch_to_wire(batch: SimilarBatch) -> understanding_pb2.BatchSimilarItemsRequest:
    """`SimilarBatch` as a message; entries that are already refused are left out."""
    return understanding_pb2.BatchSimilarItemsRequest(
        requests=[similar_request_to_wire(request) for request in batch.split()]
    )


def similar_batch_from_wire(message: understanding_pb2.BatchSimilarItemsRequest) -> SimilarBatch:
    """`SimilarBatch` from a message; a bad request becomes its error, told as ``requests[3].k``.

    Raises:
        InvalidArgumentError: there are too many.
    """
    SimilarBatch(message.requests)  # refused by its length before anything is read
    return SimilarBatch(tuple(read_each(message.requests, "requests", similar_request_from_wire)))


def similar_batch_results_to_wire(
    results: Sequence[SearchResults | MmrecError],
) -> understanding_pb2.BatchSimilarItemsResponse:
    """One entry per request: a list, or the status of what refused it."""
    result = understanding_pb2.BatchSimilarItemsResult
    return understanding_pb2.BatchSimilarItemsResponse(
        results=[
            result(error=error_to_status(entry))
            if isinstance(entry, MmrecError)
            else result(response=similar_results_to_wire(entry))
            for entry in results
        ]
    )


def similar_batch_results_from_wire(
    message: understanding_pb2.BatchSimilarItemsResponse,
) -> list[SearchResults | MmrecError]:
    """One entry per request: a list, or the error that refused it."""
    return [
        error_from_status(entry.error)
        if entry.WhichOneof("result") == "error"
        else similar_results_from_wire(entry.response)
        for entry in message.results
    ]


# --- search ---------------------------------------------------------------------------------------------------------


def search_request_to_wire(request: SearchRequest) -> understanding_pb2.SearchItemsRequest:
    """`SearchRequest` as a message."""
    return understanding_pb2.SearchItemsRequest(
        text=request.text,
        image=request.image,
        text_weight=request.text_weight,
        k=request.k,
        item_id=request.item_id,
        item_weight=request.item_weight,
        vector=pack_numbers(request.vector) if request.vector else None,
        modality=modality_to_wire(request.modality),
        filter=request.filter,
        filter_mode=filter_mode_to_wire(request.filter_mode),
        page_token=request.page_token,
        item_fields=mask_to_wire(request.item_fields),
    )


def search_request_from_wire(message: understanding_pb2.SearchItemsRequest, where: str = "") -> SearchRequest:
    """`SearchRequest` from a message.

    Raises:
        InvalidArgumentError: a value breaks a rule.
        NotImplementedYetError: a field of `FIELDS_NOT_BUILT` is set; the message names it after `where`.
    """
    refuse_not_built(message, where)
    return SearchRequest(
        text=message.text,
        image=message.image if message.HasField("image") else None,
        text_weight=message.text_weight if message.HasField("text_weight") else 0.5,
        k=message.k,
        item_id=message.item_id,
        item_weight=message.item_weight if message.HasField("item_weight") else 0.5,
        vector=_vector_from_wire(message) if message.HasField("vector") else (),
        modality=modality_from_wire(message.modality),
        filter=message.filter,
        filter_mode=filter_mode_from_wire(message.filter_mode),
        page_token=message.page_token,
        item_fields=mask_from_wire(message, "item_fields"),
    )


def _vector_from_wire(message: understanding_pb2.SearchItemsRequest) -> tuple[float, ...]:
    try:
        numbers = tuple(unpack_vector(message.vector).tolist())
    except InvalidArgumentError as err:
        field = f"vector.{err.violations[0].field}"
        raise InvalidArgumentError(f"vector: {err.message}", field=field) from None
    if not numbers:
        raise InvalidArgumentError(
            "vector is set and holds no numbers; leave it unset, or send the numbers", field="vector"
        )
    return numbers


def search_results_to_wire(results: SearchResults) -> understanding_pb2.SearchItemsResponse:
    """`SearchResults` as the reply of a search."""
    return understanding_pb2.SearchItemsResponse(
        items=[scored_item_to_wire(scored) for scored in results.items],
        versions=versions_to_wire(results.versions),
        next_page_token=results.next_page_token,
        fallback=fallback_to_wire(results.fallback),
    )


def search_results_from_wire(message: understanding_pb2.SearchItemsResponse) -> SearchResults:
    """`SearchResults` from the reply of a search."""
    return SearchResults(
        items=tuple(scored_item_from_wire(scored) for scored in message.items),
        versions=versions_from_wire(message.versions),
        next_page_token=message.next_page_token,
        fallback=fallback_from_wire(message.fallback),
    )


def search_batch_to_wire(batch: SearchBatch) -> understanding_pb2.BatchSearchItemsRequest:
    """`SearchBatch` as a message; entries that are already refused are left out."""
    return understanding_pb2.BatchSearchItemsRequest(
        requests=[search_request_to_wire(request) for request in batch.split()]
    )


def search_batch_from_wire(message: understanding_pb2.BatchSearchItemsRequest) -> SearchBatch:
    """`SearchBatch` from a message; a bad request becomes its error, told as ``requests[3].k``.

    Raises:
        InvalidArgumentError: there are too many.
    """
    SearchBatch(message.requests)  # refused by its length before anything is read
    return SearchBatch(tuple(read_each(message.requests, "requests", search_request_from_wire)))


def search_batch_results_to_wire(
    results: Sequence[SearchResults | MmrecError],
) -> understanding_pb2.BatchSearchItemsResponse:
    """One entry per search: a list, or the status of what refused it."""
    result = understanding_pb2.BatchSearchItemsResult
    return understanding_pb2.BatchSearchItemsResponse(
        results=[
            result(error=error_to_status(entry))
            if isinstance(entry, MmrecError)
            else result(response=search_results_to_wire(entry))
            for entry in results
        ]
    )


def search_batch_results_from_wire(
    message: understanding_pb2.BatchSearchItemsResponse,
) -> list[SearchResults | MmrecError]:
    """One entry per search: a list, or the error that refused it."""
    return [
        error_from_status(entry.error)
        if entry.WhichOneof("result") == "error"
        else search_results_from_wire(entry.response)
        for entry in message.results
    ]


# --- tags -----------------------------------------------------------------------------------------------------------


def tag_batch_to_wire(batch: TagBatch) -> understanding_pb2.TagItemsRequest:
    """`TagBatch` as a message; items that are already refused are left out."""
    question = batch.question
    return understanding_pb2.TagItemsRequest(
        items=[item_input_to_wire(item) for item in batch.items if not isinstance(item, ItemFailure)],
        item_ids=batch.item_ids,
        labels=question.labels,
        column=question.column,
        templates=question.templates,
        page_size=question.k,
        min_score=question.min_score,
        modality=modality_to_wire(question.modality),
    )


def tag_batch_from_wire(message: understanding_pb2.TagItemsRequest) -> TagBatch:
    """`TagBatch` from a message; a bad item becomes its failure, told as ``items[17].image``.

    Raises:
        InvalidArgumentError: a value breaks a rule, or there are too many items.
    """
    refuse_not_built(message)
    if message.page_size < 0:
        raise InvalidArgumentError(
            f"page_size is {message.page_size}; it must be 0 or more (0 means the default)", field="page_size"
        )
    question = TagRequest(
        labels=message.labels,
        column=message.column,
        templates=message.templates,
        k=message.page_size,
        min_score=message.min_score,
        modality=modality_from_wire(message.modality),
    )
    TagBatch(question, message.items, message.item_ids)  # refused by its length before anything is read
    return TagBatch(question, item_inputs_from_wire(message.items), tuple(message.item_ids))


def tag_results_to_wire(results: TagResults) -> understanding_pb2.TagItemsResponse:
    """`TagResults` as a message."""
    calibration = results.calibration
    return understanding_pb2.TagItemsResponse(
        results=[_tag_result_to_wire(entry) for entry in results.items],
        versions=versions_to_wire(results.versions),
        missing_ids=results.missing_ids,
        calibration=understanding_pb2.TagCalibration(
            calibrated=calibration.calibrated,
            temperature=calibration.temperature,
            rows=calibration.rows,
            accuracy=calibration.accuracy,
            calibration_error=calibration.calibration_error,
        ),
    )


def _tag_result_to_wire(entry: ItemTags | ItemFailure) -> understanding_pb2.TagItemsResponse.Result:
    result = understanding_pb2.TagItemsResponse.Result
    if isinstance(entry, ItemFailure):
        return result(item_id=entry.item_id, status=error_to_status(entry.error))
    tags = [understanding_pb2.TagItemsResponse.Tag(label=tag.label, score=tag.score) for tag in entry.tags]
    return result(item_id=entry.item_id, tags=tags)


def tag_results_from_wire(message: understanding_pb2.TagItemsResponse) -> TagResults:
    """`TagResults` from a message."""
    sent = message.calibration
    return TagResults(
        items=tuple(
            ItemFailure(entry.item_id, error_from_status(entry.status))
            if entry.HasField("status") and entry.status.code
            else ItemTags(entry.item_id, tuple(Tag(tag.label, tag.score) for tag in entry.tags))
            for entry in message.results
        ),
        missing_ids=tuple(message.missing_ids),
        calibration=TagCalibration(
            calibrated=sent.calibrated,
            temperature=sent.temperature,
            rows=sent.rows,
            accuracy=sent.accuracy if sent.HasField("accuracy") else None,
            calibration_error=sent.calibration_error if sent.HasField("calibration_error") else None,
        ),
        versions=versions_from_wire(message.versions),
    )


# --- duplicates -----------------------------------------------------------------------------------------------------

_EVIDENCE_TO_WIRE = {
    Evidence.PICTURE: understanding_pb2.EVIDENCE_PICTURE,
    Evidence.WORDS: understanding_pb2.EVIDENCE_WORDS,
    Evidence.BOTH: understanding_pb2.EVIDENCE_BOTH,
    None: understanding_pb2.EVIDENCE_UNSPECIFIED,
}
_EVIDENCE_FROM_WIRE: dict[int, Evidence | None] = {number: evidence for evidence, number in _EVIDENCE_TO_WIRE.items()}


def duplicates_request_to_wire(request: DuplicatesRequest) -> understanding_pb2.FindDuplicatesRequest:
    """`DuplicatesRequest` as a message."""
    return understanding_pb2.FindDuplicatesRequest(
        item_ids=request.item_ids,
        min_similarity=request.min_similarity,
        page_size=request.page_size,
        page_token=request.page_token,
        filter=request.filter,
        modality=modality_to_wire(request.modality),
    )


def duplicates_request_from_wire(message: understanding_pb2.FindDuplicatesRequest) -> DuplicatesRequest:
    """`DuplicatesRequest` from a message.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    refuse_not_built(message)
    return DuplicatesRequest(
        item_ids=message.item_ids,
        min_similarity=message.min_similarity if message.HasField("min_similarity") else None,
        filter=message.filter,
        modality=modality_from_wire(message.modality),
        page_size=message.page_size,
        page_token=message.page_token,
    )


def duplicate_groups_to_wire(found: DuplicateGroups) -> understanding_pb2.FindDuplicatesResponse:
    """`DuplicateGroups` as a message."""
    return understanding_pb2.FindDuplicatesResponse(
        groups=[
            understanding_pb2.FindDuplicatesResponse.Group(
                item_ids=group.item_ids, similarity=group.similarity, evidence=_EVIDENCE_TO_WIRE[group.evidence]
            )
            for group in found.groups
        ],
        missing_ids=found.missing_ids,
        next_page_token=found.next_page_token,
        versions=versions_to_wire(found.versions),
        picture_threshold=found.picture_threshold,
        words_threshold=found.words_threshold,
        explanation=found.explanation,
        total_size=found.total,
    )


def duplicate_groups_from_wire(message: understanding_pb2.FindDuplicatesResponse) -> DuplicateGroups:
    """`DuplicateGroups` from a message."""
    return DuplicateGroups(
        groups=tuple(
            DuplicateGroup(tuple(group.item_ids), group.similarity, _EVIDENCE_FROM_WIRE.get(group.evidence))
            for group in message.groups
        ),
        missing_ids=tuple(message.missing_ids),
        total=message.total_size,
        picture_threshold=message.picture_threshold if message.HasField("picture_threshold") else None,
        words_threshold=message.words_threshold if message.HasField("words_threshold") else None,
        explanation=message.explanation,
        next_page_token=message.next_page_token,
        versions=versions_from_wire(message.versions),
    )


# --- mismatches -----------------------------------------------------------------------------------------------------


def mismatch_request_to_wire(request: MismatchRequest) -> understanding_pb2.FindMismatchesRequest:
    """`MismatchRequest` as a message."""
    return understanding_pb2.FindMismatchesRequest(
        item_ids=request.item_ids,
        max_agreement=request.max_agreement,
        page_size=request.page_size,
        page_token=request.page_token,
        filter=request.filter,
        item_fields=mask_to_wire(request.item_fields),
    )


def mismatch_request_from_wire(message: understanding_pb2.FindMismatchesRequest) -> MismatchRequest:
    """`MismatchRequest` from a message.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    refuse_not_built(message)
    return MismatchRequest(
        item_ids=message.item_ids,
        max_agreement=message.max_agreement if message.HasField("max_agreement") else None,
        filter=message.filter,
        page_size=message.page_size,
        page_token=message.page_token,
        item_fields=mask_from_wire(message, "item_fields"),
    )


def mismatches_to_wire(found: Mismatches) -> understanding_pb2.FindMismatchesResponse:
    """`Mismatches` as a message."""
    return understanding_pb2.FindMismatchesResponse(
        mismatches=[
            understanding_pb2.FindMismatchesResponse.Mismatch(
                item=item_to_wire(entry.item),
                agreement=entry.agreement,
                percentile=entry.percentile,
                fit=entry.fit,
            )
            for entry in found.items
        ],
        missing_ids=found.missing_ids,
        next_page_token=found.next_page_token,
        versions=versions_to_wire(found.versions),
        threshold=found.threshold,
        explanation=found.explanation,
        total_size=found.total,
    )


def mismatches_from_wire(message: understanding_pb2.FindMismatchesResponse) -> Mismatches:
    """`Mismatches` from a message."""
    return Mismatches(
        items=tuple(
            Mismatch(item_from_wire(entry.item), entry.agreement, entry.percentile, entry.fit)
            for entry in message.mismatches
        ),
        missing_ids=tuple(message.missing_ids),
        total=message.total_size,
        threshold=message.threshold if message.HasField("threshold") else None,
        explanation=message.explanation,
        next_page_token=message.next_page_token,
        versions=versions_from_wire(message.versions),
    )
