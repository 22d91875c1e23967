"""A server of several processes: front ends that share the port, and behind them the engine's.

This process, their parent, answers nothing and loads nothing. A process that ends is started again: the engine's from
a standby, which has imported the large libraries already. On SIGTERM the front ends finish their calls first, and the
engine's process ends after them. A process gets its order as a line of JSON on stdin, says on stdout how it is, line by
line, and stops when the parent has gone, which closes its stdin.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmrec.errors import FailedPreconditionError, MmrecError
from mmrec.sdk.status import error_from_trailer, error_to_trailer
from mmrec_serving.config import ServerConfig, config_from_json, config_to_json
from mmrec_serving.front_end import FrontEnd, engine_config, front_end_config
from mmrec_serving.listening import Startable, address_of, cannot_listen, run_until_stopped
from mmrec_serving.telemetry.json_lines import LogConfig, start_log
from mmrec_serving.updates.child_process import command_of

_log = logging.getLogger(__name__)

_PAUSES_S = (1.0, 60.0)
"""First and longest pause before a process that was never ready is started again."""
_END_S = 20.0
"""Most seconds beyond its grace that a process may take to end."""


# --- in the processes -------------------------------------------------------------------------------------------------


def run_ordered(make: Callable[[Mapping[str, Any], ServerConfig], Callable[[], Startable]]) -> None:
    """In a process of the server: wait for the order, do it, and tell the parent.

    Args:
        make: From the order and the configuration in it, what makes the server; called inside its event loop.
    """
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no line for the parent

    def tell(**line: object) -> None:
        print(json.dumps(line), file=told, flush=True)

    line = sys.stdin.readline()
    if not line:
        return
    threading.Thread(target=_stop_with_the_parent, daemon=True).start()
    order = json.loads(line)
    start_log(LogConfig(**order["log"]))
    try:
        server = make(order, config_from_json(order["config"]))

        async def run() -> None:
            await run_until_stopped(server(), lambda _: tell(listening=True), lambda _: tell(ready=True))

        asyncio.run(run())
    except MmrecError as err:
        tell(error=base64.b64encode(error_to_trailer(err)[1]).decode())
        sys.exit(err.exit_code)


def _stop_with_the_parent() -> None:
    # Not `sys.stdin`, whose lock would end the interpreter with an error.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """A front end's process."""
    run_ordered(lambda order, config: lambda: FrontEnd(config, order["engine"]))


# --- in the parent ----------------------------------------------------------------------------------------------------


def serve_in_processes(
    engine: Sequence[str],
    order: Mapping[str, Any],
    front_ends: int,
    config: ServerConfig,
    log: LogConfig,
    *,
    on_listening: Callable[[str], None] = lambda address: None,
    on_ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the grace at once. SIGHUP goes to all processes.

    Args:
        engine: Command of the engine's process, which calls `run_ordered`.
        order: What that process needs besides its configuration, as values of JSON.
        front_ends: Number of front ends, at least 1.
        config: That of the whole server.
        log: How all processes log.
        on_listening: Called with the address when every front end listens.
        on_ready: Called with the address when the engine serves.

    Raises:
        MmrecError: the port cannot be bound, or a process said at its first start why it cannot serve.
    """
    asyncio.run(_serve(engine, order, front_ends, config, log, on_listening, on_ready))


async def _serve(
    engine: Sequence[str],
    order: Mapping[str, Any],
    front_ends: int,
    config: ServerConfig,
    log: LogConfig,
    on_listening: Callable[[str], None],
    on_ready: Callable[[str], None],
) -> None:
    # Only this user can enter the folder.
    with _reserved(config) as port, tempfile.TemporaryDirectory(prefix="mmrec-") as folder:
        path = Path(folder) / "engine"
        common = {"log": log._asdict()}
        own = {**order, **common, "config": config_to_json(engine_config(config, path))}
        front = {**common, "config": config_to_json(front_end_config(config, port)), "engine": f"unix:{path}"}
        kept = [_Kept("the engine", engine, own, standby=True)]
        kept += [_Kept(f"front end {n + 1}", command_of(__name__), front) for n in range(front_ends)]
        stop, hurry = asyncio.Event(), asyncio.Event()
        _on_signals(kept, stop, hurry)
        keeping = [asyncio.ensure_future(one.keep()) for one in kept]
        stopping = asyncio.ensure_future(stop.wait())
        address = address_of(config.host, port)

        async def up() -> None:
            await asyncio.gather(*(one.listening.wait() for one in kept))
            on_listening(address)
            await asyncio.gather(*(one.ready.wait() for one in kept))
            on_ready(address)
            await stop.wait()

        coming_up = asyncio.ensure_future(up())
        try:
            # A process is kept until it is stopped, or its first start has failed.
            await asyncio.wait((*keeping, coming_up, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            coming_up.cancel()
            stopping.cancel()
            for group in (kept[1:], kept[:1]):
                await asyncio.gather(*(one.stop(config.grace_s + _END_S, hurry) for one in group))
        for error in await asyncio.gather(*keeping, return_exceptions=True):
            if error is not None:
                raise error


class _Kept:
    """A process that is started again when it ends by itself.

    Args:
        name: For the log.
        command: What starts it.
        order: Its line on stdin.
        standby: Whether another process waits to take its place.
    """

    def __init__(self, name: str, command: Sequence[str], order: Mapping[str, Any], *, standby: bool = False) -> None:
        self.listening, self.ready = asyncio.Event(), asyncio.Event()
        self._name, self._command, self._standby = name, command, standby
        self._order = json.dumps(order).encode() + b"\n"
        self._process: Process | None = None
        self._next: Process | None = None
        self._listens = False
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Keep it running until `stop`.

        Raises:
            MmrecError: it has ended before it was ever ready.
        """
        pause_s = 0.0
        while not self._stopping.is_set():
            process, self._next = self._next or await self._spawned(), None
            self._process = process
            if self._stopping.is_set():
                await _killed(process)
                return
            was_ready, error = await self._run(process)
            status = await process.wait()
            self._listens = False
            if self._stopping.is_set():
                return
            how = f"{self._name} has ended by itself, with {_death(status)}"
            if not self.ready.is_set():
                raise error or FailedPreconditionError(f"{how}, before it was ready; the log says why")
            first, most = _PAUSES_S
            # Who was ready comes back at once: what ends it takes longer than a start, or comes from outside.
            pause_s = 0.0 if was_ready else min(most, 2 * pause_s or first)
            _log.error("%s%s; it is started again in %g s", how, f": {error.message}" if error else "", pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)

    def reload(self) -> None:
        """Send SIGHUP, which a process understands when it listens."""
        if self._listens:
            self._signal(signal.SIGHUP)

    async def stop(self, seconds: float, hurry: asyncio.Event) -> None:
        """Let it drain, for so many seconds at most; with `hurry` at once."""
        self._stopping.set()
        if self._next is not None:
            await _killed(self._next)
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        hurrying = asyncio.ensure_future(self._hurry(hurry))
        try:
            await asyncio.wait_for(self._process.wait(), seconds)
        except TimeoutError:
            await _killed(self._process)
        hurrying.cancel()

    async def _hurry(self, hurry: asyncio.Event) -> None:
        await hurry.wait()
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _spawned(self) -> Process:
        # A group of its own: Ctrl-C on a terminal is for the parent, which stops them in order.
        return await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE, process_group=0)

    async def _run(self, process: Process) -> tuple[bool, MmrecError | None]:
        """Give the order, and read what the process says: whether it was ready, and why it ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(self._order)
        was_ready, error = False, None
        async for line in process.stdout:
            said = json.loads(line)
            if "listening" in said:
                self._listens = True
                self.listening.set()
            if "ready" in said:
                was_ready = True
                self.ready.set()
                if self._standby:
                    self._next = await self._spawned()
                    if self._stopping.is_set():
                        await _killed(self._next)
            if "error" in said:
                error = error_from_trailer(base64.b64decode(said["error"]))
        return was_ready, error


async def _killed(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _on_signals(kept: Sequence[_Kept], stop: asyncio.Event, hurry: asyncio.Event) -> None:
    def on_stop() -> None:
        (hurry if stop.is_set() else stop).set()

    def on_hangup() -> None:
        for one in kept:
            one.reload()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)


@contextmanager
def _reserved(config: ServerConfig) -> Iterator[int]:
    """The port, bound but not listened on, so that front ends can share it and nobody else can take it.

    Raises:
        FailedPreconditionError: it is taken, or the host is not of this machine.
    """
    held = None
    try:
        found = socket.getaddrinfo(
            config.host.strip("[]"), config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, _, _, address = found[0]
        held = socket.socket(family, kind)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Not shared yet: a port that another server listens on is taken, also where that one would share it.
        held.bind(address)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except (OSError, UnicodeError) as err:
        if held is not None:
            held.close()
        raise cannot_listen(address_of(config.host, config.port)) from err
    with held:
        yield held.getsockname()[1]


def _death(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status}"
