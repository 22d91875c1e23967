"""NDCG@10 of the item head on validation users, for early stopping."""

# Axes: U users, B users of a batch, T history positions, N items, H hidden width

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mmrec.generator.batches import pad_histories
from mmrec.generator.model import Generator
from mmrec.runtime.processes import Processes

_SCORES = 2**24
"""Maximum scores computed at once, 64 MB."""

_PLACES = 2**16
"""Maximum history positions read at once."""


class ValidationSet(NamedTuple):
    """Histories and the item that follows each."""

    histories: Sequence[npt.NDArray[np.int32]]
    targets_U: npt.NDArray[np.int32]


@torch.inference_mode()
def ndcg_at_10(model: Generator, validation: ValidationSet, users: int, processes: Processes) -> float:
    """NDCG@10 over the whole catalogue, seen items removed; 0 without a validation set.

    Args:
        model: Left in evaluation mode.
        validation: Histories and targets.
        users: Maximum users to evaluate.
        processes: Each evaluates its share; all get the same result.
    """
    model.eval()
    if not len(validation.targets_U):
        return 0.0
    # Evenly spread, because files are often sorted.
    chosen = np.unique(np.linspace(0, len(validation.targets_U) - 1, users).astype(int))
    device = processes.device
    tokens_NH = model.item_tokens()
    longest = model.config.max_history
    at_once = max(1, min(256, _SCORES // len(tokens_NH), _PLACES // longest))
    gain = 0.0
    for rows in np.array_split(chosen, math.ceil(len(chosen) / at_once))[processes.index :: processes.count]:
        histories = [validation.histories[row] for row in rows]
        history_BT, valid_BT = pad_histories(histories, longest)
        encoded = model.read(history_BT.to(device), valid_BT.to(device), tokens_NH)
        scores_BN = model.item_logits(encoded.last(), tokens_NH)
        for row, history in enumerate(histories):
            scores_BN[row, torch.from_numpy(history.astype(np.int64)).to(device)] = float("-inf")
        target_B = torch.from_numpy(validation.targets_U[rows].astype(np.int64)).to(device)
        # Ties count against the target, so that a model with constant scores does not look good.
        rank_B = (scores_BN >= scores_BN.gather(1, target_B.unsqueeze(1))).sum(1) - 1
        gain += float(torch.where(rank_B < 10, 1 / torch.log2(rank_B + 2.0), 0.0).sum())
    if processes.count > 1:
        sum_1 = torch.tensor([gain], device=device)
        processes.all_reduce([sum_1])
        gain = float(sum_1)
    return gain / len(chosen)
