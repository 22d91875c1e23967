"""Rows that are computed once and kept in a memory-mapped file; the processes of a group share the work."""

# Axes: N rows, B batch, F values of a row

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mmrec.runtime.files import new_array_file
from mmrec.runtime.processes import Processes

Rows = npt.NDArray[np.int64]


def keep_rows(
    path: Path,
    shape_NF: tuple[int, int],
    dtype: npt.DTypeLike,
    compute: Callable[[Rows, Rows | None], npt.NDArray[np.floating]],
    processes: Processes,
    *,
    batch: int,
    done: Callable[[int], object] = lambda count: None,
) -> None:
    """Compute the rows and write them to `path` as a ``.npy`` file; if the file is there, nothing is done.

    All processes of the group call it, and each computes its share.

    Args:
        path: The file; appears when it is complete.
        shape_NF: Of the file.
        dtype: Of the file.
        compute: Values of some rows, shape (B, F), given their numbers and those of the batch after them, if any.
        processes: The process group.
        batch: Rows at a time.
        done: Called with the number of rows after each batch.
    """
    if path.is_file():
        return
    temporary = path.with_name(f".{path.name}.tmp")
    if processes.is_main:
        new_array_file(temporary, dtype, shape_NF)
    processes.wait()
    file = np.load(temporary, mmap_mode="r+")
    own = np.array_split(np.arange(shape_NF[0], dtype=np.int64), processes.count)[processes.index]
    batches = [own[at : at + batch] for at in range(0, len(own), batch)]
    for rows, upcoming in zip(batches, [*batches[1:], None], strict=True):
        file[rows] = compute(rows, upcoming)
        done(len(rows))
    file.flush()
    processes.wait()
    if processes.is_main:
        temporary.replace(path)
    processes.wait()
