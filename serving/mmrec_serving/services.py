"""The services of the contract: from wire, to the scheduler, to wire.

Unit of work: one call, or one message of a stream. The table of `mmrec.sdk.rpcs` describes each call. Knows nothing
about engines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, closing
from typing import Any, Protocol

import grpc

from mmrec.errors import UnavailableError
from mmrec.sdk.rpcs import (
    EMBED_USER,
    RECOMMEND,
    RPCS,
    SEARCH_ITEMS,
    SERVICES,
    SIMILAR_ITEMS,
    Method,
    Rpc,
)
from mmrec_serving.arrivals import Arrivals
from mmrec_serving.held_bytes import SMALL_BYTES, CallBytes, HeldBytes
from mmrec_serving.interceptors import handler_like
from mmrec_serving.scheduler import Submitter
from mmrec_serving.telemetry.calls import current_call
from mmrec_serving.work_parts import joined, parts_of

_LIGHT = frozenset(rpc.path for rpc in (RECOMMEND, SIMILAR_ITEMS, SEARCH_ITEMS, EMBED_USER))
"""Calls of one request, most of them light: a busy server refuses them before it reads them, which costs it least."""


class Workers(Submitter, Protocol):
    """Accepts jobs, and words replies."""

    def check(self, kind: str, deadline: float | None) -> None:
        """See `mmrec_serving.scheduler.Scheduler.check`."""

    def parts(self, reply: Any, deadline: float | None) -> AsyncGenerator[Any, None]:
        """See `mmrec_serving.wording.WordingWorker.parts`."""

    def pictures(self, request: Any, large: bool, deadline: float | None) -> AbstractAsyncContextManager[None]:
        """See `mmrec_serving.pictures.PicturesAhead.ready`."""


def service_handlers(workers: Workers, draining: Callable[[], bool], max_bytes: int) -> list[Any]:
    """One generic handler per service of the contract.

    Args:
        workers: Do the work.
        draining: Whether new calls are refused.
        max_bytes: Most bytes of requests and replies that all calls hold together.
    """
    arrivals, held = Arrivals(), HeldBytes(max_bytes)
    return [
        grpc.method_handlers_generic_handler(
            service,
            {method.path.rpartition("/")[2]: _handler(method, workers, draining, arrivals, held) for method in methods},
        )
        for service, methods in SERVICES.items()
    ]


def _handler(
    method: Method, workers: Workers, draining: Callable[[], bool], arrivals: Arrivals, held: HeldBytes
) -> Any:
    rpc = RPCS[method.path]

    def check_running() -> None:
        if draining():
            raise UnavailableError("the server is stopping; try another one", retry_after_s=1.0)

    async def built(_: Any, context: Any) -> bytes:
        began = time.monotonic()
        check_running()
        if rpc.path in _LIGHT:
            workers.check(rpc.kind, _deadline(context))
        own = held.call()
        # When the reply was read, or the client has gone.
        context.add_done_callback(lambda _: own.close())
        message = [await arrivals.read(context)]
        current_call().stage("arrive", began)
        async with aclosing(_answers(rpc, message, context, workers, own)) as answers:
            reply = b"".join([part async for part in answers])  # one reply
        own.take(reply)
        return reply

    async def streamed(messages: Any, context: Any) -> None:
        # The next message is read when this one is answered: gRPC's flow control slows a fast client down.
        async for data in messages:
            check_running()
            message = [data]
            del data
            with closing(held.call()) as own:
                async with aclosing(_answers(rpc, message, context, workers, own)) as answers:
                    async for reply in answers:
                        own.take(reply)
                        await context.write(reply)

    behaviour = streamed if method.client_streaming else built
    # A call that is refused before its request is read costs no memory; so every request is read here.
    return handler_like(behaviour, True, method.server_streaming)


def _deadline(context: Any) -> float | None:
    """By the clock of the scheduler; None: never."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


async def _answers(
    rpc: Rpc[Any, Any], message: list[bytes], context: Any, workers: Workers, own: CallBytes
) -> AsyncGenerator[bytes, None]:
    """The messages that answer a request: several over a stream whose replies come in pieces.

    The request is taken out of `message`, so that its bytes are not kept beside what is decoded from them.
    """
    call, began = current_call(), time.monotonic()
    own.take(message[0])
    deadline = _deadline(context)
    large = len(message[0]) > SMALL_BYTES
    # In a thread, large requests do not block other calls.
    request = await asyncio.to_thread(rpc.decode_request, message.pop()) if large else rpc.decode_request(message.pop())
    call.stage("decode", began)
    async with workers.pictures(request, large, deadline):
        cut = [parts_of(part) for part in rpc.split(request)]
        parts = [part for one in cut for part in one]
        results: list[Any] = []
        if parts:
            results = await asyncio.wrap_future(workers.submit(rpc.kind, parts, deadline, call.stage))

    def whole() -> Any:
        rest = iter(results)
        return rpc.join(request, [joined(one, [next(rest) for _ in one]) for one in cut])

    def encoded(part: Any) -> list[bytes]:
        began = time.monotonic()
        pieces = [rpc.encode_reply(piece) for piece in rpc.pieces(part)]
        call.stage("encode", began)
        return pieces

    in_thread = large or len(parts) > 1
    reply = await asyncio.to_thread(whole) if in_thread else whole()
    async with aclosing(workers.parts(reply, deadline)) as worded:
        async for part in worded:
            for piece in await asyncio.to_thread(encoded, part) if in_thread else encoded(part):
                yield piece
