"""Stores in folders of their own, and a file system of one megabyte."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmrec_serving.store import SqliteChangeStore, StoreConfig


@pytest.fixture
def config(tmp_path: Path) -> StoreConfig:
    return StoreConfig(tmp_path / "store")


@pytest.fixture
def store(config: StoreConfig) -> Iterator[SqliteChangeStore]:
    with SqliteChangeStore(config, "c1") as made:
        yield made


@pytest.fixture(scope="module")
def quick_folder() -> Iterator[Callable[[], Path]]:
    """Makes folders in memory where there is such a place, for tests that commit hundreds of times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield lambda: Path(tempfile.mkdtemp(dir=folder))


def _mount(*arguments: str) -> str:
    """What went wrong; empty when nothing did."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except OSError as err:
        return str(err)
    return "" if done.returncode == 0 else done.stderr.strip() or "mount failed"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    problem = _mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    if problem:
        pytest.skip(f"no small file system can be mounted here: {problem}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def remount(small_disk: Path) -> Callable[[str], None]:
    """Makes `small_disk` read-only, or writable again."""

    def change(mode: str) -> None:
        assert _mount("-o", f"remount,{mode}", str(small_disk)) == ""

    return change
