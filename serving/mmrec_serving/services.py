"""The services of the contract: from wire, to the scheduler, to wire.

Unit of work: one call, or one message of a stream. The table of `mmrec.sdk.rpcs` describes each call; an RPC of the
contract that is not in it answers UNIMPLEMENTED. Knows nothing about engines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NoReturn

import grpc

from mmrec.errors import NotImplementedYetError, UnavailableError
from mmrec.sdk.rpcs import RPCS, SERVICES, Method, Rpc
from mmrec_serving.interceptors import handler_like
from mmrec_serving.scheduler import Submitter
from mmrec_serving.work_parts import joined, parts_of

LARGE_MESSAGE_BYTES = 64 * 1024
"""Requests over this, in bytes, are decoded in a thread, so that they do not block other calls."""


def service_handlers(scheduler: Submitter, draining: Callable[[], bool]) -> list[Any]:
    """One generic handler per service of the contract."""
    return [
        grpc.method_handlers_generic_handler(
            service,
            {method.path.rpartition("/")[2]: _handler(method, scheduler, draining) for method in methods},
        )
        for service, methods in SERVICES.items()
    ]


def _handler(method: Method, scheduler: Submitter, draining: Callable[[], bool]) -> Any:
    rpc = RPCS.get(method.path)

    async def not_built(_: Any, context: Any) -> NoReturn:
        raise NotImplementedYetError(f"{method.path} is not implemented in this version; see its comment in the protos")

    async def replies(data: bytes, context: Any) -> list[bytes]:
        if draining():
            raise UnavailableError("the server is stopping; try another one", retry_after_s=1.0)
        assert rpc is not None
        return await _answer(rpc, data, context, scheduler)

    async def built(data: bytes, context: Any) -> bytes:
        return b"".join(await replies(data, context))  # one reply

    async def streamed(messages: Any, context: Any) -> None:
        # The next message is read when this one is answered: gRPC's flow control slows a fast client down.
        async for data in messages:
            for reply in await replies(data, context):
                await context.write(reply)

    behaviour = not_built if rpc is None else streamed if method.client_streaming else built
    return handler_like(behaviour, method.client_streaming, method.server_streaming)


async def _answer(rpc: Rpc[Any, Any], data: bytes, context: Any, scheduler: Submitter) -> list[bytes]:
    """The messages that answer a request: several over a stream whose replies come in pieces."""
    remaining = context.time_remaining()
    deadline = None if remaining is None else time.monotonic() + remaining
    large = len(data) > LARGE_MESSAGE_BYTES
    request = await asyncio.to_thread(rpc.decode_request, data) if large else rpc.decode_request(data)
    cut = [parts_of(part) for part in rpc.split(request)]
    parts = [part for one in cut for part in one]
    results: list[Any] = []
    if parts:
        results = await asyncio.wrap_future(scheduler.submit(rpc.kind, parts, deadline))

    def reply() -> list[bytes]:
        rest = iter(results)
        whole = rpc.join(request, [joined(one, [next(rest) for _ in one]) for one in cut])
        return [rpc.encode_reply(piece) for piece in rpc.pieces(whole)]

    return await asyncio.to_thread(reply) if large or len(parts) > 1 else reply()
