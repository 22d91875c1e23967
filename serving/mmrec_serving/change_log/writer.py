"""The one connection that writes to a store: transactions that are there whole or not at all, and groups of requests.

Unit of work: one transaction. Knows nothing of who waits, or of what folding is for.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock

from mmrec.errors import FailedPreconditionError, MmrecError, UnavailableError
from mmrec_serving.change_log.config import StoreConfig
from mmrec_serving.change_log.database import STORE_FILE, check, connect, read_state, write_state
from mmrec_serving.change_log.failpoints import Failpoint
from mmrec_serving.change_log.failures import damaged, explained, naming_failures
from mmrec_serving.change_log.group_commit import GroupCommit, Ticket
from mmrec_serving.change_log.requests import Request, write_request
from mmrec_serving.change_log.rows import row_bytes
from mmrec_serving.change_log.values import Recorded, StoreState

_END_OF_ALL = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_INTERRUPT,
)
"""What one request meets that ends the transaction of all."""
_EACH_ALONE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM)
"""What a smaller transaction may not meet."""

_AFTER_YOU_S = 0.001


class Writer:
    """Writes to the file of a store. For any number of threads, one transaction at a time.

    Args:
        config: Where it lies.
        clock: The time now, with a zone.
        failpoint: For tests.

    Raises:
        FailedPreconditionError, BundleError: as `database.check`.
    """

    def __init__(self, config: StoreConfig, clock: Callable[[], datetime], failpoint: Failpoint) -> None:
        self._config = config
        self._clock = clock
        self._failpoint = failpoint
        self._turn = Lock()
        self._group: GroupCommit[Request, Recorded] = GroupCommit(self._turn, self._commit_all)
        self._process = os.getpid()
        db = connect(config.folder / STORE_FILE, config.busy_timeout_s)
        try:
            self.opened = check(db, config.folder, whole=config.verify)
            db.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            db.close()
            raise
        self._db: sqlite3.Connection | None = db

    def record(self, request: Request) -> Recorded:
        """Write a request, together with those that wait at the same time. Durable when it returns."""
        self._refuse_children()
        recorded = self._group.submit(request, sum(map(row_bytes, request.rows)) + len(request.reply))
        self._failpoint("before-reply")
        return recorded

    @property
    def waiting(self) -> int:
        """Requests that wait for those before them to be committed."""
        return self._group.waiting

    @contextmanager
    def transaction(self) -> Iterator[tuple[sqlite3.Connection, StoreState]]:
        """A connection inside a transaction, which is committed at the end, and the state at its beginning."""
        self._refuse_children()
        if self.waiting:
            time.sleep(_AFTER_YOU_S)  # a lock is not fair: one slice after the other would keep requests waiting
        with self._turn, naming_failures(self._config.folder), self._begun() as (db, state):
            yield db, state

    def close(self) -> None:
        """Close the file, after the group that is being committed. May be called again."""
        with self._turn:
            db, self._db = self._db, None
            if db is not None:
                db.close()

    @contextmanager
    def _begun(self) -> Iterator[tuple[sqlite3.Connection, StoreState]]:
        db = self._db
        if db is None:
            raise UnavailableError(f"the store of catalogue changes in {str(self._config.folder)!r} is closed")
        db.execute("BEGIN IMMEDIATE")
        try:
            try:
                state = read_state(db)
            except ValueError as err:
                raise damaged(self._config.folder, f"the row of its state: {err}") from err
            yield db, state
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    # --- groups ---------------------------------------------------------------------------------------------

    def _commit_all(self, group: Sequence[Ticket[Request, Recorded]]) -> None:
        """Settle every ticket: in one transaction, or, where that fails for want of room, in one each."""
        try:
            self._commit(group)
        except (sqlite3.Error, MmrecError) as err:
            code = int(getattr(err, "sqlite_errorcode", 0)) & 0xFF
            if len(group) > 1 and code in _EACH_ALONE:
                for ticket in group:
                    self._commit_all([ticket])
                return
            for ticket in group:
                ticket.fail(explained(err, self._config.folder))

    def _commit(self, group: Sequence[Ticket[Request, Recorded]]) -> None:
        self._failpoint("before-begin")
        done: list[tuple[Ticket[Request, Recorded], Recorded | MmrecError]] = []
        with self._begun() as (db, before):
            self._failpoint("after-begin")
            state = before
            for ticket in group:
                db.execute("SAVEPOINT one")
                try:
                    result, state = self._write(db, ticket.work, state)
                    done.append((ticket, result))
                except MmrecError as err:
                    db.execute("ROLLBACK TO one")
                    done.append((ticket, err))
                db.execute("RELEASE one")
            self._failpoint("after-request")
            if state != before:
                write_state(db, state)
            self._failpoint("before-commit")
        self._failpoint("after-commit")
        for ticket, outcome in done:
            if isinstance(outcome, Recorded):
                ticket.give(outcome)
            else:
                ticket.fail(outcome)

    def _write(self, db: sqlite3.Connection, request: Request, state: StoreState) -> tuple[Recorded, StoreState]:
        folder = self._config.folder
        try:
            return write_request(db, request, state, self._clock(), self._config.keep_requests, self._failpoint)
        except ValueError as err:
            raise damaged(folder, str(err)) from err
        except (sqlite3.Error, OverflowError) as err:
            # Some end the transaction of all that are in it; what is left is the request's own fault.
            if not db.in_transaction or int(getattr(err, "sqlite_errorcode", 0)) & 0xFF in _END_OF_ALL:
                raise
            raise explained(err, folder) from err

    def _refuse_children(self) -> None:
        if os.getpid() != self._process:
            raise FailedPreconditionError(
                "the store of catalogue changes was opened before this process was forked; open a reader in the child"
            )
