"""Content hashes of the URLs that a run has fetched, so that a resumed run does not fetch them again.

The file exists in the output folder until the run is finished, and is used for a day at most: the next run fetches
every URL again, because its content may have changed. Imports no torch.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path

from mmrec.errors import FailedPreconditionError

_LONGEST_S = 24 * 3600.0


class FetchedUrls:
    """Content hashes by URL, in one SQLite file.

    Args:
        path: The file.
        read_only: For processes that only look URLs up.

    Raises:
        FailedPreconditionError: the file cannot be written.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        if read_only:
            return
        if not self._usable():
            self.remove()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=60)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("CREATE TABLE IF NOT EXISTS fetched (url BLOB PRIMARY KEY, content BLOB) WITHOUT ROWID")
            self._db.execute("CREATE TABLE IF NOT EXISTS begun (at REAL)")
            self._db.execute("INSERT INTO begun SELECT ? WHERE NOT EXISTS (SELECT 1 FROM begun)", (time.time(),))
        except sqlite3.Error as err:
            raise self._unwritable(err) from err

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def remove(self) -> None:
        """Close and delete the file."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def content(self, url: str) -> bytes | None:
        """Content hash of a URL that this run has fetched; else None. See `cache.content_of`."""
        try:
            if self._db is None:
                self._db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=60)
            found = self._db.execute("SELECT content FROM fetched WHERE url = ?", (_key(url),)).fetchone()
        except sqlite3.Error:
            self.close()
            return None
        return found[0] if found and isinstance(found[0], bytes) and len(found[0]) == 32 else None

    def put(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Add content hashes in one transaction.

        Raises:
            FailedPreconditionError: the file cannot be written.
        """
        assert self._db is not None  # opened by __init__, as this is the writer
        try:
            self._db.execute("BEGIN IMMEDIATE")
            rows = ((_key(url), content) for url, content in entries)
            self._db.executemany("INSERT OR REPLACE INTO fetched VALUES (?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as err:
            raise self._unwritable(err) from err

    def _usable(self) -> bool:
        """Whether the file exists, can be read, and is less than a day old."""
        if not self._path.is_file():
            return False
        try:
            db = sqlite3.connect(self._path, timeout=60)
            try:
                (begun,) = db.execute("SELECT at FROM begun").fetchone()
            finally:
                db.close()
            return 0 <= time.time() - float(begun) < _LONGEST_S
        except (sqlite3.Error, TypeError, ValueError):
            return False

    def _unwritable(self, err: sqlite3.Error) -> FailedPreconditionError:
        return FailedPreconditionError(
            f"cannot write {str(self._path)!r}: {err}; free disk space, or choose a folder that can be written to, "
            "then run the same command again: it resumes where it stopped"
        )


def _key(url: str) -> bytes:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()
