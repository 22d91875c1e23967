"""Disk errors (full, read-only, no permission, over quota) as one sentence with the file and the remedy.

Libraries wrap the operating system's error in different ways; `underlying_os_error` finds it.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmrec.errors import FailedPreconditionError, MmrecError

RESUME_HINT = "No file is damaged: finished work is kept; run the same command again to continue"
"""Remedy for commands that resume; passed to `refusals_as_errors`."""

_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)
_OTHER = (
    errno.EIO,
    errno.ENAMETOOLONG,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ESTALE,
)
_DISK_ERRORS = frozenset((*_SPACE, *_ACCESS, *_OTHER))
"""ENOENT is not included: callers handle missing files themselves."""

_NUMBER = re.compile(r"\(os error (\d+)\)|\[?errno:? (\d+)", re.IGNORECASE)
_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}


def underlying_os_error(err: BaseException) -> OSError | None:
    """The disk error that `err` is, wraps, or was caused by.

    Returns:
        None if there is none, or if `err` is an `MmrecError`, which already has a message.
    """
    current: BaseException | None = err
    for _ in range(20):
        if current is None or isinstance(current, MmrecError):
            return None
        number = _errno(current)
        if number in _DISK_ERRORS:
            if isinstance(current, OSError) and current.errno == number:
                return current
            return OSError(number, os.strerror(number))
        current = current.__cause__
    return None


@contextmanager
def naming_file(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Raise disk errors as an OSError that names `path`, unless it already names a file other than `temporary`."""
    try:
        yield
    except Exception as err:
        os_error = underlying_os_error(err)
        if os_error is None:
            raise
        if os_error.filename in (None, str(temporary)):
            os_error.filename = str(path)
        if os_error is err:
            raise
        raise os_error from err


@contextmanager
def refusals_as_errors(remedy: str = "", path: Path | None = None) -> Iterator[None]:
    """Raise disk errors as `FailedPreconditionError`.

    Args:
        remedy: What to do besides freeing space; a sentence without its full stop.
        path: Named if the error itself names no file.

    Raises:
        FailedPreconditionError: the disk is full, cannot be written to, or is broken.
    """
    try:
        yield
    except Exception as err:
        os_error = underlying_os_error(err)
        if os_error is None:
            raise
        raise FailedPreconditionError(_sentence(os_error, path) + (f". {remedy}" if remedy else "")) from err


def _sentence(err: OSError, path: Path | None) -> str:
    named = err.filename if err.filename is not None else path
    where = repr(os.fsdecode(named)) if isinstance(named, str | bytes | os.PathLike) else ""
    why = err.strerror or "write error"
    if err.errno in _SPACE:
        return f"cannot write {where or 'the output'}: {why}; free disk space, or name a folder on a larger disk"
    if err.errno in _ACCESS:
        return f"cannot use {where or 'a file'}: {why}; change its permissions, or name a folder that can be written to"
    return f"cannot use {where or 'a file'}: {why}; correct it, or name another"


def _errno(err: BaseException) -> int:
    """The errno of an error; 0 if it has none."""
    if isinstance(err, OSError) and err.errno:
        return err.errno
    if isinstance(err, sqlite3.Error):
        return _SQLITE.get(int(getattr(err, "sqlite_errorcode", 0)) & 0xFF, 0)
    if isinstance(err, OSError) or type(err).__name__ == "SafetensorError":
        # Rust libraries and Arrow put the errno only into the text.
        match = _NUMBER.search(str(err))
        return int(match[1] or match[2]) if match else 0
    return 0
