"""The layout of the SQLite file of a store of events; see `mmrec_serving.sqlite_files` for the file itself.

    events         one row per event, by sequence number, with a checksum (CRC-32), since SQLite notices damage to the
                   shape of its file only; of a deleted event the number alone is left, and every other column is NULL
    users          one row per customer: the id stands here only; of a deleted customer an empty row is left
    deletions      one row per deleted customer: the number of the last deletion, and the keyed digest of the id
    deletion_key   the random key of these digests

Rows of the first two tables are appended and made empty, never removed, and no index has a text. So SQLite never moves
the text of one row to make room for another, which would leave a copy in the unused part of a page that no deletion
reaches. Their indexes have 8-byte digests instead: equal digests of different ids are told apart by the texts of the
rows.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import Any

from mmrec.contract.events import UserEvent
from mmrec_serving.sqlite_files import StoreKind

CONTENT = (
    "item_id",
    "event_type",
    "session_id",
    "event_id",
    "time",
    "rating",
    "value",
    "recommendation_id",
    "position",
)
"""Columns with what an event says, without its customer."""
_SCHEMA = (
    "CREATE TABLE events (sequence INTEGER PRIMARY KEY, user INTEGER, event_digest INTEGER, item_id TEXT,"
    " event_type TEXT, session_id TEXT, event_id TEXT, time REAL, rating REAL, value REAL, recommendation_id TEXT,"
    " position INTEGER, checksum INTEGER)",
    "CREATE INDEX events_of_user ON events (user) WHERE user IS NOT NULL",
    "CREATE INDEX events_by_id ON events (event_digest) WHERE event_digest IS NOT NULL",
    "CREATE TABLE users (number INTEGER PRIMARY KEY, digest INTEGER, user_id TEXT)",
    "CREATE INDEX users_by_id ON users (digest) WHERE digest IS NOT NULL",
    "CREATE TABLE deletions (number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE)",
    "CREATE TABLE deletion_key (key BLOB NOT NULL)",
)
EVENTS = StoreKind(
    name="store of events",
    entry="an event",
    entries="events",
    key="the same event ids",
    more_room="with a larger disk, or by moving other files from it",
    file="events.sqlite",
    lock=".events.lock",
    application=0x6D6D7265,  # mmre
    version=2,
    schema=_SCHEMA,
)


def digest(text: str) -> int:
    """The first 8 bytes of the BLAKE2b of an id, as a signed integer."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def pack(sequence: int, event: UserEvent, time: float) -> tuple[Any, ...]:
    """The values of `CONTENT` and the checksum of an event.

    Args:
        sequence: Its number.
        event: The event.
        time: Its time, in seconds since 1970.
    """
    content = (
        event.item_id,
        event.event_type,
        event.session_id,
        event.event_id,
        _positive_zero(time),
        _positive_zero(event.rating),
        _positive_zero(event.value),
        event.recommendation_id,
        event.position,
    )
    return (*content, _checksum(sequence, event.user_id, content))


def unpack(sequence: int, user_id: str, row: Sequence[Any]) -> UserEvent:
    """The event of a row as `pack` makes it.

    Raises:
        ValueError: the row is damaged; the message says how.
    """
    *content, found = row
    if _checksum(sequence, user_id, content) != found:
        raise ValueError("its checksum is another")
    return UserEvent(user_id=user_id, **dict(zip(CONTENT, content, strict=True)))


def _positive_zero(number: float | None) -> float | None:
    """The number as SQLite gives it back: it has no negative zero."""
    return None if number is None else number + 0.0


def _checksum(sequence: int, user_id: str, content: Sequence[Any]) -> int:
    """CRC-32; JSON keeps the types and borders of the values apart, and is made in C."""
    return zlib.crc32(json.dumps((sequence, user_id, *content)).encode())
