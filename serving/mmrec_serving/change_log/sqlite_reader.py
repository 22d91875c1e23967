"""Reading the changes of a store, in the process that writes them and in any other.

Unit of work: one batch, read as of one moment. No read stays open between batches, so that a slow reader neither
delays the writer nor lets its log grow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any, Self

from mmrec_serving.change_log.bases import BATCH, checked_sequence, first_read, other_base
from mmrec_serving.change_log.changes import Sequenced, StoreState
from mmrec_serving.change_log.rows import COLUMNS, batch_of, from_microseconds, unpack
from mmrec_serving.change_log.sqlite_file import CHANGES, check, read_state
from mmrec_serving.sqlite_files import StoreFile, StoreFolder, in_words

_SELECT = f"SELECT sequence, recorded_us, {', '.join(COLUMNS)} FROM changes"


class SqliteChangeReader:
    """A `ChangeReader` of a store, opened read-only. For any number of threads.

    Args:
        place: The place of the store.
        base: Version of the catalogue that the caller has; None: the base of the store.

    Raises:
        NotFoundError: there is no store in the folder.
        FailedPreconditionError: the store is of another base or layout, or cannot be read.
        BundleError: it is damaged.
    """

    def __init__(self, place: StoreFolder, base: str | None = None) -> None:
        self._place = place
        self._asked = base
        self._lock = Lock()
        self._file = StoreFile(CHANGES, place)
        self._where = in_words(CHANGES, place.folder)
        with self._file.naming_failures():
            db = self._file.connect(read_only=True)
            try:
                self._file.check(db, whole=False)
                state = check(db, self._file)
                if base is not None and base not in (state.base, state.successor):
                    raise other_base(self._where, base, state)
            except BaseException:
                db.close()
                raise
        self._db: sqlite3.Connection | None = db

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base(self) -> str:
        """See `ChangeReader`."""
        return self.state().base if self._asked is None else self._asked

    def state(self) -> StoreState:
        """See `ChangeReader`."""
        with self._reading() as db:
            return read_state(db, self._file)

    def position(self) -> int:
        """See `ChangeReader`."""
        return self.state().position

    def replay(self, after: int = 0, batch: int = 1000) -> Iterator[Sequence[Sequenced]]:
        """See `ChangeReader`."""
        after = checked_sequence(after, "after")
        return self._batches(after, BATCH.check(batch, "batch"))

    def close(self) -> None:
        """See `ChangeReader`."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _batches(self, after: int, batch: int) -> Iterator[Sequence[Sequenced]]:
        while changes := self._batch(after, batch):
            yield changes
            after = changes[-1].sequence

    def _batch(self, after: int, batch: int) -> list[Sequenced]:
        with self._reading() as db:
            after = first_read(read_state(db, self._file), self._asked, after, self._where)
            rows = db.execute(f"{_SELECT} WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, batch))
            changes = batch_of(rows, partial(_sequenced, self._file))
            rows.close()
        return changes

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One read transaction: everything is read as of one moment."""
        with self._lock, self._file.naming_failures():
            if self._db is None:
                raise self._file.closed()
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


def read_change(db: sqlite3.Connection, file: StoreFile, number: int) -> Sequenced:
    """The change with an existing number.

    Raises:
        BundleError: it is damaged.
    """
    return _sequenced(file, db.execute(f"{_SELECT} WHERE sequence = ?", (number,)).fetchone())


def _sequenced(file: StoreFile, row: Sequence[Any]) -> Sequenced:
    number, recorded_us, *content = row
    try:
        return Sequenced(int(number), from_microseconds(int(recorded_us)), unpack(content))
    except (ValueError, OverflowError) as err:
        raise file.damaged(f"change {number}: {err}") from err
