"""Training batches: windows of histories, bucketed by length, in an order derived from seed and epoch."""

# Axes: B windows, T history positions (also called places)

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.generator.negatives import Drawn

_PADDED_UP_TO = 8192
"""Rows of a table that is copied for a product; larger ones grow seldom."""
POOL = 32
"""Number of batches whose windows are sorted by length together: a trade-off between padding and randomness."""


class Batch(NamedTuple):
    """Windows and their next-item targets.

    Attributes:
        history_BT: Catalogue rows, padded on the right with 0. Shape: (B, T), int64.
        target_BT: The item after each position. Shape: (B, T), int64.
        valid_BT: False where padded. Shape: (B, T), bool.
        drawn: Sampled negatives of the item head; None for a full softmax.
    """

    history_BT: Tensor
    target_BT: Tensor
    valid_BT: Tensor
    drawn: Drawn | None = None

    def share(self, number: int, count: int) -> Batch:
        """Every `count`-th window from `number` on, with excess padding removed; may be empty."""
        rows = slice(number, None, count)
        valid_BT = self.valid_BT[rows]
        places = int(valid_BT.sum(1).max()) if len(valid_BT) else 0
        return self._replace(
            history_BT=self.history_BT[rows, :places],
            target_BT=self.target_BT[rows, :places],
            valid_BT=valid_BT[:, :places],
        )

    def on(self, device: torch.device) -> Batch:
        """A copy on another device."""
        history_BT, target_BT, valid_BT = (
            tensor.to(device, non_blocking=True) for tensor in (self.history_BT, self.target_BT, self.valid_BT)
        )
        return Batch(history_BT, target_BT, valid_BT, self.drawn)


def pad_histories(histories: Sequence[npt.NDArray[np.int32]], longest: int) -> tuple[Tensor, Tensor]:
    """The last `longest` items of each history, padded on the right.

    Returns:
        Catalogue rows and validity mask. Shapes: (B, T), int64 and bool. T is at least 1.
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
    """`rows` rounded up to one of sixteen sizes per power of two.

    Libraries prepare kernels for every new shape, which takes longer than a small product, and cache about a thousand
    of them: sizes that vary from request to request should be few.
    """
    step = 1 << max(0, rows.bit_length() - 5)
    return -(-rows // step) * step


def products_with_rows(states_XH: Tensor, table_NH: Tensor) -> Tensor:
    """``states_XH @ table_NH.T`` for a table that grows, such as that of changed items. Shape: (..., N)."""
    rows = len(table_NH)
    if table_NH.device.type == "cpu" and rows <= _PADDED_UP_TO:
        # oneDNN keeps a kernel of half a megabyte for each of the last thousand shapes.
        table_NH = torch.nn.functional.pad(table_NH, (0, 0, 0, padded_size(rows) - rows))
    return torch.matmul(states_XH, table_NH.T)[..., :rows]


def transitions_of(histories: Iterable[npt.NDArray[np.int32]]) -> int:
    """Number of items that follow another one."""
    return sum(max(0, len(history) - 1) for history in histories)


def epoch_turns(
    histories: Sequence[npt.NDArray[np.int32]], most: int, seed: int
) -> tuple[Sequence[npt.NDArray[np.int32]], ...]:
    """Shares of the histories that epochs take in turn, drawn at random, each with about `most` transitions or fewer.

    Args:
        histories: Catalogue rows, oldest first.
        most: Transitions of an epoch; with no more than these in all, every epoch has all histories.
        seed: Of the draw.
    """
    turns = math.ceil(transitions_of(histories) / most)
    if turns <= 1:
        return (histories,)
    order = np.random.default_rng(seed).permutation(len(histories))
    before = np.cumsum([max(0, len(histories[row]) - 1) for row in order])
    cuts = np.searchsorted(before, before[-1] * np.arange(1, turns) / turns)
    return tuple([histories[row] for row in rows] for rows in np.split(order, cuts))


def epoch_batches(
    histories: Sequence[npt.NDArray[np.int32]], *, longest: int, positions: int, seed: int, epoch: int, done: int = 0
) -> Iterator[Batch]:
    """Every training transition once, in windows of at most `longest` positions.

    Histories longer than a window are cut at an offset that differs between epochs, so that no transition always lacks
    its context.

    Args:
        histories: Catalogue rows, oldest first. Those with fewer than two items are skipped.
        longest: Maximum positions of a window.
        positions: Maximum positions of a batch, padding included; a batch has at least one window.
        seed: Of the order and the cuts.
        epoch: Number of the epoch.
        done: Batches of the epoch to skip, done by an earlier run.
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
    # A pool's last batch is a small one, so short windows, of which many fit into a batch, need large pools.
    per_batch = max(1, positions // max(1, *(len(window) - 1 for window in windows))) if windows else 1
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
