from google.protobuf import timestamp_pb2 as _timestamp_pb2
from mmrec.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServiceInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServiceInfoResponse(_message.Message):
    __slots__ = ("info",)
    INFO_FIELD_NUMBER: _ClassVar[int]
    info: ServiceInfo
    def __init__(self, info: _Optional[_Union[ServiceInfo, _Mapping]] = ...) -> None: ...

class ServiceInfo(_message.Message):
    __slots__ = ("name", "versions", "items", "users", "dimension", "prefixes", "levels", "codebook_size", "device", "preset", "codebook_versions", "language_model", "language_model_version", "mmrec_version", "refused_bundle")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    PREFIXES_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    CODEBOOK_SIZE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    CODEBOOK_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_MODEL_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    MMREC_VERSION_FIELD_NUMBER: _ClassVar[int]
    REFUSED_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    versions: _common_pb2.Versions
    items: int
    users: int
    dimension: int
    prefixes: _containers.RepeatedScalarFieldContainer[int]
    levels: int
    codebook_size: int
    device: str
    preset: str
    codebook_versions: _containers.RepeatedScalarFieldContainer[str]
    language_model: str
    language_model_version: str
    mmrec_version: str
    refused_bundle: RefusedBundle
    def __init__(self, name: _Optional[str] = ..., versions: _Optional[_Union[_common_pb2.Versions, _Mapping]] = ..., items: _Optional[int] = ..., users: _Optional[int] = ..., dimension: _Optional[int] = ..., prefixes: _Optional[_Iterable[int]] = ..., levels: _Optional[int] = ..., codebook_size: _Optional[int] = ..., device: _Optional[str] = ..., preset: _Optional[str] = ..., codebook_versions: _Optional[_Iterable[str]] = ..., language_model: _Optional[str] = ..., language_model_version: _Optional[str] = ..., mmrec_version: _Optional[str] = ..., refused_bundle: _Optional[_Union[RefusedBundle, _Mapping]] = ...) -> None: ...

class RefusedBundle(_message.Message):
    __slots__ = ("version", "reason", "time")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    version: str
    reason: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, version: _Optional[str] = ..., reason: _Optional[str] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
