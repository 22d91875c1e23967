"""Streams of requests with one reply each, or several, over gRPC and in process; blocking and for asyncio.

Unit of work: one stream. One thread or task sends requests, as bytes, and receives the replies, in order. A stream has
no deadline, but every reply has a timeout. Knows nothing of what the bytes mean.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio

from mmrec.errors import DeadlineExceededError, InternalError, MmrecError

T = TypeVar("T")


class Stream(Protocol):
    """A stream of requests with one reply each, or with several whose last one says that it is the last."""

    def send(self, request: bytes) -> None:
        """Send a request; errors are raised by `receive`."""
        ...

    def receive(self) -> bytes:
        """The next reply to the oldest request that is not answered.

        Raises:
            MmrecError: the stream broke.
        """
        ...

    def finish(self) -> None:
        """End the stream, after all replies have been received.

        Raises:
            MmrecError: the other side did not end it.
        """
        ...

    def close(self) -> None:
        """Close the stream, finished or not; repeated calls do nothing."""
        ...


class AsyncStream(Protocol):
    """See `Stream`."""

    async def send(self, request: bytes) -> None:
        """See `Stream.send`."""
        ...

    async def receive(self) -> bytes:
        """See `Stream.receive`."""
        ...

    async def finish(self) -> None:
        """See `Stream.finish`."""
        ...

    async def close(self) -> None:
        """See `Stream.close`."""
        ...


def each(entries: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    """An async iterator over any iterable."""
    return aiter(entries) if isinstance(entries, AsyncIterable) else _Each(iter(entries))


class _Each(AsyncIterator[T]):
    def __init__(self, entries: Iterator[T]) -> None:
        self._entries = entries

    async def __anext__(self) -> T:
        try:
            return next(self._entries)
        except StopIteration:
            raise StopAsyncIteration from None


def _late(timeout: float) -> MmrecError:
    return DeadlineExceededError(f"no answer within {timeout:g} s; pass a longer timeout, or send less at once")


def _ended() -> MmrecError:
    return InternalError("the server ended the stream without replying to a request; is it an mmrec server?")


def _goes_on() -> MmrecError:
    return InternalError("the server sent more replies than it received requests; is it an mmrec server?")


# --- over gRPC ------------------------------------------------------------------------------------------------------


class GrpcStream:
    """A stream over gRPC.

    Args:
        start: Starts the call with an iterator of its requests.
        explain: Converts the error of the call.
        timeout: Timeout of each reply in seconds.
    """

    def __init__(
        self, start: Callable[[Iterator[bytes]], Any], explain: Callable[[grpc.RpcError], MmrecError], timeout: float
    ) -> None:
        # gRPC reads the requests in its own thread; None ends them.
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._explain = explain
        self._timeout = timeout
        self._expired = False
        self._call = start(iter(self._requests.get, None))

    def send(self, request: bytes) -> None:
        """See `Stream.send`."""
        self._requests.put(request)

    def receive(self) -> bytes:
        """See `Stream.receive`."""
        reply = self._next()
        if reply is None:
            raise _ended()
        return reply

    def finish(self) -> None:
        """See `Stream.finish`."""
        self._requests.put(None)
        if self._next() is not None:
            raise _goes_on()

    def close(self) -> None:
        """See `Stream.close`."""
        self._requests.put(None)
        self._call.cancel()

    def _next(self) -> bytes | None:
        timer = threading.Timer(self._timeout, self._expire)
        timer.daemon = True
        timer.start()
        try:
            reply: bytes = next(self._call)
        except StopIteration:
            return None
        except grpc.RpcError as err:
            raise (_late(self._timeout) if self._expired else self._explain(err)) from None
        finally:
            timer.cancel()
        return reply

    def _expire(self) -> None:
        self._expired = True
        self._call.cancel()


class AsyncGrpcStream:
    """A stream over gRPC for asyncio; see `GrpcStream`."""

    def __init__(
        self,
        start: Callable[[AsyncIterator[bytes]], Any],
        explain: Callable[[grpc.aio.AioRpcError], MmrecError],
        timeout: float,
    ) -> None:
        # Written by a task of their own: a task that both writes and reads could block a server that waits for its
        # replies to be read.
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._explain = explain
        self._timeout = timeout
        self._call = start(self._messages())

    async def _messages(self) -> AsyncIterator[bytes]:
        while (request := await self._requests.get()) is not None:
            yield request

    async def send(self, request: bytes) -> None:
        """See `Stream.send`."""
        self._requests.put_nowait(request)

    async def receive(self) -> bytes:
        """See `Stream.receive`."""
        reply = await self._next()
        if reply is None:
            raise _ended()
        return reply

    async def finish(self) -> None:
        """See `Stream.finish`."""
        self._requests.put_nowait(None)
        if await self._next() is not None:
            raise _goes_on()

    async def close(self) -> None:
        """See `Stream.close`."""
        self._requests.put_nowait(None)
        self._call.cancel()

    async def _next(self) -> bytes | None:
        try:
            reply = await asyncio.wait_for(self._call.read(), self._timeout)
        except TimeoutError:
            raise _late(self._timeout) from None
        except grpc.aio.AioRpcError as err:
            raise self._explain(err) from None
        return None if reply is grpc.aio.EOF else bytes(reply)


# --- in process -----------------------------------------------------------------------------------------------------


class EngineStream:
    """A stream to an engine in this process: each request is processed when its replies are received.

    Args:
        call: Returns the messages that answer a request, at least one, each as it is made.
    """

    def __init__(self, call: Callable[[bytes], Iterator[bytes]]) -> None:
        self._call = call
        self._requests: deque[bytes] = deque()
        self._replies: Iterator[bytes] = iter(())

    def send(self, request: bytes) -> None:
        """See `Stream.send`."""
        self._requests.append(request)

    def receive(self) -> bytes:
        """See `Stream.receive`."""
        reply = next(self._replies, None)
        if reply is None:
            self._replies = self._call(self._requests.popleft())
            reply = next(self._replies)
        return reply

    def finish(self) -> None:
        """See `Stream.finish`."""

    def close(self) -> None:
        """See `Stream.close`."""
        self._requests.clear()
        self._replies = iter(())


class AsyncEngineStream:
    """`EngineStream` for asyncio; the work is done in a thread."""

    def __init__(self, inner: Stream) -> None:
        self._inner = inner

    async def send(self, request: bytes) -> None:
        """See `Stream.send`."""
        self._inner.send(request)

    async def receive(self) -> bytes:
        """See `Stream.receive`."""
        return await asyncio.to_thread(self._inner.receive)

    async def finish(self) -> None:
        """See `Stream.finish`."""
        self._inner.finish()

    async def close(self) -> None:
        """See `Stream.close`."""
        self._inner.close()
