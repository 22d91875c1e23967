"""Fixtures for every test: the data folder, one small fitted bundle, one server; and skips that say why."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

# Before anything imports a Hugging Face library: the tests need no hub and must not wait for one.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

ROOT = Path(__file__).resolve().parent.parent


def _data_folder() -> Path:
    return Path(os.environ.get("MMREC_DATA") or ROOT.parent / "shared" / "data")


@cache
def _why_no_gpu() -> str:
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    return "" if torch.cuda.is_available() else f"torch {torch.__version__} sees no CUDA device"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and _why_no_gpu():
            item.add_marker(pytest.mark.skip(reason=_why_no_gpu()))
        if item.get_closest_marker("realdata") and not _data_folder().is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no data folder at {_data_folder()}; set MMREC_DATA"))


@pytest.fixture(scope="session")
def project_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets: $MMREC_DATA, or ../shared/data beside the project."""
    folder = _data_folder()
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; set MMREC_DATA")
    return folder


@pytest.fixture(scope="session")
def demo_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder drawn by the demo: 60 items with pictures and words, 120 users."""
    from mmrec.demo import write_demo_dataset

    folder = tmp_path_factory.mktemp("demo") / "dataset"
    write_demo_dataset(folder, items=60, users=120)
    return folder


@pytest.fixture(scope="session")
def demo_bundle(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle fitted on `demo_dataset` with the smallest settings that still train every part."""
    from mmrec.pipeline import FitConfig, fit_dataset

    return fit_dataset(demo_dataset, tmp_path_factory.mktemp("demo") / "bundle", FitConfig())


@pytest.fixture(scope="session")
def demo_server(demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of an `mmrec serve` process with `demo_bundle`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("wb") as sink:
        server = subprocess.Popen(
            [sys.executable, "-m", "mmrec", "serve", str(demo_bundle), "--port", str(port)],
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=subprocess_environment(),
        )
    try:
        _wait_until_serving(f"127.0.0.1:{port}", server, log)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_until_serving(target: str, server: subprocess.Popen[bytes], log: Path) -> None:
    from mmrec import Client, MmrecError

    for _ in range(240):
        assert server.poll() is None, f"the server ended with {server.returncode}: {log.read_text()}"
        try:
            with Client(target, timeout=2.0) as client:
                client.info()
            return
        except MmrecError:
            time.sleep(0.5)
    raise AssertionError(f"the server did not answer: {log.read_text()}")


def subprocess_environment(**extra: str) -> dict[str, str]:
    """The environment for a child Python that is to find the packages whether or not they are installed."""
    roots = [str(ROOT), str(ROOT / "encoders"), str(ROOT / "serving")]
    path = os.pathsep.join([*roots, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **extra}


@pytest.fixture(scope="session")
def child_environment() -> dict[str, str]:
    """See `subprocess_environment`."""
    return subprocess_environment()
