"""Folders and arrays that are made once and kept, so that a run that was cut short goes on; whole or not at all.

Knows nothing of what they hold.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.runtime.files import replace_file


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `folder` at the end of the block."""
    staging = folder.with_name(f".{folder.name}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    yield staging
    staging.replace(folder)


def kept_arrays(path: Path, make: Callable[[], Mapping[str, npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    """Arrays of an ``.npz`` file, made if need be."""
    if not path.exists():
        save_arrays(path, make())
    with np.load(path, allow_pickle=False) as found:
        return dict(found)


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write an ``.npz`` file, and its folder if need be."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, write)
