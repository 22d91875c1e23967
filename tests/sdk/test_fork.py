"""A client and processes that are forked from its own; in a program that has the SDK alone."""

from __future__ import annotations

import subprocess
import sys

from mmrec_serving import BackgroundServer
from tests.conftest import subprocess_environment
from tests.fake_engine import FakeEngine

PROGRAM = """
import asyncio, os, sys
from mmrec.errors import MmrecError
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client

def in_child(function):
    child = os.fork()
    if not child:
        try:
            print(function(), flush=True)
        except MmrecError as err:
            print(err.code, err.message, flush=True)
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)

async def twice():
    async with AsyncClient(sys.argv[1]) as client:
        await client.info()
        call = client.info()
        in_child(lambda: call.send(None))

with Client(sys.argv[1]) as client:
    in_child(lambda: client.info().name)
    client.info()
    in_child(client.info)
    in_child(lambda: client.stream_upserts([[{"title": "a"}]]).__next__())
    in_child(client.close)
    print(client.info().name)
asyncio.run(twice())
"""


def test_a_client_is_refused_in_a_forked_process_once_it_has_a_connection() -> None:
    with BackgroundServer(FakeEngine) as server:
        command = [sys.executable, "-c", PROGRAM, server.target]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, env=subprocess_environment()
        )
    assert done.returncode == 0, done.stderr
    unused, used, stream, closed, parent, asyncio_used = done.stdout.splitlines()
    assert (unused, closed, parent) == ("fake", "None", "fake")
    refused = f"FAILED_PRECONDITION this client of {server.target} has a connection of process "
    assert used.startswith(refused)
    assert "make another client here" in used
    assert stream.startswith(refused)
    assert asyncio_used.startswith(refused)
