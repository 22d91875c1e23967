"""Vector cache by content hash, in one SQLite file, so that no picture or text is encoded twice.

A key is the SHA-256 of a picture's bytes or of a text, hashed together with the fingerprint of model and preparation; a
value is the float32 vector and its checksum. One process writes; decoding workers read, to skip cached pictures. A
damaged or foreign file is renamed, with a note, and replaced by a new one. Imports no torch.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from mmrec.errors import FailedPreconditionError

CACHE_FILE = "cache.sqlite"
_APPLICATION, _VERSION = 0x6D6D7263, 1
_MOST_KEYS = 500
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_WAIT_S = 60.0

T = TypeVar("T")


class CachedVector(NamedTuple):
    """A cached vector.

    Attributes:
        vector: Shape: (dim,), float32.
        earlier: Whether it was stored before this cache object was opened.
    """

    vector: npt.NDArray[np.float32]
    earlier: bool


def content_of(data: bytes) -> bytes:
    """SHA-256 of a picture or a text: 32 bytes."""
    return hashlib.sha256(data).digest()


def vector_key(content: bytes, fingerprint: str) -> bytes:
    """Key of the vector of a content, for a fingerprint of model and preparation."""
    return hashlib.sha256(content + fingerprint.encode()).digest()


class VectorCache:
    """The cache in one folder.

    Args:
        folder: Created if missing; holds `CACHE_FILE`.
        read_only: For processes that only look keys up.
        note: Called when a damaged file was renamed.

    Raises:
        FailedPreconditionError: the folder cannot be written to, or the disk is full.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, note: Callable[[str], None] | None = None) -> None:
        self.path = folder / CACHE_FILE
        self._read_only = read_only
        self._note = note or (lambda _: None)
        self._db: sqlite3.Connection | None = None
        self._first_new = 1
        if read_only:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise self._unusable(err.strerror or "it cannot be created") from err
        self._guarded(self._begin)

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def contains(self, key: bytes) -> bool:
        """Whether a key is cached; False if the file cannot be read."""
        try:
            found = self._open().execute("SELECT 1 FROM vectors WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            self.close()
            return False
        return found is not None

    def get(self, keys: Sequence[bytes], dim: int) -> dict[bytes, CachedVector]:
        """Cached vectors of `keys`, without damaged ones and those of another length.

        A read-only cache returns nothing if the file cannot be read.
        """

        def select() -> dict[bytes, CachedVector]:
            found: dict[bytes, CachedVector] = {}
            for at in range(0, len(keys), _MOST_KEYS):
                part = keys[at : at + _MOST_KEYS]
                marks = ",".join("?" * len(part))
                rows = self._open().execute(f"SELECT key, rowid, vector FROM vectors WHERE key IN ({marks})", part)
                for key, rowid, blob in rows:
                    vector = _unpacked(blob, dim)
                    if vector is not None:
                        found[key] = CachedVector(vector, rowid < self._first_new)
            return found

        if not self._read_only:
            return self._guarded(select)
        try:
            return select()
        except sqlite3.Error:
            self.close()
            return {}

    def put(
        self,
        entries: Iterable[tuple[bytes, npt.NDArray[np.float32]]],
        midway: Callable[[], None] = lambda: None,
    ) -> None:
        """Add vectors in one transaction.

        Args:
            entries: Key and vector.
            midway: Called inside the transaction; for tests.

        Raises:
            FailedPreconditionError: the disk is full, or the file cannot be written.
        """
        rows = [(key, _packed(vector)) for key, vector in entries]

        def write() -> None:
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany("INSERT OR REPLACE INTO vectors (key, vector) VALUES (?, ?)", rows[: len(rows) // 2])
                midway()
                db.executemany("INSERT OR REPLACE INTO vectors (key, vector) VALUES (?, ?)", rows[len(rows) // 2 :])
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

        self._guarded(write)

    def __len__(self) -> int:
        return self._guarded(lambda: int(self._open().execute("SELECT count(*) FROM vectors").fetchone()[0]))

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            if self._read_only:
                self._db = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)
            else:
                self._db = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
                self._db.execute("PRAGMA journal_mode = WAL")
                # Committed vectors must survive a power failure: shards rely on them.
                self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA cache_size = -16384")
            self._db.text_factory = bytes  # a damaged vector may look like text
        return self._db

    def _begin(self) -> None:
        db = self._open()
        application = int(db.execute("PRAGMA application_id").fetchone()[0])
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        tables = int(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
        if tables and (application, version) != (_APPLICATION, _VERSION):
            self._replace_file("is not a cache of this version of mmrec")
            db = self._open()
        db.execute("BEGIN IMMEDIATE")
        # AUTOINCREMENT: a row that replaces another counts as new.
        db.execute(
            "CREATE TABLE IF NOT EXISTS vectors"
            " (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL)"
        )
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")
        self._first_new = int(db.execute("SELECT coalesce(max(id), 0) FROM vectors").fetchone()[0]) + 1

    def _guarded(self, action: Callable[[], T]) -> T:
        """Run `action`; if the file is damaged, replace it and run again."""
        try:
            return action()
        except sqlite3.Error as err:
            if _code(err) not in _DAMAGE:
                raise self._unusable(str(err)) from err
        self._replace_file("is damaged")
        try:
            if action != self._begin:
                self._begin()
            return action()
        except sqlite3.Error as err:
            raise self._unusable(str(err)) from err

    def _replace_file(self, why: str) -> None:
        """Rename the file, so that a new one is created."""
        self.close()
        number = 1
        while (renamed := self.path.with_name(f"cache.damaged-{number}.sqlite")).exists():
            number += 1
        try:
            self.path.rename(renamed)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(CACHE_FILE + suffix).unlink(missing_ok=True)
        except OSError as err:
            raise self._unusable(err.strerror or "it cannot be renamed") from err
        self._note(f"the cache {str(self.path)!r} {why}; it was renamed to {renamed.name}, and a new one is used")

    def _unusable(self, why: str) -> FailedPreconditionError:
        return FailedPreconditionError(
            f"the cache {str(self.path)!r} cannot be used: {why}; free disk space, or choose a folder that can be "
            "written to, then run the same command again: it resumes where it stopped"
        )


def _code(err: sqlite3.Error) -> int:
    return int(getattr(err, "sqlite_errorcode", 0)) & 0xFF


def _packed(vector: npt.NDArray[np.float32]) -> bytes:
    data = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return data + zlib.crc32(data).to_bytes(4, "little")


def _unpacked(blob: bytes, dim: int) -> npt.NDArray[np.float32] | None:
    if not isinstance(blob, bytes) or len(blob) != 4 * dim + 4:
        return None
    data = blob[:-4]
    if zlib.crc32(data) != int.from_bytes(blob[-4:], "little"):
        return None
    return np.frombuffer(data, dtype="<f4").astype(np.float32, copy=False)
