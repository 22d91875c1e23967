"""Changes of catalogue items as values, their numbers, and the state of their store.

Unit of work: one change of one item. Knows nothing about files, SQL, gRPC, torch or models; vectors are bytes here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from mmrec.contract.field_mask import FieldMask, replaced_words
from mmrec.contract.items import ItemInput
from mmrec.contract.rules import Id, Text
from mmrec.errors import InvalidArgumentError

MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Largest payload of one item, in bytes."""
MAX_VERSION_CHARS = 1_000
"""Longest version of an encoder or of a base, in characters."""


@dataclass(frozen=True, slots=True)
class Upsert:
    """An item that is added or replaced, or a partial update of one.

    Attributes:
        item_id: Not empty.
        item: The item, with the encoded bytes of its picture. Its `item_id` is the same, or empty and then filled in.
        payload: Opaque bytes of the caller: the encoded item, so that a replay needs no encoder. At most
            `MAX_PAYLOAD_BYTES`. Empty for a partial update that leaves the encoded item as it was.
        encoder_version: Version of the encoders of the payload, to check whether it still fits.
        fields: Fields of a partial update, see `mmrec.contract.field_mask`; none for a whole item.
    """

    item_id: str
    item: ItemInput
    payload: bytes = b""
    encoder_version: str = ""
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_item_id(self.item_id)
        if not self.item.item_id:
            object.__setattr__(self, "item", replace(self.item, item_id=self.item_id))
        if self.item.item_id != self.item_id:
            raise InvalidArgumentError(
                f"item.item_id is {self.item.item_id!r:.80} in a change of {self.item_id!r:.80}; give the same or none",
                field="item.item_id",
            )
        object.__setattr__(self, "payload", checked_bytes(self.payload, "payload", MAX_PAYLOAD_BYTES))
        Text(MAX_VERSION_CHARS).check(self.encoder_version, "encoder_version")
        object.__setattr__(self, "fields", FieldMask().check(self.fields, "fields"))


@dataclass(frozen=True, slots=True)
class Delete:
    """An item that is deleted. The catalogue need not have it."""

    item_id: str

    def __post_init__(self) -> None:
        _check_item_id(self.item_id)


Change: TypeAlias = Upsert | Delete
"""One change of one item."""


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A change that is durable.

    Attributes:
        sequence: Its unique number, 1 or more, higher than that of every change before it.
        recorded_at: When it was recorded, in UTC.
        change: The change.
    """

    sequence: int
    recorded_at: datetime
    change: Change


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request that is durable.

    Attributes:
        first: Number of its first change.
        last: Number of its last change; ``first - 1`` if it had none.
    """

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A recorded request with an id.

    Attributes:
        digest: Digest of its content.
        last: Number of its last change.
        reply: The reply to it.
    """

    digest: bytes
    last: int
    reply: bytes


@dataclass(frozen=True, slots=True)
class StoreState:
    """The state of a store.

    Attributes:
        base: Version of the catalogue that its changes are made to.
        position: Number of the last change that was ever recorded; 0: none.
        folded: The base includes all changes up to this number.
        dropped: Changes up to this number are no longer in the store; never more than `folded`.
        successor: Announced version of the next base; empty: none.
        successor_holds: The next base includes all changes up to this number.
        previous: The base before this one, to which a server may go back; empty: none.
        previous_holds: That base includes all changes up to this number.
    """

    base: str
    position: int = 0
    folded: int = 0
    dropped: int = 0
    successor: str = ""
    successor_holds: int = 0
    previous: str = ""
    previous_holds: int = 0

    @property
    def needless(self) -> int:
        """Changes up to this number are in the base and in the one before it."""
        return min(self.folded, self.previous_holds) if self.previous else self.folded


def merged(earlier: Change, later: Change) -> Change | None:
    """One change with the effect of two changes of one item; None if there is no such change.

    Whatever the item was, applying both in turn and applying the merged one give the same item. There is none for a
    partial update of a deleted item, and none when the merged item would have neither words nor a picture.
    """
    if earlier.item_id != later.item_id:
        raise InvalidArgumentError(
            f"changes of {earlier.item_id!r:.80} and of {later.item_id!r:.80} are not to be merged", field="item_id"
        )
    if isinstance(later, Delete) or not later.fields:
        return later
    if isinstance(earlier, Delete):
        return None
    words = replaced_words(earlier.item, later.item, later.fields)
    image = later.item.image if "image" in later.fields else earlier.item.image
    try:
        item = ItemInput(later.item_id, words.title, words.description, image, words.attributes)
    except InvalidArgumentError:
        return None
    encoded = later if later.payload else earlier
    return replace(
        later,
        item=item,
        payload=encoded.payload,
        encoder_version=encoded.encoder_version,
        fields=(*earlier.fields, *later.fields) if earlier.fields else (),
    )


def compacted(entries: Iterable[Sequenced]) -> list[Sequenced]:
    """The changes of one item, oldest first, each merged into the next one where there is such a change."""
    left: list[Sequenced] = []
    for entry in entries:
        change = merged(left[-1].change, entry.change) if left else None
        if change is None:
            left.append(entry)
        else:
            left[-1] = replace(entry, change=change)
    return left


def effective(numbers: Iterable[tuple[int, bool]]) -> list[int]:
    """Numbers of an item's changes that still have an effect, oldest first: its last whole one, and what came later.

    Args:
        numbers: Of its changes, newest first, each with whether it is whole: no partial update.
    """
    found: list[int] = []
    for number, whole in numbers:
        found.append(number)
        if whole:
            break
    return found[::-1]


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


def _check_item_id(item_id: str) -> None:
    Id(empty="a change needs the id of its item").check(item_id, "item_id")
