"""The SQLite file of a store: created atomically, checked when it is opened, never overwritten.

`application_id` in the file's header marks the kind of store, `user_version` is the version of its layout. The journal
is a write-ahead log and every commit waits for the disk (``synchronous=FULL``), so that a commit survives a power cut.
Beside the file lie ``-wal`` (what was committed last: part of the store, to be copied with it), ``-shm`` and, for the
process that writes, a lock file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from mmrec.errors import BundleError, FailedPreconditionError, InvalidArgumentError, NotFoundError, UnavailableError
from mmrec.runtime.files import sync
from mmrec.runtime.limits import check_numbers
from mmrec_serving.sqlite_files.failpoints import Failpoint, no_failpoint
from mmrec_serving.sqlite_files.failures import damaged, explained, in_words
from mmrec_serving.sqlite_files.store_kind import StoreKind

_LOG_BYTES = 64 * 1024 * 1024
"""The write-ahead log is truncated to this size when it has grown larger."""


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """The place of a store.

    Attributes:
        folder: Folder of the store; made if it is missing. One store of a kind per folder, on a disk of this machine:
            SQLite's write-ahead log works on no network file system.
        busy_timeout_s: Seconds to wait for another program that holds the file (a backup, say), 0 or more.
    """

    folder: Path
    busy_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        check_numbers(self, "busy_timeout_s", low=0, high=3600)


@dataclass(frozen=True, slots=True)
class StoreFile:
    """The file of one store, which may exist or not.

    Attributes:
        kind: The kind of store.
        place: Its place.
    """

    kind: StoreKind
    place: StoreFolder

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self.place.folder / self.kind.file

    def lock(self) -> FileLock:
        """The lock of the one process that writes, acquired; makes the folder.

        Raises:
            InvalidArgumentError: the folder is a file.
            FailedPreconditionError: another process has the lock.
        """
        folder = self.place.folder
        if folder.exists() and not folder.is_dir():
            raise InvalidArgumentError(f"folder is {str(folder)!r}, which is a file; name a folder", field="folder")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Any thread may release the lock.
        lock = FileLock(folder / self.kind.lock, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout as err:
            raise FailedPreconditionError(
                f"another process is writing to {in_words(self.kind, folder)}; end it, or give another folder. Any "
                "number of processes may read"
            ) from err
        return lock

    def connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        """A connection to the file, which exists, for one thread at a time. Transactions are begun and ended by hand.

        Raises:
            NotFoundError: it does not exist.
        """
        if not self.path.exists():
            raise NotFoundError(f"there is no {self.kind.name} in {str(self.place.folder)!r}; name its folder")
        return _connect(self.path, self.place.busy_timeout_s, read_only)

    def create(self, fill: Callable[[sqlite3.Connection], object], failpoint: Failpoint = no_failpoint) -> None:
        """Create the file if there is none: under a temporary name, which is replaced when the file is durable.

        Args:
            fill: Called in the transaction that creates the tables; writes the first rows.
            failpoint: For tests.

        Raises:
            BundleError: there was a file once, and it was removed.
        """
        if self.path.exists():
            return
        log = self.path.with_name(f"{self.kind.file}-wal")
        if log.exists():
            raise self.damaged(f"{self.kind.file} is missing, and its {log.name} exists")
        unfinished = self.path.with_name(f".{self.path.stem}.unfinished")
        for suffix in ("", "-wal", "-shm", "-journal"):  # of a process that was killed
            unfinished.with_name(unfinished.name + suffix).unlink(missing_ok=True)
        unfinished.touch(mode=0o600)  # a store holds what customers did; SQLite gives its other files the same mode
        db = _connect(unfinished, self.place.busy_timeout_s, read_only=False)
        try:
            db.execute(f"PRAGMA application_id = {self.kind.application}")
            db.execute(f"PRAGMA user_version = {self.kind.version}")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            for statement in self.kind.schema:
                db.execute(statement)
            failpoint("mid-create")
            fill(db)
            db.execute("COMMIT")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            db.close()
        sync(unfinished)
        failpoint("before-create-rename")
        unfinished.rename(self.path)
        sync(self.place.folder)
        failpoint("after-create-rename")

    def check(self, db: sqlite3.Connection, *, whole: bool) -> None:
        """Check that the file is an undamaged store of this kind and version.

        Args:
            db: Connection to it.
            whole: Whether to check all of the file, which reads it once.

        Raises:
            FailedPreconditionError: it is another database, or of another version.
            BundleError: it is damaged.
        """
        path = str(self.path)
        if self.path.stat().st_size == 0:
            raise self.damaged(f"{path!r} is empty")
        application = int(db.execute("PRAGMA application_id").fetchone()[0])
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if application != self.kind.application:
            raise FailedPreconditionError(
                f"{path!r} is a database of another program; give the {self.kind.name} a folder of its own"
            )
        if version != self.kind.version:
            raise FailedPreconditionError(
                f"the store {path!r} has version {version} of its layout, this mmrec reads version "
                f"{self.kind.version}; use the mmrec that wrote it, or give a new store folder"
            )
        if whole:
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise self.damaged(str(found).replace("\n", " "))

    # --- failures ---------------------------------------------------------------------------------------------

    @contextmanager
    def naming_failures(self) -> Iterator[None]:
        """Raises errors of SQLite and the disk as errors of mmrec, which name the store and the remedy."""
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, OSError, OverflowError) as err:
            raise explained(err, self.kind, self.place.folder) from err

    def damaged(self, what: str) -> BundleError:
        """The error of a damaged store."""
        return damaged(self.kind, self.place.folder, what)

    def closed(self) -> UnavailableError:
        """The error of using a closed store."""
        return UnavailableError(f"{in_words(self.kind, self.place.folder)} is closed")


def _connect(path: Path, busy_timeout_s: float, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rw"
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # Damaged text is read too; its checksum reveals the damage.
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        if not read_only:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = FAST")
            db.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    except BaseException:
        db.close()
        raise
    return db
