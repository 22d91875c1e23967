"""Cross-entropy of the item head: full softmax in chunks of positions, or sampled softmax with logQ correction.

The score matrix of all positions against all items never exists as a whole: each chunk's scores are computed, turned
into gradients in place, multiplied and overwritten by the next chunk. Memory is bounded, and on a CPU the chunk stays
in the cache: 1.6 to 2.2 times as fast as `torch.nn.functional.cross_entropy`. Under autocast, matrix products use
autocast's dtype and the log-sum-exp float32.

Sources of the sampled form: Bengio & Senecal 2008, "Adaptive Importance Sampling to Accelerate Training of a Neural
Probabilistic Language Model"; Yi et al. 2019, "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
Recommendations" (logQ correction).
"""

# Axes: X positions, N items or sampled items, H hidden width, C positions of a chunk

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmrec.generator.negatives import Drawn

_CHUNK_CPU = 2**21
"""Scores of a chunk, 8 MB: fits the last-level cache, and is enough for a fast matrix product."""

_CHUNK_GPU = 2**27
"""Scores of a chunk, 512 MB: enough to keep a GPU busy."""


def item_softmax(
    states_XH: Tensor,
    tokens_NH: Tensor,
    target_X: Tensor,
    drawn: Drawn | None = None,
    *,
    scale: float = 1.0,
    label_smoothing: float = 0.0,
    chunk_places: int = 0,
) -> Tensor:
    """Mean cross-entropy of scores ``scale * states_XH @ tokens_NH.T``.

    For the whole catalogue, value and gradients equal those of `torch.nn.functional.cross_entropy` up to rounding. For
    sampled items, `Drawn.log_expected_M` is subtracted from the scores and a position's own target is excluded: the
    sum of exponentials is then unbiased, and the loss converges to the full one with more samples. Gradients are
    computed in the forward pass, so there is no second derivative.

    Args:
        states_XH: Hidden states. Shape: (X, H).
        tokens_NH: Token of every item. Shape: (N, H).
        target_X: Catalogue row of the next item. Shape: (X,), int64.
        drawn: Negatives, shared by all positions; None for the whole catalogue.
        scale: Factor of the scores.
        label_smoothing: Share of the target spread evenly over the whole catalogue, in [0, 1).
        chunk_places: Positions computed at once; 0 to choose by device.

    Returns:
        In nats; NaN if X is 0. Shape: (), float32 (float64 if the states are).
    """
    device = states_XH.device.type
    exact = torch.float64 if states_XH.dtype == torch.float64 else torch.float32
    compute = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else exact
    with torch.autocast(device, enabled=False):
        states_XH, tokens_NH = states_XH.to(exact) * scale, tokens_NH.to(exact)
        own_X = torch.linalg.vecdot(states_XH, tokens_NH[target_X])
        columns_NH = tokens_NH if drawn is None else tokens_NH[drawn.rows_M]
        chunk = chunk_places or max(16, (_CHUNK_CPU if device == "cpu" else _CHUNK_GPU) // len(columns_NH))
        loss: Tensor = _LogPartition.apply(states_XH, columns_NH, own_X, target_X, drawn, chunk, compute)
        loss = loss - (1 - label_smoothing) * own_X.mean()
        if label_smoothing:
            # Mean score over positions and catalogue.
            loss = loss - label_smoothing * torch.dot(states_XH.mean(0), tokens_NH.mean(0))
    return loss


class _LogPartition(torch.autograd.Function):
    """Mean over positions of the log-sum-exp of the target's score and all columns but the target's."""

    @staticmethod
    def forward(
        ctx: Any,
        states_XH: Tensor,
        columns_NH: Tensor,
        own_X: Tensor,
        target_X: Tensor,
        drawn: Drawn | None,
        chunk: int,
        compute: torch.dtype,
    ) -> Tensor:
        wanted = any(ctx.needs_input_grad)
        places, exact = len(states_XH), states_XH.dtype
        narrow_XH, narrow_NH = states_XH.to(compute), columns_NH.to(compute)
        total = states_XH.new_zeros(())
        grad_XH, grad_NH, grad_X = torch.empty_like(states_XH), torch.zeros_like(columns_NH), torch.empty_like(own_X)
        room = narrow_XH.new_empty(min(chunk, places), len(columns_NH))
        for begin in range(0, places, chunk):
            part = slice(begin, begin + chunk)
            part_CH, own_C1, target_C1 = narrow_XH[part], own_X[part, None], target_X[part, None]
            scores_CN = torch.mm(part_CH, narrow_NH.T, out=room[: len(part_CH)]).to(exact)
            if drawn is None:
                scores_CN.scatter_(1, target_C1, float("-inf"))
            else:
                scores_CN -= drawn.log_expected_M
                scores_CN.masked_fill_(drawn.rows_M == target_C1, float("-inf"))
            top_C1 = torch.maximum(scores_CN.amax(1, keepdim=True), own_C1)
            weight_CN, own_weight_C1 = scores_CN.sub_(top_C1).exp_(), (own_C1 - top_C1).exp()
            sum_C1 = weight_CN.sum(1, keepdim=True) + own_weight_C1
            total += (sum_C1.log() + top_C1).sum()
            if wanted:
                grad_X[part] = (own_weight_C1 / sum_C1).squeeze(1)
                # Dividing the small operands of the products saves a pass over the scores.
                narrow_CN = weight_CN.to(compute)
                grad_XH[part] = (narrow_CN @ narrow_NH) / sum_C1
                part_CH = (states_XH[part] / sum_C1).to(compute)
                if compute == exact:
                    grad_NH.addmm_(narrow_CN.T, part_CH)
                else:
                    grad_NH += narrow_CN.T @ part_CH
        if wanted:
            ctx.save_for_backward(*(grad.div_(places) for grad in (grad_XH, grad_NH, grad_X)))
        return total / places

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        grad_XH, grad_NH, grad_X = ctx.saved_tensors
        return grad_XH * grads[0], grad_NH * grads[0], grad_X * grads[0], None, None, None, None
