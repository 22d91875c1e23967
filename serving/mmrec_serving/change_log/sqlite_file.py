"""The SQLite file of a store: created atomically, checked when it is opened, never overwritten.

    changes        one row per change, by sequence number; texts and pictures as they are, so that any SQLite shell can
                   read them, and a checksum (CRC-32), since SQLite notices damage to the shape of its file only
    requests       one row per request id, with the digest and reply of its request
    state          one row: base, position, last change in the base, last dropped change, the announced base

`application_id` in the file's header marks a store of mmrec, `user_version` is the version of this layout. The
journal is a write-ahead log and every commit waits for the disk (``synchronous=FULL``), so that a commit survives a
power cut. Beside the file lie ``-wal`` (what was committed last: part of the store, to be copied with it), ``-shm``
and, for the process that writes, ``.lock``.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from mmrec.contract.items import ItemInput
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.runtime.files import sync
from mmrec.runtime.limits import check_numbers
from mmrec_serving.change_log.changes import Change, Delete, StoreState, Upsert
from mmrec_serving.change_log.failpoints import Failpoint, no_failpoint
from mmrec_serving.change_log.failures import damaged

STORE_FILE = "changes.sqlite"
LOCK_FILE = ".lock"
SCHEMA_VERSION = 2
_APPLICATION = 0x6D6D7273  # mmrs
_UNFINISHED = ".changes.unfinished"
_LOG_BYTES = 64 * 1024 * 1024
"""The write-ahead log is truncated to this size when it has grown larger."""

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
class StoreConfig:
    """The place of a store and its behaviour.

    Attributes:
        folder: Folder of the store; made if it is missing. One store per folder, on a disk of this machine: SQLite's
            write-ahead log works on no network file system.
        busy_timeout_s: Seconds to wait for another program that holds the file (a backup, say), 0 or more.
        keep_requests: How long a request id protects against doing the same twice, at least a second.
    """

    folder: Path
    busy_timeout_s: float = 10.0
    keep_requests: timedelta = timedelta(hours=24)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        check_numbers(self, "busy_timeout_s", low=0, high=3600)
        if not timedelta(seconds=1) <= self.keep_requests <= timedelta(days=3650):
            raise InvalidArgumentError(
                f"keep_requests is {self.keep_requests}; it must be from a second to ten years", field="keep_requests"
            )


# --- the file -----------------------------------------------------------------------------------------------


def connect(config: StoreConfig, file: str = STORE_FILE, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to a file that exists, for one thread at a time. Transactions are begun and ended by hand."""
    mode = "ro" if read_only else "rw"
    db = sqlite3.connect(
        f"{(config.folder / file).absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=config.busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # Damaged text is read too; its checksum reveals the damage.
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        if not read_only:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = FAST")
            db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    except BaseException:
        db.close()
        raise
    return db


def create(config: StoreConfig, base: str, failpoint: Failpoint = no_failpoint) -> None:
    """Create the file if there is none: under a temporary name, which is replaced when the file is durable.

    Raises:
        BundleError: there was a file once, and it was removed.
    """
    folder = config.folder
    if (folder / STORE_FILE).exists():
        return
    if (folder / f"{STORE_FILE}-wal").exists():
        raise damaged(folder, f"{STORE_FILE} is missing, and its {STORE_FILE}-wal exists")
    unfinished = folder / _UNFINISHED
    for suffix in ("", "-wal", "-shm", "-journal"):  # of a process that was killed
        unfinished.with_name(_UNFINISHED + suffix).unlink(missing_ok=True)
    unfinished.touch()
    db = connect(config, _UNFINISHED)
    try:
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            db.execute(statement)
        failpoint("mid-create")
        write_state(db, StoreState(base))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()
    sync(unfinished)
    failpoint("before-create-rename")
    unfinished.rename(folder / STORE_FILE)
    sync(folder)
    failpoint("after-create-rename")


def check(db: sqlite3.Connection, folder: Path, *, whole: bool) -> StoreState:
    """Check that a file is an undamaged store of this version; returns its state.

    Args:
        db: Connection to it.
        folder: For the messages.
        whole: Whether to check all of the file, which reads it once.

    Raises:
        FailedPreconditionError: it is another database, or of another version.
        BundleError: it is damaged.
    """
    path = str(folder / STORE_FILE)
    if (folder / STORE_FILE).stat().st_size == 0:
        raise damaged(folder, f"{path!r} is empty")
    application = int(db.execute("PRAGMA application_id").fetchone()[0])
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if application != _APPLICATION:
        raise FailedPreconditionError(
            f"{path!r} is a database of another program; give the store of catalogue changes a folder of its own"
        )
    if version != SCHEMA_VERSION:
        raise FailedPreconditionError(
            f"the store {path!r} has version {version} of its layout, this mmrec reads version {SCHEMA_VERSION}; use "
            "the mmrec that wrote it, or give a new store folder"
        )
    if whole:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise damaged(folder, str(found).replace("\n", " "))
    state = read_state(db, folder)
    first, last = db.execute("SELECT min(sequence), max(sequence) FROM changes").fetchone()
    if first is not None and not 1 <= first <= last <= state.position:
        raise damaged(folder, f"it holds changes {first} to {last} and says that {state.position} is the last")
    return state


def read_state(db: sqlite3.Connection, folder: Path) -> StoreState:
    """The stored state.

    Raises:
        BundleError: it is damaged.
    """
    row = db.execute(
        "SELECT base, position, folded, dropped, successor, successor_holds, checksum FROM state"
    ).fetchone()
    if row is None or checksum(row[:-1]) != row[-1]:
        raise damaged(folder, f"the row of its state: {'it is missing' if row is None else 'its checksum is another'}")
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
