"""Sends the calls of a load at their planned times.

The load is open: a call is sent when its time has come, however many others wait, as customers do who know nothing of
each other. A closed loop, in which each of some callers waits for its answer, slows down with the server and never
overloads it. Calls are not retried. Run it in a process other than the server's, so that neither waits for the other's
interpreter lock.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from typing import Any

import grpc.aio
import numpy as np

from mmrec.errors import FailedPreconditionError, UnavailableError
from mmrec.evaluation.load.calls import CALLS, Draw, Row
from mmrec.evaluation.load.load import Load
from mmrec.evaluation.load.outcomes import OK, LoadResult, Outcome
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.connection import DEFAULT_TIMEOUT_S, Tls, channel_options, checked_target, metadata_for
from mmrec.sdk.status import DETAILS_KEY

_ROWS = 1_000
"""Items of the catalogue that requests are drawn from: the first ones by id."""
_AFTER_DEADLINE_S = 5.0
"""A call that has not ended so long after its deadline hangs."""
_RETRIES = "grpc.enable_retries"
_LEAD_S = 0.1
"""Time before the first call, so that it can be in time."""


def run_load(target: str, load: Load, *, token: str | None = None, tls: Tls | None = None) -> LoadResult:
    """Send the calls of a load, and wait for their ends. Takes the time of the load, and a timeout at most.

    Args:
        target: Address of the server, ``host:port``.
        load: What is sent.
        token: The server's token, if it requires one.
        tls: For TLS.

    Raises:
        MmrecError: before the first call is sent, the server cannot be reached, or refuses to list items.
        FailedPreconditionError: the catalogue has no items.
    """
    return asyncio.run(_run(checked_target(target), load, token, tls))


async def _run(target: str, load: Load, token: str | None, tls: Tls | None) -> LoadResult:
    async with AsyncClient(target, token=token, tls=tls or False, timeout=DEFAULT_TIMEOUT_S) as client:
        page = await client.list_items(page_size=_ROWS)
    if not page.items:
        raise FailedPreconditionError(f"the catalogue of {target} has no items; load a bundle that has some")
    rng = np.random.default_rng(load.seed)
    draw = Draw([Row(item.item_id, item.title) for item in page.items], load.history, load.k, rng)
    channels = [_channel(target, tls) for _ in range(load.connections)]
    connected = asyncio.gather(*(channel.channel_ready() for channel in channels))
    try:
        try:
            await asyncio.wait_for(connected, DEFAULT_TIMEOUT_S)
        except TimeoutError:
            raise UnavailableError(f"{target} does not accept {load.connections} connections; use fewer") from None
        return LoadResult.of(load, await _send(channels, load, draw, rng, metadata_for(token)))
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


def _channel(target: str, tls: Tls | None) -> Any:
    """A connection of its own, without retries: each outcome is told as it is."""
    options = [option for option in channel_options(tls) if option[0] not in ("grpc.service_config", _RETRIES)]
    options += [(_RETRIES, 0), ("grpc.use_local_subchannel_pool", 1)]
    if tls is None:
        return grpc.aio.insecure_channel(target, options)
    return grpc.aio.secure_channel(target, tls.credentials(), options)


async def _send(
    channels: list[Any], load: Load, draw: Draw, rng: np.random.Generator, metadata: tuple[tuple[str, str], ...]
) -> list[Outcome]:
    """All outcomes, when every call has ended or hangs."""
    kinds = list(load.calls)
    shares = np.array([load.calls[kind] for kind in kinds], float)
    shares /= shares.sum()
    methods = [{kind: channel.unary_unary(CALLS[kind].rpc.path) for kind in kinds} for channel in channels]
    outcomes: list[Outcome] = []
    began = time.perf_counter() + _LEAD_S + load.warmup_s

    async def one(method: Any, data: bytes, kind: str, planned_s: float) -> None:
        planned = began + planned_s
        lag_s = max(0.0, time.perf_counter() - planned)
        answered = True
        try:
            await method(data, timeout=load.timeout_s, metadata=metadata)
            code = OK
        except grpc.aio.AioRpcError as err:
            code = err.code().name
            answered = any(name == DETAILS_KEY for name, _ in err.trailing_metadata() or ())
        except asyncio.CancelledError:
            outcomes.append(Outcome(kind, planned_s, lag_s, math.inf, "", False))
            raise
        outcomes.append(Outcome(kind, planned_s, lag_s, time.perf_counter() - planned, code, answered))

    running: set[asyncio.Task[None]] = set()
    for number, planned_s in enumerate(_arrivals(load, rng)):
        kind = kinds[int(rng.choice(len(kinds), p=shares))]
        # Drawn and encoded before its time.
        data = CALLS[kind].rpc.encode_request(CALLS[kind].request(draw))
        await asyncio.sleep(max(0.0, began + planned_s - time.perf_counter()))
        task = asyncio.create_task(one(methods[number % len(methods)][kind], data, kind, planned_s))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        await asyncio.wait(running, timeout=load.timeout_s + _AFTER_DEADLINE_S)
    hanging = list(running)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    return outcomes


def _arrivals(load: Load, rng: np.random.Generator) -> Iterator[float]:
    """Times of the calls, in seconds after the warm-up."""
    at, number = -load.warmup_s, 0
    while at < load.seconds:
        yield at
        number += 1
        poisson = load.arrivals == "poisson"
        at = at + float(rng.exponential()) / load.rate if poisson else number / load.rate - load.warmup_s
