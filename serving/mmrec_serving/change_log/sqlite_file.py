"""The layout of the SQLite file of a store of changes.

    changes        one row per change, by sequence number; texts and pictures as they are, so that any SQLite shell can
                   read them, and a checksum (CRC-32), since SQLite notices damage to the shape of its file only
    requests       one row per request id, with the digest and reply of its request
    state          one row: the values of `StoreState`

Knows nothing of how the file is created, checked and locked; see `mmrec_serving.sqlite_files`.
"""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, fields

from mmrec_serving.change_log.changes import StoreState
from mmrec_serving.change_log.rows import checksum
from mmrec_serving.sqlite_files import StoreFile, StoreKind

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
    " previous TEXT NOT NULL, previous_holds INTEGER NOT NULL, checksum INTEGER NOT NULL)",
)
CHANGES = StoreKind(
    name="store of catalogue changes",
    entry="a change",
    entries="changes",
    key="the same request id",
    more_room="by compaction of the changes into a new bundle, or with a larger disk",
    file="changes.sqlite",
    lock=".lock",
    application=0x6D6D7273,  # mmrs
    version=3,
    schema=_SCHEMA,
)
_FIELDS = tuple(field.name for field in fields(StoreState))
_STATE = f"SELECT {', '.join(_FIELDS)}, checksum FROM state"
_SET_STATE = f"INSERT OR REPLACE INTO state (id, {', '.join(_FIELDS)}, checksum) VALUES (1{', ?' * len(_FIELDS)}, ?)"


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
    row = db.execute(_STATE).fetchone()
    if row is None or checksum(row[:-1]) != row[-1]:
        raise file.damaged(f"the row of its state: {'it is missing' if row is None else 'its checksum is another'}")
    return StoreState(*row[:-1])


def write_state(db: sqlite3.Connection, state: StoreState) -> None:
    """Write the state in the open transaction."""
    row = astuple(state)
    db.execute(_SET_STATE, (*row, checksum(row)))
