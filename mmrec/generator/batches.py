"""Training batches: windows of histories, bucketed by length, in an order that depends on seed and epoch alone.

Works on catalogue rows; knows nothing about models.
"""

# Axes: B windows, T places

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.generator.negatives import Drawn

POOL = 32
"""Batches' worth of windows that are sorted by length together: enough to save padding, few enough to stay random."""


class Batch(NamedTuple):
    """Windows and what follows each of their places.

    Attributes:
        history_BT: Catalogue rows, padded on the right with 0. Shape: (B, T), int64.
        target_BT: The item after each place. Shape: (B, T), int64.
        valid_BT: False where padded. Shape: (B, T), bool.
        drawn: Items that the item head is trained against; None for the whole catalogue.
    """

    history_BT: Tensor
    target_BT: Tensor
    valid_BT: Tensor
    drawn: Drawn | None = None

    def share(self, number: int, count: int) -> Batch:
        """Every `count`-th window from `number` on, without padding that none of them needs; may be empty."""
        rows = slice(number, None, count)
        valid_BT = self.valid_BT[rows]
        places = int(valid_BT.sum(1).max()) if len(valid_BT) else 0
        return self._replace(
            history_BT=self.history_BT[rows, :places],
            target_BT=self.target_BT[rows, :places],
            valid_BT=valid_BT[:, :places],
        )

    def on(self, device: torch.device) -> Batch:
        """The same on another device."""
        history_BT, target_BT, valid_BT = (
            tensor.to(device, non_blocking=True) for tensor in (self.history_BT, self.target_BT, self.valid_BT)
        )
        return Batch(history_BT, target_BT, valid_BT, self.drawn)


def pad_histories(histories: Sequence[npt.NDArray[np.int32]], longest: int) -> tuple[Tensor, Tensor]:
    """The last `longest` items of each history, padded on the right.

    Returns:
        Catalogue rows and validity. Shapes: (B, T), int64 and bool. T is at least 1.
    """
    tails = [history[-longest:] for history in histories]
    places = max([1, *map(len, tails)])
    history_BT = np.zeros((len(tails), places), dtype=np.int64)
    valid_BT = np.zeros((len(tails), places), dtype=bool)
    for row, tail in enumerate(tails):
        history_BT[row, : len(tail)] = tail
        valid_BT[row, : len(tail)] = True
    return torch.from_numpy(history_BT), torch.from_numpy(valid_BT)


def padded_size(rows: int) -> int:
    """So many rows or a few more, one of sixteen sizes per power of two.

    Libraries prepare themselves for every shape they meet, which takes longer than a small product, and keep that of
    the last thousand or so: sizes that vary from request to request should be few.
    """
    step = 1 << max(0, rows.bit_length() - 5)
    return -(-rows // step) * step


def epoch_batches(
    histories: Sequence[npt.NDArray[np.int32]], *, longest: int, positions: int, seed: int, epoch: int, done: int = 0
) -> Iterator[Batch]:
    """Every training transition once, in windows of at most `longest` places.

    Histories longer than a window are cut at an offset that differs from epoch to epoch, so that no transition always
    lacks its past.

    Args:
        histories: Catalogue rows, oldest first. Those of fewer than two items hold no transition and are left out.
        longest: Most places of a window.
        positions: Most places of a batch, padding included; at least one window is always taken.
        seed: Of the order and the cuts.
        epoch: Number of the pass.
        done: Batches of it that are left out because an earlier run has had them.
    """
    rng = np.random.default_rng((seed, epoch))
    windows: list[npt.NDArray[np.int32]] = []
    for history in histories:
        end = len(history)
        if end > longest + 1:
            tail = int(rng.integers(1, longest + 1))
            windows.append(history[end - tail - 1 :])
            end -= tail
        while end > 1:
            begin = max(0, end - 1 - longest)
            windows.append(history[begin:end])
            end = begin + 1
    order = rng.permutation(len(windows))
    per_batch = max(1, positions // longest)
    batches: list[list[int]] = []
    for begin in range(0, len(order), POOL * per_batch):
        pool = sorted(order[begin : begin + POOL * per_batch], key=lambda row: len(windows[row]))
        current: list[int] = []
        for row in pool:
            if current and (len(current) + 1) * (len(windows[row]) - 1) > positions:
                batches.append(current)
                current = []
            current.append(int(row))
        batches.append(current)
    for chosen in rng.permutation(len(batches))[done:]:
        rows = [windows[row] for row in batches[chosen]]
        history_BT, valid_BT = pad_histories([row[:-1] for row in rows], longest)
        target_BT, _ = pad_histories([row[1:] for row in rows], longest)
        yield Batch(history_BT, target_BT, valid_BT)
