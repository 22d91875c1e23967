"""The SQLite file of a store: made whole or not at all, checked before it is trusted, never made anew over another.

    changes        one row a change, by sequence number; see `rows`
    requests       one row a request id, with the digest and reply of its request
    state          one row: base, position, what is folded and dropped, the base that is to follow

`application_id` in the file's header says that it is ours, `user_version` which version of this layout it has. The
journal is a write-ahead log and every commit waits for the disk (``synchronous=FULL``), so that a commit survives a
power cut. Knows nothing of requests.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from mmrec.errors import FailedPreconditionError
from mmrec_serving.change_log.failpoints import Failpoint, no_failpoint
from mmrec_serving.change_log.failures import damaged
from mmrec_serving.change_log.rows import checksum
from mmrec_serving.change_log.values import StoreState

STORE_FILE = "changes.sqlite"
LOCK_FILE = ".lock"
SCHEMA_VERSION = 1
_APPLICATION = 0x6D6D7273  # mmrs
_UNFINISHED = ".changes.unfinished"
_LOG_BYTES = 64 * 1024 * 1024
"""The write-ahead log is cut back to this when it has grown larger."""

_SCHEMA = (
    "CREATE TABLE changes (sequence INTEGER PRIMARY KEY, recorded_us INTEGER NOT NULL, item_id TEXT NOT NULL,"
    " deleted INTEGER NOT NULL, title TEXT, description TEXT, attributes TEXT, fields TEXT, picture BLOB, payload BLOB,"
    " encoder_version TEXT, checksum INTEGER NOT NULL)",
    "CREATE INDEX changes_of_item ON changes (item_id, sequence)",
    "CREATE TABLE requests (request_id TEXT PRIMARY KEY, kind TEXT NOT NULL, digest BLOB NOT NULL, first INTEGER NOT"
    " NULL, last INTEGER NOT NULL, reply BLOB NOT NULL, recorded_us INTEGER NOT NULL, checksum INTEGER NOT NULL)",
    "CREATE INDEX requests_by_age ON requests (recorded_us)",
    "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), base TEXT NOT NULL, position INTEGER NOT NULL,"
    " folded INTEGER NOT NULL, dropped INTEGER NOT NULL, successor TEXT NOT NULL, successor_holds INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL)",
)


def connect(path: Path, busy_timeout_s: float, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to a file that exists, for one thread at a time. Transactions are begun and ended by hand."""
    mode = "ro" if read_only else "rw"
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # Damaged text still comes out of the file; its checksum tells.
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


def create(folder: Path, base: str, failpoint: Failpoint = no_failpoint) -> None:
    """Make the file of a new store: under another name first, then, when it is durable, under its own."""
    unfinished = folder / _UNFINISHED
    for suffix in ("", "-wal", "-shm", "-journal"):  # of a process that was killed
        unfinished.with_name(_UNFINISHED + suffix).unlink(missing_ok=True)
    unfinished.touch()
    db = connect(unfinished, 0.0)
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
    _sync(unfinished)
    failpoint("before-create-rename")
    unfinished.rename(folder / STORE_FILE)
    _sync(folder)
    failpoint("after-create-rename")


def check(db: sqlite3.Connection, folder: Path, *, whole: bool) -> StoreState:
    """The state of a file that is a store of this version, and sound.

    Args:
        db: Connection to it.
        folder: For the messages.
        whole: Whether to look through all of the file, which reads it once.

    Raises:
        FailedPreconditionError: it is something else, or of another version.
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
    try:
        state = read_state(db)
    except ValueError as err:
        raise damaged(folder, f"the row of its state: {err}") from err
    first, last = db.execute("SELECT min(sequence), max(sequence) FROM changes").fetchone()
    if first is not None and not 1 <= first <= last <= state.position:
        raise damaged(folder, f"it holds changes {first} to {last} and says that {state.position} is the last")
    return state


def read_state(db: sqlite3.Connection) -> StoreState:
    """The state.

    Raises:
        ValueError: it is not as it was written.
    """
    row = db.execute(
        "SELECT base, position, folded, dropped, successor, successor_holds, checksum FROM state"
    ).fetchone()
    if row is None or checksum(row[:-1]) != row[-1]:
        raise ValueError("it is missing" if row is None else "its checksum is another")
    return StoreState(*row[:-1])


def write_state(db: sqlite3.Connection, state: StoreState) -> None:
    """Put the state into the transaction that is open."""
    row = (state.base, state.position, state.folded, state.dropped, state.successor, state.successor_holds)
    db.execute("INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?, ?, ?)", (*row, checksum(row)))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
