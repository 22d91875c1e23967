"""Errors of SQLite and the disk as errors of mmrec, which name the store, what is safe and the remedy.

Unit of work: one error. Knows nothing about the operation.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmrec.errors import (
    BundleError,
    FailedPreconditionError,
    InvalidArgumentError,
    MmrecError,
    ResourceExhaustedError,
    UnavailableError,
)

_KEPT = "everything that was acknowledged is kept"
_ROOM_AGAIN_S = 10.0
_FREE_AGAIN_S = 1.0
_LITTLE_ROOM_BYTES = 256 * 1024
"""With less free space, I/O errors are reported as a full disk, as SQLite does not always say so."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def naming_failures(folder: Path) -> Iterator[None]:
    """Raises errors of SQLite and the disk as errors of mmrec."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OSError, OverflowError) as err:
        raise explained(err, folder) from err


def damaged(folder: Path, what: str) -> BundleError:
    """The error of a damaged store."""
    return BundleError(
        f"the store of catalogue changes in {str(folder)!r} is damaged: {what}. Nothing was changed in it: restore the "
        "folder from a copy, or keep it aside for repair (sqlite3's .recover) and give a new folder, which starts "
        "without these changes"
    )


def explained(err: BaseException, folder: Path) -> MmrecError:
    """The error of mmrec for one of SQLite or the disk."""
    if isinstance(err, MmrecError):
        return err
    where = f"the store of catalogue changes in {str(folder)!r}"
    if isinstance(err, OSError):
        if err.errno in _FULL:
            return _full(where)
        return FailedPreconditionError(
            f"{where} cannot be used: {err.strerror or err}; give a folder that can be written to; {_KEPT}"
        )
    code = int(getattr(err, "sqlite_errorcode", 0)) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _no_room(folder)):
        return _full(where)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(folder, str(err))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return UnavailableError(
            f"{where} is held by another program (a backup, or an sqlite3 shell?); end it or try again: nothing of "
            f"this was recorded, and {_KEPT}",
            retry_after_s=_FREE_AGAIN_S,
        )
    if code == sqlite3.SQLITE_TOOBIG or isinstance(err, OverflowError):
        return InvalidArgumentError(f"a change is too large for {where}: SQLite takes 1,000,000,000 bytes of one item")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return FailedPreconditionError(
            f"{where} cannot be used: {err}; give a folder that exists and can be written to; {_KEPT}"
        )
    return FailedPreconditionError(
        f"{where} cannot be used: {err}; look at the disk. {_KEPT.capitalize()}; whether this request was is not "
        "known: send it again with the same request id"
    )


def _full(where: str) -> ResourceExhaustedError:
    return ResourceExhaustedError(
        f"no space is left on the disk of {where}: nothing of this request was recorded, and {_KEPT}; free disk "
        "space (by compaction of the changes into a new bundle, or with a larger disk), then send the same again",
        retry_after_s=_ROOM_AGAIN_S,
    )


def _no_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _LITTLE_ROOM_BYTES
    except OSError:
        return False
