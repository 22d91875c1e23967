"""The two ends of a transport without an engine between: a server that answers every call alike, and callers.

Each is a process of its own. Calls are bytes, so that neither end spends time on messages.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio

from mmrec.sdk.rpcs import RECOMMEND

KINDS = ("threads", "asyncio", "uvloop")
"""Servers: `grpc.server` with a pool of threads, and `grpc.aio` on either event loop."""
_THREADS = 16


def ask(address: str, path: str, request: str, callers: int, seconds: float) -> dict[str, Any]:
    """Call from threads without a pause: how many calls were answered, in which time, and the ms of each.

    Args:
        address: Of the server.
        path: Full name of the RPC.
        request: The message, in base64.
        callers: Threads, each on a connection of its own.
        seconds: How long.
    """
    message, took = base64.b64decode(request), list[float]()
    ready = threading.Barrier(callers + 1)

    def call() -> list[float]:
        times = []
        # Channels with the same address share a connection, unless they are told not to.
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            one: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
            one(message, timeout=60)
            ready.wait()
            end = time.perf_counter() + seconds
            while (began := time.perf_counter()) < end:
                one(message, timeout=60)
                times.append(1000 * (time.perf_counter() - began))
        return times

    with ThreadPoolExecutor(callers) as pool:
        running = [pool.submit(call) for _ in range(callers)]
        ready.wait()
        began = time.perf_counter()
        for one in running:
            took += one.result()
        elapsed = time.perf_counter() - began
    return {"calls": len(took), "seconds": elapsed, "took": took}


def reply_to(address: str, request: str) -> dict[str, Any]:
    """The reply of a server to Recommend, in base64.

    Args:
        address: Of the server.
        request: The message, in base64.
    """
    with grpc.insecure_channel(address) as channel:
        recommend: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(RECOMMEND.path)
        reply = recommend(base64.b64decode(request), timeout=60)
    return {"reply": base64.b64encode(reply).decode()}


def _threads(reply: bytes) -> None:
    server = grpc.server(ThreadPoolExecutor(_THREADS))
    server.add_generic_rpc_handlers([_handlers(lambda request, context: reply)])
    _say(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


async def _coroutines(reply: bytes) -> None:
    async def answer(request: bytes, context: Any) -> bytes:
        return reply

    server = grpc.aio.server()
    server.add_generic_rpc_handlers([_handlers(answer)])
    _say(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await server.wait_for_termination()


def _handlers(behaviour: Any) -> Any:
    _, service, method = RECOMMEND.path.split("/")
    return grpc.method_handlers_generic_handler(service, {method: grpc.unary_unary_rpc_method_handler(behaviour)})


def _say(port: int) -> None:
    print(f"127.0.0.1:{port}", flush=True)


def _main() -> None:
    """Serve: the kind of server is the argument, and the reply comes on stdin, in base64."""
    kind, reply = sys.argv[1], base64.b64decode(sys.stdin.readline())
    if kind == "threads":
        _threads(reply)
    elif kind == "uvloop":
        importlib.import_module("uvloop").run(_coroutines(reply))
    else:
        asyncio.run(_coroutines(reply))


if __name__ == "__main__":
    _main()
