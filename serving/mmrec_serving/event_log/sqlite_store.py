"""The store of events in one SQLite file: the default `EventStore`.

Unit of work: one atomic transaction. One process writes, which a lock file ensures; readers use a `SqliteEventReader`.
Of a deleted customer no byte is left in any file of the store, as far as recorded events brought it there.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from mmrec.contract.events import UserEvent
from mmrec.contract.forgotten_users import ForgottenUsers, new_key
from mmrec.errors import ResourceExhaustedError, UnavailableError
from mmrec_serving.event_log import arguments
from mmrec_serving.event_log.sqlite_file import CONTENT, EVENTS, digest, pack
from mmrec_serving.event_log.sqlite_reader import KEY, USER_NUMBER, SqliteEventReader, user_key
from mmrec_serving.sqlite_files import Failpoint, StoreFile, StoreFolder, StoreWriter, no_failpoint

_LOG_PAGES = 8000
"""Pages of 4 KiB in the write-ahead log from which on they are written to the file. With events of a million customers
a fifth more are recorded in a second than with 1,000, which is SQLite's own number."""
_INSERT = (
    f"INSERT INTO events (sequence, user, event_digest, {', '.join(CONTENT)}, checksum)"
    f" VALUES (?, ?, ?{', ?' * len(CONTENT)}, ?)"
)
_INSERT_USER = "INSERT INTO users (digest, user_id) VALUES (?, ?)"
_KNOWN = "SELECT sequence FROM events WHERE event_digest = ? AND event_id = ?"
_EMPTY_EVENTS = (
    f"UPDATE events SET user = NULL, event_digest = NULL, {', '.join(f'{name} = NULL' for name in CONTENT)},"
    f" checksum = NULL WHERE user = {USER_NUMBER}"
)
_EMPTY_USER = f"UPDATE users SET digest = NULL, user_id = '' WHERE number = {USER_NUMBER}"
_INSERT_KEY = "INSERT INTO deletion_key (key) VALUES (?)"
_INSERT_DELETION = (
    "INSERT OR REPLACE INTO deletions (number, digest) SELECT coalesce(max(number), 0) + 1, ? FROM deletions"
)


class SqliteEventStore(SqliteEventReader):
    """An `EventStore` in a folder, locked by this process until `close`. For any number of threads.

    Args:
        place: The place of the store, which is made if it is missing.
        clock: The time now in seconds since 1970; for tests.
        failpoint: For tests.

    Raises:
        InvalidArgumentError: the folder is a file.
        FailedPreconditionError: another process writes to it; it has another layout; or it cannot be written to.
        ResourceExhaustedError: the disk is full.
        BundleError: it is damaged. It is not changed.
    """

    shared = False
    """See `EventStore`."""

    def __init__(
        self, place: StoreFolder, *, clock: Callable[[], float] = time.time, failpoint: Failpoint = no_failpoint
    ) -> None:
        self._clock, self._failpoint = clock, failpoint
        with ExitStack() as stack:
            self._writer = StoreWriter(StoreFile(EVENTS, place), _fill, failpoint)
            stack.callback(self._writer.close)
            with self._writer.connection() as db:
                db.execute("PRAGMA secure_delete = ON")
                db.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
            with suppress(ResourceExhaustedError, UnavailableError):
                self._empty_log()  # completes a deletion that a kill interrupted
            super().__init__(place)
            stack.callback(super().close)
            failpoint("after-open")
            stack.pop_all()

    def record(self, events: Sequence[UserEvent]) -> list[int]:
        """See `EventStore`."""
        checked: tuple[UserEvent, ...] = arguments.EVENTS.check(events, "events")
        numbers: list[int] = []
        users: dict[str, int | None] = {"": None}
        with self._writer.transaction("record") as db:
            now = self._clock()
            position = _one(db, "SELECT max(sequence) FROM events") or 0
            for event in checked:
                event_digest = digest(event.event_id) if event.event_id else None
                known = event.event_id and _one(db, _KNOWN, event_digest, event.event_id)
                if known:
                    numbers.append(known)
                    continue
                if event.user_id not in users:
                    users[event.user_id] = _user(db, event.user_id)
                position += 1
                content = pack(position, event, now if event.time is None else event.time)
                db.execute(_INSERT, (position, users[event.user_id], event_digest, *content))
                numbers.append(position)
                self._failpoint("mid-record")
        return numbers

    def delete_user(self, user_id: str) -> int:
        """See `EventStore`."""
        key = user_key(user_id)
        with self._writer.transaction("deletion") as db:
            deleted = db.execute(_EMPTY_EVENTS, key).rowcount
            db.execute(_EMPTY_USER, key)
            (secret,) = db.execute(KEY).fetchone()
            db.execute(_INSERT_DELETION, (ForgottenUsers(secret).digest(user_id),))
        # Also where nothing was deleted: an earlier call may have ended here.
        self._empty_log()
        return deleted

    def close(self) -> None:
        """See `EventReader`. Waits for what is being written."""
        self._failpoint("before-close")
        super().close()  # first, so that the writing connection is the last one and removes the log
        self._writer.close()

    def _empty_log(self) -> None:
        """Write what the write-ahead log holds to the file, and make the log empty.

        Raises:
            UnavailableError: another program reads all the time.
        """
        with self._writer.connection() as db:
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise UnavailableError(
                f"the events are deleted, and the file {f'{self._file.path}-wal'!r} still holds bytes of them, because "
                "another program reads the store (a backup, or an sqlite3 shell?); end it, then delete again",
                retry_after_s=1.0,
            )


def _fill(db: sqlite3.Connection) -> None:
    """Write the first row of a new store."""
    db.execute(_INSERT_KEY, (new_key(),))


def _one(db: sqlite3.Connection, query: str, *values: object) -> int | None:
    """The first value of the first row; None without one."""
    row = db.execute(query, values).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def _user(db: sqlite3.Connection, user_id: str) -> int | None:
    """The number of a user, who has one afterwards."""
    key = user_key(user_id)
    number = _one(db, f"SELECT {USER_NUMBER}", *key)
    return db.execute(_INSERT_USER, key).lastrowid if number is None else number
