"""What happens in each call, as a table: from wire, split into engine requests, join their results, to wire.

Unit of work: one RPC. The client, the server and the in-process transport all read this table, so none of
them knows a call by name. Knows nothing of channels, threads or models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

from mmrec.contract.changes import ChangeResults, DeleteRequest
from mmrec.contract.engine import Engine, Questions
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
    ListItemsRequest,
    MismatchRequest,
    RecommendRequest,
    ResolveRequest,
    SearchRequest,
    SemanticIdsRequest,
    SimilarRequest,
)
from mmrec.errors import InternalError, MmrecError
from mmrec.sdk.batches import (
    EmbedBatch,
    RecommendBatch,
    SearchBatch,
    SimilarBatch,
    TagBatch,
    UpsertBatch,
    only,
)
from mmrec.sdk.wire import catalogue, changes, messages, questions
from mmrec.sdk.wire.values import parse
from mmrec.v1 import item_pb2, recommendation_pb2, system_pb2, understanding_pb2

Q = TypeVar("Q")
R = TypeVar("R")


@dataclass(frozen=True)
class Rpc(Generic[Q, R]):
    """One RPC that is built; of one that streams, what happens with each message.

    Attributes:
        path: Full name on the wire, ``/package.Service/Method``.
        kind: Which call of the engine does the work: a key of `ENGINE_CALLS`.
        request_type: Its request message.
        reply_type: Its reply message.
        request_to_wire: The request as a message.
        request_from_wire: The request from a message; raises `MmrecError` for a bad one.
        reply_to_wire: The reply as a message.
        reply_from_wire: The reply from a message.
        split: The requests to hand to the engine, possibly none.
        join: The reply from the request and the engine's results; raises the error of a call that failed
            whole.
        rejoin: The reply with what the client kept back from the request, as each item that it refused itself.
    """

    path: str
    kind: str
    request_type: type[Message]
    reply_type: type[Message]
    request_to_wire: Callable[[Q], Message]
    request_from_wire: Callable[[Any], Q]
    reply_to_wire: Callable[[R], Message]
    reply_from_wire: Callable[[Any], R]
    split: Callable[[Q], list[Any]]
    join: Callable[[Q, list[Any]], R]
    rejoin: Callable[[Q, R], R] = lambda request, reply: reply

    def answer(self, engine: Engine, request: Q) -> R:
        """The reply of an engine in this process.

        Raises:
            MmrecError: the call failed as a whole.
        """
        parts = self.split(request)
        results = ENGINE_CALLS[self.kind](engine, parts) if parts else []
        if len(results) != len(parts):
            raise InternalError(f"the engine was given {len(parts)} requests and returned {len(results)} results")
        return self.join(request, results)

    def encode_request(self, request: Q) -> bytes:
        """Bytes of a request."""
        data: bytes = self.request_to_wire(request).SerializeToString()
        return data

    def decode_request(self, data: bytes) -> Q:
        """A request from its bytes.

        Raises:
            MmrecError: they are no such request, or it breaks a rule.
        """
        return self.request_from_wire(parse(self.request_type, data))

    def encode_reply(self, reply: R) -> bytes:
        """Bytes of a reply."""
        data: bytes = self.reply_to_wire(reply).SerializeToString()
        return data

    def decode_reply(self, data: bytes) -> R:
        """A reply from its bytes.

        Raises:
            InternalError: they are no such reply.
        """
        try:
            return self.reply_from_wire(parse(self.reply_type, data))
        except MmrecError as err:
            raise InternalError(
                f"the reply to {self.path} cannot be read ({err.message}); is it an mmrec server, of this version?"
            ) from err


def _itself(request: Any) -> list[Any]:
    return [request]


def _only(_: Any, results: list[Any]) -> Any:
    return only(results)


def _deletion(request: DeleteRequest) -> list[DeleteRequest]:
    return [request] if request.item_ids else []


def _deleted(request: DeleteRequest, results: list[ChangeResults | MmrecError]) -> ChangeResults:
    return only(results) if results else ChangeResults((), request_id=request.request_id)


RECOMMEND: Rpc[RecommendRequest, Recommendations] = Rpc(
    path="/mmrec.v1.RecommendationService/Recommend",
    kind="recommend",
    request_type=recommendation_pb2.RecommendRequest,
    reply_type=recommendation_pb2.RecommendResponse,
    request_to_wire=messages.recommend_request_to_wire,
    request_from_wire=messages.recommend_request_from_wire,
    reply_to_wire=messages.recommendations_to_wire,
    reply_from_wire=messages.recommendations_from_wire,
    split=_itself,
    join=_only,
)
BATCH_RECOMMEND: Rpc[RecommendBatch, list[Recommendations | MmrecError]] = Rpc(
    path="/mmrec.v1.RecommendationService/BatchRecommend",
    kind="recommend",
    request_type=recommendation_pb2.BatchRecommendRequest,
    reply_type=recommendation_pb2.BatchRecommendResponse,
    request_to_wire=messages.recommend_batch_to_wire,
    request_from_wire=messages.recommend_batch_from_wire,
    reply_to_wire=messages.recommend_results_to_wire,
    reply_from_wire=messages.recommend_results_from_wire,
    split=RecommendBatch.split,
    join=RecommendBatch.join,
)
SIMILAR_ITEMS: Rpc[SimilarRequest, SearchResults] = Rpc(
    path="/mmrec.v1.UnderstandingService/SimilarItems",
    kind="similar",
    request_type=understanding_pb2.SimilarItemsRequest,
    reply_type=understanding_pb2.SimilarItemsResponse,
    request_to_wire=questions.similar_request_to_wire,
    request_from_wire=questions.similar_request_from_wire,
    reply_to_wire=questions.similar_results_to_wire,
    reply_from_wire=questions.similar_results_from_wire,
    split=_itself,
    join=_only,
)
BATCH_SIMILAR_ITEMS: Rpc[SimilarBatch, list[SearchResults | MmrecError]] = Rpc(
    path="/mmrec.v1.UnderstandingService/BatchSimilarItems",
    kind="similar",
    request_type=understanding_pb2.BatchSimilarItemsRequest,
    reply_type=understanding_pb2.BatchSimilarItemsResponse,
    request_to_wire=questions.similar_batch_to_wire,
    request_from_wire=questions.similar_batch_from_wire,
    reply_to_wire=questions.similar_batch_results_to_wire,
    reply_from_wire=questions.similar_batch_results_from_wire,
    split=SimilarBatch.split,
    join=SimilarBatch.join,
)
SEARCH_ITEMS: Rpc[SearchRequest, SearchResults] = Rpc(
    path="/mmrec.v1.UnderstandingService/SearchItems",
    kind="search",
    request_type=understanding_pb2.SearchItemsRequest,
    reply_type=understanding_pb2.SearchItemsResponse,
    request_to_wire=questions.search_request_to_wire,
    request_from_wire=questions.search_request_from_wire,
    reply_to_wire=questions.search_results_to_wire,
    reply_from_wire=questions.search_results_from_wire,
    split=_itself,
    join=_only,
)
BATCH_SEARCH_ITEMS: Rpc[SearchBatch, list[SearchResults | MmrecError]] = Rpc(
    path="/mmrec.v1.UnderstandingService/BatchSearchItems",
    kind="search",
    request_type=understanding_pb2.BatchSearchItemsRequest,
    reply_type=understanding_pb2.BatchSearchItemsResponse,
    request_to_wire=questions.search_batch_to_wire,
    request_from_wire=questions.search_batch_from_wire,
    reply_to_wire=questions.search_batch_results_to_wire,
    reply_from_wire=questions.search_batch_results_from_wire,
    split=SearchBatch.split,
    join=SearchBatch.join,
)
TAG_ITEMS: Rpc[TagBatch, TagResults] = Rpc(
    path="/mmrec.v1.UnderstandingService/TagItems",
    kind="tag",
    request_type=understanding_pb2.TagItemsRequest,
    reply_type=understanding_pb2.TagItemsResponse,
    request_to_wire=questions.tag_batch_to_wire,
    request_from_wire=questions.tag_batch_from_wire,
    reply_to_wire=questions.tag_results_to_wire,
    reply_from_wire=questions.tag_results_from_wire,
    split=TagBatch.split,
    join=TagBatch.join,
    rejoin=TagBatch.rejoin,
)
FIND_DUPLICATES: Rpc[DuplicatesRequest, DuplicateGroups] = Rpc(
    path="/mmrec.v1.UnderstandingService/FindDuplicates",
    kind="duplicates",
    request_type=understanding_pb2.FindDuplicatesRequest,
    reply_type=understanding_pb2.FindDuplicatesResponse,
    request_to_wire=questions.duplicates_request_to_wire,
    request_from_wire=questions.duplicates_request_from_wire,
    reply_to_wire=questions.duplicate_groups_to_wire,
    reply_from_wire=questions.duplicate_groups_from_wire,
    split=_itself,
    join=_only,
)
FIND_MISMATCHES: Rpc[MismatchRequest, Mismatches] = Rpc(
    path="/mmrec.v1.UnderstandingService/FindMismatches",
    kind="mismatches",
    request_type=understanding_pb2.FindMismatchesRequest,
    reply_type=understanding_pb2.FindMismatchesResponse,
    request_to_wire=questions.mismatch_request_to_wire,
    request_from_wire=questions.mismatch_request_from_wire,
    reply_to_wire=questions.mismatches_to_wire,
    reply_from_wire=questions.mismatches_from_wire,
    split=_itself,
    join=_only,
)
EMBED_ITEMS: Rpc[EmbedBatch, EmbedResults] = Rpc(
    path="/mmrec.v1.UnderstandingService/EmbedItems",
    kind="embed",
    request_type=understanding_pb2.EmbedItemsRequest,
    reply_type=understanding_pb2.EmbedItemsResponse,
    request_to_wire=messages.embed_batch_to_wire,
    request_from_wire=messages.embed_batch_from_wire,
    reply_to_wire=messages.embed_results_to_wire,
    reply_from_wire=messages.embed_results_from_wire,
    split=EmbedBatch.split,
    join=EmbedBatch.join,
    rejoin=EmbedBatch.rejoin,
)
GET_ITEMS: Rpc[tuple[str, ...], ItemLookup] = Rpc(
    path="/mmrec.v1.ItemService/GetItems",
    kind="items",
    request_type=item_pb2.GetItemsRequest,
    reply_type=item_pb2.GetItemsResponse,
    request_to_wire=messages.item_ids_to_wire,
    request_from_wire=messages.item_ids_from_wire,
    reply_to_wire=messages.item_lookup_to_wire,
    reply_from_wire=messages.item_lookup_from_wire,
    split=_itself,
    join=_only,
)
LIST_ITEMS: Rpc[ListItemsRequest, ItemPage] = Rpc(
    path="/mmrec.v1.ItemService/ListItems",
    kind="list-items",
    request_type=item_pb2.ListItemsRequest,
    reply_type=item_pb2.ListItemsResponse,
    request_to_wire=catalogue.list_items_request_to_wire,
    request_from_wire=catalogue.list_items_request_from_wire,
    reply_to_wire=catalogue.item_page_to_wire,
    reply_from_wire=catalogue.item_page_from_wire,
    split=_itself,
    join=_only,
)
GET_SEMANTIC_IDS: Rpc[SemanticIdsRequest, SemanticIds] = Rpc(
    path="/mmrec.v1.ItemService/GetSemanticIds",
    kind="semantic-ids",
    request_type=item_pb2.GetSemanticIdsRequest,
    reply_type=item_pb2.GetSemanticIdsResponse,
    request_to_wire=catalogue.semantic_ids_request_to_wire,
    request_from_wire=catalogue.semantic_ids_request_from_wire,
    reply_to_wire=catalogue.semantic_ids_to_wire,
    reply_from_wire=catalogue.semantic_ids_from_wire,
    split=_itself,
    join=_only,
)
RESOLVE_SEMANTIC_IDS: Rpc[ResolveRequest, ResolvedPaths] = Rpc(
    path="/mmrec.v1.ItemService/ResolveSemanticIds",
    kind="resolve",
    request_type=item_pb2.ResolveSemanticIdsRequest,
    reply_type=item_pb2.ResolveSemanticIdsResponse,
    request_to_wire=catalogue.resolve_request_to_wire,
    request_from_wire=catalogue.resolve_request_from_wire,
    reply_to_wire=catalogue.resolved_paths_to_wire,
    reply_from_wire=catalogue.resolved_paths_from_wire,
    split=_itself,
    join=_only,
)
UPSERT_ITEMS: Rpc[UpsertBatch, ChangeResults] = Rpc(
    path="/mmrec.v1.ItemService/UpsertItems",
    kind="upsert",
    request_type=item_pb2.UpsertItemsRequest,
    reply_type=item_pb2.UpsertItemsResponse,
    request_to_wire=changes.upsert_batch_to_wire,
    request_from_wire=changes.upsert_batch_from_wire,
    reply_to_wire=changes.upsert_results_to_wire,
    reply_from_wire=changes.upsert_results_from_wire,
    split=UpsertBatch.split,
    join=UpsertBatch.join,
    rejoin=UpsertBatch.rejoin,
)
STREAM_UPSERT_ITEMS = replace(UPSERT_ITEMS, path="/mmrec.v1.ItemService/StreamUpsertItems")
DELETE_ITEMS: Rpc[DeleteRequest, ChangeResults] = Rpc(
    path="/mmrec.v1.ItemService/DeleteItems",
    kind="delete",
    request_type=item_pb2.DeleteItemsRequest,
    reply_type=item_pb2.DeleteItemsResponse,
    request_to_wire=changes.delete_request_to_wire,
    request_from_wire=changes.delete_request_from_wire,
    reply_to_wire=changes.delete_results_to_wire,
    reply_from_wire=changes.delete_results_from_wire,
    split=_deletion,
    join=_deleted,
)
GET_SERVICE_INFO: Rpc[None, ServiceInfo] = Rpc(
    path="/mmrec.v1.SystemService/GetServiceInfo",
    kind="info",
    request_type=system_pb2.GetServiceInfoRequest,
    reply_type=system_pb2.GetServiceInfoResponse,
    request_to_wire=messages.info_request_to_wire,
    request_from_wire=messages.info_request_from_wire,
    reply_to_wire=messages.info_to_wire,
    reply_from_wire=messages.info_from_wire,
    split=_itself,
    join=_only,
)

_BUILT: tuple[Rpc[Any, Any], ...] = (
    RECOMMEND,
    BATCH_RECOMMEND,
    SIMILAR_ITEMS,
    BATCH_SIMILAR_ITEMS,
    SEARCH_ITEMS,
    BATCH_SEARCH_ITEMS,
    TAG_ITEMS,
    FIND_DUPLICATES,
    FIND_MISMATCHES,
    EMBED_ITEMS,
    GET_ITEMS,
    LIST_ITEMS,
    GET_SEMANTIC_IDS,
    RESOLVE_SEMANTIC_IDS,
    UPSERT_ITEMS,
    STREAM_UPSERT_ITEMS,
    DELETE_ITEMS,
    GET_SERVICE_INFO,
)
RPCS: Mapping[str, Rpc[Any, Any]] = {rpc.path: rpc for rpc in _BUILT}
"""Every RPC that is built, by path."""


# --- the engine's side --------------------------------------------------------------------------------------


QUESTIONS: Mapping[str, Callable[[Questions, list[Any]], list[Any]]] = {
    "recommend": lambda engine, requests: engine.recommend_many(requests),
    "similar": lambda engine, requests: engine.similar_many(requests),
    "search": lambda engine, requests: engine.search_many(requests),
    "embed": lambda engine, requests: engine.embed_many(requests),
    "tag": lambda engine, requests: engine.tag_many(requests),
    "duplicates": lambda engine, requests: engine.duplicates_many(requests),
    "mismatches": lambda engine, requests: engine.mismatches_many(requests),
    "items": lambda engine, requests: engine.items_many(requests),
    "list-items": lambda engine, requests: engine.list_items_many(requests),
    "semantic-ids": lambda engine, requests: engine.semantic_ids_many(requests),
    "resolve": lambda engine, requests: engine.resolve_many(requests),
    "info": lambda engine, requests: [engine.info()] * len(requests),
}
"""What answers each kind of question: as many results as requests, in the same order, each a value or error."""
ENGINE_CALLS: Mapping[str, Callable[[Engine, list[Any]], list[Any]]] = {
    **QUESTIONS,
    "upsert": lambda engine, requests: engine.upsert_many(requests),
    "delete": lambda engine, requests: engine.delete_many(requests),
}
"""What does the work of each kind, changes among them."""


# --- the whole contract, built or not -----------------------------------------------------------------------


class Method(NamedTuple):
    """An RPC of the contract."""

    path: str
    client_streaming: bool
    server_streaming: bool


SERVICES: Mapping[str, tuple[Method, ...]] = {
    service.full_name: tuple(
        Method(f"/{service.full_name}/{method.name}", method.client_streaming, method.server_streaming)
        for method in service.methods
    )
    for module in (item_pb2, understanding_pb2, recommendation_pb2, system_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
}
"""Every service of the contract with its RPCs."""
METHODS: tuple[Method, ...] = tuple(method for methods in SERVICES.values() for method in methods)
"""Every RPC of the contract."""
