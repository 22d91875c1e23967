"""Changes of a catalogue: items that are added or replaced, items that are removed, and what became of each.

Knows nothing of protobuf, torch or files. Requests check themselves when they are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from mmrec.contract.field_mask import FieldMask
from mmrec.contract.items import NO_VERSIONS, DescribedItems, ItemFailure, ItemInput, Versions
from mmrec.contract.rules import MAX_REQUEST_ID_CHARS, Checked, Doc, Flag, Ids, Text
from mmrec.errors import MmrecError

RequestId = Annotated[
    str,
    Text(MAX_REQUEST_ID_CHARS),
    Doc(
        "Chosen by the caller, at most 128 characters: a second request with the same id and the same content changes "
        "nothing and gets the first one's reply. Empty: no such protection."
    ),
]
ValidateOnly = Annotated[bool, Flag(), Doc("Whether to check everything and change nothing.")]


@dataclass(frozen=True, slots=True)
class ChangeEntry:
    """What became of one item of a change.

    Attributes:
        id: The item; empty: it had none.
        error: Why it was refused while the others were done; None: it was not.
    """

    id: str
    error: MmrecError | None = None


@dataclass(frozen=True, slots=True)
class ChangeResults:
    """What became of a change.

    Attributes:
        entries: One per item asked for, in the same order.
        versions: From these on the change is, or will be, visible.
        request_id: That of the request; empty: it had none.
    """

    entries: tuple[ChangeEntry, ...]
    versions: Versions = NO_VERSIONS
    request_id: str = ""

    @property
    def refused(self) -> tuple[ChangeEntry, ...]:
        """The entries that were refused."""
        return tuple(entry for entry in self.entries if entry.error is not None)

    @property
    def done(self) -> tuple[str, ...]:
        """Ids of the others."""
        return tuple(entry.id for entry in self.entries if entry.error is None)


@dataclass(frozen=True, slots=True)
class UpsertRequest(Checked):
    """Items to add, or to put in place of those of the same id."""

    items: Annotated[
        DescribedItems,
        Doc(
            "With ids, none twice, at most 1,000; each is answered on its own, and one that was refused already is its "
            "failure."
        ),
    ]
    request_id: RequestId = ""
    validate_only: ValidateOnly = False
    wait_until_visible: Annotated[
        bool, Flag(), Doc("Whether to answer only when the items can be recommended, rather than when they are safe.")
    ] = False
    fields: Annotated[
        tuple[str, ...],
        FieldMask(),
        Doc(
            "Fields to replace in items that exist, as in `title`, `image`, `attributes` or `attributes.price`; the "
            "others of an item are not read. An item that does not exist is refused by itself. Empty: items come as a "
            "whole."
        ),
    ] = ()

    @property
    def good(self) -> tuple[ItemInput, ...]:
        """The items that are no failures."""
        return tuple(item for item in self.items if isinstance(item, ItemInput))

    def results(self, errors: Mapping[int, MmrecError], versions: Versions) -> ChangeResults:
        """The reply, from what was wrong with the good items.

        Args:
            errors: By place among `good`.
            versions: What the reply names.
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
        Doc("At most 1,000; one that the catalogue does not have is refused by itself."),
    ]
    request_id: RequestId = ""
    validate_only: ValidateOnly = False

    def results(self, errors: Mapping[str, MmrecError], versions: Versions) -> ChangeResults:
        """The reply, from what was wrong with an id."""
        entries = tuple(ChangeEntry(item_id, errors.get(item_id)) for item_id in self.item_ids)
        return ChangeResults(entries, versions, self.request_id)


def content_hash(request: UpsertRequest | DeleteRequest) -> str:
    """What a change says, in 64 characters: equal for requests that would do the same, on any machine.

    The request's id and when it is answered are no part of it, nor is the order of attributes.
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
