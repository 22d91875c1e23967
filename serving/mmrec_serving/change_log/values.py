"""What is written to and read from a store of catalogue changes: items that came or went, each with its number.

Unit of work: one change of one item. Knows nothing of files, SQL, gRPC, torch or models; vectors are bytes to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from mmrec.contract.items import ItemInput
from mmrec.contract.rules import Each, Id, Text
from mmrec.errors import InvalidArgumentError

MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Largest payload of one item, in bytes."""
MAX_VERSION_CHARS = 1_000
"""Longest version of an encoder or of a base, in characters."""

Kind: TypeAlias = Literal["upsert", "delete"]
"""What all changes of one request do."""

_FIELDS = ("title", "description", "image", "attributes")
_ONE_ATTRIBUTE = "attributes."


@dataclass(frozen=True, slots=True)
class Upsert:
    """An item that is added, or takes the place of the one with its id.

    Attributes:
        item_id: Not empty.
        item: What the item is, its picture's encoded bytes included. Its own `item_id` is `item_id`, or empty, which
            is made so.
        payload: The caller's own bytes, never looked into: what its encoders made of the item, so that a replay needs
            none. At most `MAX_PAYLOAD_BYTES`. Empty where only `fields` are replaced: it is what it was.
        encoder_version: What the payload was made with, so that the caller can tell whether it still fits.
        fields: The fields that are replaced in an item that exists, as in ``("title", "attributes.price")``; the
            others of `item` say nothing. ``attributes`` is all of them, ``attributes.NAME`` one, which goes away
            where `item` has none of that name. None: the whole item, whatever it was before.
    """

    item_id: str
    item: ItemInput
    payload: bytes = b""
    encoder_version: str = ""
    fields: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _checked_item_id(self.item_id)
        if not self.item.item_id:
            object.__setattr__(self, "item", replace(self.item, item_id=self.item_id))
        if self.item.item_id != self.item_id:
            raise InvalidArgumentError(
                f"item.item_id is {self.item.item_id!r:.80} in a change of {self.item_id!r:.80}; give the same or none",
                field="item.item_id",
            )
        object.__setattr__(self, "payload", checked_bytes(self.payload, "payload", MAX_PAYLOAD_BYTES))
        Text(MAX_VERSION_CHARS).check(self.encoder_version, "encoder_version")
        if self.fields is not None:
            object.__setattr__(self, "fields", _checked_fields(self.fields))


@dataclass(frozen=True, slots=True)
class Delete:
    """An item that goes. There need not be one of this id.

    Attributes:
        item_id: Not empty.
    """

    item_id: str

    def __post_init__(self) -> None:
        _checked_item_id(self.item_id)


Change: TypeAlias = Upsert | Delete
"""One change of one item."""


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A change that is durable.

    Attributes:
        sequence: Its number, 1 or more: higher than that of every change before it, and given once.
        recorded_at: When it was recorded, in UTC.
        change: The change.
    """

    sequence: int
    recorded_at: datetime
    change: Change


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a request.

    Attributes:
        first: Number of its first change.
        last: Number of its last change; ``first - 1`` where it had none. Whoever has replayed up to here has it all.
        reply: What to answer: the reply that was given with it, or the first one's if it is repeated.
        repeated: Whether it had been recorded before, so that nothing was changed now.
    """

    first: int
    last: int
    reply: bytes
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class StoreState:
    """Where a store stands.

    Attributes:
        base: Version of the catalogue that its changes are made to.
        position: Number of the last change that was ever recorded; 0: none.
        folded: The base holds all changes up to this number.
        dropped: Changes up to this number are in the store no more; never more than `folded`.
        successor: Version of the base that is to follow; empty: none was announced.
        successor_holds: The successor holds all changes up to this number.
    """

    base: str
    position: int = 0
    folded: int = 0
    dropped: int = 0
    successor: str = ""
    successor_holds: int = 0


def checked_kind(kind: str, changes: Sequence[Change]) -> Kind:
    """The kind, if all changes are of it.

    Raises:
        InvalidArgumentError: it is none, or a change is of another.
    """
    if kind not in get_args(Kind):
        raise InvalidArgumentError(f"kind is {kind!r:.80}; it must be upsert or delete", field="kind")
    wanted = Upsert if kind == "upsert" else Delete
    for at, change in enumerate(changes):
        if not isinstance(change, wanted):
            raise InvalidArgumentError(
                f"changes[{at}] is a {type(change).__name__} in a request of kind {kind}; record them separately",
                field=f"changes[{at}]",
            )
    return "upsert" if kind == "upsert" else "delete"


def _checked_item_id(item_id: str) -> None:
    Id(empty="a change needs the id of its item").check(item_id, "item_id")


def checked_bytes(value: object, where: str, most: int) -> bytes:
    """Bytes, at most `most` of them.

    Raises:
        InvalidArgumentError: it is something else, or more.
    """
    if not isinstance(value, bytes | bytearray | memoryview):
        raise InvalidArgumentError(f"{where} is a {type(value).__name__}; it must be bytes", field=where)
    data = bytes(value)
    if len(data) > most:
        raise InvalidArgumentError(f"{where} has {len(data):,} bytes; at most {most:,} are accepted", field=where)
    return data


def _checked_fields(fields: Sequence[str]) -> tuple[str, ...]:
    names = set(Each(Text(), "field names").check(fields, "fields"))
    if not names:
        raise InvalidArgumentError("fields is empty; name what is replaced, or pass None for all", field="fields")
    for name in sorted(names):
        if name not in _FIELDS and not (name.startswith(_ONE_ATTRIBUTE) and name != _ONE_ATTRIBUTE):
            raise InvalidArgumentError(
                f"fields has {name!r:.80}; it must be one of {', '.join(_FIELDS)} or attributes.NAME", field="fields"
            )
    if "attributes" in names:
        names = {name for name in names if not name.startswith(_ONE_ATTRIBUTE)}
    return tuple(sorted(names))
