"""Items, vectors and versions as messages, both ways.

Knows nothing of requests, replies or errors' own form on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from mmrec.errors import InvalidArgumentError
from mmrec.types import ChannelShare, ItemInput, ItemRecord, ScoredItem, Versions
from mmrec.v1 import common_pb2

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "item_from_wire",
    "item_input_from_wire",
    "item_input_to_wire",
    "item_to_wire",
    "pack_vector",
    "parse",
    "scored_item_from_wire",
    "scored_item_to_wire",
    "semantic_id_to_wire",
    "unpack_vector",
    "versions_from_wire",
    "versions_to_wire",
]

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


def pack_vector(vector: npt.NDArray[np.float32]) -> common_pb2.Vector:
    """Numbers as little-endian float32.

    Args:
        vector: Shape: (D,), float32.
    """
    import numpy as np

    return common_pb2.Vector(dtype=common_pb2.DTYPE_FLOAT32, data=np.ascontiguousarray(vector, dtype="<f4").tobytes())


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
            common_pb2.ChannelShare(channel=share.channel, share=share.share, history_item_id=share.history_item_id)
            for share in scored.shares
        ],
    )


def scored_item_from_wire(message: common_pb2.ScoredItem) -> ScoredItem:
    """`ScoredItem` from a message."""
    return ScoredItem(
        item=item_from_wire(message.item),
        score=message.score,
        shares=tuple(ChannelShare(share.channel, share.share, share.history_item_id) for share in message.shares),
    )
