"""The example for Go, compiled with the packages that are on this machine, against a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "go"
PACKAGES = Path("/usr/share/gocode")
"""Where Debian's packages of Go's libraries are."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [name for name in ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"there is no program {missing[0]}; examples/go/README.md says what to install")
    if not (PACKAGES / "src" / "google.golang.org" / "grpc").is_dir():
        pytest.skip(f"there is no grpc for Go in {PACKAGES}; examples/go/README.md says what to install")
    made = tmp_path_factory.mktemp("go")
    # Without modules, which would be downloaded: packages are found by their place below GOPATH.
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": f"{made}:{PACKAGES}", "GOMAXPROCS": "1"}
    generated = made / "src" / "example.com" / "mmrec-example" / "mmrecv1"
    for command in (["sh", str(FOLDER / "generate.sh"), str(generated)], ["go", "build", "-o", str(made / "program")]):
        done = subprocess.run(
            command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False, timeout=280
        )
        assert done.returncode == 0, done.stderr
    return made / "program"


def _run(program: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_example_searches_recommends_and_records(program: Path) -> None:
    engine = FakeEngine()
    with BackgroundServer(lambda: engine, ServerConfig(port=0, changes_in_memory=True)) as server:
        done = _run(program, server.target, "lamp")
    assert (done.returncode, done.stderr) == (0, "")
    # Four letters name item 4, and a recommendation goes on from the last one that was found.
    assert done.stdout.splitlines()[0].startswith("found: item-4, ")
    assert [event.event_type for request in engine.recorded for event in request.valid] == ["view"]


def test_a_key_is_sent_and_errors_are_told(program: Path) -> None:
    with BackgroundServer(FakeEngine, ServerConfig(port=0, token="s3cret", changes_in_memory=True)) as server:
        assert _run(program, server.target, "lamp", MMREC_TOKEN="s3cret").returncode == 0
        refused = _run(program, server.target, "lamp")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Unauthenticated: the call has no token")


def test_without_arguments_it_says_which_it_takes(program: Path) -> None:
    done = _run(program)
    assert (done.returncode, done.stderr) == (2, "usage: mmrec-example HOST:PORT WORDS\n")
