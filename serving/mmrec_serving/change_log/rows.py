"""Changes as rows of values, which any database can store: the part of a layout that all stores share.

Unit of work: one change. A row ends with a checksum (CRC-32) of what it says. Knows nothing about any database.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from mmrec.contract.items import ItemInput
from mmrec.contract.rules import MAX_REQUEST_ID_CHARS, Text, as_tuple
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from mmrec_serving.change_log.changes import MAX_PAYLOAD_BYTES, Change, Delete, Sequenced, Upsert, checked_bytes

MAX_DIGEST_BYTES = 64
BATCH_BYTES = 64 * 1024 * 1024
"""A batch ends when it holds this many bytes."""
KEEP_REQUESTS = timedelta(hours=24)
"""How long a request id protects against doing the same twice."""

COLUMNS = (
    "item_id",
    "deleted",
    "title",
    "description",
    "attributes",
    "fields",
    "picture",
    "payload",
    "encoder_version",
    "checksum",
)
"""Columns of a change after its number and time."""
Row: TypeAlias = tuple[Any, ...]
"""Values in the order of `COLUMNS`."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class RequestRows(NamedTuple):
    """A checked request; see `ChangeStore.record`.

    Attributes:
        digest: Digest of its content.
        changes: The rows of its changes.
        reply: The reply to it.
    """

    digest: bytes
    changes: list[Row]
    reply: bytes


def pack_request(request_id: str, digest: bytes, changes: Sequence[Change], reply: bytes) -> RequestRows:
    """Check a request, and pack its changes.

    Raises:
        InvalidArgumentError: it breaks a rule of `ChangeStore.record`.
    """
    Text(MAX_REQUEST_ID_CHARS).check(request_id, "request_id")
    digest = checked_bytes(digest, "digest", MAX_DIGEST_BYTES)
    if request_id and not digest:
        raise InvalidArgumentError(
            "digest is empty; pass what stands for the request, as a SHA-256 of it", field="digest"
        )
    reply = checked_bytes(reply, "reply", MAX_PAYLOAD_BYTES)
    return RequestRows(digest, [pack(change) for change in as_tuple(changes, "changes", "changes")], reply)


def recorded_before(request_id: str, at: datetime) -> FailedPreconditionError:
    """The error of a request whose id was used before."""
    return FailedPreconditionError(
        f"request_id {request_id!r} was recorded at {at:%Y-%m-%d %H:%M:%S} UTC; give every request an id of its own"
    )


def changed_meanwhile(item_id: str) -> UnavailableError:
    """The error of a partial update of an item that has changed since the update was made of it."""
    return UnavailableError(
        f"the item {item_id!r:.80} was changed at the same time, so nothing of this was recorded; send the same again",
        retry_after_s=0.1,
    )


def pack(change: Change) -> Row:
    """The row of a change; attributes and fields as JSON, NULL for what a delete or a whole item lacks."""
    if isinstance(change, Delete):
        row: Row = (change.item_id, 1, None, None, None, None, None, None, None)
    else:
        item = change.item
        row = (
            change.item_id,
            0,
            item.title,
            item.description,
            json.dumps(dict(item.attributes), ensure_ascii=False),
            json.dumps(change.fields, ensure_ascii=False) if change.fields else None,
            item.image,
            change.payload,
            change.encoder_version,
        )
    return (*row, checksum(row))


def unpack(row: Sequence[Any]) -> Change:
    """The change of a row.

    Raises:
        ValueError: the row is damaged; the message says how.
    """
    *content, found = row
    if checksum(content) != found:
        raise ValueError("its checksum is another")
    item_id, deleted, title, description, attributes, fields, picture, payload, encoder_version = content
    try:
        if deleted:
            return Delete(item_id)
        item = ItemInput(item_id, title, description, picture, json.loads(attributes))
        return Upsert(item_id, item, payload, encoder_version, tuple(json.loads(fields)) if fields else ())
    except (InvalidArgumentError, TypeError) as err:
        raise ValueError(str(err)) from err


def batch_of(rows: Iterable[Sequence[Any]], change_of: Callable[[Sequence[Any]], Sequenced]) -> list[Sequenced]:
    """The changes of rows, up to the one with which they hold `BATCH_BYTES`."""
    changes: list[Sequenced] = []
    size = 0
    for row in rows:
        changes.append(change_of(row))
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if size >= BATCH_BYTES:
            break
    return changes


def checksum(values: Iterable[object]) -> int:
    """CRC-32 over values (integers, texts, bytes, None) with their types and lengths."""
    crc = 0
    for value in values:
        data = value if isinstance(value, bytes) else b"" if value is None else str(value).encode("utf-8", "replace")
        crc = zlib.crc32(f"{type(value).__name__}{len(data)}:".encode(), crc)
        crc = zlib.crc32(data, crc)
    return crc


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


def to_microseconds(moment: datetime) -> int:
    """Microseconds since 1970 in UTC.

    Raises:
        InvalidArgumentError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise InvalidArgumentError(
            f"{moment!r} has no time zone; pass one that has, as in datetime.now(UTC)", field="moment"
        )
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """The moment in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)
