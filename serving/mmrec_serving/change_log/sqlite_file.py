"""The layout of the SQLite file of a store of changes.

    changes        one row per change, by sequence number; texts and pictures as they are, so that any SQLite shell can
                   read them, and a checksum (CRC-32), since SQLite notices damage to the shape of its file only
    requests       one row per request id, with the digest and reply of its request
    state          one row: base, position, last change in the base, last dropped change, the announced base

Knows nothing of how the file is created, checked and locked; see `mmrec_serving.sqlite_files`.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from mmrec.contract.items import ItemInput
from mmrec.errors import InvalidArgumentError
from mmrec_serving.change_log.changes import Change, Delete, StoreState, Upsert
from mmrec_serving.sqlite_files import StoreFile, StoreFolder, StoreKind

STORE_FILE = "changes.sqlite"
_SCHEMA = (
    "CREATE TABLE changes (sequence INTEGER PRIMARY KEY, recorded_us INTEGER NOT NULL, item_id TEXT NOT NULL,"
    " deleted INTEGER NOT NULL, title TEXT, description TEXT, attributes TEXT, fields TEXT, picture BLOB, payload BLOB,"
    " encoder_version TEXT, checksum INTEGER NOT NULL)",
    "CREATE INDEX changes_of_item ON changes (item_id, sequence)",
    "CREATE TABLE requests (request_id TEXT PRIMARY KEY, digest BLOB NOT NULL, last INTEGER NOT NULL, reply BLOB NOT"
    " NULL, recorded_us INTEGER NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE INDEX requests_by_age ON requests (recorded_us)",
    "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), base TEXT NOT NULL, position INTEGER NOT NULL,"
    " folded INTEGER NOT NULL, dropped INTEGER NOT NULL, successor TEXT NOT NULL, successor_holds INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL)",
)
CHANGES = StoreKind(
    name="store of catalogue changes",
    entry="a change",
    entries="changes",
    key="the same request id",
    more_room="by compaction of the changes into a new bundle, or with a larger disk",
    file=STORE_FILE,
    lock=".lock",
    application=0x6D6D7273,  # mmrs
    version=2,
    schema=_SCHEMA,
)
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


@dataclass(frozen=True, slots=True)
class StoreConfig(StoreFolder):
    """The place of a store of changes and its behaviour.

    Attributes:
        folder: See `StoreFolder`.
        busy_timeout_s: See `StoreFolder`.
        keep_requests: How long a request id protects against doing the same twice, at least a second.
    """

    keep_requests: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        StoreFolder.__post_init__(self)  # super() does not work in a class with slots
        if not timedelta(seconds=1) <= self.keep_requests <= timedelta(days=3650):
            raise InvalidArgumentError(
                f"keep_requests is {self.keep_requests}; it must be from a second to ten years", field="keep_requests"
            )


def store_file(config: StoreConfig) -> StoreFile:
    """The file of a store."""
    return StoreFile(CHANGES, config)


def check(db: sqlite3.Connection, file: StoreFile) -> StoreState:
    """Check that the state and the changes of a store agree; returns the state.

    Raises:
        BundleError: it is damaged.
    """
    state = read_state(db, file)
    first, last = db.execute("SELECT min(sequence), max(sequence) FROM changes").fetchone()
    if first is not None and not 1 <= first <= last <= state.position:
        raise file.damaged(f"it holds changes {first} to {last} and says that {state.position} is the last")
    return state


def read_state(db: sqlite3.Connection, file: StoreFile) -> StoreState:
    """The stored state.

    Raises:
        BundleError: it is damaged.
    """
    row = db.execute(
        "SELECT base, position, folded, dropped, successor, successor_holds, checksum FROM state"
    ).fetchone()
    if row is None or checksum(row[:-1]) != row[-1]:
        raise file.damaged(f"the row of its state: {'it is missing' if row is None else 'its checksum is another'}")
    return StoreState(*row[:-1])


def write_state(db: sqlite3.Connection, state: StoreState) -> None:
    """Write the state in the open transaction."""
    row = (state.base, state.position, state.folded, state.dropped, state.successor, state.successor_holds)
    db.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?)", (*row, checksum(row)))


# --- rows ---------------------------------------------------------------------------------------------------


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


def checksum(values: Iterable[object]) -> int:
    """CRC-32 over values (integers, texts, bytes, None) with their types and lengths."""
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
