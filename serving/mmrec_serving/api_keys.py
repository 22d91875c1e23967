"""API keys: what each one allows, and the TOML file that they are read from and added to.

Unit of work: one file of keys. A key is 256 random bits, which nobody can guess however fast the hash is, so the file
has its plain SHA-256; a slow password hash would only cost time in every call. Knows nothing about calls.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import os
import re
import secrets
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

from mmrec.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from mmrec.runtime.disk_errors import naming_file
from mmrec.runtime.limits import check_choice, check_numbers

_log = logging.getLogger(__name__)

TOKEN_NAME = "token"
"""Name of the key that `ServerConfig.token` is; keys of a file cannot have it."""
MOST_KEYS = 1_000
"""Most keys of a file: the token of a call is compared with every one."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEAD = "# API keys of an mmrec server: hashes only. Add one with: mmrec keys new\n\n"


class Scope(Enum):
    """What a key allows. Scopes do not include each other."""

    READ = "read"
    """Recommend, search, embed and look up items."""
    EVENTS = "events"
    """Record events of customers."""
    WRITE = "write"
    """Change the catalogue."""
    ADMIN = "admin"
    """List the recorded events of any customer, and delete customers."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without the key itself.

    Attributes:
        name: What logs and errors call it: 1 to 64 letters, digits, dots, dashes and underscores.
        sha256: SHA-256 of the key, 64 lower-case hexadecimal digits.
        scopes: What it allows, at least one.
        rate: Calls a second, over 0; each message of a stream counts as a call. None: no limit.
        burst: Calls at once after a pause, at least 1; None: as many as in one second. Needs a rate.
        expires: Last day on which it is valid, in UTC; None: it does not expire.

    Raises:
        InvalidArgumentError: a value breaks its rule.
    """

    name: str
    sha256: str = field(repr=False)
    scopes: frozenset[Scope]
    rate: float | None = None
    burst: int | None = None
    expires: date | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InvalidArgumentError(
                f"name is {self.name!r:.80}; it must be 1 to 64 letters, digits, dots, dashes and underscores, and "
                "begin with a letter or digit",
                field="name",
            )
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            # Not what was received: somebody may have put the key itself there.
            raise InvalidArgumentError(
                "sha256 is not 64 lower-case hexadecimal digits; make a key with: mmrec keys new", field="sha256"
            )
        if not self.scopes:
            raise InvalidArgumentError(
                "scopes is empty; give at least one of read, events, write, admin", field="scopes"
            )
        for name in ("rate", "burst"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise InvalidArgumentError(f"{name} is {value!r:.80}; it must be a number", field=name)
        check_numbers(self, "rate", over=0, high=1_000_000)
        check_numbers(self, "burst", low=1, high=1_000_000)
        if self.burst is not None and self.rate is None:
            raise InvalidArgumentError("burst is given without a rate; give both, or neither", field="burst")
        if self.burst is not None and self.burst != int(self.burst):
            raise InvalidArgumentError(f"burst is {self.burst}; it must be a whole number", field="burst")
        if self.expires is not None and type(self.expires) is not date:
            raise InvalidArgumentError(
                f"expires is {self.expires!s:.80}; it must be a day, as in 2027-06-30", field="expires"
            )

    @property
    def scope_names(self) -> tuple[str, ...]:
        """Its scopes, in the order of `Scope`."""
        return tuple(scope.value for scope in Scope if scope in self.scopes)

    @property
    def at_once(self) -> int:
        """Calls at once after a pause; with a rate only."""
        return int(self.burst or math.ceil(self.rate or 1))

    def toml(self) -> str:
        """Its table in a file of keys."""
        lines = ["[[keys]]", f'name = "{self.name}"', f'sha256 = "{self.sha256}"']
        lines.append("scopes = [" + ", ".join(f'"{name}"' for name in self.scope_names) + "]")
        lines += [] if self.rate is None else [f"rate = {self.rate}"]
        lines += [] if self.burst is None else [f"burst = {self.burst}"]
        lines += [] if self.expires is None else [f"expires = {self.expires.isoformat()}"]
        return "\n".join(lines) + "\n"


def new_key() -> str:
    """A new random key. Its beginning lets programs that look for leaked secrets find it."""
    return "mmrec_" + secrets.token_urlsafe(32)


def sha256_of(key: str | bytes) -> str:
    """The SHA-256 of a key, as a file of keys has it."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).hexdigest()


def scopes_named(names: Iterable[str]) -> frozenset[Scope]:
    """The scopes with these names.

    Raises:
        InvalidArgumentError: there is no such scope.
    """
    given = list(names)
    for name in given:
        check_choice("scope", name, [scope.value for scope in Scope])
    return frozenset(map(Scope, given))


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file; at least one. That others may read the file is a warning in the log.

    Raises:
        NotFoundError: the file cannot be read.
        FailedPreconditionError: others may write it, and so add keys.
        InvalidArgumentError: it is not a file of keys; the message names the file and the key.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read().decode()
    except OSError as err:
        raise NotFoundError(
            f"cannot read the API keys in {str(path)!r}: {err.strerror}; make a key with: mmrec keys new"
        ) from err
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{str(path)!r} is not UTF-8; a file of API keys is TOML") from None
    if os.name == "posix" and mode & 0o022:
        raise FailedPreconditionError(
            f"others may write {str(path)!r} (mode {mode:o}), and so add API keys; run: chmod 600 {path}"
        )
    if os.name == "posix" and mode & 0o044:
        _log.warning("others may read the API keys' hashes in %s (mode %o); run: chmod 600 %s", path, mode, path)
    return _keys_of(text, path)


def add_key(path: Path, key: ApiKey) -> None:
    """Add a key to a file, which is made for its owner alone if it is missing. Comments and other keys stay.

    Raises:
        NotFoundError: the folder is missing, or the file cannot be read.
        FailedPreconditionError: others may write the file.
        InvalidArgumentError: the file is not one of keys, or has a key of that name.
        OSError: the file cannot be written.
    """
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no folder {str(path.parent)!r} for the API keys; make it, or name another file")
    before = ""
    if path.exists():
        if any(other.name == key.name for other in read_keys(path)):
            raise InvalidArgumentError(f"{str(path)!r} has a key {key.name!r}; pass another name", field="name")
        before = path.read_text(encoding="utf-8")
    added = ("\n" if before.endswith("\n") else "\n\n" if before else _HEAD) + key.toml()
    _keys_of(before + added, path)
    data = added.encode()
    with naming_file(path):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(handle).st_size
            try:
                # In one piece, since a server may be reading the file.
                if os.write(handle, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)


def _keys_of(text: str, path: Path) -> tuple[ApiKey, ...]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise InvalidArgumentError(f"{str(path)!r} is not TOML: {err}; correct it") from None
    except RecursionError:
        raise InvalidArgumentError(f"{str(path)!r} is nested too deep for a file of API keys; correct it") from None
    tables = content.get("keys")
    if not isinstance(tables, list) or not tables or set(content) != {"keys"}:
        raise InvalidArgumentError(
            f"{str(path)!r} has {', '.join(content) or 'nothing'} at its top; a file of API keys has tables [[keys]] "
            "and nothing else"
        )
    if len(tables) > MOST_KEYS:
        raise InvalidArgumentError(f"{str(path)!r} has {len(tables):,} API keys; at most {MOST_KEYS:,} are read")
    keys = [_key_of(table, f"{str(path)!r}, key {number}") for number, table in enumerate(tables, start=1)]
    names, hashes = Counter(key.name for key in keys), Counter(key.sha256 for key in keys)
    for key in keys:
        if key.name == TOKEN_NAME:
            raise InvalidArgumentError(
                f"{str(path)!r}: {TOKEN_NAME!r} is the name of the server's own token; rename it"
            )
        if names[key.name] > 1:
            raise InvalidArgumentError(f"{str(path)!r} has two keys {key.name!r}; rename or remove one", field="name")
        if hashes[key.sha256] > 1:
            raise InvalidArgumentError(
                f"{str(path)!r} has the hash of {key.name!r} twice; remove one of them", field="sha256"
            )
    return tuple(keys)


def _key_of(table: Any, place: str) -> ApiKey:
    known = ("name", "sha256", "scopes", "rate", "burst", "expires")
    if not isinstance(table, Mapping):
        raise InvalidArgumentError(f"{place}: it must be a table [[keys]]")
    if isinstance(table.get("name"), str):
        place += f" ({table['name']!r:.80})"
    unknown = [name for name in table if name not in known]
    missing = [name for name in known[:3] if name not in table]
    scopes = table.get("scopes")
    try:
        if unknown:
            raise InvalidArgumentError(f"{unknown[0]!r:.80} is unknown; a key has {', '.join(known)}")
        if missing:
            raise InvalidArgumentError(f"{missing[0]} is missing; a key has name, sha256 and scopes")
        if not isinstance(scopes, list) or not all(isinstance(name, str) for name in scopes):
            raise InvalidArgumentError('scopes must be a list of names, as in ["read", "events"]')
        return ApiKey(**{**table, "scopes": scopes_named(scopes)})
    except InvalidArgumentError as err:
        raise InvalidArgumentError(f"{place}: {err.message}") from None
