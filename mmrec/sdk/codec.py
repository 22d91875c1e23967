"""Converts the dataclasses of `mmrec.contract` to protobuf messages and back, by field names.

Unit of work: one message. A field has the same name in the dataclass and in the message, and its type determines the
conversion; the tables below list the exceptions. A request has a field for every field of its message. In a list whose
entries have results of their own, an entry that cannot be read becomes a failure with its path: ``items[17].image``.
Arbitrary bytes raise only `mmrec.errors`. Knows nothing of channels, servers or models.
"""

from __future__ import annotations

import dataclasses
import re
import struct
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from google.protobuf import timestamp_pb2
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from mmrec.contract.changes import ChangeEntry, ChangeResults, UpsertRequest
from mmrec.contract.events import EventResults
from mmrec.contract.items import ItemFailure, Modality, NumberFormat
from mmrec.contract.replies import (
    DuplicateGroups,
    EmbedResults,
    ItemEmbedding,
    ItemPage,
    ItemPath,
    Mismatches,
    ResolvedPath,
    TagResults,
)
from mmrec.contract.requests import TagRequest
from mmrec.contract.rules import Checked, Each, Ids, Rule, field_rules
from mmrec.errors import FieldViolation, InvalidArgumentError, MmrecError, NotImplementedYetError, prefixed
from mmrec.sdk.status import error_from_status, error_to_status
from mmrec.v1 import common_pb2

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

M = TypeVar("M", bound=Message)
T = TypeVar("T")

# --- the special cases ----------------------------------------------------------------------------------------------

_NAMES: Mapping[type[Any], Mapping[str, str]] = {
    ChangeEntry: {"error": "status"},
    ChangeResults: {"entries": "results"},
    DuplicateGroups: {"total": "total_size"},
    EmbedResults: {"items": "results"},
    EventResults: {"entries": "results"},
    ItemEmbedding: {"vector": "embedding.vector", "semantic_id": "embedding.semantic_id"},
    ItemPage: {"total": "total_size"},
    ItemPath: {"error": "status"},
    Mismatches: {"items": "mismatches", "total": "total_size"},
    ResolvedPath: {"total": "total_size", "error": "status"},
    TagRequest: {"k": "page_size"},
    TagResults: {"items": "results"},
    UpsertRequest: {"fields": "update_mask"},
}
"""Fields whose names differ in the message; dots separate nested messages."""
_WHOLE = {"GetServiceInfoResponse": "info"}
"""Messages that contain the whole value in one field."""
_WORDS = {Modality.PICTURE: "IMAGE", Modality.WORDS: "TEXT"}
"""Enum members whose names differ, without the common prefix of the enum's names."""
_STATUS, _ATTRIBUTE, _VECTOR = "google.rpc.Status", "mmrec.v1.Attribute", "mmrec.v1.Vector"
_TIMESTAMP = "google.protobuf.Timestamp"
_SEMANTIC_ID, _FIELD_MASK = "mmrec.v1.SemanticId", "google.protobuf.FieldMask"


# --- values to messages and back ------------------------------------------------------------------------------------


def to_message(value: T, kind: type[T], message_type: type[M]) -> M:
    """A value as a message. Entries of a request that were refused already are left out.

    Args:
        value: A dataclass instance, or a list for a message with a single list field.
        kind: The type of the value.
        message_type: The message class.
    """
    encode: Any = _encoder  # mypy does not know that classes are hashable, as the cache requires
    message: M = encode(kind, message_type)(value)
    return message


def from_message(message: Message, kind: type[T]) -> T:
    """The value of a message; `kind` as in `to_message`.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    decode: Any = _decoder
    value: T = decode(kind, type(message))(message)
    return value


def parse(message_type: type[M], data: bytes) -> M:
    """Parse a message.

    Raises:
        InvalidArgumentError: the bytes are not such a message.
    """
    try:
        message: M = message_type.FromString(data)
    except (DecodeError, ValueError, RecursionError):  # ValueError: text that is not UTF-8, in some runtimes
        name = message_type.DESCRIPTOR.full_name
        raise InvalidArgumentError(
            f"the {len(data):,} bytes received are not a {name}; send one made with the protos of mmrec.v1"
        ) from None
    return message


def check_known(message: Message) -> None:
    """Check that these protos have every field of a request: what a newer client sets must not be ignored.

    Raises:
        NotImplementedYetError: a field is unknown.
    """
    found = _unknown_field(message)
    if found:
        raise NotImplementedYetError(
            f"the request has {found}, which the protos of this server lack; use a newer server (its version is in "
            "GetServiceInfo), or leave the field out"
        )


def _unknown_field(message: Any) -> str:
    unknown: Any = UnknownFieldSet(message)  # its stubs lack that it can be iterated over
    for field in unknown:
        return f"field {field.field_number} of {message.DESCRIPTOR.full_name}"
    message_type: Any = type(message)
    for name, repeated in _inner_messages(message_type):
        if not repeated and not message.HasField(name):
            continue
        inner = getattr(message, name)
        for entry in inner if repeated else (inner,):
            if found := _unknown_field(entry):
                return found
    return ""


@cache
def _inner_messages(message_type: Any) -> tuple[tuple[str, bool], ...]:
    """Fields whose values are messages, each with whether it is a list."""
    described = [field for field in message_type.DESCRIPTOR.fields if field.message_type and not _is_map(field)]
    return tuple((field.name, _is_repeated(field)) for field in described)


# --- whole dataclasses ----------------------------------------------------------------------------------------------


class _Field(NamedTuple):
    """A field of a dataclass and its counterpart in the message.

    Attributes:
        name: Its name in the dataclass.
        path: Its name in the message, after the names of enclosing messages.
        descriptor: Its descriptor in the message.
        hint: Its type, without None.
        default: Its default or default factory; `dataclasses.MISSING` if it is required.
        rule: Its rule.
    """

    name: str
    path: tuple[str, ...]
    descriptor: Any
    hint: Any
    default: Any
    rule: Rule | None


@cache
def _fields(kind: Any, message_type: Any) -> tuple[_Field, ...]:
    names, hints, rules = _NAMES.get(kind, {}), get_type_hints(kind), field_rules(kind)
    planned = []
    for field, rule in zip(dataclasses.fields(kind), rules, strict=True):
        path = tuple(names.get(field.name, field.name).split("."))
        inside: Any = message_type.DESCRIPTOR
        for name in path[:-1]:
            inside = inside.fields_by_name[name].message_type
        described = inside.fields_by_name.get(path[-1])
        if described is None:
            if issubclass(kind, Checked):  # every field of a request must be sent
                raise TypeError(f"{message_type.DESCRIPTOR.full_name} has no field for {kind.__name__}.{field.name}")
            continue
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory
        planned.append(_Field(field.name, path, described, _without_none(hints[field.name]), default, rule.rule))
    lacking = {described.name for described in message_type.DESCRIPTOR.fields} - {field.path[0] for field in planned}
    if lacking and issubclass(kind, Checked):  # what a client sets must not be ignored
        name = message_type.DESCRIPTOR.full_name
        raise TypeError(f"{kind.__name__} has no field for {', '.join(sorted(lacking))} of {name}")
    return tuple(planned)


@cache
def _encoder(kind: Any, message_type: Any) -> Callable[[Any], Any]:
    if get_origin(kind) is list:
        (listed,) = message_type.DESCRIPTOR.fields
        entries = _entries_to_wire(_entry_type(kind), listed)
        return lambda value: message_type(**{listed.name: entries(value)})
    if message_type.DESCRIPTOR.name in _WHOLE:
        name = _WHOLE[message_type.DESCRIPTOR.name]
        inner = _encoder(kind, _class(message_type.DESCRIPTOR.fields_by_name[name].message_type))
        return lambda value: message_type(**{name: inner(value)})
    plan = [(field.name, field.path, _to_wire(field)) for field in _fields(kind, message_type)]
    same = [(name, path[0]) for name, path, convert in plan if len(path) == 1 and convert is None]
    converted = [(name, path[0], convert) for name, path, convert in plan if len(path) == 1 and convert is not None]
    nested = [(name, path, convert or (lambda entry: entry)) for name, path, convert in plan if len(path) > 1]

    def encode(value: Any) -> Any:
        sent = {wire: getattr(value, name) for name, wire in same}  # protobuf ignores None
        for name, wire, convert in converted:
            entry = getattr(value, name)
            if entry is not None:
                sent[wire] = convert(entry)
        for name, (outer, deep), make in nested:
            sent.setdefault(outer, {})[deep] = make(getattr(value, name))
        return message_type(**sent)

    return _with_number_format(encode) if kind is EmbedResults else encode


@cache
def _decoder(kind: Any, message_type: Any) -> Callable[[Any], Any]:
    if get_origin(kind) is list:
        (listed,) = message_type.DESCRIPTOR.fields
        entries = _entries_from_wire(_entry_type(kind), listed, strict=False)
        return lambda message: list(entries(getattr(message, listed.name)))
    if message_type.DESCRIPTOR.name in _WHOLE:
        name = _WHOLE[message_type.DESCRIPTOR.name]
        inner = _decoder(kind, _class(message_type.DESCRIPTOR.fields_by_name[name].message_type))
        return lambda message: inner(getattr(message, name))
    strict = issubclass(kind, Checked)
    names = _NAMES.get(kind, {})
    plan = []
    for field in _fields(kind, message_type):
        optional = field.default is not dataclasses.MISSING and field.descriptor.has_presence and len(field.path) == 1
        bound = field.rule if strict and isinstance(field.rule, Each | Ids) else None
        plan.append((field.name, field.path, optional, bound, _from_wire(field, strict)))

    def decode(message: Any) -> Any:
        values = {}
        for name, path, optional, bound, convert in plan:
            if optional and not message.HasField(path[0]):
                continue
            value = message
            for wire in path:
                value = getattr(value, wire)
            if bound is not None and bound.most is not None and len(value) > bound.most:
                bound.check(value, path[0])  # refuse too long lists before their entries are read
            values[name] = value if convert is None else convert(value)
        if not strict:
            return kind(**values)
        try:
            return kind(**values)
        except InvalidArgumentError as err:
            raise _in_wire_names(err, names) if names else err from None

    return _with_read_number_format(decode) if kind is EmbedResults else decode


def _in_wire_names(error: InvalidArgumentError, names: Mapping[str, str]) -> InvalidArgumentError:
    """The error with the names of fields as in the message."""

    def renamed(text: str) -> str:
        name = re.match(r"\w*", text)
        wire = names.get(name.group()) if name else None
        return text if wire is None or name is None else wire + text[name.end() :]

    violations = [FieldViolation(renamed(v.field), renamed(v.description)) for v in error.violations]
    return type(error)(renamed(error.message), violations=violations)


# --- single fields: to the message ----------------------------------------------------------------------------------


def _to_wire(field: _Field) -> Callable[[Any], Any] | None:
    """Converts a field's value for the message; None if it stays the same."""
    described, hint = field.descriptor, field.hint
    if _is_repeated(described) and not _is_map(described) and described.message_type is not None:
        if described.message_type.full_name == _ATTRIBUTE:
            return lambda value: [common_pb2.Attribute(name=name, value=text) for name, text in value.items()]
        return _entries_to_wire(_entry_type(hint), described)
    if described.enum_type is not None:
        return _numbers(described.enum_type, hint).__getitem__
    if described.message_type is None or _is_map(described):
        return None
    return _message_to_wire(hint, described.message_type)


def _message_to_wire(hint: Any, described: Any) -> Callable[[Any], Any]:
    name = described.full_name
    if name == _STATUS:
        return error_to_status
    if name == _SEMANTIC_ID:
        return lambda codes: common_pb2.SemanticId(codes=[int(code) for code in codes]) if len(codes) else None
    if name == _FIELD_MASK:
        mask = _class(described)
        return lambda names: mask(paths=names) if names else None
    if name == _TIMESTAMP:
        return _timestamp
    if name == _VECTOR:
        return pack_vector if get_origin(hint) is not tuple else lambda numbers: _packed(numbers) if numbers else None
    return _encoder(hint, _class(described))


def _entries_to_wire(entry: Any, field: Any) -> Callable[[Any], list[Any]]:
    kind, failure = _entry_kinds(entry)
    if field.message_type.full_name == _SEMANTIC_ID:
        return lambda paths: [common_pb2.SemanticId(codes=codes) for codes in paths]
    status, message_type = _status_of(field.message_type), _class(field.message_type)
    if failure is None:
        convert = _encoder(kind, message_type)
        return lambda values: [convert(value) for value in values]
    if status is None:
        convert = _encoder(kind, message_type)
        return lambda values: [convert(value) for value in values if not isinstance(value, failure)]
    good = _good_to_wire(kind, message_type)
    if failure is ItemFailure:
        return lambda values: [
            message_type(item_id=value.item_id, **{status: error_to_status(value.error)})
            if isinstance(value, ItemFailure)
            else good(value)
            for value in values
        ]
    return lambda values: [
        message_type(**{status: error_to_status(value)}) if isinstance(value, MmrecError) else good(value)
        for value in values
    ]


def _good_to_wire(kind: Any, message_type: Any) -> Callable[[Any], Any]:
    response = message_type.DESCRIPTOR.fields_by_name.get("response")
    if response is None:
        return _encoder(kind, message_type)
    convert = _encoder(kind, _class(response.message_type))
    return lambda value: message_type(response=convert(value))


# --- single fields: from the message --------------------------------------------------------------------------------


def _from_wire(field: _Field, strict: bool) -> Callable[[Any], Any] | None:
    """Converts the value of a message's field for the dataclass; None if it stays the same."""
    described, hint = field.descriptor, field.hint
    if _is_map(described):
        return dict
    if _is_repeated(described):
        if described.message_type is None:
            return None if strict and field.rule is not None else tuple  # rules of lists make tuples
        if described.message_type.full_name == _ATTRIBUTE:
            return _attributes if strict else _attributes_of_row
        return _entries_from_wire(_entry_type(hint), described, strict)
    if described.enum_type is not None:
        return _member_of(field, strict)
    if described.message_type is None:
        return None
    convert = _message_from_wire(hint, described.message_type, strict)
    return _placed(convert, described.name) if strict else convert


def _message_from_wire(hint: Any, described: Any, strict: bool) -> Callable[[Any], Any]:
    name = described.full_name
    if name == _STATUS:
        return lambda status: error_from_status(status) if status.code else None
    if name == _SEMANTIC_ID:
        return lambda path: tuple(path.codes)
    if name == _FIELD_MASK:
        return lambda mask: tuple(mask.paths)
    if name == _TIMESTAMP:
        return lambda time: float(time.seconds + time.nanos / 1e9)
    if name == _VECTOR:
        return unpack_vector if get_origin(hint) is not tuple else _numbers_of
    return _decoder(hint, _class(described))


def _placed(convert: Callable[[Any], Any], place: str) -> Callable[[Any], Any]:
    """The conversion, with the path of the field added to its errors."""

    def read(value: Any) -> Any:
        try:
            return convert(value)
        except MmrecError as err:
            raise prefixed(err, place) from None

    return read


def _entries_from_wire(entry: Any, field: Any, strict: bool) -> Callable[[Any], Any]:
    kind, failure = _entry_kinds(entry)
    convert = _message_from_wire(kind, field.message_type, strict)
    if strict:
        return lambda messages: _read_each(messages, field.name, convert, failure)
    if failure is None:
        return lambda messages: tuple(map(convert, messages))
    status = field.message_type.fields_by_name[_status_of(field.message_type)]
    return _results_from_wire(kind, failure, field.message_type, status)


def _results_from_wire(kind: Any, failure: type[Any], described: Any, status: Any) -> Callable[[Any], Any]:
    """Reads a list of results, each a value or an error."""
    response = described.fields_by_name.get("response")
    convert = _decoder(kind, _class(response.message_type if response else described))
    alone = status.containing_oneof is not None  # otherwise a value may have a status OK beside it

    def read(message: Any) -> Any:
        if message.HasField(status.name) and (alone or getattr(message, status.name).code):
            error = error_from_status(getattr(message, status.name))
            return ItemFailure(message.item_id, error) if failure is ItemFailure else error
        return convert(message.response if response else message)

    return lambda messages: tuple(map(read, messages))


def _read_each(messages: Any, name: str, convert: Callable[[Any], Any], failure: type[Any] | None) -> tuple[Any, ...]:
    """The entries of a request's list. An entry that is refused becomes a failure, or raises if `failure` is None."""
    entries = []
    for i, message in enumerate(messages):
        try:
            entries.append(convert(message))
        except MmrecError as err:
            error = prefixed(err, f"{name}[{i}]")
            if failure is None:
                raise error from None
            entries.append(ItemFailure(message.item_id, error) if failure is ItemFailure else error)
    return tuple(entries)


def _attributes_of_row(messages: Any) -> dict[str, str]:
    return {attribute.name: attribute.value for attribute in messages}


def _attributes(messages: Any) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for i, attribute in enumerate(messages):
        if attribute.name in attributes or not attribute.name:
            what = f"the name {attribute.name!r:.80} again" if attribute.name else "no name"
            raise InvalidArgumentError(
                f"attributes[{i}] has {what}; attributes need distinct names", field=f"attributes[{i}].name"
            )
        attributes[attribute.name] = attribute.value
    return attributes


def _timestamp(seconds: float) -> timestamp_pb2.Timestamp:
    nanos = round(seconds * 10**6) * 1000  # a float holds no more than microseconds of today's times
    return timestamp_pb2.Timestamp(seconds=nanos // 10**9, nanos=nanos % 10**9)


# --- enums ----------------------------------------------------------------------------------------------------------


@cache
def _numbers(described: Any, kind: Any) -> Mapping[Any, int]:
    """The message's number of every enum member."""
    prefix = described.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {member: described.values_by_name[prefix + _WORDS.get(member, member.name)].number for member in kind}


def _member_of(field: _Field, strict: bool) -> Callable[[int], Any]:
    """Converts an enum number to its member; unset numbers, and unknown ones in replies, become the default."""
    described, default = field.descriptor.enum_type, field.default
    members = {number: member for member, number in _numbers(described, field.hint).items()}
    members[0] = default
    if not strict:
        return lambda number: members.get(number, default)

    def read(number: int) -> Any:
        if number not in members:
            name = field.descriptor.name
            raise InvalidArgumentError(f"{name} is {number}; it must be one of {described.full_name}", field=name)
        return members[number]

    return read


# --- vectors --------------------------------------------------------------------------------------------------------


def pack_vector(vector: npt.NDArray[np.float32], dtype: NumberFormat = NumberFormat.FLOAT32) -> common_pb2.Vector:
    """A vector as a message, little-endian.

    Args:
        vector: Shape: (D,), float32; already rounded to the format.
        dtype: The number format.
    """
    import numpy as np

    numbers = np.ascontiguousarray(vector, dtype="<f4")
    if dtype is NumberFormat.FLOAT16:
        return common_pb2.Vector(dtype=common_pb2.DTYPE_FLOAT16, data=numbers.astype("<f2").tobytes())
    if dtype is NumberFormat.BFLOAT16:
        upper = numbers.view("<u4") >> np.uint32(16)
        return common_pb2.Vector(dtype=common_pb2.DTYPE_BFLOAT16, data=upper.astype("<u2").tobytes())
    return common_pb2.Vector(dtype=common_pb2.DTYPE_FLOAT32, data=numbers.tobytes())


def unpack_vector(message: common_pb2.Vector) -> npt.NDArray[np.float32]:
    """The vector of a message in any number format.

    Returns:
        Read-only. Shape: (D,), float32.

    Raises:
        InvalidArgumentError: the format is unknown, or the length is not a multiple of a number's size.
    """
    import numpy as np

    storage = {
        common_pb2.DTYPE_FLOAT32: "<f4",
        common_pb2.DTYPE_FLOAT16: "<f2",
        common_pb2.DTYPE_BFLOAT16: "<u2",
    }.get(message.dtype)
    if storage is None:
        raise InvalidArgumentError(f"dtype is {message.dtype}; it must be 1, 2 or 3 of mmrec.v1.DType", field="dtype")
    size = np.dtype(storage).itemsize
    if len(message.data) % size:
        raise InvalidArgumentError(
            f"data has {len(message.data)} bytes; it must be a multiple of {size}, the size of a number",
            field="data",
        )
    numbers = np.frombuffer(message.data, dtype=storage)
    if message.dtype == common_pb2.DTYPE_BFLOAT16:
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    numbers = numbers.astype(np.float32, copy=False)
    numbers.setflags(write=False)
    return numbers


def _packed(numbers: Sequence[float]) -> common_pb2.Vector:
    return common_pb2.Vector(dtype=common_pb2.DTYPE_FLOAT32, data=struct.pack(f"<{len(numbers)}f", *numbers))


def _numbers_of(message: common_pb2.Vector) -> tuple[float, ...]:
    numbers = tuple(unpack_vector(message).tolist())
    if not numbers:
        raise InvalidArgumentError("it is set but has no numbers; leave it unset, or send the numbers")
    return numbers


def _with_number_format(encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Encode vectors in the number format of their reply."""

    def encode_in_format(results: EmbedResults) -> Any:
        message = encode(results)
        if results.dtype is not NumberFormat.FLOAT32:
            for entry, sent in zip(results.items, message.results, strict=True):
                if isinstance(entry, ItemEmbedding):
                    sent.embedding.vector.CopyFrom(pack_vector(entry.vector, results.dtype))
        return message

    return encode_in_format


def _with_read_number_format(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Set the number format of a reply to that of its first vector."""

    def decode_with_format(message: Any) -> Any:
        sent = next((entry.embedding.vector.dtype for entry in message.results if entry.HasField("embedding")), 0)
        formats = {number: dtype for dtype, number in _numbers(common_pb2.DType.DESCRIPTOR, NumberFormat).items()}
        return dataclasses.replace(decode(message), dtype=formats.get(sent, NumberFormat.FLOAT32))

    return decode_with_format


# --- types ----------------------------------------------------------------------------------------------------------


def _class(described: Any) -> Any:
    """The class of a message's descriptor, typed Any as the cache requires."""
    return GetMessageClass(described)


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (types.UnionType, Union) else (hint,)


def _without_none(hint: Any) -> Any:
    kinds = [kind for kind in _options(hint) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 else hint


def _entry_type(hint: Any) -> Any:
    return get_args(hint)[0]


def _entry_kinds(hint: Any) -> tuple[Any, type[Any] | None]:
    """The type of a list's entries, and the type of failed entries."""
    kinds = _options(hint)
    return kinds[0], (kinds[1] if len(kinds) == 2 else None)


def _status_of(described: Any) -> str | None:
    return next((f.name for f in described.fields if f.message_type and f.message_type.full_name == _STATUS), None)


def _is_repeated(field: Any) -> bool:
    return bool(field.label == field.LABEL_REPEATED)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)
