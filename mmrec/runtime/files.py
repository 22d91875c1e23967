"""Writing files so that a reader, or a kill, only ever sees the old one or the new one."""

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
    """Let `write` fill a temporary file beside `path`, then move it there in one step, durably.

    Args:
        path: Where the file is to be.
        write: Given the temporary path; writes the whole file.

    Raises:
        OSError: the disk refuses; it names `path`, whichever library was writing.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with naming_file(path, temporary):
        try:
            write(temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def new_array_file(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[Any]]:
    """A new ``.npy`` file of zeros, mapped into memory to be filled; `flush` it in the end.

    Its room is taken at once: where a full disk were met only while the map is filled, the system would kill the
    process.

    Raises:
        OSError: the disk has no room for it.
    """
    made: np.memmap[Any, np.dtype[Any]] = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if sys.platform == "linux":
        with naming_file(path), path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return made
