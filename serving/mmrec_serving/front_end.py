"""A front end: takes calls on the shared port and passes them, as bytes, to the engine's process over a Unix socket.

Unit of work: one call, or one message of a stream. TLS, limits, API keys and the access log are those of `Listener`;
the engine's process checks keys once more, to count their rates over all front ends. Deadline, metadata, cancellation
and errors go through as they are. While the engine's process is away, calls are answered UNAVAILABLE with the time to
wait, and health says NOT_SERVING. Knows nothing about what calls contain, and loads no model.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mmrec.errors import DeadlineExceededError, MmrecError, UnavailableError
from mmrec.sdk.rpcs import SERVICES, Method
from mmrec.sdk.status import DETAILS_KEY, error_from_trailer
from mmrec.sdk.timing import read_timing
from mmrec_serving.arrivals import Arrivals
from mmrec_serving.config import ServerConfig
from mmrec_serving.held_bytes import HeldBytes
from mmrec_serving.interceptors import handler_like
from mmrec_serving.listening import BUNDLE_HEALTH, Listener
from mmrec_serving.telemetry.calls import current_call

_BACK_S = 2.0
"""Clients of mmrec call three times again: together, longer than the engine's process takes to be back."""
_LOOK_S = 0.1
"""Pause between two attempts to reach an engine's process that is away."""
_MANY = 1_000_000


def engine_config(config: ServerConfig, socket: Path) -> ServerConfig:
    """The configuration of the engine's process behind front ends.

    Args:
        config: That of the whole server.
        socket: Path of its Unix socket.
    """
    keyed = config.token is not None or config.keys is not None
    return replace(
        config,
        socket=socket,
        tls_cert=None,
        tls_key=None,
        client_ca=None,
        reflection=False,
        access_log="none",
        max_connection_age_s=None,
        max_connection_idle_s=None,
        max_connections=0,
        # Of connections and addresses it sees those of front ends alone, which have limits of their own for them.
        max_calls=_MANY,
        max_streams=config.max_streams if keyed else _MANY,
    )


def front_end_config(config: ServerConfig, port: int) -> ServerConfig:
    """The configuration of a front end: without what belongs to the engine's process.

    Args:
        config: That of the whole server.
        port: The shared one.
    """
    return replace(config, port=port, store=None, fold_after=0, fold_every_s=None, metrics_port=None, traces="")


class FrontEnd:
    """One front end; use it inside one event loop: `start`, `ready`, then `stop`.

    Args:
        config: See `front_end_config`.
        engine: Where the engine's process listens, as gRPC names it: ``unix:/PATH``.
    """

    def __init__(self, config: ServerConfig, engine: str) -> None:
        self._config = config
        self._listener = Listener(config, front_end=True)
        self._reached = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._channel = grpc.aio.insecure_channel(
            engine,
            [
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
                ("grpc.enable_retries", 0),  # the client decides
                ("grpc.initial_reconnect_backoff_ms", int(1000 * _LOOK_S)),
                ("grpc.min_reconnect_backoff_ms", int(1000 * _LOOK_S)),
                ("grpc.max_reconnect_backoff_ms", int(1000 * _LOOK_S)),
            ],
        )

    async def start(self) -> str:
        """Listen. Returns the address; see `Listener.bind` for errors."""
        address = await self._listener.bind(self._handlers())
        await self._listener.start()
        self._watching = asyncio.ensure_future(self._watch())
        return address

    async def ready(self) -> None:
        """Wait until the engine's process answers."""
        await self._reached.wait()

    def reload(self) -> None:
        """Read the API keys again."""
        self._listener.reload()

    async def stop(self, grace_s: float | None = None) -> None:
        """Stop in order; see `Listener.stop`."""
        await self._listener.stop(self._config.grace_s if grace_s is None else grace_s)
        if self._watching is not None:
            self._watching.cancel()
        await self._channel.close()

    async def _watch(self) -> None:
        """Say by health what the engine's process says."""
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        while True:
            bundle = asyncio.ensure_future(self._watch_bundle(stub))
            with suppress(grpc.aio.AioRpcError):
                async for serving in _healths(stub, ""):
                    await self._listener.set_serving(serving)
                    if serving:
                        self._reached.set()
            bundle.cancel()
            await self._listener.set_serving(False)
            await asyncio.sleep(_LOOK_S)

    async def _watch_bundle(self, stub: Any) -> None:
        with suppress(grpc.aio.AioRpcError):
            async for serving in _healths(stub, BUNDLE_HEALTH):
                # While nothing is served, this is not said of the bundle.
                self._listener.bundle_refused(self._listener.serving and not serving)

    def _handlers(self) -> list[Any]:
        arrivals, held = Arrivals(), HeldBytes(self._config.max_bytes)
        return [
            grpc.method_handlers_generic_handler(
                service, {method.path.rpartition("/")[2]: self._handler(method, arrivals, held) for method in methods}
            )
            for service, methods in SERVICES.items()
        ]

    def _handler(self, method: Method, arrivals: Arrivals, held: HeldBytes) -> Any:
        single: Any = self._channel.unary_unary(method.path)
        stream: Any = self._channel.stream_stream(method.path)

        async def built(_: Any, context: Any) -> bytes:
            self._check_running()
            own = held.call()
            # When the reply was read, or the client has gone.
            context.add_done_callback(lambda _: own.close())
            message = await arrivals.read(context)
            own.take(message)
            call = single(message, timeout=context.time_remaining(), metadata=_metadata(context))
            del message
            try:
                reply: bytes = await call
            except grpc.aio.AioRpcError as err:
                raise _engine_error(err) from err
            except asyncio.CancelledError:
                _raise_if_cancelled()
                raise _away() from None
            finally:
                _note_stages(method, await call.trailing_metadata() if call.done() else ())
            own.take(reply)
            return reply

        async def streamed(messages: Any, context: Any) -> None:
            async def send() -> None:
                try:
                    async for message in messages:
                        self._check_running()
                        with closing(held.call()) as own:
                            own.take(message)
                            await call.write(message)
                    await call.done_writing()
                except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
                    pass  # the call has ended, and its status says why
                except MmrecError:
                    call.cancel()
                    raise

            call = stream(timeout=context.time_remaining(), metadata=_metadata(context))
            sending = asyncio.ensure_future(send())
            # If the call ends before, nobody asks for the outcome.
            sending.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                async for reply in call:
                    with closing(held.call()) as own:
                        own.take(reply)
                        await context.write(reply)
            except grpc.aio.AioRpcError as err:
                raise _engine_error(err) from err
            except asyncio.CancelledError:
                _raise_if_cancelled()
                raise (sending.exception() if sending.done() else None) or _away() from None
            finally:
                call.cancel()
                sending.cancel()

        streams = method.client_streaming or method.server_streaming
        # A call that is refused before its request is read costs no memory; so every request is read here.
        return handler_like(streamed if streams else built, True, method.server_streaming)

    def _check_running(self) -> None:
        if self._listener.draining:
            raise UnavailableError("the server is stopping; try another one", retry_after_s=1.0)


def _metadata(context: Any) -> list[tuple[str, str | bytes]]:
    """The metadata of a call for the engine's process, with the id that the call has here."""
    kept = [
        (key, value)
        for key, value in context.invocation_metadata()
        if key not in ("user-agent", "x-request-id") and not key.startswith("grpc-")
    ]
    return [*kept, ("x-request-id", current_call().request_id)]


async def _healths(stub: Any, service: str) -> AsyncIterator[bool]:
    """Whether a service of the engine's process is SERVING, now and whenever that changes."""
    async for reply in stub.Watch(health_pb2.HealthCheckRequest(service=service)):
        yield reply.status == health_pb2.HealthCheckResponse.SERVING


def _engine_error(error: grpc.aio.AioRpcError) -> MmrecError:
    """What the engine's process said; without its details, gRPC says that it was not reached, or has ended."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes) and (said := error_from_trailer(value)) is not None:
            return said
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceededError("the deadline has passed; send a later one, or ask for less at once")
    return _away()


def _away() -> MmrecError:
    return UnavailableError(
        "the engine's process has ended, or is not up yet; send the call again", retry_after_s=_BACK_S
    )


def _raise_if_cancelled() -> None:
    """Inside ``except CancelledError``: raise it, unless it was the engine's process that cancelled the call."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise


def _note_stages(method: Method, trailer: Any) -> None:
    """The times that the engine's process tells are stages of the call here."""
    timing = read_timing(method.path, trailer)
    for name, seconds in timing.stages.items() if timing is not None else ():
        current_call().stage(name, 0.0, seconds)
