"""Fixtures for every test: the data folder, one small fitted bundle, one server; and skips that say why."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    from mmrec.training import FitConfig
    from tests.postgres_server import PostgresServer
    from tests.redis_server import RedisServer

# One thread for each worker and for the processes that tests start, so that workers do not slow each other down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before anything imports a Hugging Face library: the tests need no hub and must not wait for one.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Servers and killed processes run beside the tests on the same cores; see mmrec.cli.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
# As the command line does; otherwise they draw bars on stderr, where tests look for our own words.
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

# A busy machine is slow, and nothing here asserts a time.
settings.register_profile("mmrec", deadline=None, print_blob=True)
settings.load_profile("mmrec")

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


def pytest_collection() -> None:
    # Collecting makes a million objects that stay: looking through them takes a quarter of its time.
    gc.disable()


def pytest_collection_finish() -> None:
    # Later collections of garbage leave them out, and take milliseconds instead of half a second.
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and _why_no_gpu():
            item.add_marker(pytest.mark.skip(reason=_why_no_gpu()))
        if item.get_closest_marker("realdata") and not _data_folder().is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no data folder at {_data_folder()}; set MMREC_DATA"))
    # Files with slow tests first, the slowest before them, so that in the end no worker is left alone with one of them.
    seconds = {item.path: sum(marker.args) for item in items if (marker := item.get_closest_marker("slow"))}
    items.sort(key=lambda item: seconds.get(item.path, -1), reverse=True)


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


MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Makes a folder of a run by its name: the first worker that needs it makes it, the others wait and read it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, made = shared / name, shared / f"{name}.made"
        with FileLock(shared / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                made.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def demo_dataset(make_once: MakeOnce) -> Path:
    """A dataset folder drawn by the demo: 60 items with pictures and words, 120 users."""
    from mmrec.demo import write_demo_dataset

    return make_once("demo-dataset", lambda folder: write_demo_dataset(folder, items=60, users=120))


def quick_fit() -> FitConfig:
    """The smallest settings that still train every part."""
    from mmrec.generator.config import GeneratorConfig, TrainingConfig
    from mmrec.generator.sentence_training import SentenceConfig
    from mmrec.training import FitConfig
    from mmrec_encoders.fusion_training import FusionConfig

    return FitConfig(
        fusion=FusionConfig(steps=60, batch_size=64),
        generator=GeneratorConfig(hidden=32, layers=1, heads=2, max_history=20),
        training=TrainingConfig(epochs=2),
        sentences=SentenceConfig(epochs=1, least_steps=0, most=300),
    )


def tiny_fit() -> FitConfig:
    """For tests of what a fit does and stores, to which it does not matter that nearly nothing is learned."""
    from mmrec.generator.sentence_training import SentenceConfig
    from mmrec_encoders.fusion_training import FusionConfig

    quick = quick_fit()
    return replace(
        quick,
        fusion=FusionConfig(steps=4, batch_size=32),
        training=replace(quick.training, epochs=1),
        sentences=SentenceConfig(epochs=1, least_steps=0, most=30),
    )


@pytest.fixture(scope="session")
def demo_bundle(demo_dataset: Path, make_once: MakeOnce) -> Path:
    """A bundle fitted on `demo_dataset` by `quick_fit`."""
    from mmrec.training import fit_dataset

    return make_once("demo-bundle", lambda folder: fit_dataset(demo_dataset, folder, quick_fit()))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that runs on this machine."""
    pytest.importorskip("psycopg", reason="psycopg is not installed; run: pip install 'mmrec[postgres]'")
    from tests.postgres_server import programs, running

    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed; run: apt-get install postgresql")
    with running(found) as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis server that runs on this machine."""
    pytest.importorskip("redis", reason="redis-py is not installed; run: pip install 'mmrec[redis]'")
    from tests.redis_server import program, running

    found = program()
    if found is None:
        pytest.skip("Redis is not installed; run: apt-get install redis-server")
    with running(found) as server:
        yield server


@pytest.fixture(scope="session")
def demo_server(demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of an `mmrec serve` process with `demo_bundle`, stopped with SIGTERM in the end."""
    from tests.commands import start

    log = tmp_path_factory.mktemp("server") / "log.txt"
    with start("serve", demo_bundle, "--port", "0", stderr=log) as server:
        # It says where it listens as soon as it answers, and closes stdout if it ends before.
        address = server.stdout.readline().strip()
        assert address, f"the server ended with {server.wait(timeout=30)}: {log.read_text()}"
        yield address
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0, log.read_text()


def subprocess_environment(**extra: str) -> dict[str, str]:
    """The environment for a child Python that is to find the packages whether or not they are installed."""
    roots = [str(ROOT), str(ROOT / "encoders"), str(ROOT / "serving")]
    path = os.pathsep.join([*roots, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **extra}


@pytest.fixture(scope="session")
def child_environment() -> dict[str, str]:
    """See `subprocess_environment`."""
    return subprocess_environment()


def _mount(*arguments: str) -> str:
    """What went wrong; empty when nothing did."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except OSError as err:
        return str(err)
    return "" if done.returncode == 0 else done.stderr.strip() or "mount failed"


@pytest.fixture
def new_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes file systems in memory of a size such as ``1m``."""
    folders: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk{len(folders)}"
        folder.mkdir()
        problem = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
        if problem:
            pytest.skip(f"no small file system can be mounted here: {problem}")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small_disk(new_disk: Callable[[str], Path]) -> Path:
    """A file system of one megabyte."""
    return new_disk("1m")


@pytest.fixture
def remount(small_disk: Path) -> Callable[[str], None]:
    """Makes `small_disk` read-only, or writable again."""

    def change(mode: str) -> None:
        assert _mount("-o", f"remount,{mode}", str(small_disk)) == ""

    return change


def fill_disk(filler: Path) -> Path:
    """Leave no room on the disk of `filler`, which is the file that takes it."""
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 1024)
        except OSError:
            return filler
