"""Interceptors of every call: API keys, request id, access log, and errors turned into statuses.

Knows nothing about the calls.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NoReturn

import grpc
import grpc.aio

from mmrec.errors import InternalError, MmrecError, NotImplementedYetError, UnavailableError
from mmrec.sdk.status import DETAILS_KEY, error_to_trailer
from mmrec_serving.access_log import AccessLog
from mmrec_serving.admission import Admission
from mmrec_serving.failures import conceal
from mmrec_serving.open_streams import OpenStreams
from mmrec_serving.telemetry.calls import CallWatch, begin_call

Behaviour = Callable[[Any, Any], Awaitable[Any]]

PREFIX = "/mmrec."
"""What the names of the services of the contract begin with."""
_PUSHBACK_KEY = "grpc-retry-pushback-ms"
_ANSWER_S = 0.5


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
    """Turns errors of the contract's services into statuses.

    It also gives every call an id (the client's ``x-request-id`` if there is one), sends it back, checks the call's API
    key before the request is read, and logs the call in the access log. It knows the running calls, and can end them
    with a status that says why.

    Args:
        access: The access log.
        admission: The server's API keys; None where callers need none.
        streams: Limits the open streams of a caller.
        watches: Are told of the calls and their stages.
    """

    def __init__(
        self,
        access: AccessLog,
        admission: Admission | None,
        streams: OpenStreams,
        watches: Sequence[CallWatch] = (),
    ) -> None:
        self._access = access
        self._admission = admission
        self._streams = streams
        self._watches = watches
        self._running: set[asyncio.Task[Any]] = set()
        self._none = asyncio.Event()
        self._none.set()
        self._came = 0
        self._ended = False
        self._gone = asyncio.Event()

    async def finished(self) -> None:
        """Wait until no call runs."""
        await self._none.wait()

    async def quiet(self, seconds: float) -> None:
        """Wait until no call has come for as long."""
        came = -1
        while came != self._came:
            came = self._came
            await asyncio.sleep(seconds)

    def end(self) -> None:
        """End running calls with UNAVAILABLE; those that come later wait for `let_go`, and end so too."""
        self._ended = True
        for task in self._running:
            task.cancel()

    def let_go(self) -> None:
        """End the calls that have come after `end`."""
        self._gone.set()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """See `grpc.aio.ServerInterceptor`."""
        handler = await continuation(details)
        if not details.method.startswith(PREFIX):
            return handler
        self._came += 1
        if handler is None:
            handler = handler_like(_unknown(details.method), True, False)
        inner = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        request_id = _request_id(details.invocation_metadata)

        async def guarded(request: Any, context: Any) -> Any:
            started = time.perf_counter()
            code, key, error_id = "OK", "", ""
            task = asyncio.current_task()
            assert task is not None  # a coroutine runs in one
            self._running.add(task)
            self._none.clear()
            call = begin_call(self._watches, details.method, request_id, details.invocation_metadata)
            try:
                context.set_trailing_metadata(call.trailer())
                if self._ended:
                    await self._gone.wait()
                    raise _stopped()
                if self._admission is not None:
                    caller = self._admission.identify(details.invocation_metadata)
                    key = caller.key.name
                    caller.admit(details.method)
                    request = _Admitted(request, self._admission, details)
                with self._streams.counted(details.method, key, context.peer()):
                    reply = await inner(request, context)
                context.set_trailing_metadata(call.trailer())
                return reply
            except asyncio.CancelledError:
                if self._ended:
                    stopped = _stopped()
                    code = stopped.code
                    await _abort(context, stopped, call.trailer())
                code = "CANCELLED"
                raise
            except Exception as err:
                error = conceal(err)
                code, error_id = error.code, error.error_id if isinstance(error, InternalError) else ""
                await _abort(context, error, call.trailer())
            finally:
                self._running.discard(task)
                if not self._running:
                    self._none.set()
                call.ended(code)
                seconds = time.perf_counter() - started
                self._access.note(details.method, code, seconds, request_id, key, error_id)

        return handler_like(guarded, handler.request_streaming, handler.response_streaming)


def _stopped() -> UnavailableError:
    return UnavailableError("the server is stopping; try another one", retry_after_s=1.0)


def _unknown(method: str) -> Behaviour:
    async def refuse(_: Any, context: Any) -> NoReturn:
        raise NotImplementedYetError(f"{method} is not in this version's contract; check the versions")

    return refuse


class _Admitted:
    """The messages of a stream, of which each after the first is checked and counted as a call is.

    A stream that is faster than its key's rate is slowed down, not refused. A key that was removed ends it.
    """

    def __init__(self, messages: AsyncIterator[bytes], admission: Admission, details: Any) -> None:
        self._messages = messages
        self._admission = admission
        self._details = details
        self._first = True
        self._wait_s = 0.0

    def __aiter__(self) -> _Admitted:
        self._messages = aiter(self._messages)
        return self

    async def __anext__(self) -> bytes:
        if self._wait_s > 0:
            await asyncio.sleep(self._wait_s)
        message = await anext(self._messages)
        if not self._first:
            caller = self._admission.identify(self._details.invocation_metadata)
            self._wait_s = caller.admit_message(self._details.method)
        self._first = False
        return message


class AuthInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Refuses calls of other services than the contract's, as of reflection, without an API key. Health needs none."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """See `grpc.aio.ServerInterceptor`."""
        handler = await continuation(details)
        if handler is None or details.method.startswith(("/grpc.health.", PREFIX)):
            return handler
        try:
            self._admission.identify(details.invocation_metadata).admit(details.method)
        except MmrecError as err:
            return _refusal(err, handler, _request_id(details.invocation_metadata))
        return handler


def _refusal(error: MmrecError, handler: Any, request_id: str) -> Any:
    async def refuse(_: Any, context: Any) -> NoReturn:
        await _abort(context, error, (("x-request-id", request_id),))

    # As for a stream of requests: of such a call gRPC reads nothing by itself.
    return handler_like(refuse, True, handler.response_streaming)


async def _abort(context: Any, error: MmrecError, trailer: tuple[tuple[str, str | bytes], ...]) -> NoReturn:
    message, details = error_to_trailer(error)
    trailer = ((DETAILS_KEY, details), *_pushback(error, context.time_remaining()), *trailer)
    await context.abort(grpc.StatusCode[error.code], message, trailer)
    raise AssertionError("abort always raises")


def _pushback(error: MmrecError, remaining_s: float | None) -> tuple[tuple[str, str], ...]:
    """RetryInfo as gRPC's clients read it, in every language: the wait before they retry, in milliseconds.

    Negative, where the deadline comes first: then the caller has this error now, and not DEADLINE_EXCEEDED later.
    """
    if not isinstance(error, UnavailableError) or error.retry_after_s is None:
        return ()
    # gRPC rounds the deadline that it sends up, and an answer takes time too.
    too_late = remaining_s is not None and remaining_s <= error.retry_after_s + _ANSWER_S
    return ((_PUSHBACK_KEY, "-1" if too_late else str(round(1000 * error.retry_after_s))),)


def _request_id(metadata: Any) -> str:
    given = next((value for key, value in metadata or () if key == "x-request-id"), "")
    if isinstance(given, str) and 0 < len(given) <= 128 and given.isascii() and given.isprintable():
        return given
    return uuid.uuid4().hex
