"""Tables that get rows, and get rows anew, while others go on reading them; copied whole only where that would be seen.

Unit of work: one table. A table has spare room behind its rows. A longer version of it that only appends writes its new
rows there, where no reader of the shorter one looks. A version that sets rows anew goes into a second buffer, which is
some rows behind: once nobody reads what was there, only those rows are written. So every version stays as it is for as
long as anybody holds it, and a change costs what it changes. Knows nothing about what the rows mean. Versions are made
by one thread at a time, and read by any.

Keeping two copies that take turns is known as left-right (Ramalhete and Correia 2013, "Left-Right: A concurrency
control technique with wait-free population oblivious reads"); here what tells that nobody reads one is its reference
count. On a GPU, where copying is fast, there is one buffer and a copy.
"""

# Axes: N rows, M rows that are set

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

LEAST_SPARE = 1024
"""Rows of spare room at least; otherwise a quarter of the rows. Untouched memory costs nothing on a CPU."""


class _Line:
    """What the versions of a table that follow each other share.

    Attributes:
        newest: Number of the newest of them.
        second: The buffer that takes turns with that of the newest; None for none.
        length: Rows that were in it when it was the newest's.
        behind: Rows of these that were set since.
    """

    __slots__ = ("behind", "length", "newest", "second")

    def __init__(self, second: npt.NDArray[Any] | None = None) -> None:
        self.newest = 0
        self.second = second
        self.length = 0
        self.behind: list[Tensor] = []

    def readers(self) -> int:
        """References to the second buffer; every view of it, of whichever library, holds one."""
        return sys.getrefcount(self.second)


_NOBODY = _Line(np.empty(1)).readers()


class GrowingRows:
    """One version of a table. Make the first one with `of`, and others with `over`.

    Attributes:
        rows: Shape: (N, ...). Not to be written to.
    """

    __slots__ = ("_buffer", "_line", "_memory", "_number", "rows")

    def __init__(
        self,
        buffer: Tensor,
        memory: npt.NDArray[Any] | None,
        length: int,
        line: _Line,
    ) -> None:
        self._buffer, self._memory = buffer, memory
        self._line = line
        line.newest += 1
        self._number = line.newest
        self.rows = buffer[:length]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, rows: Tensor) -> GrowingRows:
        """A table of these rows, which are copied."""
        buffer, memory = _roomy(rows, len(rows))
        return cls(buffer, memory, len(rows), _Line())

    def prepare(self) -> None:
        """Make the second buffer, so that the first rows that are set anew cost no copy; for the newest version."""
        line = self._line
        if line.second is None and self._number == line.newest:
            line.second, line.length, line.behind = _roomy(self.rows, len(self))[1], len(self), []

    @property
    def spare(self) -> int:
        """Rows that can be appended to the newest version without copying."""
        return len(self._buffer) - len(self.rows)

    @torch.inference_mode()
    def over(self, rows_M: Tensor, values_M: Tensor, length: int) -> GrowingRows:
        """The table with some rows set.

        Args:
            rows_M: Which; each once. Shape: (M,), int64.
            values_M: What they are. Shape: (M, ...).
            length: Rows from then on, no fewer than now; those that are not set are zero.
        """
        used = len(self.rows)
        if not len(rows_M) and length == used:
            return self
        anew = rows_M[rows_M < used]
        if self._number != self._line.newest:
            # Another version was made of this one already: from here there are two lines.
            made = self._copied(length, _Line())
        elif len(anew):
            made = self._in_second(anew, length)
        elif length <= len(self._buffer):
            made = GrowingRows(self._buffer, self._memory, length, self._line)
        else:
            made = self._copied(length, self._line)
        if length - used > len(rows_M) - len(anew):
            made.rows[used:] = 0
        made.rows[rows_M] = values_M.to(made.rows.dtype)
        return made

    def append(self, values_M: Tensor) -> GrowingRows:
        """The table with more rows after those it has. Shape: (M, ...)."""
        used, length = len(self.rows), len(self.rows) + len(values_M)
        return self.over(torch.arange(used, length, device=values_M.device), values_M, length)

    def _in_second(self, anew: Tensor, length: int) -> GrowingRows:
        """The same rows where they can be set: in the second buffer if nobody reads it, or else in a copy."""
        line, used = self._line, len(self.rows)
        if line.second is not None and line.readers() == _NOBODY and length <= len(line.second):
            memory, line.second = line.second, None
            buffer = torch.from_numpy(memory)
            for rows in line.behind:
                buffer[rows] = self.rows[rows]
            buffer[line.length : used] = self.rows[line.length :]
            made = GrowingRows(buffer, memory, length, line)
        else:
            made = self._copied(length, line)
        line.second, line.length, line.behind = self._memory, used, [anew]
        return made

    def _copied(self, length: int, line: _Line) -> GrowingRows:
        buffer, memory = _roomy(self.rows, length)
        return GrowingRows(buffer, memory, length, line)


@torch.inference_mode()
def _roomy(rows: Tensor, length: int) -> tuple[Tensor, npt.NDArray[Any] | None]:
    """A copy in a buffer for `length` rows and more; on a CPU also the array whose memory that is."""
    shape = (length + max(LEAST_SPARE, length // 4), *rows.shape[1:])
    if rows.device.type != "cpu":
        buffer, memory = torch.empty(shape, dtype=rows.dtype, device=rows.device), None
    else:
        memory = np.empty(shape, dtype=rows[:0].numpy().dtype)
        buffer = torch.from_numpy(memory)
    buffer[: len(rows)] = rows
    return buffer, memory
