"""Connections to a database, for any number of threads at once.

Unit of work: one statement, or one transaction that is durable when it ends. A connection that the server has ended
while nobody used it is replaced, so a server that comes back is used at once.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus

from mmrec.errors import FailedPreconditionError, UnavailableError
from mmrec_serving.postgres.failures import explained, in_words, unreachable
from mmrec_serving.postgres.place import PostgresPlace
from mmrec_serving.postgres.tables import StoreTables

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_OLDEST = 130_000
"""PostgreSQL 13, the first with strong random numbers of its own."""
_SESSION = (
    # A server that died in a transaction must not keep the others waiting.
    "SELECT set_config('lock_timeout', %s, false), set_config('idle_in_transaction_session_timeout', '30s', false)"
)
_SETTINGS = "SELECT current_setting('fsync'), current_setting('server_encoding')"
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"


class Database:
    """As many connections as threads have used it at once.

    Args:
        place: The database.
        tables: The tables of the store that is opened.
        read_only: Whether the tables must be there already; otherwise they are made, and brought up to date.

    Raises:
        NotFoundError: read-only, and there are no such tables.
        FailedPreconditionError: the tables are of another mmrec; or the database cannot be used, or is not durable.
        UnavailableError: it cannot be reached.
    """

    def __init__(self, place: PostgresPlace, tables: StoreTables, *, read_only: bool = False) -> None:
        self._place, self._tables = place, tables
        self._lock = Lock()
        self._idle: list[Connection] | None = []
        try:
            with self.connection() as db:
                if read_only:
                    tables.check(db)
                else:
                    self._check_durable(db)
                    tables.migrate(db)
        except BaseException:
            self.close()
            raise

    def __str__(self) -> str:
        return in_words(self._tables, self._place)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for this thread alone, each statement of which is a transaction.

        Raises:
            UnavailableError: the store is closed, or the database cannot be reached.
            MmrecError: see `explained`.
        """
        db = self._take()
        try:
            yield db
        except psycopg.Error as err:
            raise explained(err, self._tables, self._place) from err
        finally:
            self._give_back(db)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside a transaction, which is durable afterwards; undone by an error.

        Raises:
            MmrecError: as `connection`.
        """
        with self.connection() as db, db.transaction():
            yield db

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection with which everything is read as of one moment.

        Raises:
            MmrecError: as `connection`.
        """
        with self.transaction() as db:
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield db

    def close(self) -> None:
        """Close the connections, those that are in use at the end of their use. May be called again."""
        with self._lock:
            idle, self._idle = self._idle or [], None
        for db in idle:
            db.close()

    def _take(self) -> Connection:
        while True:
            with self._lock:
                if self._idle is None:
                    raise UnavailableError(f"{self} is closed")
                db = self._idle.pop() if self._idle else None
            if db is None:
                return self._connect()
            # A server says nothing on an idle connection, but that it ends it.
            if not select.select([db], [], [], 0)[0]:
                return db
            db.close()

    def _give_back(self, db: Connection) -> None:
        with self._lock:
            if self._idle is not None and db.info.transaction_status == TransactionStatus.IDLE:
                self._idle.append(db)
                return
        db.close()

    def _connect(self) -> Connection:
        try:
            db: Connection = psycopg.connect(autocommit=True, **self._place.parameters())  # type: ignore[arg-type]
        except psycopg.Error as err:
            raise unreachable(err, self._tables, self._place) from None
        try:
            # Transactions see what others have committed before they got the lock, whatever the default is.
            db.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            db.execute(_SESSION, (f"{1000 * self._place.busy_timeout_s:.0f}ms",))
            db.execute(_DURABLE)
        except psycopg.Error as err:
            db.close()
            raise unreachable(err, self._tables, self._place) from None
        return db

    def _check_durable(self, db: Connection) -> None:
        ((fsync, encoding),) = db.execute(_SETTINGS).fetchall()
        if db.info.server_version < _OLDEST:
            raise FailedPreconditionError(
                f"{self} cannot be used: PostgreSQL has version {db.info.server_version // 10_000}, and 13 is the "
                "oldest that is supported; upgrade it"
            )
        if fsync != "on":
            raise FailedPreconditionError(
                f"{self} cannot be used: fsync is {fsync} in that PostgreSQL, so a power cut loses what was "
                "acknowledged; set fsync = on in its configuration"
            )
        if encoding != "UTF8":
            raise FailedPreconditionError(
                f"{self} cannot be used: the encoding of the database is {encoding}; make one with the encoding UTF8"
            )
