"""The services of the contract: from wire, to the scheduler, to wire.

Unit of work: one call, or one message of a stream. The table of `mmrec.sdk.rpcs` describes each call; an RPC of the
contract that is not in it answers UNIMPLEMENTED. Knows nothing about engines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, NoReturn, Protocol

import grpc

from mmrec.errors import NotImplementedYetError, UnavailableError
from mmrec.sdk.rpcs import RPCS, SERVICES, Method, Rpc
from mmrec_serving.interceptors import handler_like
from mmrec_serving.scheduler import Submitter
from mmrec_serving.work_parts import joined, parts_of

LARGE_MESSAGE_BYTES = 64 * 1024
"""Requests over this, in bytes, are decoded in a thread, so that they do not block other calls."""


class Workers(Submitter, Protocol):
    """Accepts jobs, and words replies."""

    def parts(self, reply: Any, deadline: float | None) -> AsyncGenerator[Any, None]:
        """See `mmrec_serving.wording.WordingWorker.parts`."""


def service_handlers(workers: Workers, draining: Callable[[], bool]) -> list[Any]:
    """One generic handler per service of the contract."""
    return [
        grpc.method_handlers_generic_handler(
            service,
            {method.path.rpartition("/")[2]: _handler(method, workers, draining) for method in methods},
        )
        for service, methods in SERVICES.items()
    ]


def _handler(method: Method, workers: Workers, draining: Callable[[], bool]) -> Any:
    rpc = RPCS.get(method.path)

    async def not_built(_: Any, context: Any) -> NoReturn:
        raise NotImplementedYetError(f"{method.path} is not implemented in this version; see its comment in the protos")

    async def replies(data: bytes, context: Any) -> AsyncGenerator[bytes, None]:
        if draining():
            raise UnavailableError("the server is stopping; try another one", retry_after_s=1.0)
        assert rpc is not None
        async with aclosing(_answers(rpc, data, context, workers)) as answers:
            async for reply in answers:
                yield reply

    async def built(data: bytes, context: Any) -> bytes:
        return b"".join([reply async for reply in replies(data, context)])  # one reply

    async def streamed(messages: Any, context: Any) -> None:
        # The next message is read when this one is answered: gRPC's flow control slows a fast client down.
        async for data in messages:
            async with aclosing(replies(data, context)) as answers:
                async for reply in answers:
                    await context.write(reply)

    behaviour = not_built if rpc is None else streamed if method.client_streaming else built
    return handler_like(behaviour, method.client_streaming, method.server_streaming)


async def _answers(rpc: Rpc[Any, Any], data: bytes, context: Any, workers: Workers) -> AsyncGenerator[bytes, None]:
    """The messages that answer a request: several over a stream whose replies come in pieces."""
    remaining = context.time_remaining()
    deadline = None if remaining is None else time.monotonic() + remaining
    large = len(data) > LARGE_MESSAGE_BYTES
    request = await asyncio.to_thread(rpc.decode_request, data) if large else rpc.decode_request(data)
    cut = [parts_of(part) for part in rpc.split(request)]
    parts = [part for one in cut for part in one]
    results: list[Any] = []
    if parts:
        results = await asyncio.wrap_future(workers.submit(rpc.kind, parts, deadline))

    def whole() -> Any:
        rest = iter(results)
        return rpc.join(request, [joined(one, [next(rest) for _ in one]) for one in cut])

    def encoded(part: Any) -> list[bytes]:
        return [rpc.encode_reply(piece) for piece in rpc.pieces(part)]

    in_thread = large or len(parts) > 1
    reply = await asyncio.to_thread(whole) if in_thread else whole()
    async with aclosing(workers.parts(reply, deadline)) as worded:
        async for part in worded:
            for message in await asyncio.to_thread(encoded, part) if in_thread else encoded(part):
                yield message
