"""A connection that environment variables describe, for `Client.from_env`. Knows nothing of gRPC and of calls."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mmrec.errors import InvalidArgumentError, NotFoundError
from mmrec.sdk.connection import Tls, Token, metadata_for

TARGET = "MMREC_TARGET"
TOKEN = "MMREC_TOKEN"
TOKEN_FILE = "MMREC_TOKEN_FILE"
TLS = "MMREC_TLS"
TLS_CA = "MMREC_TLS_CA"
TLS_CERT = "MMREC_TLS_CERT"
TLS_KEY = "MMREC_TLS_KEY"
TLS_SERVER_NAME = "MMREC_TLS_SERVER_NAME"
_SWITCH = {"": False, "0": False, "false": False, "1": True, "true": True}


class Access(NamedTuple):
    """How to reach a server: the arguments of a client.

    Attributes:
        target: Its address.
        token: The token that it requires, or the function that reads it; None for none.
        tls: TLS settings; False for no TLS.
    """

    target: str
    token: Token | None
    tls: bool | Tls


def access_from_env(variables: Mapping[str, str] = os.environ) -> Access:
    """The server that environment variables name; an empty variable counts as one that is not set.

    Args:
        variables: Values by name; see `mmrec.sdk.client.Client.from_env`.

    Raises:
        InvalidArgumentError: MMREC_TARGET is not set, a variable breaks a rule, or two contradict each other.
        NotFoundError: a file that a variable names cannot be read.
    """
    target = variables.get(TARGET, "").strip()
    if not target:
        raise InvalidArgumentError(
            f"{TARGET} is not set; set it to the server's host:port, as in {TARGET}=localhost:50051", field=TARGET
        )
    return Access(target, _token(variables), _tls(variables))


def _token(variables: Mapping[str, str]) -> Token | None:
    token, path = variables.get(TOKEN, ""), variables.get(TOKEN_FILE, "")
    if token and path:
        raise InvalidArgumentError(f"both {TOKEN} and {TOKEN_FILE} are set; set one of them", field=TOKEN_FILE)
    if path:
        _token_in(path)  # a wrong path is told now, not by the first call
        return lambda: _token_in(path)
    return _checked(token, TOKEN) if token else None


def _token_in(path: str) -> str:
    try:
        return _checked(_read(path, TOKEN_FILE).decode().strip(), TOKEN_FILE)
    except UnicodeDecodeError:
        raise InvalidArgumentError(
            f"{TOKEN_FILE} is {path!r}, which is not a text in UTF-8; write the token alone into it", field=TOKEN_FILE
        ) from None


def _checked(token: str, name: str) -> str:
    try:
        metadata_for(token)
    except InvalidArgumentError as err:
        raise InvalidArgumentError(f"{name}: {err.message}", field=name) from None
    return token


def _tls(variables: Mapping[str, str]) -> bool | Tls:
    on = _SWITCH.get(variables.get(TLS, "").strip().lower())
    if on is None:
        raise InvalidArgumentError(f"{TLS} is {variables[TLS]!r:.80}; set it to 1 or 0, or leave it out", field=TLS)
    given = {name: variables.get(name, "") for name in (TLS_CA, TLS_CERT, TLS_KEY, TLS_SERVER_NAME)}
    used = [name for name, value in given.items() if value]
    if not used:
        return on
    if not on and variables.get(TLS, "").strip():
        raise InvalidArgumentError(
            f"{TLS} is {variables[TLS]!r} and {used[0]} is set; remove {TLS} (the others imply it), or {used[0]}",
            field=TLS,
        )
    for name, other in ((TLS_CERT, TLS_KEY), (TLS_KEY, TLS_CERT)):
        if given[name] and not given[other]:
            raise InvalidArgumentError(f"{name} is set and {other} is not; set both, or neither", field=other)
    for name in (TLS_CA, TLS_CERT, TLS_KEY):
        if given[name]:
            _read(given[name], name)
    return Tls(given[TLS_CA] or None, given[TLS_CERT] or None, given[TLS_KEY] or None, given[TLS_SERVER_NAME])


def _read(path: str, name: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as err:
        raise NotFoundError(f"{name} is {path!r}, which cannot be read: {err.strerror}") from err
