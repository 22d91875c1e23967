"""Changes of a catalogue: items that come or are replaced, items that go, and what became of each.

Knows nothing of protobuf, torch or files. Requests check themselves when they are made; see `mmrec.contract.types`,
which has all of these names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from mmrec.contract.field_mask import checked_field_mask
from mmrec.contract.items import NO_VERSIONS, ItemInput, Versions
from mmrec.contract.rules import (
    MAX_BATCH,
    MAX_REQUEST_ID_CHARS,
    checked_flag,
    checked_item_ids,
    checked_list,
    checked_text,
)
from mmrec.errors import InvalidArgumentError, MmrecError


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
class UpsertRequest:
    """Items to add, or to put in place of those of the same id.

    Attributes:
        items: With ids, none twice, at most `MAX_BATCH`; each is answered on its own. An entry may already be the
            error that refused it, which is handed through in its place.
        request_id: Chosen by the caller, at most `MAX_REQUEST_ID_CHARS` characters: a second request with the same id
            and the same content changes nothing and gets the first one's reply. Empty: no such protection.
        validate_only: Whether to check everything and change nothing.
        wait_until_visible: Whether to answer only when the items can be recommended, rather than when they are safe.
        fields: Fields to replace in items that exist, as in ``("title", "attributes.price")``; see
            `checked_field_mask`. The others of an item are not read. An item that does not exist is refused by
            itself. Empty: items come as a whole.
    """

    items: tuple[ItemInput | MmrecError, ...]
    request_id: str = ""
    validate_only: bool = False
    wait_until_visible: bool = False
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        items = checked_list(self.items, "items", "items")
        if len(items) > MAX_BATCH:
            raise InvalidArgumentError(
                f"items has {len(items):,} entries; at most {MAX_BATCH:,} are accepted: send them in parts",
                field="items",
            )
        for i, item in enumerate(items):
            if not isinstance(item, ItemInput | MmrecError):
                raise InvalidArgumentError(
                    f"items[{i}] is a {type(item).__name__}; pass mmrec.ItemInput values", field=f"items[{i}]"
                )
        object.__setattr__(self, "items", items)
        checked_text(self.request_id, "request_id", MAX_REQUEST_ID_CHARS)
        checked_flag(self.validate_only, "validate_only")
        checked_flag(self.wait_until_visible, "wait_until_visible")
        object.__setattr__(self, "fields", checked_field_mask(self.fields))

    @property
    def good(self) -> tuple[ItemInput, ...]:
        """The items that are no errors."""
        return tuple(item for item in self.items if isinstance(item, ItemInput))

    def results(self, errors: Mapping[int, MmrecError], versions: Versions) -> ChangeResults:
        """The reply, from what was wrong with the good items.

        Args:
            errors: By place among `good`.
            versions: What the reply names.
        """
        entries, place = [], 0
        for item in self.items:
            if isinstance(item, MmrecError):
                entries.append(ChangeEntry("", item))
            else:
                entries.append(ChangeEntry(item.item_id, errors.get(place)))
                place += 1
        return ChangeResults(tuple(entries), versions, self.request_id)


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """Items to remove.

    Attributes:
        item_ids: At most `MAX_BATCH`; one that the catalogue does not have is refused by itself.
        request_id: As in `UpsertRequest`.
        validate_only: Whether to check everything and change nothing.
    """

    item_ids: tuple[str, ...]
    request_id: str = ""
    validate_only: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "item_ids", checked_item_ids(self.item_ids))
        checked_text(self.request_id, "request_id", MAX_REQUEST_ID_CHARS)
        checked_flag(self.validate_only, "validate_only")

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
        if isinstance(item, MmrecError):
            add(b"refused", item.reason.encode(), item.message.encode("utf-8", "replace"))
            continue
        add(b"item", item.item_id.encode(), item.title.encode(), item.description.encode())
        add(b"no picture" if item.image is None else b"picture", item.image or b"")
        for name, value in sorted(item.attributes.items()):
            add(b"attribute", name.encode(), value.encode())
    return digest.hexdigest()
