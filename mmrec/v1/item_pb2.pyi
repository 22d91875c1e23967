from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.rpc import status_pb2 as _status_pb2
from mmrec.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetItemsRequest(_message.Message):
    __slots__ = ("item_ids", "item_fields")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELDS_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    item_fields: _field_mask_pb2.FieldMask
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., item_fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class GetItemsResponse(_message.Message):
    __slots__ = ("items", "missing_ids", "versions")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.Item]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    versions: _common_pb2.Versions
    def __init__(self, items: _Optional[_Iterable[_Union[_common_pb2.Item, _Mapping]]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ...) -> None: ...

class ListItemsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter", "item_fields")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELDS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter: str
    item_fields: _field_mask_pb2.FieldMask
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ..., item_fields: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListItemsResponse(_message.Message):
    __slots__ = ("items", "next_page_token", "total_size", "versions")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.Item]
    next_page_token: str
    total_size: int
    versions: _common_pb2.Versions
    def __init__(self, items: _Optional[_Iterable[_Union[_common_pb2.Item, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ...) -> None: ...

class UpsertItemsRequest(_message.Message):
    __slots__ = ("request_id", "items", "update_mask", "validate_only", "wait_until_visible")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    WAIT_UNTIL_VISIBLE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    items: _containers.RepeatedCompositeFieldContainer[_common_pb2.ItemInput]
    update_mask: _field_mask_pb2.FieldMask
    validate_only: bool
    wait_until_visible: bool
    def __init__(self, request_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[_common_pb2.ItemInput, _Mapping]]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., validate_only: bool = ..., wait_until_visible: bool = ...) -> None: ...

class UpsertItemsResponse(_message.Message):
    __slots__ = ("results", "versions", "request_id")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_common_pb2.EntryStatus]
    versions: _common_pb2.Versions
    request_id: str
    def __init__(self, results: _Optional[_Iterable[_Union[_common_pb2.EntryStatus, _Mapping]]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteItemsRequest(_message.Message):
    __slots__ = ("request_id", "item_ids", "validate_only")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    validate_only: bool
    def __init__(self, request_id: _Optional[str] = ..., item_ids: _Optional[_Iterable[str]] = ..., validate_only: bool = ...) -> None: ...

class DeleteItemsResponse(_message.Message):
    __slots__ = ("results", "versions", "request_id")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_common_pb2.EntryStatus]
    versions: _common_pb2.Versions
    request_id: str
    def __init__(self, results: _Optional[_Iterable[_Union[_common_pb2.EntryStatus, _Mapping]]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetSemanticIdsRequest(_message.Message):
    __slots__ = ("item_ids", "codebook_version")
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    CODEBOOK_VERSION_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    codebook_version: str
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ..., codebook_version: _Optional[str] = ...) -> None: ...

class GetSemanticIdsResponse(_message.Message):
    __slots__ = ("entries", "missing_ids", "versions")
    class Entry(_message.Message):
        __slots__ = ("item_id", "semantic_id", "status")
        ITEM_ID_FIELD_NUMBER: _ClassVar[int]
        SEMANTIC_ID_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        item_id: str
        semantic_id: _common_pb2.SemanticId
        status: _status_pb2.Status
        def __init__(self, item_id: _Optional[str] = ..., semantic_id: _Optional[_Union[_common_pb2.SemanticId, _Mapping]] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    MISSING_IDS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[GetSemanticIdsResponse.Entry]
    missing_ids: _containers.RepeatedScalarFieldContainer[str]
    versions: _common_pb2.Versions
    def __init__(self, entries: _Optional[_Iterable[_Union[GetSemanticIdsResponse.Entry, _Mapping]]] = ..., missing_ids: _Optional[_Iterable[str]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ...) -> None: ...

class ResolveSemanticIdsRequest(_message.Message):
    __slots__ = ("semantic_ids", "page_size", "codebook_version")
    SEMANTIC_IDS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    CODEBOOK_VERSION_FIELD_NUMBER: _ClassVar[int]
    semantic_ids: _containers.RepeatedCompositeFieldContainer[_common_pb2.SemanticId]
    page_size: int
    codebook_version: str
    def __init__(self, semantic_ids: _Optional[_Iterable[_Union[_common_pb2.SemanticId, _Mapping]]] = ..., page_size: _Optional[int] = ..., codebook_version: _Optional[str] = ...) -> None: ...

class ResolveSemanticIdsResponse(_message.Message):
    __slots__ = ("entries", "versions")
    class Entry(_message.Message):
        __slots__ = ("semantic_id", "items", "total_size", "status")
        SEMANTIC_ID_FIELD_NUMBER: _ClassVar[int]
        ITEMS_FIELD_NUMBER: _ClassVar[int]
        TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
        STATUS_FIELD_NUMBER: _ClassVar[int]
        semantic_id: _common_pb2.SemanticId
        items: _containers.RepeatedCompositeFieldContainer[_common_pb2.Item]
        total_size: int
        status: _status_pb2.Status
        def __init__(self, semantic_id: _Optional[_Union[_common_pb2.SemanticId, _Mapping]] = ..., items: _Optional[_Iterable[_Union[_common_pb2.Item, _Mapping]]] = ..., total_size: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[ResolveSemanticIdsResponse.Entry]
    versions: _common_pb2.Versions
    def __init__(self, entries: _Optional[_Iterable[_Union[ResolveSemanticIdsResponse.Entry, _Mapping]]] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ...) -> None: ...
