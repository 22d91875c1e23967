"""Changes to rows of the table and back, each row with a checksum of its own.

Unit of work: one change. Texts stay texts and pictures stay pictures, so that any SQLite shell can look at them.
SQLite itself notices damage to the shape of its file, not to what is in a row; the checksum (CRC-32) does that.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from mmrec.contract.items import ItemInput
from mmrec.errors import InvalidArgumentError
from mmrec_serving.change_log.values import Change, Delete, Upsert

Row: TypeAlias = tuple[Any, ...]
"""In the order of `COLUMNS`."""

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
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def pack(change: Change) -> Row:
    """The row of a change; attributes and fields as JSON, NULL for what a delete does not have."""
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
            None if change.fields is None else json.dumps(change.fields, ensure_ascii=False),
            item.image,
            change.payload,
            change.encoder_version,
        )
    return (*row, checksum(row))


def unpack(row: Sequence[Any]) -> Change:
    """The change of a row.

    Raises:
        ValueError: the row is not as it was written; the message says how.
    """
    *content, found = row
    if checksum(content) != found:
        raise ValueError("its checksum is another")
    item_id, deleted, title, description, attributes, fields, picture, payload, encoder_version = content
    try:
        if deleted:
            return Delete(item_id)
        return Upsert(
            item_id=item_id,
            item=ItemInput(item_id, title, description, picture, json.loads(attributes)),
            payload=payload,
            encoder_version=encoder_version,
            fields=None if fields is None else tuple(json.loads(fields)),
        )
    except (InvalidArgumentError, TypeError) as err:
        raise ValueError(str(err)) from err


def row_bytes(row: Row) -> int:
    """Bytes of a row, about."""
    return 64 + sum(len(value) for value in row if isinstance(value, str | bytes))


def checksum(values: Iterable[object]) -> int:
    """CRC-32 over values and their kinds and lengths. Of whole numbers, texts, bytes and None."""
    crc = 0
    for value in values:
        data = value if isinstance(value, bytes) else b"" if value is None else str(value).encode("utf-8", "replace")
        crc = zlib.crc32(f"{type(value).__name__}{len(data)}:".encode(), crc)
        crc = zlib.crc32(data, crc)
    return crc


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
