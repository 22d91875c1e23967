"""Sampled negatives of a training step, for catalogues too large for a full softmax."""

# Axes: N items, M sampled items

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Drawn(NamedTuple):
    """Sampled negatives of a step.

    Attributes:
        rows_M: Catalogue rows, drawn with replacement. Shape: (M,), int64.
        log_expected_M: Log of each row's expected count, M times its probability. Shape: (M,), float32.
    """

    rows_M: Tensor
    log_expected_M: Tensor


class ItemSampler:
    """Samples from an equal mixture of item frequency and the uniform distribution, with torch's global random state.

    Frequent items are the hardest negatives; the uniform half also reaches items that never occur as targets.

    Args:
        counts_N: How often each item is a target. Shape: (N,).
        device: Where to sample.
    """

    def __init__(self, counts_N: npt.NDArray[np.int64], device: torch.device) -> None:
        counts = counts_N.astype(np.float64)
        items = len(counts)
        q_N = np.full(items, 1 / items)
        if counts.sum():
            q_N = 0.5 * q_N + 0.5 * counts / counts.sum()
        self._cumulative_N = torch.from_numpy(np.cumsum(q_N)).to(device)
        self._log_q_N = torch.from_numpy(np.log(q_N)).float().to(device)

    @classmethod
    def of_histories(cls, histories: Sequence[npt.NDArray[np.int32]], items: int, device: torch.device) -> ItemSampler:
        """A sampler with the item counts of training histories over a catalogue of `items`."""
        events = np.concatenate([np.empty(0, dtype=np.int32), *(history[1:] for history in histories)])
        return cls(np.bincount(events, minlength=items), device)

    def draw(self, negatives: int) -> Drawn:
        """Sample `negatives` items."""
        where_M = torch.rand(negatives, dtype=torch.float64, device=self._cumulative_N.device)
        rows_M = torch.searchsorted(self._cumulative_N, where_M * self._cumulative_N[-1], right=True)
        rows_M = rows_M.clamp_(max=len(self._cumulative_N) - 1)
        return Drawn(rows_M, self._log_q_N[rows_M] + float(np.log(negatives)))
