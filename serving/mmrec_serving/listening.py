"""The gRPC side of a server: port, TLS, limits, interceptors, health and reflection, and stopping in order.

Shared by the server around an engine and by front ends, which have none. Knows nothing about engines and schedulers.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mmrec.errors import FailedPreconditionError, MmrecError, NotFoundError
from mmrec.sdk.rpcs import SERVICES
from mmrec_serving.access_log import AccessLog
from mmrec_serving.admission import Admission
from mmrec_serving.config import ServerConfig
from mmrec_serving.interceptors import AuthInterceptor, ErrorInterceptor
from mmrec_serving.open_streams import OpenStreams
from mmrec_serving.telemetry.calls import CallWatch

_log = logging.getLogger(__name__)

LEAST_PING_MS = 9_000
"""Clients that ask more often than this whether a connection is still there are disconnected."""
_QUIET_S = 0.02
"""A server that stops waits until no call has come for so long."""
_ENDING_S = 1.0
"""Time for telling calls that the server has stopped."""
BUNDLE_HEALTH = "mmrec.bundle"
"""Service of which health says NOT_SERVING while the current version of the bundle could not be loaded, so that the one
before is served. Calls are answered all the same, and all other services are SERVING."""
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Listener:
    """Listens for calls; use it inside one event loop: `bind`, `start`, then `stop`.

    Health says NOT_SERVING until `set_serving`, while it stops, and while a thread is missing that has ended by itself.

    Args:
        config: How to listen, and how to stop.
        watches: Are told of calls and their stages; more may be added until `start`.
        front_end: Whether it is one of several in front of one engine: they share the port, and the engine counts the
            rates of keys.
    """

    def __init__(self, config: ServerConfig, watches: Sequence[CallWatch] = (), *, front_end: bool = False) -> None:
        self.draining = False
        """Whether new calls are refused."""
        self._config = config
        self._watches = watches
        self._front_end = front_end
        self._serving = False
        self._bundle_refused = False
        self._ended: set[str] = set()
        """Names of threads that have ended by themselves, and in whose place there is no other."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._health = health.aio.HealthServicer()
        self._access = AccessLog(config.access_log)
        self._admission: Admission | None = None
        self._calls: ErrorInterceptor | None = None
        self._server: Any = None

    async def bind(self, handlers: Sequence[Any]) -> str:
        """Take the port. Returns the address, ``host:port`` with the actual port.

        Args:
            handlers: gRPC handlers of the services of the contract.

        Raises:
            FailedPreconditionError: the port is taken, the host or the TLS files are invalid, or others may write the
                file of API keys.
            NotFoundError: a TLS file or the file of API keys cannot be read.
            InvalidArgumentError: the file of API keys is not one.
        """
        config = self._config
        self._loop = asyncio.get_running_loop()
        self._access = AccessLog(config.access_log, self._loop.call_later)
        if config.token is not None or config.keys is not None:
            self._admission = Admission(config.keys, config.token, self.worker_ended, rates=not self._front_end)
        self._calls = ErrorInterceptor(self._access, self._admission, OpenStreams(config.max_streams), self._watches)
        interceptors: list[Any] = [self._calls]
        if self._admission is not None:
            interceptors.append(AuthInterceptor(self._admission))
        self._server = grpc.aio.server(interceptors=interceptors, options=_options(config, shared_port=self._front_end))
        self._server.add_generic_rpc_handlers(handlers)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        await self._update_health()
        if config.reflection:
            names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        return _bind(self._server, config)

    async def start(self) -> None:
        """Take calls from now on."""
        await self._server.start()
        if self._admission is not None:
            self._admission.start()

    @property
    def serving(self) -> bool:
        """What `set_serving` was called with last."""
        return self._serving

    async def set_serving(self, serving: bool) -> None:
        """Say by health whether calls are answered."""
        self._serving = serving
        await self._update_health()

    def bundle_refused(self, refused: bool) -> None:
        """Say by health of `BUNDLE_HEALTH` whether the current version could not be loaded; from any thread."""
        self._bundle_refused = refused
        self._update_soon()

    def reload(self) -> None:
        """Read the API keys again soon."""
        if self._admission is not None:
            self._admission.reload()

    async def stop(self, grace_s: float) -> None:
        """Stop in order: health NOT_SERVING, new calls refused, `grace_s` seconds for running ones."""
        self.draining = True
        await self._update_health()
        if self._server is not None and self._calls is not None:
            # gRPC itself would end calls as CANCELLED, which clients do not repeat; it stops when none is left. Until
            # then new calls are refused with UNAVAILABLE by their handlers.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._calls.finished(), grace_s)
            self._calls.end()
            # gRPC cancels calls that it has taken and not handed over yet. A caller that repeats a refused call at once
            # always has one, so new calls wait, until all callers do, and are refused when the connections are closing.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._calls.quiet(_QUIET_S), _ENDING_S)
            stopping = asyncio.ensure_future(self._server.stop(_ENDING_S))
            await asyncio.sleep(_QUIET_S)
            self._calls.let_go()
            await stopping
        self._access.close()
        if self._admission is not None:
            await asyncio.to_thread(self._admission.close)

    def worker_ended(self, name: str, error: MmrecError) -> None:
        """From a thread that has ended by itself; see `mmrec_serving.worker_threads`."""
        _log.critical("health says NOT_SERVING: %s: %s", name, error.message)
        self._soon(self._ended.add, name)

    def worker_returned(self, name: str) -> None:
        """From a thread that has taken the place of another one."""
        self._soon(self._ended.discard, name)

    def _soon(self, change: Callable[[str], None], name: str) -> None:
        change(name)
        self._update_soon()

    def _update_soon(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed() and self._serving:
            asyncio.run_coroutine_threadsafe(self._update_health(), loop)

    async def _update_health(self) -> None:
        status = _SERVING if self._serving and not self._ended and not self.draining else _NOT_SERVING
        for service in ("", *SERVICES):
            await self._health.set(service, status)
        await self._health.set(BUNDLE_HEALTH, _NOT_SERVING if self._bundle_refused else status)


_ANY_NUMBER = 2**31 - 1


def _options(config: ServerConfig, *, shared_port: bool) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # Otherwise a taken port must be an error, not a server that shares it.
        ("grpc.so_reuseport", int(shared_port)),
        # Clients may ask every ten seconds whether a quiet connection is still there; gRPC's default is five minutes.
        ("grpc.http2.min_ping_interval_without_data_ms", LEAST_PING_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        # A client with more calls at once keeps the others back, so that it cannot shut out other clients.
        ("grpc.max_concurrent_streams", config.max_calls),
        ("grpc.max_allowed_incoming_connections", config.max_connections or _half_of_the_open_files()),
        # With over 1,000 calls that were not looked at yet, gRPC would cancel new ones of all clients, by default.
        ("grpc.server.max_pending_requests", _ANY_NUMBER),
        ("grpc.server.max_pending_requests_hard_limit", _ANY_NUMBER),
    ]
    if config.max_connection_age_s is not None:
        options.append(("grpc.max_connection_age_ms", max(1, int(1000 * config.max_connection_age_s))))
        options.append(("grpc.max_connection_age_grace_ms", int(1000 * config.grace_s)))
    if config.max_connection_idle_s is not None:
        options.append(("grpc.max_connection_idle_ms", max(1, int(1000 * config.max_connection_idle_s))))
    return options


def _half_of_the_open_files() -> int:
    """Connections are open files, of which the stores need some, too."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ANY_NUMBER if limit == resource.RLIM_INFINITY else min(_ANY_NUMBER, max(1, limit // 2))


def _bind(server: Any, config: ServerConfig) -> str:
    credentials = None
    if config.tls_cert is not None and config.tls_key is not None:
        pair = (_read(config.tls_key), _read(config.tls_cert))
        client_ca = _read(config.client_ca) if config.client_ca is not None else None
        _check_tls(config.tls_cert, config.tls_key)
        credentials = grpc.ssl_server_credentials([pair], client_ca, client_ca is not None)
    address = address_of(config.host, config.port) if config.socket is None else f"unix:{config.socket}"
    try:
        port: int = (
            server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        )
    except RuntimeError:
        port = 0
    if port == 0:
        raise cannot_listen(address)
    if config.socket is not None:
        config.socket.chmod(0o600)
        return address
    return address_of(config.host, port)


def address_of(host: str, port: int) -> str:
    """``host:port``, with brackets around a host that is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def cannot_listen(address: str) -> MmrecError:
    """The error of a server whose port cannot be bound."""
    return FailedPreconditionError(
        f"cannot listen on {address}: the port is taken, or the address is not of this machine; pass another port "
        "(0 takes any free one), or stop what uses it"
    )


def _check_tls(cert: Path, key: Path) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as err:
        raise FailedPreconditionError(
            f"tls_cert {str(cert)!r} and tls_key {str(key)!r} do not work together ({getattr(err, 'reason', err)}); "
            "give a PEM chain and the unencrypted key of its first certificate"
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        raise NotFoundError(f"cannot read the TLS file {str(path)!r}: {err.strerror}") from err


# --- running it ---------------------------------------------------------------------------------------------


class Startable(Protocol):
    """What `run_until_stopped` runs."""

    async def start(self) -> str:
        """Listen. Returns the address."""

    async def ready(self) -> None:
        """Wait until calls are answered."""

    def reload(self) -> None:
        """What SIGHUP asks for."""

    async def stop(self, grace_s: float | None = None) -> None:
        """Finish running calls, within `grace_s` seconds, and end."""


async def run_until_stopped(
    server: Startable, on_listening: Callable[[str], None], on_ready: Callable[[str], None]
) -> None:
    """Run a server until SIGTERM or SIGINT, then drain; a second signal ends the grace at once.

    Args:
        server: The server.
        on_listening: Called with the address when the port is bound.
        on_ready: Called with the address when calls are answered.
    """
    signals = 0
    first, second = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        nonlocal signals
        signals += 1
        (first if signals == 1 else second).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, server.reload)
    address = await server.start()
    on_listening(address)
    ready = asyncio.ensure_future(server.ready())
    stopping = asyncio.ensure_future(first.wait())
    try:
        await asyncio.wait((ready, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await ready
            on_ready(address)
            await stopping
    except BaseException:
        await server.stop(0)
        raise
    finally:
        ready.cancel()
        stopping.cancel()
    drained = asyncio.ensure_future(server.stop())
    hurry = asyncio.ensure_future(second.wait())
    await asyncio.wait((drained, hurry), return_when=asyncio.FIRST_COMPLETED)
    if not drained.done():
        await server.stop(0)
    hurry.cancel()
    await drained
