"""What a connection to a server is made with: address, token, TLS, deadlines, retries; and the errors of failed calls.

Shared by the blocking and the asyncio transport. Knows nothing of what is sent.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from mmrec.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    MmrecError,
    NotFoundError,
    NotImplementedYetError,
    ResourceExhaustedError,
    UnavailableError,
)
from mmrec.sdk.rpcs import SERVICES
from mmrec.sdk.status import DETAILS_KEY, error_from_code, error_from_trailer

DEFAULT_TARGET = "localhost:50051"
DEFAULT_TIMEOUT_S = 10.0
MAX_REPLY_BYTES = 256 * 1024 * 1024
"""Largest reply a client reads, in bytes."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How to speak TLS.

    Attributes:
        ca: PEM file of the authorities to trust; None: those that gRPC brings along.
        cert: PEM file of the client's own certificate, for servers that ask for one (mTLS).
        key: PEM file of its key; given exactly when `cert` is.
        server_name: Name to expect in the server's certificate; empty: the host of the target.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            given, missing = ("key", "cert") if self.cert is None else ("cert", "key")
            raise InvalidArgumentError(f"tls has a {given} and no {missing}; give both, or neither", field=missing)

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC needs.

        Raises:
            NotFoundError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca), private_key=_read(self.key), certificate_chain=_read(self.cert)
        )


def _read(path: str | os.PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as err:
        raise NotFoundError(f"cannot read the TLS file {os.fspath(path)!r}: {err.strerror}") from err


def channel_options(tls: Tls | None) -> list[tuple[str, Any]]:
    """Options of a channel: message sizes, and retries of UNAVAILABLE alone, random waits and a budget."""
    service_config = {
        "methodConfig": [
            {
                "name": [{"service": service} for service in SERVICES],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 3,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ],
        # Every failure takes one of ten tokens and every success gives a tenth back; below half there are no
        # retries.
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", json.dumps(service_config)),
        ("grpc.enable_retries", 1),
        ("grpc.max_send_message_length", -1),  # the server says what is too large, with its own limit
        ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
        ("grpc.max_reconnect_backoff_ms", 5000),
    ]
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def metadata_for(token: str | None) -> tuple[tuple[str, str], ...]:
    """Metadata of every call.

    Raises:
        InvalidArgumentError: the token is empty, or cannot travel in a header.
    """
    if token is None:
        return ()
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidArgumentError(
            "token is empty or has other characters than visible ASCII; pass it without line ends",
            field="token",
        )
    return (("authorization", f"Bearer {token}"),)


def checked_timeout(timeout: float | None, otherwise: float) -> float:
    """Seconds to wait: `timeout`, or `otherwise` when it is None.

    Raises:
        InvalidArgumentError: it is no number over 0, or not finite: every call has a deadline.
    """
    seconds = otherwise if timeout is None else timeout
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise InvalidArgumentError(f"timeout is {seconds!r:.80}; it must be a number of seconds", field="timeout")
    if not (math.isfinite(seconds) and seconds > 0):
        raise InvalidArgumentError(
            f"timeout is {seconds}; it must be a finite number of seconds over 0: every call has a deadline",
            field="timeout",
        )
    return min(float(seconds), 86_400.0 * 365)


def checked_target(target: str) -> str:
    """The address of a server.

    Raises:
        InvalidArgumentError: it is no text, or empty.
    """
    if not isinstance(target, str) or not target.strip():
        raise InvalidArgumentError(f"target is {target!r:.80}; pass host:port, as in 'localhost:50051'", field="target")
    return target


def error_from_rpc(code: str, message: str, trailer: Iterable[Any] | None, target: str, timeout: float) -> MmrecError:
    """The error of a failed gRPC call: the server's own words, or ours about what gRPC itself says.

    Args:
        code: Name of the status code.
        message: gRPC's text about it.
        trailer: Trailing metadata, pairs of name and value; the server's status is in it unless the call never got to
            an mmrec server.
        target: The address that was called.
        timeout: Seconds the call was given.
    """
    for key, value in trailer or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            error = error_from_trailer(value)
            if error is not None:
                return error
    if code == "UNAVAILABLE":
        return UnavailableError(
            f"no mmrec server answers at {target} ({message:.200}); start one with "
            "`mmrec serve BUNDLE`, or check the address, TLS and network"
        )
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceededError(
            f"no answer from {target} within {timeout:g} s; pass a longer timeout, or ask for less at once"
        )
    if code == "RESOURCE_EXHAUSTED":
        return ResourceExhaustedError(f"{target}: {message:.200}; send or ask for less at once")
    if code == "UNIMPLEMENTED":
        return NotImplementedYetError(
            f"the server at {target} does not have this call ({message:.200}); check that "
            "it is an mmrec server, and its version"
        )
    return error_from_code(code, f"{target}: {message:.500}")


def closed_error(target: str) -> MmrecError:
    """What a call on a closed client raises."""
    return FailedPreconditionError(f"this client of {target} is closed; make a new one")
