"""Checks of arrays that were read from a bundle: type, shape, and the range of every number that is an index.

A hash says that a file is the published one, and not who made it. Compiled code uses indices unchecked: one that is out
of range reads memory of something else, or ends the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.errors import BundleError

_REMEDY = "copy the bundle afresh from where it was made, or fit again"


def checked_array(
    path: Path, tensors: Mapping[str, npt.NDArray[Any]], name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    """One array of a file.

    Args:
        path: The file, for messages.
        tensors: Its arrays by name.
        name: The array's name.
        dtype: Its type.
        shape: Its shape; None for any length.

    Raises:
        BundleError: it is missing, or of another type or shape.
    """
    if name not in tensors:
        raise BundleError(f"{path} has no {name!r}; it was written by another version: fit again")
    array = tensors[name]
    fits = len(array.shape) == len(shape) and all(
        length in (None, found) for length, found in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        lengths = ", ".join("any" if length is None else str(length) for length in shape)
        raise BundleError(
            f"{path}: {name!r} is {array.dtype} of shape {array.shape}; it must be {np.dtype(dtype)} of shape "
            f"({lengths}): {_REMEDY}"
        )
    return array


def check_indices(path: Path, name: str, indices: npt.NDArray[Any], below: int, what: str) -> None:
    """Raise `BundleError` unless all integers are 0 or more and less than `below`, the number of `what`."""
    if not indices.size:
        return
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= below:
        raise BundleError(
            f"{path}: {name!r} holds {high if high >= below else low}; it must be 0 or more and less than {below}, the "
            f"number of {what}: {_REMEDY}"
        )


def checked_csr(
    path: Path, tensors: Mapping[str, npt.NDArray[Any]], name: str, rows: int, columns: int | None
) -> sp.csr_array:
    """One sparse matrix of a file.

    Args:
        path: The file, for messages.
        tensors: Its arrays by name: data, indices, indptr and shape behind the matrix's name and a dot.
        name: The matrix's name.
        rows: Most rows.
        columns: Its columns; None: as many as rows.

    Raises:
        BundleError: an array is missing, or the four do not describe a matrix of this size.
    """
    shape = checked_array(path, tensors, f"{name}.shape", np.int64, (2,)).tolist()
    if not 0 <= shape[0] <= rows or shape[1] != (shape[0] if columns is None else columns):
        wanted = f"{rows} rows and as many columns" if columns is None else f"{rows} rows and {columns} columns"
        raise BundleError(f"{path}: {name!r} is a matrix of shape {tuple(shape)}; it must have {wanted}: {_REMEDY}")
    indices = checked_array(path, tensors, f"{name}.indices", np.int32, (None,))
    data = checked_array(path, tensors, f"{name}.data", np.float32, (len(indices),))
    indptr = checked_array(path, tensors, f"{name}.indptr", np.int64, (shape[0] + 1,))
    if indptr[0] != 0 or indptr[-1] != len(indices) or np.any(indptr[1:] < indptr[:-1]):
        raise BundleError(
            f"{path}: '{name}.indptr' goes from {indptr[0]} to {indptr[-1]}; it must rise from 0 to {len(indices)}, "
            f"the number of entries, and never fall: {_REMEDY}"
        )
    check_indices(path, f"{name}.indices", indices, shape[1], "columns")
    if indptr[-1] <= np.iinfo(np.int32).max:
        # Otherwise SciPy would widen every index to the width of these.
        indptr = indptr.astype(np.int32)
    return sp.csr_array((data, indices, indptr), shape=tuple(shape))
