"""Errors of a disk as one sentence with the file and the remedy: full, read-only, no permission, over a quota.

Libraries that write for us wrap the system's error each in their own way; `refusal` finds it in theirs. Knows nothing
about what is being written.
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

GO_ON = "Nothing is damaged: what is finished is kept; run the same command again to go on"
"""Remedy of commands that resume, for `refusals_as_errors`."""

_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
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
_REFUSED = frozenset((*_ROOM, *_ACCESS, *_OTHER))
"""Not among them: a missing file, which its reader has to expect."""

_NUMBER = re.compile(r"\(os error (\d+)\)|\[?errno:? (\d+)", re.IGNORECASE)
_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}


def refusal(err: BaseException) -> OSError | None:
    """The system's refusal that an exception is or stands for, or that caused it.

    Returns:
        None where there is none, and for errors of mmrec, which have their message already.
    """
    seen: BaseException | None = err
    for _ in range(20):
        if seen is None or isinstance(seen, MmrecError):
            return None
        number = _errno(seen)
        if number in _REFUSED:
            if isinstance(seen, OSError) and seen.errno == number:
                return seen
            return OSError(number, os.strerror(number))
        seen = seen.__cause__
    return None


@contextmanager
def naming_file(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """A refusal inside is raised as an OSError that names `path`, unless it names another file than `temporary`."""
    try:
        yield
    except Exception as err:
        found = refusal(err)
        if found is None:
            raise
        if found.filename in (None, str(temporary)):
            found.filename = str(path)
        if found is err:
            raise
        raise found from err


@contextmanager
def refusals_as_errors(remedy: str = "", path: Path | None = None) -> Iterator[None]:
    """A refusal inside is raised as mmrec's own error.

    Args:
        remedy: What to do besides making room, a sentence without its full stop.
        path: Named where the refusal names no file.

    Raises:
        FailedPreconditionError: the disk is full, cannot be written to, or is broken.
    """
    try:
        yield
    except Exception as err:
        found = refusal(err)
        if found is None:
            raise
        raise FailedPreconditionError(_sentence(found, path) + (f". {remedy}" if remedy else "")) from err


def _sentence(found: OSError, path: Path | None) -> str:
    named = found.filename if found.filename is not None else path
    where = repr(os.fsdecode(named)) if isinstance(named, str | bytes | os.PathLike) else ""
    why = found.strerror or "the disk refused"
    if found.errno in _ROOM:
        return f"cannot write {where or 'the output'}: {why}; make room, or name a folder on a larger disk"
    if found.errno in _ACCESS:
        return f"cannot use {where or 'a file'}: {why}; change its permissions, or name a folder that can be written to"
    return f"cannot use {where or 'a file'}: {why}; correct it, or name another"


def _errno(err: BaseException) -> int:
    """The system's number of an error; 0 where it has none."""
    if isinstance(err, OSError) and err.errno:
        return err.errno
    if isinstance(err, sqlite3.Error):
        return _SQLITE.get(int(getattr(err, "sqlite_errorcode", 0)) & 0xFF, 0)
    if isinstance(err, OSError) or type(err).__name__ == "SafetensorError":
        # Rust libraries and Arrow put the number into the text alone.
        match = _NUMBER.search(str(err))
        return int(match[1] or match[2]) if match else 0
    return 0
