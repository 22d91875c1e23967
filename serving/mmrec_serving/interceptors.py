"""Interceptors of every call: token check, request id, access log, and errors turned into statuses.

Knows nothing about the calls.
"""

from __future__ import annotations

import asyncio
import hmac
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio

from mmrec.errors import MmrecError, NotImplementedYetError, UnauthenticatedError, UnavailableError
from mmrec.sdk.status import DETAILS_KEY, error_to_trailer
from mmrec_serving.access_log import AccessLog
from mmrec_serving.failures import conceal

Behaviour = Callable[[Any, Any], Awaitable[Any]]


def handler_like(behaviour: Behaviour, client_streaming: bool, server_streaming: bool) -> Any:
    """A gRPC handler of the given shape that leaves messages as bytes."""
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[client_streaming, server_streaming]
    return make(behaviour)


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Turns errors into statuses, for services whose names begin with `prefix`.

    It also gives every call an id (the client's ``x-request-id`` if there is one), sends it back, and logs the call in
    the access log. It knows the running calls, and can end them with a status that says why.
    """

    def __init__(self, prefix: str, access: AccessLog) -> None:
        self._prefix = prefix
        self._access = access
        self._running: set[asyncio.Task[Any]] = set()
        self._none = asyncio.Event()
        self._none.set()
        self._ended = False

    async def finished(self) -> None:
        """Wait until no call runs."""
        await self._none.wait()

    def end(self) -> None:
        """End running calls with UNAVAILABLE, and those that come later."""
        self._ended = True
        for task in self._running:
            task.cancel()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """See `grpc.aio.ServerInterceptor`."""
        handler = await continuation(details)
        if not details.method.startswith(self._prefix):
            return handler
        if handler is None:
            handler = handler_like(_unknown(details.method), True, False)
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        request_id = _request_id(details.invocation_metadata)

        async def guarded(request: Any, context: Any) -> Any:
            started = time.perf_counter()
            code = "OK"
            task = asyncio.current_task()
            assert task is not None  # a coroutine runs in one
            self._running.add(task)
            self._none.clear()
            try:
                context.set_trailing_metadata((("x-request-id", request_id),))
                return await inner(request, context)
            except asyncio.CancelledError:
                if self._ended:
                    stopped = UnavailableError("the server has stopped; try another one", retry_after_s=1.0)
                    code = stopped.code
                    await _abort(context, stopped, request_id)
                code = "CANCELLED"
                raise
            except grpc.aio.AbortError:
                code = "UNAUTHENTICATED"  # the token check has answered already
                raise
            except Exception as err:
                error = conceal(err)
                code = error.code
                await _abort(context, error, request_id)
            finally:
                self._running.discard(task)
                if not self._running:
                    self._none.set()
                seconds = time.perf_counter() - started
                self._access.note(details.method, code, seconds, request_id)

        return handler_like(guarded, handler.request_streaming, handler.response_streaming)


def _unknown(method: str) -> Behaviour:
    async def refuse(_: Any, context: Any) -> NoReturn:
        raise NotImplementedYetError(f"{method} is not in this version's contract; check the versions")

    return refuse


class AuthInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Refuses calls without the right token. Health checks need none."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """See `grpc.aio.ServerInterceptor`."""
        handler = await continuation(details)
        if handler is None or details.method.startswith("/grpc.health."):
            return handler
        given = next((v for k, v in details.invocation_metadata or () if k == "authorization"), None)
        if given is None:
            return self._refusal(handler, details, "the call has no token; pass token= or an authorization header")
        given_bytes = given if isinstance(given, bytes) else given.encode()
        # The name of the scheme is read without regard to case (RFC 9110, section 11.1).
        scheme, _, token = given_bytes.partition(b" ")
        if not hmac.compare_digest(scheme.capitalize() + b" " + token, self._expected):
            return self._refusal(handler, details, "the token is not the server's; pass the right one")
        return handler

    def _refusal(self, handler: Any, details: Any, message: str) -> Any:
        request_id = _request_id(details.invocation_metadata)

        async def refuse(_: Any, context: Any) -> NoReturn:
            await _abort(context, UnauthenticatedError(message), request_id)

        # As for a stream of requests: of such a call gRPC reads nothing by itself.
        return handler_like(refuse, True, handler.response_streaming)


async def _abort(context: Any, error: MmrecError, request_id: str) -> NoReturn:
    message, details = error_to_trailer(error)
    trailer: list[tuple[str, Any]] = [(DETAILS_KEY, details)]
    if request_id:
        trailer.append(("x-request-id", request_id))
    await context.abort(grpc.StatusCode[error.code], message, tuple(trailer))
    raise AssertionError("abort always raises")


def _request_id(metadata: Any) -> str:
    given = next((value for key, value in metadata or () if key == "x-request-id"), "")
    if isinstance(given, str) and 0 < len(given) <= 128 and given.isascii() and given.isprintable():
        return given
    return uuid.uuid4().hex
