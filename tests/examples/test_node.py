"""The example for Node.js against a real server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "node"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no program node; install Node.js 18 or newer")
    if not (FOLDER / "node_modules" / "@grpc" / "grpc-js").is_dir():
        pytest.skip("the example's packages are not installed; run npm ci in examples/node")
    command = [node, "recommend.mjs", *arguments]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60)


def test_the_example_searches_recommends_and_records() -> None:
    engine = FakeEngine()
    with BackgroundServer(lambda: engine, ServerConfig(port=0, changes_in_memory=True)) as server:
        done = _run(server.target, "lamp")
    assert (done.returncode, done.stderr) == (0, "")
    # Four letters name item 4, and a recommendation goes on from the last one that was found.
    assert done.stdout.splitlines()[0].startswith("found: item-4, ")
    assert [event.event_type for request in engine.recorded for event in request.valid] == ["view"]


def test_without_arguments_it_says_which_it_takes() -> None:
    done = _run()
    assert (done.returncode, done.stderr) == (2, "usage: node recommend.mjs HOST:PORT WORDS\n")
