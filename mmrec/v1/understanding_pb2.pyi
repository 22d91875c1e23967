from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.rpc import status_pb2 as _status_pb2
from mmrec.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Modality(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODALITY_UNSPECIFIED: _ClassVar[Modality]
    MODALITY_FUSED: _ClassVar[Modality]
    MODALITY_IMAGE: _ClassVar[Modality]
    MODALITY_TEXT: _ClassVar[Modality]

class Evidence(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVIDENCE_UNSPECIFIED: _ClassVar[Evidence]
    EVIDENCE_PICTURE: _ClassVar[Evidence]
    EVIDENCE_WORDS: _ClassVar[Evidence]
    EVIDENCE_BOTH: _ClassVar[Evidence]
MODALITY_UNSPECIFIED: Modality
MODALITY_FUSED: Modality
MODALITY_IMAGE: Modality
MODALITY_TEXT: Modality
EVIDENCE_UNSPECIFIED: Evidence
EVIDENCE_PICTURE: Evidence
EVIDENCE_WORDS: Evidence
EVIDENCE_BOTH: Evidence

class EmbedItemsRequest(_message.Message):
    __slots__ = ("items", "dimension", "dtype", "modality", "validate_only")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.ItemInput]
    dimension: int
    dtype: _common_pb2.DType
    modality: Modality
    validate_only: bool
    def __init__(self, items: _Optional[_Iterable[_Union[_common_pb2.ItemInput, _Mapping]]] = ..., dimension: _Optional[int] = ..., dtype: _Optional[_Union[_common_pb2.DType, str]] = ..., modality: _Optional[_Union[Modality, str]] = ..., validate_only: bool = ...) -> None: ...

class ItemEmbedding(_message.Message):
    __slots__ = ("vector", "semantic_id")
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    SEMANTIC_ID_FIELD_NUMBER: _ClassVar[int]
    vector: _common_pb2.Vector
    semantic_id: _common_pb2.SemanticId
    def __init__(self, vector: _Optional[_Union[_common_pb2.Vector, _Mapping]] = ..., semantic_id: _Optional[_Union[_common_pb2.SemanticId, _Mapping]] = ...) -> None: ...

class EmbedItemResult(_message.Message):
    __slots__ = ("item_id", "embedding", "error")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    embedding: ItemEmbedding
    error: _status_pb2.Status
    def __init__(self, item_id: _Optional[str] = ..., embedding: _Optional[_Union[ItemEmbedding, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class EmbedItemsResponse(_message.Message):
    __slots__ = ("results", "versions")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EmbedItemResult]
    versions: _common_pb2.Versions
    def __init__(self, results: _Optional[_Iterable[_Union[EmbedItemResult, _Mapping]]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ...) -> None: ...

class SearchItemsRequest(_message.Message):
    __slots__ = ("text", "image", "text_weight", "k", "filter", "filter_mode", "vector", "modality", "page_token", "item_fields", "validate_only", "item_id", "item_weight")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    TEXT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FILTER_MODE_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELDS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    text: str
    image: bytes
    text_weight: float
    k: int
    filter: str
    filter_mode: _common_pb2.FilterMode
    vector: _common_pb2.Vector
    modality: Modality
    page_token: str
    item_fields: _field_mask_pb2.FieldMask
    validate_only: bool
    item_id: str
    item_weight: float
    def __init__(self, text: _Optional[str] = ..., image: _Optional[bytes] = ..., text_weight: _Optional[float] = ..., k: _Optional[int] = ..., filter: _Optional[str] = ..., filter_mode: _Optional[_Union[_common_pb2.FilterMode, str]] = ..., vector: _Optional[_Union[_common_pb2.Vector, _Mapping]] = ..., modality: _Optional[_Union[Modality, str]] = ..., page_token: _Optional[str] = ..., item_fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., validate_only: bool = ..., item_id: _Optional[str] = ..., item_weight: _Optional[float] = ...) -> None: ...

class SearchItemsResponse(_message.Message):
    __slots__ = ("items", "versions", "next_page_token", "fallback")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.ScoredItem]
    versions: _common_pb2.Versions
    next_page_token: str
    fallback: _common_pb2.Fallback
    def __init__(self, items: _Optional[_Iterable[_Union[_common_pb2.ScoredItem, _Mapping]]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., next_page_token: _Optional[str] = ..., fallback: _Optional[_Union[_common_pb2.Fallback, str]] = ...) -> None: ...

class BatchSearchItemsRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SearchItemsRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[SearchItemsRequest, _Mapping]]] = ...) -> None: ...

class BatchSearchItemsResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: SearchItemsResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[SearchItemsResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class BatchSearchItemsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchSearchItemsResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchSearchItemsResult, _Mapping]]] = ...) -> None: ...

class SimilarItemsRequest(_message.Message):
    __slots__ = ("item_id", "k", "filter", "filter_mode", "modality", "diversity", "item_fields")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    FILTER_MODE_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELDS_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    k: int
    filter: str
    filter_mode: _common_pb2.FilterMode
    modality: Modality
    diversity: float
    item_fields: _field_mask_pb2.FieldMask
    def __init__(self, item_id: _Optional[str] = ..., k: _Optional[int] = ..., filter: _Optional[str] = ..., filter_mode: _Optional[_Union[_common_pb2.FilterMode, str]] = ..., modality: _Optional[_Union[Modality, str]] = ..., diversity: _Optional[float] = ..., item_fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class SimilarItemsResponse(_message.Message):
    __slots__ = ("items", "versions", "fallback")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.ScoredItem]
    versions: _common_pb2.Versions
    fallback: _common_pb2.Fallback
    def __init__(self, items: _Optional[_Iterable[_Union[_common_pb2.ScoredItem, _Mapping]]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., fallback: _Optional[_Union[_common_pb2.Fallback, str]] = ...) -> None: ...

class BatchSimilarItemsRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SimilarItemsRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[SimilarItemsRequest, _Mapping]]] = ...) -> None: ...

class BatchSimilarItemsResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: SimilarItemsResponse
    error: _status_pb2.Status
    def __init__(self, response: _Optional[_Union[SimilarItemsResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class BatchSimilarItemsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchSimilarItemsResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchSimilarItemsResult, _Mapping]]] = ...) -> None: ...

class TagItemsRequest(_message.Message):
    __slots__ = ("items", "labels", "page_size", "min_score", "item_ids", "column", "templates", "modality")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.ItemInput]
    labels: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    min_score: float
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    column: str
    templates: _containers.RepeatedScalarFieldContainer[str]
    modality: Modality
    def __init__(self, items: _Optional[_Iterable[_Union[_common_pb2.ItemInput, _Mapping]]] = ..., labels: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., min_score: _Optional[float] = ..., item_ids: _Optional[_Iterable[str]] = ..., column: _Optional[str] = ..., templates: _Optional[_Iterable[str]] = ..., modality: _Optional[_Union[Modality, str]] = ...) -> None: ...

class TagItemsResponse(_message.Message):
    __slots__ = ("results", "versions", "missing_ids", "calibration")
    class Tag(_message.Message):
        __slots__ = ("label", "score")
        LABEL_FIELD_NUMBER: _ClassVar[int]
        SCORE_FIELD_NUMBER: _ClassVar[int]
        label: str
        score: float
        def __init__(self, label: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...
    class Result(_message.Message):
        __slots__ = ("item_id", "tags", "status")
        ITEM_ID_FIELD_NUMBER: _ClassVar[int]
        TAGS_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        item_id: str
        tags: _containers.RepeatedCompositeFieldContainer[TagItemsResponse.Tag]
        status: _status_pb2.Status
        def __init__(self, item_id: _Optional[str] = ..., tags: _Optional[_Iterable[_Union[TagItemsResponse.Tag, _Mapping]]] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TagItemsResponse.Result]
    versions: _common_pb2.Versions
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    calibration: TagCalibration
    def __init__(self, results: _Optional[_Iterable[_Union[TagItemsResponse.Result, _Mapping]]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., calibration: _Optional[_Union[TagCalibration, _Mapping]] = ...) -> None: ...

class TagCalibration(_message.Message):
    __slots__ = ("calibrated", "temperature", "rows", "accuracy", "calibration_error")
    CALIBRATED_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_ERROR_FIELD_NUMBER: _ClassVar[int]
    calibrated: bool
    temperature: float
    rows: int
    accuracy: float
    calibration_error: float
    def __init__(self, calibrated: bool = ..., temperature: _Optional[float] = ..., rows: _Optional[int] = ..., accuracy: _Optional[float] = ..., calibration_error: _Optional[float] = ...) -> None: ...

class FindDuplicatesRequest(_message.Message):
    __slots__ = ("item_ids", "min_similarity", "page_size", "page_token", "filter", "modality")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    MIN_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MODALITY_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    min_similarity: float
    page_size: int
    page_token: str
    filter: str
    modality: Modality
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., min_similarity: _Optional[float] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ..., modality: _Optional[_Union[Modality, str]] = ...) -> None: ...

class FindDuplicatesResponse(_message.Message):
    __slots__ = ("groups", "missing_ids", "next_page_token", "versions", "picture_threshold", "words_threshold", "explanation", "total_size")
    class Group(_message.Message):
        __slots__ = ("item_ids", "similarity", "evidence")
        ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
        SIMILARITY_FIELD_NUMBER: _ClassVar[int]
        EVIDENCE_FIELD_NUMBER: _ClassVar[int]
        item_ids: _containers.RepeatedScalarFieldContainer[str]
        similarity: float
        evidence: Evidence
        def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., similarity: _Optional[float] = ..., evidence: _Optional[_Union[Evidence, str]] = ...) -> None: ...
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PICTURE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    WORDS_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[FindDuplicatesResponse.Group]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    versions: _common_pb2.Versions
    picture_threshold: float
    words_threshold: float
    explanation: str
    total_size: int
    def __init__(self, groups: _Optional[_Iterable[_Union[FindDuplicatesResponse.Group, _Mapping]]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., picture_threshold: _Optional[float] = ..., words_threshold: _Optional[float] = ..., explanation: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class FindMismatchesRequest(_message.Message):
    __slots__ = ("item_ids", "max_agreement", "page_size", "page_token", "filter", "item_fields")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    MAX_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELDS_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    max_agreement: float
    page_size: int
    page_token: str
    filter: str
    item_fields: _field_mask_pb2.FieldMask
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., max_agreement: _Optional[float] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ..., item_fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class FindMismatchesResponse(_message.Message):
    __slots__ = ("mismatches", "missing_ids", "next_page_token", "versions", "threshold", "explanation", "total_size")
    class Mismatch(_message.Message):
        __slots__ = ("item", "agreement", "percentile", "fit")
        ITEM_FIELD_NUMBER: _ClassVar[int]
        AGREEMENT_FIELD_NUMBER: _ClassVar[int]
        PERCENTILE_FIELD_NUMBER: _ClassVar[int]
        FIT_FIELD_NUMBER: _ClassVar[int]
        item: _common_pb2.Item
        agreement: float
        percentile: float
        fit: float
        def __init__(self, item: _Optional[_Union[_common_pb2.Item, _Mapping]] = ..., agreement: _Optional[float] = ..., percentile: _Optional[float] = ..., fit: _Optional[float] = ...) -> None: ...
    MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    mismatches: _containers.RepeatedCompositeFieldContainer[FindMismatchesResponse.Mismatch]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    versions: _common_pb2.Versions
    threshold: float
    explanation: str
    total_size: int
    def __init__(self, mismatches: _Optional[_Iterable[_Union[FindMismatchesResponse.Mismatch, _Mapping]]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., threshold: _Optional[float] = ..., explanation: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...
