"""The store of catalogue changes in one SQLite file: the default `ChangeStore`.

Unit of work: one atomic transaction. One process writes, which a lock file ensures; readers use a `SqliteChangeReader`.
Long work is split into short transactions, so that requests can be recorded in between.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime

from mmrec_serving.change_log.bases import (
    PAUSE_S,
    SLICE_CHANGES,
    SLICE_ITEMS,
    announced,
    check_base,
    checked_sequence,
    following,
    other_base,
    without_folded,
)
from mmrec_serving.change_log.changes import Change, Recorded, RecordedRequest, StoreState, compacted, effective
from mmrec_serving.change_log.failpoints import Failpoint, no_failpoint
from mmrec_serving.change_log.rows import (
    COLUMNS,
    KEEP_REQUESTS,
    changed_meanwhile,
    checksum,
    from_microseconds,
    pack,
    pack_request,
    recorded_before,
    to_microseconds,
    utc_now,
)
from mmrec_serving.change_log.sqlite_file import CHANGES, check, read_state, write_state
from mmrec_serving.change_log.sqlite_reader import SqliteChangeReader, read_change
from mmrec_serving.sqlite_files import StoreFile, StoreFolder, StoreWriter

_INTO_CHANGES = f"INTO changes (sequence, recorded_us, {', '.join(COLUMNS)}) VALUES (?, ?{', ?' * len(COLUMNS)})"
_CHANGED_SINCE = "SELECT 1 FROM changes WHERE item_id = ? AND sequence > ? LIMIT 1"
_OFTEN_CHANGED = (
    "SELECT item_id FROM changes WHERE item_id > ? AND sequence <= ? GROUP BY item_id HAVING count(*) > 1"
    " ORDER BY item_id LIMIT ?"
)
_OF_ITEM = (
    "SELECT sequence, deleted = 1 OR fields IS NULL FROM changes WHERE item_id = ? AND sequence <= ?"
    " ORDER BY sequence DESC"
)
_DROP = (
    "DELETE FROM changes WHERE sequence IN (SELECT sequence FROM changes WHERE sequence <= ? ORDER BY sequence LIMIT ?)"
)


class SqliteChangeStore(SqliteChangeReader):
    """A `ChangeStore` in a folder, locked by this process until `close`. For any number of threads.

    Args:
        place: The place of the store, which is made if it is missing.
        base: Version of the catalogue that the changes are made to. A base that was announced becomes the store's.
        clock: The time now, with a zone; for tests.
        failpoint: For tests.

    Raises:
        InvalidArgumentError: the folder is a file, or `base` is empty.
        FailedPreconditionError: another process writes to it; it extends another base or has another layout; or it
            cannot be written to.
        ResourceExhaustedError: the disk is full.
        BundleError: it is damaged. It is not changed.
    """

    shared = False
    """See `ChangeStore`."""

    def __init__(
        self,
        place: StoreFolder,
        base: str,
        *,
        clock: Callable[[], datetime] = utc_now,
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        self._clock, self._failpoint = clock, failpoint
        check_base(base, "base")
        file = StoreFile(CHANGES, place)
        with ExitStack() as stack:
            self._writer = StoreWriter(file, lambda db: write_state(db, StoreState(base)), failpoint)
            stack.callback(self._writer.close)
            with self._writer.connection() as db:
                state = check(db, file)
            super().__init__(place)
            stack.callback(super().close)
            if base != state.base:
                if base != state.successor:
                    raise other_base(self._where, base, state)
                self.rebase(base, state.successor_holds)
            if state.dropped:
                self.drop_folded(state.dropped)  # complete what a kill may have interrupted
            failpoint("after-open")
            stack.pop_all()

    def close(self) -> None:
        """See `ChangeReader`. Waits for what is being written."""
        self._failpoint("before-close")
        super().close()  # first, so that the writing connection is the last one and truncates the log
        self._writer.close()

    # --- requests -------------------------------------------------------------------------------------------

    def find(self, request_id: str) -> RecordedRequest | None:
        """See `ChangeStore`."""
        with self._reading() as db:
            found = self._found(db, request_id)
        return found and found[0]

    def record(
        self,
        request_id: str,
        digest: bytes,
        changes: Sequence[Change],
        reply: bytes,
        *,
        based_on: int | None = None,
    ) -> Recorded:
        """See `ChangeStore`."""
        request = pack_request(request_id, digest, changes, reply)
        rows = request.changes
        with self._transaction("record") as (db, state):
            if request_id and (found := self._found(db, request_id)):
                raise recorded_before(request_id, found[1])
            for change in changes if based_on is not None else ():
                if db.execute(_CHANGED_SINCE, (change.item_id, based_on)).fetchone():
                    raise changed_meanwhile(change.item_id)
            first, now_us = state.position + 1, to_microseconds(self._clock())
            for at, row in enumerate(rows):
                if at == 1:
                    self._failpoint("mid-record")
                db.execute(f"INSERT {_INTO_CHANGES}", (first + at, now_us, *row))
            last = state.position + len(rows)
            if request_id:
                entry = (request_id, request.digest, last, request.reply, now_us)
                # Replaces an expired row with the same id.
                db.execute("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?)", (*entry, checksum(entry)))
            if rows:
                write_state(db, replace(state, position=last))
        return Recorded(first, last)

    def forget(self, before: datetime) -> int:
        """See `ChangeStore`."""
        before_us = min(to_microseconds(before), to_microseconds(self._clock() - KEEP_REQUESTS))
        with self._transaction("forget") as (db, _):
            return db.execute("DELETE FROM requests WHERE recorded_us < ?", (before_us,)).rowcount

    def _found(self, db: sqlite3.Connection, request_id: str) -> tuple[RecordedRequest, datetime] | None:
        row = db.execute("SELECT * FROM requests WHERE request_id = ?", (request_id,)).fetchone()
        if row is None:
            return None
        if checksum(row[:-1]) != row[-1]:
            raise self._file.damaged(f"the row of request {request_id!r}: its checksum is another")
        _, digest, last, reply, recorded_us, _ = row
        recorded_at = from_microseconds(recorded_us)
        expired = self._clock() - recorded_at > KEEP_REQUESTS
        return None if expired else (RecordedRequest(digest, last, reply), recorded_at)

    # --- compaction -----------------------------------------------------------------------------------------

    def read_as(self, base: str) -> SqliteChangeReader:
        """See `ChangeStore`."""
        return SqliteChangeReader(self._place, base)

    def compact(self, upto: int) -> int:
        """See `ChangeStore`. Requests are recorded between two slices of it."""
        upto = checked_sequence(upto, "upto")
        removed, after_item = 0, ""
        while True:
            with self._transaction("compaction") as (db, _):
                items = [item_id for (item_id,) in db.execute(_OFTEN_CHANGED, (after_item, upto, SLICE_ITEMS))]
                for item_id in items:
                    removed += self._compact_item(db, item_id, upto)
                    self._failpoint("mid-compaction")
            if len(items) < SLICE_ITEMS:
                return removed
            after_item = items[-1]
            time.sleep(PAUSE_S)

    def _compact_item(self, db: sqlite3.Connection, item_id: str, upto: int) -> int:
        numbers = effective(db.execute(_OF_ITEM, (item_id, upto)).fetchall())
        left = compacted(read_change(db, self._file, number) for number in numbers if len(numbers) > 1)
        if 0 < len(left) < len(numbers):
            for entry in left:
                row = (entry.sequence, to_microseconds(entry.recorded_at), *pack(entry.change))
                db.execute(f"INSERT OR REPLACE {_INTO_CHANGES}", row)
            numbers = [entry.sequence for entry in left]
        return db.execute(
            f"DELETE FROM changes WHERE item_id = ? AND sequence <= ? AND sequence NOT IN"
            f" ({', '.join('?' * len(numbers))})",
            (item_id, upto, *numbers),
        ).rowcount

    def announce(self, new_base: str, upto: int) -> None:
        """See `ChangeStore`."""
        with self._transaction("announce") as (db, state):
            write_state(db, announced(state, new_base, upto))

    def rebase(self, new_base: str, upto: int) -> None:
        """See `ChangeStore`."""
        with self._transaction("rebase") as (db, state):
            write_state(db, following(state, new_base, upto))

    def drop_folded(self, upto: int) -> int:
        """See `ChangeStore`. Requests are recorded between two slices of it."""
        upto = checked_sequence(upto, "upto")
        total = 0
        while True:
            with self._transaction("drop") as (db, state):
                write_state(db, without_folded(state, upto))
                dropped = db.execute(_DROP, (upto, SLICE_CHANGES)).rowcount
            total += dropped
            if not dropped:
                return total
            time.sleep(PAUSE_S)

    # --- transactions ---------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, name: str) -> Iterator[tuple[sqlite3.Connection, StoreState]]:
        """The connection inside a transaction, which is durable afterwards, and the state at its beginning."""
        with self._writer.transaction(name) as db:
            yield db, read_state(db, self._file)
