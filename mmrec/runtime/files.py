"""Atomic file replacement, and array files whose disk space is reserved."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.runtime.disk_errors import naming_file


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file beside `path`, sync it, and rename it to `path`: readers see the old file or the new one.

    Args:
        path: The file to create or replace.
        write: Called with the temporary path; writes the whole file.

    Raises:
        OSError: a disk error; it names `path`, whichever library was writing.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with naming_file(path, temporary):
        try:
            write(temporary)
            sync(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a written file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def new_array_file(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[Any]]:
    """A new memory-mapped ``.npy`` file of zeros; call `flush` when it is filled.

    Disk space is reserved at once: if the disk ran full while the map is filled, the process would be killed.

    Raises:
        OSError: not enough disk space.
    """
    array: np.memmap[Any, np.dtype[Any]] = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if sys.platform == "linux":
        with naming_file(path), path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
