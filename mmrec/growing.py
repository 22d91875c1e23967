"""Tables that get rows while others go on reading them: appended to in place, copied only where that would be seen.

Unit of work: one table. A table has spare room behind its rows. A longer version of it that only appends writes its new
rows there, where no reader of the shorter one looks; one that sets rows anew, or finds the room taken by another
version, is a copy. So every version stays as it is for as long as anybody holds it, and appending costs what is
appended. Knows nothing about what the rows mean. Versions are made by one thread at a time, and read by any.
"""

# Axes: N rows, M rows that are set

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["GrowingRows"]

LEAST_SPARE = 1024
"""Rows of spare room at least; otherwise a quarter of the rows. Untouched memory costs nothing on a CPU."""


class GrowingRows:
    """One version of a table. Make the first one with `of`, and others with `over`.

    Attributes:
        rows: Shape: (N, ...). Not to be written to.
    """

    __slots__ = ("_buffer", "_claimed", "rows")

    def __init__(self, buffer: Tensor, claimed: list[int], length: int) -> None:
        self._buffer = buffer
        # Rows of the buffer that belong to some version; shared by all versions over the same buffer.
        self._claimed = claimed
        self.rows = buffer[:length]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, rows: Tensor) -> GrowingRows:
        """A table of these rows, which are copied."""
        return cls(_roomy(rows, len(rows)), [len(rows)], len(rows))

    @property
    def spare(self) -> int:
        """Rows that can be appended without copying, as long as no other version takes the room."""
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
        made = GrowingRows(self._buffer, self._claimed, length)
        anew = len(rows_M) > 0 and int(rows_M.min()) < used
        if anew or self._claimed[0] != used or length > len(self._buffer):
            made = GrowingRows(_roomy(self.rows, length), [used], length)
        made._claimed[0] = length
        if length - used > len(rows_M) or anew:
            made.rows[used:] = 0
        made.rows[rows_M] = values_M.to(made.rows.dtype)
        return made

    def append(self, values_M: Tensor) -> GrowingRows:
        """The table with more rows after those it has. Shape: (M, ...)."""
        used, length = len(self.rows), len(self.rows) + len(values_M)
        return self.over(torch.arange(used, length, device=values_M.device), values_M, length)


@torch.inference_mode()
def _roomy(rows: Tensor, length: int) -> Tensor:
    """A copy in a buffer for `length` rows and more."""
    room = length + max(LEAST_SPARE, length // 4)
    buffer = torch.empty((room, *rows.shape[1:]), dtype=rows.dtype, device=rows.device)
    buffer[: len(rows)] = rows
    return buffer
