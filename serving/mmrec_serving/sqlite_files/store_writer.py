"""The one process that writes to a store: its lock, its connection and its transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

from mmrec.errors import FailedPreconditionError
from mmrec_serving.sqlite_files.failpoints import Failpoint, no_failpoint
from mmrec_serving.sqlite_files.store_file import StoreFile


class StoreWriter:
    """Writes to a store, which is made if it is missing, and locked until `close`. For any number of threads.

    Args:
        file: The file of the store.
        fill: Writes the first rows of a new store; see `StoreFile.create`.
        failpoint: For tests.

    Raises:
        InvalidArgumentError: the folder is a file.
        FailedPreconditionError: another process writes to it; it has another layout; or it cannot be written to.
        ResourceExhaustedError: the disk is full.
        BundleError: it is damaged. It is not changed.
    """

    def __init__(
        self,
        file: StoreFile,
        fill: Callable[[sqlite3.Connection], object] = lambda _: None,
        failpoint: Failpoint = no_failpoint,
    ) -> None:
        self._file, self._failpoint = file, failpoint
        self._writing = Lock()
        self._process = os.getpid()
        with ExitStack() as stack, file.naming_failures():
            self._lock = file.lock()
            stack.callback(self._lock.release)
            failpoint("after-lock")
            file.create(fill, failpoint)
            self._db: sqlite3.Connection | None = file.connect()
            stack.callback(self._db.close)
            file.check(self._db, whole=True)
            self._db.execute("PRAGMA journal_mode = WAL")
            stack.pop_all()

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone, outside a transaction.

        Raises:
            FailedPreconditionError: this process was forked from the one that opened the store.
            UnavailableError: the store is closed, or another program holds it.
            ResourceExhaustedError: the disk is full.
        """
        if os.getpid() != self._process:
            raise FailedPreconditionError(
                f"the {self._file.kind.name} was opened before this process was forked; open a reader in the child"
            )
        with self._writing, self._file.naming_failures():
            if self._db is None:
                raise self._file.closed()
            yield self._db

    @contextmanager
    def transaction(self, name: str) -> Iterator[sqlite3.Connection]:
        """The connection inside a transaction, which is durable afterwards; undone by an error.

        Args:
            name: Of its failpoints, ``before-NAME-commit`` and ``after-NAME-commit``.

        Raises:
            MmrecError: as `connection`. Nothing was written.
        """
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                self._failpoint(f"before-{name}-commit")
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        self._failpoint(f"after-{name}-commit")

    def close(self) -> None:
        """Release the file, after what is being written. May be called again."""
        with self._writing:
            db, self._db = self._db, None
            if db is not None:
                db.close()
        self._lock.release()
