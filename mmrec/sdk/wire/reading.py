"""What reading any request has in common: fields that are not built, lists read entry by entry, field masks.

Knows nothing of a particular message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from mmrec.errors import MmrecError, NotImplementedYetError
from mmrec.sdk.batches import prefixed

M = TypeVar("M", bound=Message)
T = TypeVar("T")

FIELDS_NOT_BUILT: Mapping[str, tuple[str, ...]] = {
    "GetItemsRequest": ("item_fields",),
    "EmbedItemsRequest": ("validate_only",),
    "SearchItemsRequest": ("validate_only",),
    "RecommendRequest": (
        "history_events",
        "instruction",
        "channel_weights",
        "attribute_weights",
        "context",
        "explain_in_words",
        "language",
        "item_fields",
        "expected_versions",
        "validate_only",
    ),
}
"""Request fields that the contract has and this version does not do: setting one is refused."""


def refuse_not_built(message: Message, where: str = "") -> None:
    """Refuse a request that sets a field of `FIELDS_NOT_BUILT`; the message names it after `where`.

    Raises:
        NotImplementedYetError: it does.
    """
    not_built = FIELDS_NOT_BUILT.get(message.DESCRIPTOR.name, ())
    for descriptor, _ in message.ListFields():
        if descriptor.name in not_built:
            raise NotImplementedYetError(
                f"{where}{descriptor.name} is set; this version does not do that yet: leave it unset"
            )


def read_each(entries: Iterable[M], where: str, read: Callable[[M, str], T]) -> list[T | MmrecError]:
    """Read every entry of a list by itself: a refused one becomes its error, told with its place."""
    done: list[T | MmrecError] = []
    for i, entry in enumerate(entries):
        try:
            done.append(read(entry, f"{where}[{i}]."))
        except MmrecError as err:
            done.append(prefixed(err, f"{where}[{i}]"))
    return done


def mask_to_wire(names: tuple[str, ...]) -> FieldMask | None:
    """Names of fields as a mask; None for all of them."""
    return FieldMask(paths=names) if names else None


def mask_from_wire(message: Message, field: str) -> tuple[str, ...]:
    """Names of fields from a mask; none when it is unset, which means all of them."""
    return tuple(getattr(message, field).paths) if message.HasField(field) else ()
