from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from mmrec.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HistoryEvent(_message.Message):
    __slots__ = ("item_id", "event_type", "time", "rating")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    event_type: str
    time: _timestamp_pb2.Timestamp
    rating: float
    def __init__(self, item_id: _Optional[str] = ..., event_type: _Optional[str] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., rating: _Optional[float] = ...) -> None: ...

class Promotion(_message.Message):
    __slots__ = ("item_ids", "filter", "min_share", "boost")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MIN_SHARE_FIELD_NUMBER: _ClassVar[int]
    BOOST_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    filter: str
    min_share: float
    boost: float
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., filter: _Optional[str] = ..., min_share: _Optional[float] = ..., boost: _Optional[float] = ...) -> None: ...

class RecommendRequest(_message.Message):
    __slots__ = ("history", "user_id", "k", "allow", "deny", "include_seen", "beam_width", "explain", "history_events", "filter", "filter_mode", "instruction", "diversity", "exploration", "popularity_damping", "promotions", "channel_weights", "attribute_weights", "explain_in_words", "language", "item_fields", "expected_versions", "validate_only", "exploration_column", "exploration_max_age_days", "ignored_conditions", "exact")
    class ChannelWeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class AttributeWeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    DENY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SEEN_FIELD_NUMBER: _ClassVar[int]
    BEAM_WIDTH_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    HISTORY_EVENTS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FILTER_MODE_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    EXPLORATION_FIELD_NUMBER: _ClassVar[int]
    POPULARITY_DAMPING_FIELD_NUMBER: _ClassVar[int]
    PROMOTIONS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_IN_WORDS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELDS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    EXPLORATION_COLUMN_FIELD_NUMBER: _ClassVar[int]
    EXPLORATION_MAX_AGE_DAYS_FIELD_NUMBER: _ClassVar[int]
    IGNORED_CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    history: _containers.RepeatedScalarFieldContainer[str]
    user_id: str
    k: int
    allow: _containers.RepeatedScalarFieldContainer[str]
    deny: _containers.RepeatedScalarFieldContainer[str]
    include_seen: bool
    beam_width: int
    explain: bool
    history_events: _containers.RepeatedCompositeFieldContainer[HistoryEvent]
    filter: str
    filter_mode: _common_pb2.FilterMode
    instruction: str
    diversity: float
    exploration: float
    popularity_damping: float
    promotions: _containers.RepeatedCompositeFieldContainer[Promotion]
    channel_weights: _containers.ScalarMap[str, float]
    attribute_weights: _containers.ScalarMap[str, float]
    explain_in_words: bool
    language: str
    item_fields: _field_mask_pb2.FieldMask
    expected_versions: _common_pb2.Versions
    validate_only: bool
    exploration_column: str
    exploration_max_age_days: float
    ignored_conditions: _containers.RepeatedScalarFieldContainer[str]
    exact: bool
    def __init__(self, history: _Optional[_Iterable[str]] = ..., user_id: _Optional[str] = ..., k: _Optional[int] = ..., allow: _Optional[_Iterable[str]] = ..., deny: _Optional[_Iterable[str]] = ..., include_seen: bool = ..., beam_width: _Optional[int] = ..., explain: bool = ..., history_events: _Optional[_Iterable[_Union[HistoryEvent, _Mapping]]] = ..., filter: _Optional[str] = ..., filter_mode: _Optional[_Union[_common_pb2.FilterMode, str]] = ..., instruction: _Optional[str] = ..., diversity: _Optional[float] = ..., exploration: _Optional[float] = ..., popularity_damping: _Optional[float] = ..., promotions: _Optional[_Iterable[_Union[Promotion, _Mapping]]] = ..., channel_weights: _Optional[_Mapping[str, float]] = ..., attribute_weights: _Optional[_Mapping[str, float]] = ..., explain_in_words: bool = ..., language: _Optional[str] = ..., item_fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., expected_versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., validate_only: bool = ..., exploration_column: _Optional[str] = ..., exploration_max_age_days: _Optional[float] = ..., ignored_conditions: _Optional[_Iterable[str]] = ..., exact: bool = ...) -> None: ...

class RecommendResponse(_message.Message):
    __slots__ = ("recommendation_id", "items", "missing_ids", "fallback", "versions", "constraints")
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    recommendation_id: str
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.ScoredItem]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    fallback: _common_pb2.Fallback
    versions: _common_pb2.Versions
    constraints: _containers.RepeatedCompositeFieldContainer[_common_pb2.Constraint]
    def __init__(self, recommendation_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[_common_pb2.ScoredItem, _Mapping]]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., fallback: _Optional[_Union[_common_pb2.Fallback, str]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., constraints: _Optional[_Iterable[_Union[_common_pb2.Constraint, _Mapping]]] = ...) -> None: ...

class BatchRecommendRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RecommendRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[RecommendRequest, _Mapping]]] = ...) -> None: ...

class BatchRecommendResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: RecommendResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[RecommendResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class BatchRecommendResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchRecommendResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchRecommendResult, _Mapping]]] = ...) -> None: ...

class RankItemsRequest(_message.Message):
    __slots__ = ("customer", "item_ids")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    customer: RecommendRequest
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, customer: _Optional[_Union[RecommendRequest, _Mapping]] = ..., item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RankItemsResponse(_message.Message):
    __slots__ = ("items", "missing_ids", "recommendation_id", "fallback", "versions", "constraints")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.ScoredItem]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    recommendation_id: str
    fallback: _common_pb2.Fallback
    versions: _common_pb2.Versions
    constraints: _containers.RepeatedCompositeFieldContainer[_common_pb2.Constraint]
    def __init__(self, items: _Optional[_Iterable[_Union[_common_pb2.ScoredItem, _Mapping]]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., recommendation_id: _Optional[str] = ..., fallback: _Optional[_Union[_common_pb2.Fallback, str]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., constraints: _Optional[_Iterable[_Union[_common_pb2.Constraint, _Mapping]]] = ...) -> None: ...

class PredictRatingRequest(_message.Message):
    __slots__ = ("history", "user_id", "item_ids")
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    history: _containers.RepeatedCompositeFieldContainer[HistoryEvent]
    user_id: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, history: _Optional[_Iterable[_Union[HistoryEvent, _Mapping]]] = ..., user_id: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class PredictRatingResponse(_message.Message):
    __slots__ = ("ratings", "missing_ids", "versions")
    class Rating(_message.Message):
        __slots__ = ("item_id", "rating", "deviation")
        ITEM_ID_FIELD_NUMBER: _ClassVar[int]
        RATING_FIELD_NUMBER: _ClassVar[int]
        DEVIATION_FIELD_NUMBER: _ClassVar[int]
        item_id: str
        rating: float
        deviation: float
        def __init__(self, item_id: _Optional[str] = ..., rating: _Optional[float] = ..., deviation: _Optional[float] = ...) -> None: ...
    RATINGS_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    ratings: _containers.RepeatedCompositeFieldContainer[PredictRatingResponse.Rating]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    versions: _common_pb2.Versions
    def __init__(self, ratings: _Optional[_Iterable[_Union[PredictRatingResponse.Rating, _Mapping]]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ...) -> None: ...

class EmbedUserRequest(_message.Message):
    __slots__ = ("history", "user_id", "text", "text_weight", "dimension")
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TEXT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    history: _containers.RepeatedScalarFieldContainer[str]
    user_id: str
    text: str
    text_weight: float
    dimension: int
    def __init__(self, history: _Optional[_Iterable[str]] = ..., user_id: _Optional[str] = ..., text: _Optional[str] = ..., text_weight: _Optional[float] = ..., dimension: _Optional[int] = ...) -> None: ...

class EmbedUserResponse(_message.Message):
    __slots__ = ("vector", "missing_ids", "fallback", "versions")
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    vector: _common_pb2.Vector
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    fallback: _common_pb2.Fallback
    versions: _common_pb2.Versions
    def __init__(self, vector: _Optional[_Union[_common_pb2.Vector, _Mapping]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., fallback: _Optional[_Union[_common_pb2.Fallback, str]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("customer", "recommendation_id", "item_ids", "language")
    CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    customer: RecommendRequest
    recommendation_id: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    language: str
    def __init__(self, customer: _Optional[_Union[RecommendRequest, _Mapping]] = ..., recommendation_id: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ..., language: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("explanations", "missing_ids", "versions")
    class Explanation(_message.Message):
        __slots__ = ("item_id", "text", "shares", "statements")
        ITEM_ID_FIELD_NUMBER: _ClassVar[int]
        TEXT_FIELD_NUMBER: _ClassVar[int]
        SHARES_FIELD_NUMBER: _ClassVar[int]
        STATEMENTS_FIELD_NUMBER: _ClassVar[int]
        item_id: str
        text: str
        shares: _containers.RepeatedCompositeFieldContainer[_common_pb2.ChannelShare]
        statements: _containers.RepeatedCompositeFieldContainer[_common_pb2.Statement]
        def __init__(self, item_id: _Optional[str] = ..., text: _Optional[str] = ..., shares: _Optional[_Iterable[_Union[_common_pb2.ChannelShare, _Mapping]]] = ..., statements: _Optional[_Iterable[_Union[_common_pb2.Statement, _Mapping]]] = ...) -> None: ...
    EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    explanations: _containers.RepeatedCompositeFieldContainer[ExplainResponse.Explanation]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    versions: _common_pb2.Versions
    def __init__(self, explanations: _Optional[_Iterable[_Union[ExplainResponse.Explanation, _Mapping]]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ...) -> None: ...

class ConversationState(_message.Message):
    __slots__ = ("constraints", "shown_ids", "rejected_ids", "asked_columns", "question", "offered", "wish", "turns")
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_IDS_FIELD_NUMBER: _ClassVar[int]
    REJECTED_IDS_FIELD_NUMBER: _ClassVar[int]
    ASKED_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    WISH_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    constraints: _containers.RepeatedCompositeFieldContainer[_common_pb2.Constraint]
    shown_ids: _containers.RepeatedScalarFieldContainer[str]
    rejected_ids: _containers.RepeatedScalarFieldContainer[str]
    asked_columns: _containers.RepeatedScalarFieldContainer[str]
    question: str
    offered: _containers.RepeatedCompositeFieldContainer[_common_pb2.Constraint]
    wish: str
    turns: int
    def __init__(self, constraints: _Optional[_Iterable[_Union[_common_pb2.Constraint, _Mapping]]] = ..., shown_ids: _Optional[_Iterable[str]] = ..., rejected_ids: _Optional[_Iterable[str]] = ..., asked_columns: _Optional[_Iterable[str]] = ..., question: _Optional[str] = ..., offered: _Optional[_Iterable[_Union[_common_pb2.Constraint, _Mapping]]] = ..., wish: _Optional[str] = ..., turns: _Optional[int] = ...) -> None: ...

class ConverseRequest(_message.Message):
    __slots__ = ("text", "state", "history", "user_id", "filter", "image", "k", "sponsored_column")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    SPONSORED_COLUMN_FIELD_NUMBER: _ClassVar[int]
    text: str
    state: ConversationState
    history: _containers.RepeatedScalarFieldContainer[str]
    user_id: str
    filter: str
    image: bytes
    k: int
    sponsored_column: str
    def __init__(self, text: _Optional[str] = ..., state: _Optional[_Union[ConversationState, _Mapping]] = ..., history: _Optional[_Iterable[str]] = ..., user_id: _Optional[str] = ..., filter: _Optional[str] = ..., image: _Optional[bytes] = ..., k: _Optional[int] = ..., sponsored_column: _Optional[str] = ...) -> None: ...

class ConverseResponse(_message.Message):
    __slots__ = ("text", "items", "state", "asked_column", "done", "missing_ids", "versions", "worded")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ASKED_COLUMN_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    WORDED_FIELD_NUMBER: _ClassVar[int]
    text: str
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.ScoredItem]
    state: ConversationState
    asked_column: str
    done: bool
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    versions: _common_pb2.Versions
    worded: bool
    def __init__(self, text: _Optional[str] = ..., items: _Optional[_Iterable[_Union[_common_pb2.ScoredItem, _Mapping]]] = ..., state: _Optional[_Union[ConversationState, _Mapping]] = ..., asked_column: _Optional[str] = ..., done: bool = ..., missing_ids: _Optional[_Iterable[str]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., worded: bool = ...) -> None: ...

class UserEvent(_message.Message):
    __slots__ = ("event_id", "user_id", "session_id", "item_id", "event_type", "time", "rating", "value", "recommendation_id", "position")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    user_id: str
    session_id: str
    item_id: str
    event_type: str
    time: _timestamp_pb2.Timestamp
    rating: float
    value: float
    recommendation_id: str
    position: int
    def __init__(self, event_id: _Optional[str] = ..., user_id: _Optional[str] = ..., session_id: _Optional[str] = ..., item_id: _Optional[str] = ..., event_type: _Optional[str] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., rating: _Optional[float] = ..., value: _Optional[float] = ..., recommendation_id: _Optional[str] = ..., position: _Optional[int] = ...) -> None: ...

class RecordEventsRequest(_message.Message):
    __slots__ = ("request_id", "events", "validate_only")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    events: _containers.RepeatedCompositeFieldContainer[UserEvent]
    validate_only: bool
    def __init__(self, request_id: _Optional[str] = ..., events: _Optional[_Iterable[_Union[UserEvent, _Mapping]]] = ..., validate_only: bool = ...) -> None: ...

class RecordEventsResponse(_message.Message):
    __slots__ = ("results", "request_id")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_common_pb2.EntryStatus]
    request_id: str
    def __init__(self, results: _Optional[_Iterable[_Union[_common_pb2.EntryStatus, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class ListEventsRequest(_message.Message):
    __slots__ = ("user_id", "page_size", "page_token")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    page_size: int
    page_token: str
    def __init__(self, user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[UserEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[UserEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteUserRequest(_message.Message):
    __slots__ = ("user_id",)
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    def __init__(self, user_id: _Optional[str] = ...) -> None: ...

class DeleteUserResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: int
    def __init__(self, events: _Optional[int] = ...) -> None: ...
