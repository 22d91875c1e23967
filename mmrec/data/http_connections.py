"""HTTP connections to given addresses, under one deadline and one limit of received bytes.

The socket enforces both: a server that sends a byte at a time, endless headers, or a body of a million empty chunks is
stopped, whichever parser reads it. Knows nothing of pictures,
names and rules.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection


class OutOfTimeError(Exception):
    """The deadline has passed."""


class OutOfBytesError(Exception):
    """The server has sent more bytes than the limit."""


class Meter:
    """Remaining time and bytes of one fetch.

    Args:
        seconds: Until the deadline, from now.
        most_bytes: Bytes that may arrive, headers and framing included.
    """

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._deadline = time.monotonic() + seconds
        self._bytes_left = most_bytes

    def seconds_left(self) -> float:
        """Seconds until the deadline, above 0.

        Raises:
            OutOfTimeError: the deadline has passed.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise OutOfTimeError
        return left

    def count(self, received: int) -> None:
        """Count received bytes.

        Raises:
            OutOfBytesError: they exceed the limit.
        """
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise OutOfBytesError


class _Metered(socket.socket):
    """Receives under a meter."""

    meter: Meter

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(self.meter.seconds_left())
        try:
            received = super().recv_into(buffer, nbytes, flags)
        except TimeoutError as err:
            raise OutOfTimeError from err
        self.meter.count(received)
        return received


class _MeteredTls(_Metered, ssl.SSLSocket):  # type: ignore[misc]  # the bases name `recv_into`'s arguments differently
    """The same over TLS. The handshake, which does not pass through `recv_into`, has a deadline of its own."""


def tls_context(authority: str | None) -> ssl.SSLContext:
    """Verifies certificates and names against the system's authorities and one more.

    Args:
        authority: PEM file of certificates that are trusted besides; None for none.

    Raises:
        OSError: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    if authority is not None:
        context.load_verify_locations(cafile=authority)
    context.sslsocket_class = _MeteredTls
    return context


def open_connection(
    host: str, port: int, addresses: Sequence[str], meter: Meter, context: ssl.SSLContext | None
) -> HTTPConnection:
    """A connection that is made to the given addresses, the first that answers, and nowhere else.

    Args:
        host: The name that the request, and the server's certificate, is about. It is not resolved.
        port: TCP port.
        addresses: Numeric addresses.
        meter: Limits everything received.
        context: From `tls_context`; None for plain HTTP.

    Raises:
        OutOfTimeError: the deadline passed.
        OSError: none of the addresses answers, or its certificate is not good for `host`.
    """
    connection = (
        _Plain(host, port, timeout=meter.seconds_left())
        if context is None
        else _Tls(host, port, timeout=meter.seconds_left(), ssl_context=context)
    )
    connection.addresses, connection.meter = tuple(addresses), meter
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    return connection


class _Plain(HTTPConnection):
    addresses: tuple[str, ...]
    meter: Meter

    def _new_conn(self) -> socket.socket:
        return _dial(self.addresses, self.port, self.meter)


class _Tls(HTTPSConnection):
    addresses: tuple[str, ...]
    meter: Meter

    def _new_conn(self) -> socket.socket:
        return _dial(self.addresses, self.port, self.meter)

    def connect(self) -> None:
        super().connect()
        if isinstance(self.sock, _Metered):  # always so: the context makes its sockets of that class
            self.sock.meter = self.meter


def _dial(addresses: Sequence[str], port: int, meter: Meter) -> socket.socket:
    """A socket connected to the first address that answers; each has an equal share of the time left."""
    failure: OSError | None = None
    for number, address in enumerate(addresses):
        sock = _Metered(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.meter = meter
            sock.settimeout(meter.seconds_left() / (len(addresses) - number))
            sock.connect((address, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(meter.seconds_left())  # for the TLS handshake and the request
        except OSError as err:
            sock.close()
            failure = err
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure or OSError("no address")
