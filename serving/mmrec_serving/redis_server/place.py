"""The address of a Redis database. No message and no `repr` has its password."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis import connection

from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.runtime.limits import check_numbers

_CONNECT_S = 5.0
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_FOR_ALL = ("prefix", "password_file")
_PARAMETERS = {"redis": _FOR_ALL, "rediss": (*_FOR_ALL, *_TLS), "unix": (*_FOR_ALL, "db")}
_KEEPALIVE = {
    getattr(socket, name): number
    # A server that vanished without a word is noticed in 15 s. Not every system has every option.
    for name, number in {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 15_000}.items()
    if hasattr(socket, name)
}


class Connection(Protocol):
    """What is used of a connection of the driver: commands are sent and replies are read as they are."""

    def connect(self) -> None:
        """Connect, and give name and password."""

    def disconnect(self) -> None:
        """Close the socket. May be called again."""

    def can_read(self, timeout: float) -> bool:
        """Whether there is something to read, or the server has ended the connection."""

    def pack_commands(self, commands: Iterable[Sequence[object]]) -> list[bytes]:
        """Commands in the form in which they are sent."""

    def send_packed_command(self, command: list[bytes]) -> None:
        """Send commands."""

    def read_response(self) -> Any:
        """The next reply; one that is an error is raised."""


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """A database of a Redis, for the stores under one prefix in it.

    Attributes:
        url: ``redis://USER:PASSWORD@HOST:PORT/DATABASE``, ``rediss://`` with TLS, or ``unix:///PATH/OF/SOCKET``. Behind
            a ``?`` may stand ``prefix``, with which the names of all keys begin (``mmrec``; another one for each of
            several shops), ``password_file``, which is read for each connection, ``ssl_ca_certs``, ``ssl_certfile`` and
            ``ssl_keyfile``, PEM files of TLS, and for a socket ``db``, the number of the database.
        answer_timeout_s: Seconds to wait for a reply, over 0.

    Raises:
        InvalidArgumentError: the URL cannot be read, or `answer_timeout_s` is out of range.
    """

    server: ClassVar[Literal["redis"]] = "redis"
    """Which kind of server it is."""

    url: str = field(repr=False)
    answer_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        check_numbers(self, "answer_timeout_s", over=0, high=3600)
        parts, query = self._read()
        if not _PREFIX.fullmatch(self.prefix):
            raise InvalidArgumentError(
                f"prefix is {self.prefix!r:.80} in the URL of the Redis store; it must be 1 to 100 letters of ASCII, "
                "digits and the marks _ . -",
                field="store",
            )
        if "password_file" in query and parts.password:
            raise InvalidArgumentError(
                "the URL of the Redis store has a password and a password_file; give one of them", field="store"
            )

    def __str__(self) -> str:
        parts, _ = self._read()
        if parts.scheme == "unix":
            return f"unix://{unquote(parts.path)}?db={self._number}&prefix={self.prefix}"
        host = parts.netloc.rpartition("@")[2] or "localhost"
        return f"{parts.scheme}://{host}/{self._number}?prefix={self.prefix}"

    @property
    def prefix(self) -> str:
        """With which the names of all keys begin."""
        return self._read()[1].get("prefix", "mmrec")

    def connection(self) -> Connection:
        """A connection that is not connected yet.

        Raises:
            FailedPreconditionError: the file of the password cannot be read.
        """
        parts, query = self._read()
        password = unquote(parts.password) if parts.password else None
        if "password_file" in query:
            password = _first_line(Path(query["password_file"]))
        # The driver gives up after the first failure, as nothing may be recorded twice; replies are not interpreted.
        settings: dict[str, Any] = {
            "db": self._number,
            "username": unquote(parts.username) if parts.username else None,
            "password": password,
            "socket_timeout": self.answer_timeout_s,
            "socket_connect_timeout": _CONNECT_S,
            "client_name": "mmrec",
            "protocol": 2,
        }
        kind: Any
        if parts.scheme == "unix":
            kind = connection.UnixDomainSocketConnection
            settings |= {"path": unquote(parts.path)}
        else:
            kind = connection.Connection
            settings |= {"host": parts.hostname or "localhost", "port": parts.port or 6379}
            settings |= {"socket_keepalive": True, "socket_keepalive_options": _KEEPALIVE}
        if parts.scheme == "rediss":
            kind = connection.SSLConnection
            settings |= {name: query[name] for name in _TLS if name in query} | {"ssl_check_hostname": True}
        made: Connection = kind(**settings)
        return made

    @property
    def _number(self) -> int:
        """The number of the database."""
        parts, query = self._read()
        return int(query.get("db", "0") if parts.scheme == "unix" else parts.path.strip("/") or 0)

    def _read(self) -> tuple[SplitResult, dict[str, str]]:
        """The parts of the URL, and its parameters."""
        try:
            parts = urlsplit(self.url)
            query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
            number = query.get("db", "0") if parts.scheme == "unix" else parts.path.strip("/") or "0"
            local = parts.scheme == "unix"
            known = _PARAMETERS[parts.scheme]
            _ = parts.port
            readable = number.isascii() and number.isdigit() and not parts.fragment
            readable = readable and not (local and (parts.hostname or not parts.path.strip("/")))
        except (ValueError, KeyError):
            readable = False
        if not readable:
            # What cannot be read may hold a password anywhere.
            raise InvalidArgumentError(
                "the URL of the Redis store cannot be read; it is redis://USER:PASSWORD@HOST:PORT/NUMBER?prefix=NAME, "
                "rediss:// the same with TLS, or unix:///PATH/OF/SOCKET?db=NUMBER&prefix=NAME, where other characters "
                "than letters and digits in a name or password are percent-encoded",
                field="store",
            ) from None
        if other := sorted(query.keys() - set(known)):
            raise InvalidArgumentError(
                f"the URL of the Redis store has the parameter {other[0]!r:.80}; {parts.scheme}:// takes "
                f"{', '.join(known)}",
                field="store",
            )
        return parts, query


def _first_line(file: Path) -> str:
    try:
        return (file.read_text(encoding="utf-8").splitlines() or [""])[0]
    except (OSError, UnicodeDecodeError) as err:
        reason = (err.strerror or str(err)) if isinstance(err, OSError) else "it is not text in UTF-8"
        raise FailedPreconditionError(
            f"the password_file {str(file)!r} of the Redis store cannot be read: {reason}; give a file with the "
            "password in its first line"
        ) from err
