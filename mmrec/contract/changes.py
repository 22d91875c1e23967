"""Changes of a catalogue: requests to add, replace or delete items, and the result for each item.

Knows nothing of protobuf, torch or files. Requests validate themselves when they are created.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from mmrec.contract.field_mask import FieldMask
from mmrec.contract.frames import Framed
from mmrec.contract.items import NO_VERSIONS, DescribedItems, ItemFailure, ItemInput, Versions
from mmrec.contract.rules import MAX_REQUEST_ID_CHARS, Checked, Doc, Flag, Ids, Text
from mmrec.errors import MmrecError

RequestId = Annotated[
    str,
    Text(MAX_REQUEST_ID_CHARS),
    Doc(
        "Idempotency key chosen by the caller, at most 128 characters: a second request with the same id and content "
        "changes nothing and gets the reply of the first one. Empty for none."
    ),
]
ValidateOnly = Annotated[bool, Flag(), Doc("Whether to validate the request without changing anything.")]


@dataclass(frozen=True, slots=True)
class ChangeEntry:
    """The result for one item of a change.

    Attributes:
        id: Id of the item; empty if it had none.
        error: Why this item was refused; None if it was accepted.
    """

    id: str
    error: MmrecError | None = None


@dataclass(frozen=True, slots=True)
class ChangeResults(Framed):
    """The result of a change.

    Attributes:
        entries: One per item of the request, in the same order.
        versions: The first versions in which the change is, or will be, visible.
        request_id: That of the request; empty if it had none.
    """

    _entry: ClassVar[type[Any]] = ChangeEntry
    _entries: ClassVar[str] = "entries"

    entries: tuple[ChangeEntry, ...]
    versions: Versions = NO_VERSIONS
    request_id: str = ""

    @property
    def refused(self) -> tuple[ChangeEntry, ...]:
        """The entries that were refused."""
        return tuple(entry for entry in self.entries if entry.error is not None)

    @property
    def done(self) -> tuple[str, ...]:
        """Ids of the items that were accepted."""
        return tuple(entry.id for entry in self.entries if entry.error is None)


@dataclass(frozen=True, slots=True)
class UpsertRequest(Checked):
    """Items to add, or to replace those with the same id."""

    items: Annotated[
        DescribedItems,
        Doc(
            "Items with distinct ids, at most 1,000; each has its own result. An `ItemFailure` stands for an item that "
            "was refused already."
        ),
    ]
    request_id: RequestId = ""
    validate_only: ValidateOnly = False
    wait_until_visible: Annotated[
        bool, Flag(), Doc("Whether to answer only when the items can be recommended, not as soon as they are saved.")
    ] = False
    fields: Annotated[
        tuple[str, ...],
        FieldMask(),
        Doc(
            "Partial update: the fields to replace in existing items, such as `title`, `image`, `attributes` or "
            "`attributes.price`; other fields are not read. An item that does not exist is refused by itself. Empty: "
            "whole items are replaced."
        ),
    ] = ()

    @property
    def valid(self) -> tuple[ItemInput, ...]:
        """The items without those that were refused already."""
        return tuple(item for item in self.items if isinstance(item, ItemInput))

    def results(self, errors: Mapping[int, MmrecError], versions: Versions) -> ChangeResults:
        """The reply.

        Args:
            errors: Errors of items, by index in `valid`.
            versions: Versions for the reply.
        """
        entries, place = [], 0
        for item in self.items:
            if isinstance(item, ItemFailure):
                entries.append(ChangeEntry(item.item_id, item.error))
            else:
                entries.append(ChangeEntry(item.item_id, errors.get(place)))
                place += 1
        return ChangeResults(tuple(entries), versions, self.request_id)


@dataclass(frozen=True, slots=True)
class DeleteRequest(Checked):
    """Items to remove."""

    item_ids: Annotated[
        tuple[str, ...],
        Ids(),
        Doc("At most 1,000; an unknown id is refused by itself."),
    ]
    request_id: RequestId = ""
    validate_only: ValidateOnly = False

    def results(self, errors: Mapping[str, MmrecError], versions: Versions) -> ChangeResults:
        """The reply, from errors by id."""
        entries = tuple(ChangeEntry(item_id, errors.get(item_id)) for item_id in self.item_ids)
        return ChangeResults(entries, versions, self.request_id)


def content_hash(request: UpsertRequest | DeleteRequest) -> str:
    """SHA-256 of the content of a change, 64 hex digits: equal for requests with the same effect, on any machine.

    It does not depend on the request id, `wait_until_visible`, or the order of attributes.
    """
    digest = hashlib.sha256()

    def add(*parts: bytes) -> None:
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)

    if isinstance(request, DeleteRequest):
        add(b"delete", *(item_id.encode() for item_id in request.item_ids))
        return digest.hexdigest()
    add(b"upsert", *(name.encode() for name in request.fields))
    for item in request.items:
        if isinstance(item, ItemFailure):
            add(b"refused", item.error.reason.encode(), item.error.message.encode("utf-8", "replace"))
            continue
        add(b"item", item.item_id.encode(), item.title.encode(), item.description.encode())
        add(b"no picture" if item.image is None else b"picture", item.image or b"")
        for name, value in sorted(item.attributes.items()):
            add(b"attribute", name.encode(), value.encode())
    return digest.hexdigest()
