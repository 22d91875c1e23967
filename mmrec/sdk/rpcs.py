"""Table of the RPCs: request, reply, and the engine's method that does the work.

Unit of work: one RPC. The client, the server and the in-process transport all use this table, so none of them has code
for single RPCs. Knows nothing of channels, threads or models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import Any, Generic, NamedTuple, TypeVar

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.conversation import ConversationTurn, ConverseRequest
from mmrec.contract.engine import Engine, Questions, wording_of
from mmrec.contract.events import (
    DeletedUser,
    DeleteUserRequest,
    EventPage,
    EventResults,
    ListEventsRequest,
    RecordEventsRequest,
)
from mmrec.contract.replies import (
    DuplicateGroups,
    EmbedResults,
    Explanations,
    ItemLookup,
    ItemPage,
    Mismatches,
    PredictedRatings,
    Recommendations,
    ResolvedPaths,
    SearchResults,
    SemanticIds,
    ServiceInfo,
    TagResults,
    UserEmbedding,
)
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    EmbedUserRequest,
    ExplainRequest,
    ItemsRequest,
    ListItemsRequest,
    MismatchRequest,
    RankRequest,
    RatingRequest,
    RecommendBatch,
    RecommendRequest,
    ResolveRequest,
    SearchBatch,
    SearchRequest,
    SemanticIdsRequest,
    ServiceInfoRequest,
    SimilarBatch,
    SimilarRequest,
    TagRequest,
)
from mmrec.errors import InternalError, MmrecError
from mmrec.sdk.batches import (
    join_embed,
    join_events,
    join_tag,
    join_upsert,
    merge_embed_failures,
    merge_event_failures,
    merge_tag_failures,
    merge_upsert_failures,
    merged_results,
    only,
    split_embed,
    split_events,
    split_tag,
    split_upsert,
    valid_requests,
)
from mmrec.sdk.codec import check_known, from_message, parse, to_message
from mmrec.sdk.turns import turn_pieces
from mmrec.v1 import item_pb2, recommendation_pb2, system_pb2, understanding_pb2

Q = TypeVar("Q")
R = TypeVar("R")


# --- the whole contract, implemented or not -------------------------------------------------------------------------

_DESCRIBED: Mapping[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for module in (item_pb2, understanding_pb2, recommendation_pb2, system_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


class Method(NamedTuple):
    """An RPC of the contract."""

    path: str
    client_streaming: bool
    server_streaming: bool


METHODS = tuple(Method(path, method.client_streaming, method.server_streaming) for path, method in _DESCRIBED.items())
"""Every RPC of the contract."""
SERVICES: Mapping[str, tuple[Method, ...]] = {
    service: tuple(methods) for service, methods in groupby(METHODS, lambda method: method.path.split("/")[1])
}
"""Every service of the contract with its RPCs."""


# --- what is implemented ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rpc(Generic[Q, R]):
    """An implemented RPC; for a streaming RPC, one message and its reply.

    Attributes:
        path: Full name, ``/package.Service/Method``.
        kind: Key in `ENGINE_CALLS` of the engine's method that does the work.
        request: Class of the request.
        reply: Class of the reply.
        split: Splits the request into requests for the engine, possibly none.
        join: Makes the reply from the request and the engine's results; raises if the call failed as a whole.
        rejoin: Adds to a server's reply the failures of entries that the client refused and did not send.
        pieces: The messages that a reply is sent as over a stream.
    """

    path: str
    kind: str
    request: type[Q]
    reply: type[R]
    split: Callable[[Q], list[Any]] = lambda request: [request]
    join: Callable[[Q, list[Any]], R] = lambda request, results: only(results)
    rejoin: Callable[[Q, R], R] = lambda request, reply: reply
    pieces: Callable[[R], list[R]] = lambda reply: [reply]

    @cached_property
    def request_type(self) -> type[Message]:
        """Class of the request message."""
        message: type[Message] = GetMessageClass(_DESCRIBED[self.path].input_type)
        return message

    @cached_property
    def reply_type(self) -> type[Message]:
        """Class of the reply message."""
        message: type[Message] = GetMessageClass(_DESCRIBED[self.path].output_type)
        return message

    def answer(self, engine: Engine, request: Q) -> R:
        """Answer a request with an engine.

        Raises:
            MmrecError: the call failed as a whole.
        """
        parts = self.split(request)
        results = ENGINE_CALLS[self.kind](engine, parts) if parts else []
        if len(results) != len(parts):
            raise InternalError(f"the engine was given {len(parts)} requests and returned {len(results)} results")
        return self.join(request, results)

    def messages(self, engine: Engine, request: Q) -> Iterator[R]:
        """The messages that answer a request, worded by the engine's language model where it has one.

        Over a stream there may be several; otherwise there is one.

        Raises:
            MmrecError: the call failed as a whole.
        """
        reply = self.answer(engine, request)
        wording = wording_of(engine)
        parts = [reply] if wording is None or not wording.applies(reply) else wording.parts(reply)
        return (piece for part in parts for piece in self.pieces(part))

    def encode_request(self, request: Q) -> bytes:
        """Serialize a request."""
        data: bytes = to_message(request, self.request, self.request_type).SerializeToString()
        return data

    def decode_request(self, data: bytes) -> Q:
        """Parse a request.

        Raises:
            MmrecError: the bytes are not such a request, it has a field that these protos lack, or it breaks a rule.
        """
        message = parse(self.request_type, data)
        check_known(message)
        return from_message(message, self.request)

    def encode_reply(self, reply: R) -> bytes:
        """Serialize a reply."""
        data: bytes = to_message(reply, self.reply, self.reply_type).SerializeToString()
        return data

    def decode_reply(self, data: bytes) -> R:
        """Parse a reply.

        Raises:
            InternalError: the bytes are not such a reply.
        """
        try:
            return from_message(parse(self.reply_type, data), self.reply)
        except MmrecError as err:
            raise InternalError(
                f"the reply to {self.path} cannot be read ({err.message}); is it an mmrec server, of this version?"
            ) from err


def _split_delete(request: DeleteRequest) -> list[DeleteRequest]:
    return [request] if request.item_ids else []


def _join_delete(request: DeleteRequest, results: list[ChangeResults | MmrecError]) -> ChangeResults:
    return only(results) if results else ChangeResults((), request_id=request.request_id)


RECOMMEND: Rpc[RecommendRequest, Recommendations] = Rpc(
    path="/mmrec.v1.RecommendationService/Recommend",
    kind="recommend",
    request=RecommendRequest,
    reply=Recommendations,
)
BATCH_RECOMMEND: Rpc[RecommendBatch, list[Recommendations | MmrecError]] = Rpc(
    path="/mmrec.v1.RecommendationService/BatchRecommend",
    kind="recommend",
    request=RecommendBatch,
    reply=list[Recommendations | MmrecError],
    split=valid_requests,
    join=merged_results,
)
RANK_ITEMS: Rpc[RankRequest, Recommendations] = Rpc(
    path="/mmrec.v1.RecommendationService/RankItems",
    kind="rank",
    request=RankRequest,
    reply=Recommendations,
)
CONVERSE: Rpc[ConverseRequest, ConversationTurn] = Rpc(
    path="/mmrec.v1.RecommendationService/Converse",
    kind="converse",
    request=ConverseRequest,
    reply=ConversationTurn,
    pieces=turn_pieces,
)
EMBED_USER: Rpc[EmbedUserRequest, UserEmbedding] = Rpc(
    path="/mmrec.v1.RecommendationService/EmbedUser",
    kind="embed-user",
    request=EmbedUserRequest,
    reply=UserEmbedding,
)
EXPLAIN: Rpc[ExplainRequest, Explanations] = Rpc(
    path="/mmrec.v1.RecommendationService/Explain",
    kind="explain",
    request=ExplainRequest,
    reply=Explanations,
)
PREDICT_RATING: Rpc[RatingRequest, PredictedRatings] = Rpc(
    path="/mmrec.v1.RecommendationService/PredictRating",
    kind="predict-ratings",
    request=RatingRequest,
    reply=PredictedRatings,
)
SIMILAR_ITEMS: Rpc[SimilarRequest, SearchResults] = Rpc(
    path="/mmrec.v1.UnderstandingService/SimilarItems",
    kind="similar",
    request=SimilarRequest,
    reply=SearchResults,
)
BATCH_SIMILAR_ITEMS: Rpc[SimilarBatch, list[SearchResults | MmrecError]] = Rpc(
    path="/mmrec.v1.UnderstandingService/BatchSimilarItems",
    kind="similar",
    request=SimilarBatch,
    reply=list[SearchResults | MmrecError],
    split=valid_requests,
    join=merged_results,
)
SEARCH_ITEMS: Rpc[SearchRequest, SearchResults] = Rpc(
    path="/mmrec.v1.UnderstandingService/SearchItems",
    kind="search",
    request=SearchRequest,
    reply=SearchResults,
)
BATCH_SEARCH_ITEMS: Rpc[SearchBatch, list[SearchResults | MmrecError]] = Rpc(
    path="/mmrec.v1.UnderstandingService/BatchSearchItems",
    kind="search",
    request=SearchBatch,
    reply=list[SearchResults | MmrecError],
    split=valid_requests,
    join=merged_results,
)
TAG_ITEMS: Rpc[TagRequest, TagResults] = Rpc(
    path="/mmrec.v1.UnderstandingService/TagItems",
    kind="tag",
    request=TagRequest,
    reply=TagResults,
    split=split_tag,
    join=join_tag,
    rejoin=merge_tag_failures,
)
FIND_DUPLICATES: Rpc[DuplicatesRequest, DuplicateGroups] = Rpc(
    path="/mmrec.v1.UnderstandingService/FindDuplicates",
    kind="duplicates",
    request=DuplicatesRequest,
    reply=DuplicateGroups,
)
FIND_MISMATCHES: Rpc[MismatchRequest, Mismatches] = Rpc(
    path="/mmrec.v1.UnderstandingService/FindMismatches",
    kind="mismatches",
    request=MismatchRequest,
    reply=Mismatches,
)
EMBED_ITEMS: Rpc[EmbedRequest, EmbedResults] = Rpc(
    path="/mmrec.v1.UnderstandingService/EmbedItems",
    kind="embed",
    request=EmbedRequest,
    reply=EmbedResults,
    split=split_embed,
    join=join_embed,
    rejoin=merge_embed_failures,
)
GET_ITEMS: Rpc[ItemsRequest, ItemLookup] = Rpc(
    path="/mmrec.v1.ItemService/GetItems",
    kind="items",
    request=ItemsRequest,
    reply=ItemLookup,
    split=lambda request: [replace(request, item_ids=tuple(dict.fromkeys(request.item_ids)))],
)
LIST_ITEMS: Rpc[ListItemsRequest, ItemPage] = Rpc(
    path="/mmrec.v1.ItemService/ListItems",
    kind="list-items",
    request=ListItemsRequest,
    reply=ItemPage,
)
GET_SEMANTIC_IDS: Rpc[SemanticIdsRequest, SemanticIds] = Rpc(
    path="/mmrec.v1.ItemService/GetSemanticIds",
    kind="semantic-ids",
    request=SemanticIdsRequest,
    reply=SemanticIds,
)
RESOLVE_SEMANTIC_IDS: Rpc[ResolveRequest, ResolvedPaths] = Rpc(
    path="/mmrec.v1.ItemService/ResolveSemanticIds",
    kind="resolve",
    request=ResolveRequest,
    reply=ResolvedPaths,
)
UPSERT_ITEMS: Rpc[UpsertRequest, ChangeResults] = Rpc(
    path="/mmrec.v1.ItemService/UpsertItems",
    kind="upsert",
    request=UpsertRequest,
    reply=ChangeResults,
    split=split_upsert,
    join=join_upsert,
    rejoin=merge_upsert_failures,
)
STREAM_UPSERT_ITEMS = replace(UPSERT_ITEMS, path="/mmrec.v1.ItemService/StreamUpsertItems")
DELETE_ITEMS: Rpc[DeleteRequest, ChangeResults] = Rpc(
    path="/mmrec.v1.ItemService/DeleteItems",
    kind="delete",
    request=DeleteRequest,
    reply=ChangeResults,
    split=_split_delete,
    join=_join_delete,
)
RECORD_EVENTS: Rpc[RecordEventsRequest, EventResults] = Rpc(
    path="/mmrec.v1.RecommendationService/RecordEvents",
    kind="record-events",
    request=RecordEventsRequest,
    reply=EventResults,
    split=split_events,
    join=join_events,
    rejoin=merge_event_failures,
)
LIST_EVENTS: Rpc[ListEventsRequest, EventPage] = Rpc(
    path="/mmrec.v1.RecommendationService/ListEvents",
    kind="list-events",
    request=ListEventsRequest,
    reply=EventPage,
)
DELETE_USER: Rpc[DeleteUserRequest, DeletedUser] = Rpc(
    path="/mmrec.v1.RecommendationService/DeleteUser",
    kind="delete-user",
    request=DeleteUserRequest,
    reply=DeletedUser,
)
GET_SERVICE_INFO: Rpc[ServiceInfoRequest, ServiceInfo] = Rpc(
    path="/mmrec.v1.SystemService/GetServiceInfo",
    kind="info",
    request=ServiceInfoRequest,
    reply=ServiceInfo,
)

_IMPLEMENTED: tuple[Rpc[Any, Any], ...] = (
    RECOMMEND,
    BATCH_RECOMMEND,
    RANK_ITEMS,
    CONVERSE,
    EMBED_USER,
    EXPLAIN,
    PREDICT_RATING,
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
    RECORD_EVENTS,
    LIST_EVENTS,
    DELETE_USER,
    GET_SERVICE_INFO,
)
RPCS: Mapping[str, Rpc[Any, Any]] = {rpc.path: rpc for rpc in _IMPLEMENTED}
"""Every implemented RPC, by path."""


# --- calls of the engine --------------------------------------------------------------------------------------------


QUESTIONS: Mapping[str, Callable[[Questions, list[Any]], list[Any]]] = {
    "recommend": lambda engine, requests: engine.recommend_many(requests),
    "rank": lambda engine, requests: engine.rank_many(requests),
    "converse": lambda engine, requests: engine.converse_many(requests),
    "embed-user": lambda engine, requests: engine.embed_user_many(requests),
    "explain": lambda engine, requests: engine.explain_many(requests),
    "predict-ratings": lambda engine, requests: engine.predict_ratings_many(requests),
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
"""The engine's method for each kind of read-only request; see `Questions` for its results."""
ENGINE_CALLS: Mapping[str, Callable[[Engine, list[Any]], list[Any]]] = {
    **QUESTIONS,
    "upsert": lambda engine, requests: engine.upsert_many(requests),
    "delete": lambda engine, requests: engine.delete_many(requests),
    "record-events": lambda engine, requests: engine.record_events_many(requests),
    "list-events": lambda engine, requests: engine.list_events_many(requests),
    "delete-user": lambda engine, requests: engine.delete_user_many(requests),
}
"""The engine's method for each kind of request, including changes and events."""
