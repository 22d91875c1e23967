"""Looking things up in a catalogue as messages, both ways: pages of rows, semantic IDs of items, items of semantic IDs.

Unit of work: one message. A request that sets a field which is not built yet is refused here.
"""

from __future__ import annotations

from mmrec.contract.replies import ItemPage, ItemPath, ResolvedPath, ResolvedPaths, SemanticIds
from mmrec.contract.requests import ListItemsRequest, ResolveRequest, SemanticIdsRequest
from mmrec.sdk.wire.reading import mask_from_wire, mask_to_wire, refuse_not_built
from mmrec.sdk.wire.status import error_from_status, error_to_status
from mmrec.sdk.wire.values import (
    item_from_wire,
    item_to_wire,
    semantic_id_to_wire,
    versions_from_wire,
    versions_to_wire,
)
from mmrec.v1 import common_pb2, item_pb2

# --- rows page by page ----------------------------------------------------------------------------------------------


def list_items_request_to_wire(request: ListItemsRequest) -> item_pb2.ListItemsRequest:
    """`ListItemsRequest` as a message."""
    return item_pb2.ListItemsRequest(
        page_size=request.page_size,
        page_token=request.page_token,
        filter=request.filter,
        item_fields=mask_to_wire(request.item_fields),
    )


def list_items_request_from_wire(message: item_pb2.ListItemsRequest) -> ListItemsRequest:
    """`ListItemsRequest` from a message.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    refuse_not_built(message)
    return ListItemsRequest(
        filter=message.filter,
        page_size=message.page_size,
        page_token=message.page_token,
        item_fields=mask_from_wire(message, "item_fields"),
    )


def item_page_to_wire(page: ItemPage) -> item_pb2.ListItemsResponse:
    """`ItemPage` as a message."""
    return item_pb2.ListItemsResponse(
        items=[item_to_wire(item) for item in page.items],
        next_page_token=page.next_page_token,
        total_size=page.total,
        versions=versions_to_wire(page.versions),
    )


def item_page_from_wire(message: item_pb2.ListItemsResponse) -> ItemPage:
    """`ItemPage` from a message."""
    return ItemPage(
        items=tuple(item_from_wire(item) for item in message.items),
        total=message.total_size,
        next_page_token=message.next_page_token,
        versions=versions_from_wire(message.versions),
    )


# --- from items to semantic IDs -------------------------------------------------------------------------------------


def semantic_ids_request_to_wire(request: SemanticIdsRequest) -> item_pb2.GetSemanticIdsRequest:
    """`SemanticIdsRequest` as a message."""
    return item_pb2.GetSemanticIdsRequest(item_ids=request.item_ids, codebook_version=request.codebook_version)


def semantic_ids_request_from_wire(message: item_pb2.GetSemanticIdsRequest) -> SemanticIdsRequest:
    """`SemanticIdsRequest` from a message.

    Raises:
        InvalidArgumentError: there are too many ids, or one is too long.
    """
    refuse_not_built(message)
    return SemanticIdsRequest(message.item_ids, message.codebook_version)


def semantic_ids_to_wire(found: SemanticIds) -> item_pb2.GetSemanticIdsResponse:
    """`SemanticIds` as a message."""
    entry = item_pb2.GetSemanticIdsResponse.Entry
    return item_pb2.GetSemanticIdsResponse(
        entries=[
            entry(
                item_id=e.item_id,
                semantic_id=semantic_id_to_wire(e.semantic_id),
                status=error_to_status(e.error) if e.error else None,
            )
            for e in found.entries
        ],
        missing_ids=found.missing_ids,
        versions=versions_to_wire(found.versions),
    )


def semantic_ids_from_wire(message: item_pb2.GetSemanticIdsResponse) -> SemanticIds:
    """`SemanticIds` from a message."""
    return SemanticIds(
        entries=tuple(
            ItemPath(
                entry.item_id,
                tuple(entry.semantic_id.codes),
                error_from_status(entry.status) if entry.status.code else None,
            )
            for entry in message.entries
        ),
        missing_ids=tuple(message.missing_ids),
        versions=versions_from_wire(message.versions),
    )


# --- from semantic IDs to items -------------------------------------------------------------------------------------


def resolve_request_to_wire(request: ResolveRequest) -> item_pb2.ResolveSemanticIdsRequest:
    """`ResolveRequest` as a message."""
    return item_pb2.ResolveSemanticIdsRequest(
        semantic_ids=[common_pb2.SemanticId(codes=codes) for codes in request.semantic_ids],
        page_size=request.page_size,
        codebook_version=request.codebook_version,
    )


def resolve_request_from_wire(message: item_pb2.ResolveSemanticIdsRequest) -> ResolveRequest:
    """`ResolveRequest` from a message.

    Raises:
        InvalidArgumentError: there are too many paths, or another value breaks a rule.
    """
    refuse_not_built(message)
    return ResolveRequest(
        semantic_ids=tuple(tuple(path.codes) for path in message.semantic_ids),
        page_size=message.page_size,
        codebook_version=message.codebook_version,
    )


def resolved_paths_to_wire(found: ResolvedPaths) -> item_pb2.ResolveSemanticIdsResponse:
    """`ResolvedPaths` as a message; a path that was refused has the status of what refused it."""
    entry = item_pb2.ResolveSemanticIdsResponse.Entry
    return item_pb2.ResolveSemanticIdsResponse(
        entries=[
            entry(
                semantic_id=common_pb2.SemanticId(codes=path.semantic_id),
                items=[item_to_wire(item) for item in path.items],
                total_size=path.total,
                status=error_to_status(path.error) if path.error else None,
            )
            for path in found.entries
        ],
        versions=versions_to_wire(found.versions),
    )


def resolved_paths_from_wire(message: item_pb2.ResolveSemanticIdsResponse) -> ResolvedPaths:
    """`ResolvedPaths` from a message."""
    return ResolvedPaths(
        entries=tuple(
            ResolvedPath(
                semantic_id=tuple(entry.semantic_id.codes),
                items=tuple(item_from_wire(item) for item in entry.items),
                total=entry.total_size,
                error=error_from_status(entry.status) if entry.status.code else None,
            )
            for entry in message.entries
        ),
        versions=versions_from_wire(message.versions),
    )
