"""Read-only connections to a store, for any number of threads at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from mmrec_serving.sqlite_files.store_file import StoreFile


class ReaderPool:
    """As many connections as threads have read at once; a read waits neither for another nor for the writer.

    Args:
        file: The file of the store.

    Raises:
        NotFoundError: there is no store in the folder.
        FailedPreconditionError: it is another database or has another layout, or cannot be read.
        BundleError: it is damaged.
    """

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self._lock = Lock()
        with file.naming_failures():
            db = file.connect(read_only=True)
            try:
                file.check(db, whole=False)
            except BaseException:
                db.close()
                raise
        self._idle: list[sqlite3.Connection] | None = [db]

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread alone; no statement may be left unfinished.

        Raises:
            UnavailableError: the store is closed.
            MmrecError: the file cannot be read; see `explained`.
        """
        with self._file.naming_failures():
            with self._lock:
                if self._idle is None:
                    raise self._file.closed()
                db = self._idle.pop() if self._idle else None
            if db is None:
                db = self._file.connect(read_only=True)
            try:
                yield db
            except BaseException:
                db.close()
                raise
            with self._lock:
                if self._idle is not None:
                    self._idle.append(db)
                    return
            db.close()

    def close(self) -> None:
        """Close the connections, those that are in use at the end of their reads. May be called again."""
        with self._lock:
            idle, self._idle = self._idle or [], None
        for db in idle:
            db.close()
