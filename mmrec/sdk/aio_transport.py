"""Transports for asyncio; see `mmrec.sdk.transport`."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Protocol

import grpc.aio

from mmrec.contract.engine import Engine
from mmrec.errors import MmrecError
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
from mmrec.sdk.streams import AsyncEngineStream, AsyncGrpcStream, AsyncStream
from mmrec.sdk.timing import ASKED, OnTiming, tell_timing
from mmrec.sdk.transport import EngineTransport, LocalTransport


class AsyncTransport(Protocol):
    """Carries calls; see `mmrec.sdk.transport.Transport`."""

    async def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """Send a request, and return the bytes of the reply."""
        ...

    async def stream(self, path: str, timeout: float) -> AsyncStream:
        """Open a stream of requests with one reply each."""
        ...

    async def close(self) -> None:
        """Close connections; later calls are refused."""
        ...


class AsyncGrpcTransport:
    """Calls over one gRPC channel, which is created by the first call, as it belongs to the running event loop.

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
        self._calls: dict[str, Any] = {}
        self._closed = False

    async def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """See `AsyncTransport.call`."""
        metadata = self._metadata()
        self._open()
        if path not in self._calls:
            self._calls[path] = self._channel.unary_unary(path)
        try:
            call = self._calls[path](request, timeout=timeout, metadata=metadata)
            reply: bytes = await call
            if self._on_timing is not None:
                tell_timing(self._on_timing, path, tuple(await call.trailing_metadata() or ()))
        except grpc.aio.AioRpcError as err:
            trailer = tuple(err.trailing_metadata() or ())
            tell_timing(self._on_timing, path, trailer)
            raise error_from_rpc(err.code().name, err.details() or "", trailer, self.target, timeout) from None
        except grpc.aio.UsageError:
            raise closed_error(self.target) from None
        return reply

    async def stream(self, path: str, timeout: float) -> AsyncStream:
        """See `AsyncTransport.stream`."""
        metadata = self._metadata()
        self._open()
        method = self._channel.stream_stream(path)

        def explain(err: grpc.aio.AioRpcError) -> MmrecError:
            trailer = tuple(err.trailing_metadata() or ())
            return error_from_rpc(err.code().name, err.details() or "", trailer, self.target, timeout)

        return AsyncGrpcStream(lambda requests: method(requests, metadata=metadata), explain, timeout)

    def _open(self) -> None:
        if self._closed:
            raise closed_error(self.target)
        if self._channel is None:
            self._process = os.getpid()
            self._channel = (
                grpc.aio.insecure_channel(self.target, self._options)
                if self._credentials is None
                else grpc.aio.secure_channel(self.target, self._credentials, self._options)
            )
        check_process(self._process, self.target)

    async def close(self) -> None:
        """See `AsyncTransport.close`."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
            self._calls.clear()


class AsyncLocalTransport:
    """Answers calls in this process, in a thread, without a network; `inner` says how."""

    def __init__(self, inner: LocalTransport) -> None:
        self._inner = inner

    async def call(self, path: str, request: bytes, timeout: float) -> bytes:
        """See `AsyncTransport.call`."""
        return await asyncio.to_thread(self._inner.call, path, request, timeout)

    async def stream(self, path: str, timeout: float) -> AsyncStream:
        """See `AsyncTransport.stream`."""
        return AsyncEngineStream(self._inner.stream(path, timeout))

    async def close(self) -> None:
        """See `AsyncTransport.close`."""
        self._inner.close()


class AsyncEngineTransport(AsyncLocalTransport):
    """Calls an engine in this process, in a thread, without a server."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(EngineTransport(engine))
