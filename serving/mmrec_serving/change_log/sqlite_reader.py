"""Reading the changes of a store, in the process that writes them and in any other.

Unit of work: one batch, read as of one moment. No read stays open between batches, so that a slow reader neither
delays the writer nor lets its log grow.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Self

from mmrec.contract.rules import Whole
from mmrec.errors import FailedPreconditionError
from mmrec_serving.change_log.changes import Sequenced, StoreState
from mmrec_serving.change_log.sqlite_file import (
    COLUMNS,
    StoreConfig,
    check,
    from_microseconds,
    read_state,
    store_file,
    unpack,
)
from mmrec_serving.sqlite_files import StoreFile

_MOST = 100_000
BATCH_BYTES = 64 * 1024 * 1024
"""A batch ends when it holds this many bytes."""
_SELECT = f"SELECT sequence, recorded_us, {', '.join(COLUMNS)} FROM changes"


class SqliteChangeReader:
    """A `ChangeReader` of a store, opened read-only. For any number of threads.

    Args:
        config: The place of the store.
        base: Version of the catalogue that the caller has; None: the base of the store.

    Raises:
        NotFoundError: there is no store in the folder.
        FailedPreconditionError: the store is of another base or layout, or cannot be read.
        BundleError: it is damaged.
    """

    def __init__(self, config: StoreConfig, base: str | None = None) -> None:
        self._config = config
        self._asked = base
        self._lock = Lock()
        self._file = store_file(config)
        with self._file.naming_failures():
            db = self._file.connect(read_only=True)
            try:
                self._file.check(db, whole=False)
                state = check(db, self._file)
                if base is not None and base not in (state.base, state.successor):
                    raise other_base(config.folder, base, state)
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
        return self._batches(after, Whole(1, _MOST, f"be from 1 to {_MOST:,}").check(batch, "batch"))

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
        changes: list[Sequenced] = []
        size = 0
        with self._reading() as db:
            after = self._start(read_state(db, self._file), after)
            rows = db.execute(f"{_SELECT} WHERE sequence > ? ORDER BY sequence LIMIT ?", (after, batch))
            for row in rows:
                changes.append(_sequenced(self._file, row))
                size += sum(len(value) for value in row if isinstance(value, str | bytes))
                if size >= BATCH_BYTES:
                    break
            rows.close()
        return changes

    def _start(self, state: StoreState, after: int) -> int:
        """Number after which changes must be read."""
        if self._asked is None or self._asked == state.base:
            return max(after, state.folded)
        if self._asked == state.successor:
            return max(after, state.successor_holds)
        if after < state.dropped:
            raise FailedPreconditionError(
                f"changes {after + 1} to {state.dropped} of the store in {str(self._config.folder)!r} were dropped, "
                f"because the catalogue {state.base!r} holds them, and this reader has {self._asked!r}; load "
                f"{state.base!r} and replay from there"
            )
        return after

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


def checked_sequence(number: int, where: str) -> int:
    """The number of a change, or 0.

    Raises:
        InvalidArgumentError: it is no whole number, or is below 0 or over 2^62.
    """
    return Whole(0, 2**62, "be 0 or the number of a change").check(number, where)


def other_base(folder: Path, base: str, state: StoreState) -> FailedPreconditionError:
    """The error of a store whose base is another catalogue."""
    return FailedPreconditionError(
        f"the store in {str(folder)!r} has changes to the catalogue {state.base!r}, up to number {state.position}, and "
        f"is opened for {base!r}. Nothing is lost: serve {state.base!r}, or give a new store folder, or, where "
        f"{base!r} is to follow it, open the store for {state.base!r} and call rebase({base!r}, upto) with the number "
        "of the last change that it holds (0: none, so that all changes are made to it)"
    )


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
