"""Transports of the SDK: gRPC, or an engine in this process for tests and notebooks.

Unit of work: one call, a path and the bytes of its request. Any object with `call`, `stream` and `close` can be passed
to `Client(transport=...)`. Only `LocalTransport` knows what the bytes mean, because it does the work of a server.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

import grpc

from mmrec.contract.engine import Engine
from mmrec.errors import MmrecError, NotImplementedYetError
from mmrec.sdk.connection import (
    Tls,
    Token,
    channel_options,
    check_process,
    checked_target,
    closed_error,
    error_from_rpc,
    is_spread,
    metadata_source,
)
from mmrec.sdk.rpcs import RPCS, Rpc
from mmrec.sdk.streams import EngineStream, GrpcStream, Stream
from mmrec.sdk.timing import ASKED, OnTiming, tell_timing


class Transport(Protocol):
    """Carries calls. `call` may be used from several threads at once."""

    def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """Send a request, and return the bytes of the reply.

        Args:
            path: ``/package.Service/Method``.
            request: Serialized request message.
            timeout: Timeout in seconds, above 0.

        Raises:
            MmrecError: the call failed.
        """
        ...

    def stream(self, path: str, timeout: float) -> Stream:
        """Open a stream of requests.

        Args:
            path: ``/package.Service/Method``.
            timeout: Timeout of each reply in seconds, above 0.

        Raises:
            MmrecError: the stream cannot be opened.
        """
        ...

    def close(self) -> None:
        """Close connections; later calls are refused."""
        ...


class GrpcTransport:
    """Calls over one gRPC channel, which is made by the first call, and reconnects when a connection is lost.

    See `mmrec.sdk.client.Client` for the arguments.

    Raises:
        InvalidArgumentError: target, token, `round_robin` or TLS files cannot be used.
        NotFoundError: a TLS file cannot be read.
    """

    def __init__(
        self,
        target: str,
        *,
        token: Token | None = None,
        tls: Tls | None = None,
        on_timing: OnTiming | None = None,
        round_robin: bool | None = None,
    ) -> None:
        self.target = checked_target(target)
        self._metadata = metadata_source(token, *((ASKED,) if on_timing is not None else ()))
        self._on_timing = on_timing
        self._options = channel_options(tls, spread=is_spread(target, round_robin))
        self._credentials = tls.credentials() if tls is not None else None
        self._channel: Any = None
        self._process = 0
        self._opening = threading.Lock()
        self._calls: dict[str, Any] = {}
        self._closed = False

    def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """See `Transport.call`."""
        metadata = self._metadata()
        self._open()
        try:
            if path not in self._calls:
                self._calls[path] = self._channel.unary_unary(path)
            reply: bytes
            reply, call = self._calls[path].with_call(request, timeout=timeout, metadata=metadata)
        except grpc.RpcError as err:
            tell_timing(self._on_timing, path, err.trailing_metadata())
            raise error_from_rpc(
                err.code().name, err.details() or "", err.trailing_metadata(), self.target, timeout
            ) from None
        except ValueError:
            raise closed_error(self.target) from None
        tell_timing(self._on_timing, path, call.trailing_metadata())
        return reply

    def stream(self, path: str, timeout: float) -> Stream:
        """See `Transport.stream`."""
        metadata = self._metadata()
        self._open()
        method: Any = self._channel.stream_stream(path)

        def explain(err: grpc.RpcError) -> MmrecError:
            return error_from_rpc(err.code().name, err.details() or "", err.trailing_metadata(), self.target, timeout)

        try:
            return GrpcStream(lambda requests: method(requests, metadata=metadata), explain, timeout)
        except ValueError:
            raise closed_error(self.target) from None

    def close(self) -> None:
        """See `Transport.close`."""
        with self._opening:
            self._closed = True
            # A connection of the process that this one was forked from is left to that.
            if self._channel is not None and self._process == os.getpid():
                self._channel.close()

    def _open(self) -> None:
        """Make the channel, if there is none: a client that has not been used yet can be used after a fork."""
        if self._channel is None:
            with self._opening:
                if self._closed:
                    raise closed_error(self.target)
                if self._channel is None:
                    self._process = os.getpid()
                    self._channel = (
                        grpc.insecure_channel(self.target, self._options)
                        if self._credentials is None
                        else grpc.secure_channel(self.target, self._credentials, self._options)
                    )
        check_process(self._process, self.target)


class LocalTransport(ABC):
    """Answers calls in this process, without a network; a subclass says how."""

    def __init__(self) -> None:
        self._closed = False

    @abstractmethod
    def messages(self, rpc: Rpc[Any, Any], request: Any) -> Iterator[Any]:
        """The reply to a request; over a stream it may come in several parts.

        Args:
            rpc: The call.
            request: Its request, which was read from bytes and checked as a server does.

        Raises:
            MmrecError: the call failed as a whole.
        """

    def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """See `Transport.call`."""
        reply = b""
        for message in self._answer(path, request):
            reply = message
        return reply

    def stream(self, path: str, timeout: float) -> Stream:
        """See `Transport.stream`."""
        self._refuse_if_closed()
        return EngineStream(lambda request: self._answer(path, request))

    def close(self) -> None:
        """See `Transport.close`."""
        self._closed = True

    def _answer(self, path: str, request: bytes) -> Iterator[bytes]:
        """The messages that answer a request, each as it is made."""
        self._refuse_if_closed()
        rpc = RPCS.get(path)
        if rpc is None:
            raise NotImplementedYetError(f"{path} is not implemented in this version")
        return map(rpc.encode_reply, self.messages(rpc, rpc.decode_request(request)))

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise closed_error("an engine")


class EngineTransport(LocalTransport):
    """Calls an engine in this process without a server, for tests of code that uses a `Client`.

    Timeouts are ignored: the caller's thread does the work, one call at a time.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._lock = threading.Lock()

    def messages(self, rpc: Rpc[Any, Any], request: Any) -> Iterator[Any]:
        """See `LocalTransport.messages`."""
        with self._lock:
            return rpc.messages(self._engine, request)
