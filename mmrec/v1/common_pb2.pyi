from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DTYPE_UNSPECIFIED: _ClassVar[DType]
    DTYPE_FLOAT32: _ClassVar[DType]
    DTYPE_FLOAT16: _ClassVar[DType]
    DTYPE_BFLOAT16: _ClassVar[DType]

class StatementKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATEMENT_KIND_UNSPECIFIED: _ClassVar[StatementKind]
    STATEMENT_KIND_HISTORY: _ClassVar[StatementKind]
    STATEMENT_KIND_TOGETHER: _ClassVar[StatementKind]
    STATEMENT_KIND_ATTRIBUTE: _ClassVar[StatementKind]
    STATEMENT_KIND_PICTURE: _ClassVar[StatementKind]
    STATEMENT_KIND_WORDS: _ClassVar[StatementKind]
    STATEMENT_KIND_POPULARITY: _ClassVar[StatementKind]
    STATEMENT_KIND_NEW_ITEM: _ClassVar[StatementKind]
    STATEMENT_KIND_PROMOTION: _ClassVar[StatementKind]
    STATEMENT_KIND_WISH: _ClassVar[StatementKind]

class Fallback(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FALLBACK_UNSPECIFIED: _ClassVar[Fallback]
    FALLBACK_NONE: _ClassVar[Fallback]
    FALLBACK_POPULARITY: _ClassVar[Fallback]
    FALLBACK_FILTER_RELAXED: _ClassVar[Fallback]
    FALLBACK_POPULARITY_FILTER_RELAXED: _ClassVar[Fallback]

class FilterMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILTER_MODE_UNSPECIFIED: _ClassVar[FilterMode]
    FILTER_MODE_STRICT: _ClassVar[FilterMode]
    FILTER_MODE_RELAXED: _ClassVar[FilterMode]
DTYPE_UNSPECIFIED: DType
DTYPE_FLOAT32: DType
DTYPE_FLOAT16: DType
DTYPE_BFLOAT16: DType
STATEMENT_KIND_UNSPECIFIED: StatementKind
STATEMENT_KIND_HISTORY: StatementKind
STATEMENT_KIND_TOGETHER: StatementKind
STATEMENT_KIND_ATTRIBUTE: StatementKind
STATEMENT_KIND_PICTURE: StatementKind
STATEMENT_KIND_WORDS: StatementKind
STATEMENT_KIND_POPULARITY: StatementKind
STATEMENT_KIND_NEW_ITEM: StatementKind
STATEMENT_KIND_PROMOTION: StatementKind
STATEMENT_KIND_WISH: StatementKind
FALLBACK_UNSPECIFIED: Fallback
FALLBACK_NONE: Fallback
FALLBACK_POPULARITY: Fallback
FALLBACK_FILTER_RELAXED: Fallback
FALLBACK_POPULARITY_FILTER_RELAXED: Fallback
FILTER_MODE_UNSPECIFIED: FilterMode
FILTER_MODE_STRICT: FilterMode
FILTER_MODE_RELAXED: FilterMode

class Versions(_message.Message):
    __slots__ = ("model", "catalogue", "codebook")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    CODEBOOK_FIELD_NUMBER: _ClassVar[int]
    model: str
    catalogue: str
    codebook: str
    def __init__(self, model: _Optional[str] = ..., catalogue: _Optional[str] = ..., codebook: _Optional[str] = ...) -> None: ...

class SemanticId(_message.Message):
    __slots__ = ("codes",)
    CODES_FIELD_NUMBER: _ClassVar[int]
    codes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, codes: _Optional[_Iterable[int]] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("item_id", "title", "description", "image", "attributes", "semantic_id")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    SEMANTIC_ID_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    description: str
    image: str
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    semantic_id: SemanticId
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., image: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ..., semantic_id: _Optional[_Union[SemanticId, _Mapping]] = ...) -> None: ...

class ItemInput(_message.Message):
    __slots__ = ("item_id", "title", "description", "image", "attributes")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    description: str
    image: bytes
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., image: _Optional[bytes] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ...) -> None: ...

class Vector(_message.Message):
    __slots__ = ("dtype", "data")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    dtype: DType
    data: bytes
    def __init__(self, dtype: _Optional[_Union[DType, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class HistoryShare(_message.Message):
    __slots__ = ("history_item_id", "share")
    HISTORY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    history_item_id: str
    share: float
    def __init__(self, history_item_id: _Optional[str] = ..., share: _Optional[float] = ...) -> None: ...

class ChannelShare(_message.Message):
    __slots__ = ("channel", "share", "history_item_id", "history")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    channel: str
    share: float
    history_item_id: str
    history: _containers.RepeatedCompositeFieldContainer[HistoryShare]
    def __init__(self, channel: _Optional[str] = ..., share: _Optional[float] = ..., history_item_id: _Optional[str] = ..., history: _Optional[_Iterable[_Union[HistoryShare, _Mapping]]] = ...) -> None: ...

class ScoredItem(_message.Message):
    __slots__ = ("item", "score", "shares", "explanation", "statements", "sources")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    item: Item
    score: float
    shares: _containers.RepeatedCompositeFieldContainer[ChannelShare]
    explanation: str
    statements: _containers.RepeatedCompositeFieldContainer[Statement]
    sources: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, item: _Optional[_Union[Item, _Mapping]] = ..., score: _Optional[float] = ..., shares: _Optional[_Iterable[_Union[ChannelShare, _Mapping]]] = ..., explanation: _Optional[str] = ..., statements: _Optional[_Iterable[_Union[Statement, _Mapping]]] = ..., sources: _Optional[_Iterable[str]] = ...) -> None: ...

class Statement(_message.Message):
    __slots__ = ("kind", "text", "item_ids", "column", "value", "count", "share", "worded")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    WORDED_FIELD_NUMBER: _ClassVar[int]
    kind: StatementKind
    text: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    column: str
    value: str
    count: int
    share: float
    worded: bool
    def __init__(self, kind: _Optional[_Union[StatementKind, str]] = ..., text: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ..., column: _Optional[str] = ..., value: _Optional[str] = ..., count: _Optional[int] = ..., share: _Optional[float] = ..., worded: bool = ...) -> None: ...

class Constraint(_message.Message):
    __slots__ = ("column", "condition", "words", "confidence", "negated")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    NEGATED_FIELD_NUMBER: _ClassVar[int]
    column: str
    condition: str
    words: str
    confidence: float
    negated: bool
    def __init__(self, column: _Optional[str] = ..., condition: _Optional[str] = ..., words: _Optional[str] = ..., confidence: _Optional[float] = ..., negated: bool = ...) -> None: ...

class EntryStatus(_message.Message):
    __slots__ = ("id", "status")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: _status_pb2.Status
    def __init__(self, id: _Optional[str] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
