"""Settings of a connection to a server (address, token, TLS, timeouts, retries), and errors of failed calls.

Shared by the blocking and the asyncio transport. Knows nothing of what is sent.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
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
Token = str | Callable[[], str]
"""A token, or a function that returns the one to send and is called for each call, in the thread that makes it."""
MAX_REPLY_BYTES = 256 * 1024 * 1024
"""Largest reply a client reads, in bytes."""
KEEPALIVE_MS = 30_000
"""Quiet for so long, a connection with a call or stream is asked whether it is still there."""


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS settings.

    Attributes:
        ca: PEM file of the trusted authorities; None for gRPC's defaults.
        cert: PEM file of the client's certificate, for servers that require one (mTLS).
        key: PEM file of its key; needed exactly if `cert` is given.
        server_name: Expected name in the server's certificate; empty for the host of the target.
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
        """Credentials for a gRPC channel.

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


def is_spread(target: str, round_robin: bool | None) -> bool:
    """Whether calls are spread over the addresses of a target; None: if it names several, or is a ``dns:`` name.

    Raises:
        InvalidArgumentError: `round_robin` is neither None nor a bool.
    """
    if round_robin is not None and not isinstance(round_robin, bool):
        raise InvalidArgumentError(
            f"round_robin is {round_robin!r:.80}; pass True, False, or None for the default", field="round_robin"
        )
    return ("," in target or target.startswith("dns:")) if round_robin is None else round_robin


def channel_options(tls: Tls | None, *, spread: bool = False) -> list[tuple[str, Any]]:
    """Channel options: message sizes, keepalive, and retries, with backoff and throttling, of what no server answered.

    Args:
        tls: TLS settings; None for none.
        spread: Whether calls go to the addresses in turn, to those alone whose health is SERVING; otherwise to the
            first that can be connected with, until that connection ends.
    """
    service_config: dict[str, Any] = {
        "methodConfig": [
            {
                "name": [{"service": service} for service in SERVICES],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 3,
                    # CANCELLED is how gRPC ends calls that come in the moment in which a server closes.
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ],
        # Every failure takes one of ten tokens and every success returns a tenth of one; with five or fewer, calls are
        # not retried.
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
    if spread:
        service_config["loadBalancingConfig"] = [{"round_robin": {}}]
        service_config["healthCheckConfig"] = {"serviceName": ""}
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", json.dumps(service_config)),
        ("grpc.enable_retries", 1),
        ("grpc.max_send_message_length", -1),  # the server refuses what exceeds its own limit
        ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
        ("grpc.max_reconnect_backoff_ms", 5000),
        # Servers take a ping every ten seconds. A quiet stream has no data between pings, of which gRPC by itself sends
        # no more than two then.
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def metadata_for(token: str | None) -> tuple[tuple[str, str], ...]:
    """Metadata of every call.

    Raises:
        InvalidArgumentError: the token is empty, or cannot be sent in a header.
    """
    if token is None:
        return ()
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidArgumentError(
            "token is empty or has characters other than visible ASCII; pass it without spaces and line ends",
            field="token",
        )
    return (("authorization", f"Bearer {token}"),)


def metadata_source(token: Token | None, *more: tuple[str, str]) -> Callable[[], tuple[tuple[str, str], ...]]:
    """Makes the metadata of a call, each time anew where the token is a function; `more` is added to them.

    Raises:
        InvalidArgumentError: the token cannot be sent; a function's, when metadata are made.
    """
    if callable(token):
        current = token
        return lambda: (*metadata_for(current()), *more)
    metadata = (*metadata_for(token), *more)
    return lambda: metadata


def checked_timeout(timeout: float | None, default: float) -> float:
    """`timeout` in seconds, or `default` if it is None.

    Raises:
        InvalidArgumentError: it is not a finite number above 0.
    """
    seconds = default if timeout is None else timeout
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
        InvalidArgumentError: it is not a string, or is empty.
    """
    if not isinstance(target, str) or not target.strip():
        raise InvalidArgumentError(f"target is {target!r:.80}; pass host:port, as in 'localhost:50051'", field="target")
    return target


def error_from_rpc(code: str, message: str, trailer: Iterable[Any] | None, target: str, timeout: float) -> MmrecError:
    """The error of a failed gRPC call: the one that the server sent, or else one for gRPC's status code.

    Args:
        code: Name of the status code.
        message: gRPC's message.
        trailer: Trailing metadata, pairs of name and value; contains the server's status if the call reached an mmrec
            server.
        target: Address of the server.
        timeout: Timeout of the call in seconds.
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
    if code == "CANCELLED":
        # Nothing on this side cancels a call; see `channel_options`.
        return UnavailableError(f"{target} ended the call without an answer ({message:.200}); send it again")
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


def check_process(process: int, target: str) -> None:
    """Check that a connection is used by the process that made it.

    Raises:
        FailedPreconditionError: this is another process, forked from it.
    """
    if process != os.getpid():
        raise FailedPreconditionError(
            f"this client of {target} has a connection of process {process}, from which this process was forked; both "
            "would use it at once: make another client here, and fork before gRPC is used, or start processes by spawn"
        )


def closed_error(target: str) -> MmrecError:
    """The error of a call on a closed client."""
    return FailedPreconditionError(f"this client of {target} is closed; make a new one")
