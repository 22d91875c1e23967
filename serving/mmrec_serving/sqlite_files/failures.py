"""Errors of SQLite and the disk as errors of mmrec, which name the store, what is safe and the remedy.

Unit of work: one error. Knows nothing about the operation.
"""

from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path

from mmrec.errors import (
    BundleError,
    FailedPreconditionError,
    InvalidArgumentError,
    MmrecError,
    ResourceExhaustedError,
    UnavailableError,
)
from mmrec_serving.sqlite_files.store_kind import StoreKind

_KEPT = "everything that was acknowledged is kept"
_ROOM_AGAIN_S = 10.0
_FREE_AGAIN_S = 1.0
_LITTLE_ROOM_BYTES = 256 * 1024
"""With less free space, I/O errors are reported as a full disk, as SQLite does not always say so."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def damaged(kind: StoreKind, folder: Path, what: str) -> BundleError:
    """The error of a damaged store."""
    return BundleError(
        f"{in_words(kind, folder)} is damaged: {what}. Nothing was changed in it: restore the folder from a copy, or "
        "keep it aside for repair (sqlite3's .recover) and give a new folder, which starts without these "
        f"{kind.entries}"
    )


def in_words(kind: StoreKind, folder: Path) -> str:
    """A store, as messages name it."""
    return f"the {kind.name} in {str(folder)!r}"


def explained(err: BaseException, kind: StoreKind, folder: Path) -> MmrecError:
    """The error of mmrec for one of SQLite or the disk."""
    if isinstance(err, MmrecError):
        return err
    where = in_words(kind, folder)
    if isinstance(err, OSError):
        if err.errno in _FULL:
            return _full(kind, where)
        return FailedPreconditionError(
            f"{where} cannot be used: {err.strerror or err}; give a folder that can be written to; {_KEPT}"
        )
    code = int(getattr(err, "sqlite_errorcode", 0)) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _no_room(folder)):
        return _full(kind, where)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(kind, folder, str(err))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return UnavailableError(
            f"{where} is held by another program (a backup, or an sqlite3 shell?); end it or try again: nothing of "
            f"this was recorded, and {_KEPT}",
            retry_after_s=_FREE_AGAIN_S,
        )
    if code == sqlite3.SQLITE_TOOBIG or isinstance(err, OverflowError):
        return InvalidArgumentError(f"{kind.entry} is too large for {where}: SQLite takes 1,000,000,000 bytes of one")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return FailedPreconditionError(
            f"{where} cannot be used: {err}; give a folder that exists and can be written to; {_KEPT}"
        )
    return FailedPreconditionError(
        f"{where} cannot be used: {err}; look at the disk. {_KEPT.capitalize()}; whether this request was is not "
        f"known: send it again with {kind.key}"
    )


def _full(kind: StoreKind, where: str) -> ResourceExhaustedError:
    return ResourceExhaustedError(
        f"no space is left on the disk of {where}: nothing of this request was recorded, and {_KEPT}; free disk "
        f"space ({kind.more_room}), then send the same again",
        retry_after_s=_ROOM_AGAIN_S,
    )


def _no_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _LITTLE_ROOM_BYTES
    except OSError:
        return False
