"""Items, vectors and versions as messages, both ways.

Knows nothing of requests, replies or errors' own form on the wire.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from mmrec.contract.items import (
    ChannelShare,
    Fallback,
    FilterMode,
    HistoryShare,
    ItemFailure,
    ItemInput,
    ItemRecord,
    Modality,
    ScoredItem,
    Versions,
)
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.wire.reading import read_each
from mmrec.v1 import common_pb2, understanding_pb2

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

M = TypeVar("M", bound=Message)


def parse(message_type: type[M], data: bytes) -> M:
    """A message from its bytes.

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


def versions_to_wire(versions: Versions) -> common_pb2.Versions:
    """`Versions` as a message."""
    return common_pb2.Versions(model=versions.model, catalogue=versions.catalogue, codebook=versions.codebook)


def versions_from_wire(message: common_pb2.Versions) -> Versions:
    """`Versions` from a message."""
    return Versions(model=message.model, catalogue=message.catalogue, codebook=message.codebook)


def _attributes_to_wire(attributes: Mapping[str, str]) -> list[common_pb2.Attribute]:
    return [common_pb2.Attribute(name=name, value=value) for name, value in attributes.items()]


def semantic_id_to_wire(codes: Sequence[int]) -> common_pb2.SemanticId | None:
    """A path of codes as a message; None for an empty one."""
    return common_pb2.SemanticId(codes=[int(code) for code in codes]) if len(codes) else None


def item_to_wire(item: ItemRecord) -> common_pb2.Item:
    """`ItemRecord` as a message."""
    return common_pb2.Item(
        item_id=item.item_id,
        title=item.title,
        description=item.description,
        image=item.image,
        attributes=_attributes_to_wire(item.attributes),
        semantic_id=semantic_id_to_wire(item.semantic_id),
    )


def item_from_wire(message: common_pb2.Item) -> ItemRecord:
    """`ItemRecord` from a message."""
    return ItemRecord(
        item_id=message.item_id,
        title=message.title,
        description=message.description,
        image=message.image,
        attributes={attribute.name: attribute.value for attribute in message.attributes},
        semantic_id=tuple(message.semantic_id.codes),
    )


def item_input_to_wire(item: ItemInput) -> common_pb2.ItemInput:
    """`ItemInput` as a message."""
    return common_pb2.ItemInput(
        item_id=item.item_id,
        title=item.title,
        description=item.description,
        image=item.image,
        attributes=_attributes_to_wire(item.attributes),
    )


def item_input_from_wire(message: common_pb2.ItemInput) -> ItemInput:
    """`ItemInput` from a message.

    Raises:
        InvalidArgumentError: a value breaks a rule; two attributes have one name.
    """
    attributes: dict[str, str] = {}
    for i, attribute in enumerate(message.attributes):
        if attribute.name in attributes or not attribute.name:
            what = f"the name {attribute.name!r:.80} again" if attribute.name else "no name"
            raise InvalidArgumentError(
                f"attributes[{i}] has {what}; every attribute needs a name of its own",
                field=f"attributes[{i}].name",
            )
        attributes[attribute.name] = attribute.value
    return ItemInput(
        item_id=message.item_id,
        title=message.title,
        description=message.description,
        image=message.image if message.HasField("image") else None,
        attributes=attributes,
    )


def item_inputs_from_wire(messages: Sequence[common_pb2.ItemInput]) -> tuple[ItemInput | ItemFailure, ...]:
    """Described items from messages; a bad one becomes its failure, told as ``items[17].image``."""
    read = read_each(messages, "items", lambda item, _: item_input_from_wire(item))
    return tuple(
        ItemFailure(sent.item_id, item) if isinstance(item, MmrecError) else item
        for sent, item in zip(messages, read, strict=True)
    )


_MODALITY_TO_WIRE = {
    Modality.FUSED: understanding_pb2.MODALITY_FUSED,
    Modality.PICTURE: understanding_pb2.MODALITY_IMAGE,
    Modality.WORDS: understanding_pb2.MODALITY_TEXT,
}
_MODALITY_FROM_WIRE: dict[int, Modality] = {number: modality for modality, number in _MODALITY_TO_WIRE.items()}


def modality_to_wire(modality: Modality) -> understanding_pb2.Modality:
    """`Modality` as a number."""
    return _MODALITY_TO_WIRE[modality]


def modality_from_wire(number: int) -> Modality:
    """`Modality` from a number; unset is FUSED.

    Raises:
        InvalidArgumentError: this version does not know it.
    """
    if number not in (understanding_pb2.MODALITY_UNSPECIFIED, *_MODALITY_FROM_WIRE):
        raise InvalidArgumentError(f"modality is {number}; it must be one of mmrec.v1.Modality", field="modality")
    return _MODALITY_FROM_WIRE.get(number, Modality.FUSED)


_FALLBACK_TO_WIRE = {
    Fallback.NONE: common_pb2.FALLBACK_NONE,
    Fallback.POPULARITY: common_pb2.FALLBACK_POPULARITY,
    Fallback.FILTER_RELAXED: common_pb2.FALLBACK_FILTER_RELAXED,
    Fallback.POPULARITY_FILTER_RELAXED: common_pb2.FALLBACK_POPULARITY_FILTER_RELAXED,
}
_FALLBACK_FROM_WIRE: dict[int, Fallback] = {number: fallback for fallback, number in _FALLBACK_TO_WIRE.items()}


def fallback_to_wire(fallback: Fallback) -> common_pb2.Fallback:
    """`Fallback` as a number."""
    return _FALLBACK_TO_WIRE[fallback]


def fallback_from_wire(number: int) -> Fallback:
    """`Fallback` from a number; one that this version does not know is read as NONE."""
    return _FALLBACK_FROM_WIRE.get(number, Fallback.NONE)


_MODE_TO_WIRE = {
    FilterMode.STRICT: common_pb2.FILTER_MODE_STRICT,
    FilterMode.RELAXED: common_pb2.FILTER_MODE_RELAXED,
}
_MODE_FROM_WIRE: dict[int, FilterMode] = {number: mode for mode, number in _MODE_TO_WIRE.items()}


def filter_mode_to_wire(mode: FilterMode) -> common_pb2.FilterMode:
    """`FilterMode` as a number."""
    return _MODE_TO_WIRE[mode]


def filter_mode_from_wire(number: int) -> FilterMode:
    """`FilterMode` from a number; unset is STRICT.

    Raises:
        InvalidArgumentError: this version does not know it.
    """
    if number not in (common_pb2.FILTER_MODE_UNSPECIFIED, *_MODE_FROM_WIRE):
        raise InvalidArgumentError(
            f"filter_mode is {number}; it must be one of mmrec.v1.FilterMode", field="filter_mode"
        )
    return _MODE_FROM_WIRE.get(number, FilterMode.STRICT)


def pack_vector(
    vector: npt.NDArray[np.float32], dtype: common_pb2.DType = common_pb2.DTYPE_FLOAT32
) -> common_pb2.Vector:
    """Numbers, little-endian.

    Args:
        vector: Shape: (D,), float32; rounded already to what `dtype` can hold.
        dtype: FLOAT32, FLOAT16 or BFLOAT16.
    """
    import numpy as np

    numbers = np.ascontiguousarray(vector, dtype="<f4")
    if dtype == common_pb2.DTYPE_FLOAT16:
        return common_pb2.Vector(dtype=dtype, data=numbers.astype("<f2").tobytes())
    if dtype == common_pb2.DTYPE_BFLOAT16:
        return common_pb2.Vector(dtype=dtype, data=(numbers.view("<u4") >> np.uint32(16)).astype("<u2").tobytes())
    return common_pb2.Vector(dtype=common_pb2.DTYPE_FLOAT32, data=numbers.tobytes())


def pack_numbers(numbers: Sequence[float]) -> common_pb2.Vector:
    """A list of numbers as little-endian float32."""
    return common_pb2.Vector(dtype=common_pb2.DTYPE_FLOAT32, data=struct.pack(f"<{len(numbers)}f", *numbers))


def unpack_vector(message: common_pb2.Vector) -> npt.NDArray[np.float32]:
    """Numbers from any of the dtypes.

    Returns:
        Read-only. Shape: (D,), float32.

    Raises:
        InvalidArgumentError: the dtype is unknown, or the length is no multiple of a number's size.
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


def scored_item_to_wire(scored: ScoredItem) -> common_pb2.ScoredItem:
    """`ScoredItem` as a message."""
    return common_pb2.ScoredItem(
        item=item_to_wire(scored.item),
        score=scored.score,
        shares=[
            common_pb2.ChannelShare(
                channel=share.channel,
                share=share.share,
                history_item_id=share.history_item_id,
                history=[
                    common_pb2.HistoryShare(history_item_id=part.history_item_id, share=part.share)
                    for part in share.history
                ],
            )
            for share in scored.shares
        ],
    )


def scored_item_from_wire(message: common_pb2.ScoredItem) -> ScoredItem:
    """`ScoredItem` from a message."""
    return ScoredItem(
        item=item_from_wire(message.item),
        score=message.score,
        shares=tuple(
            ChannelShare(
                share.channel,
                share.share,
                share.history_item_id,
                tuple(HistoryShare(part.history_item_id, part.share) for part in share.history),
            )
            for share in message.shares
        ),
    )
