"""What the generator is trained to make small: the item head's and the semantic-ID head's cross-entropy.

Works on one batch of windows; knows nothing about optimisers, epochs or files. All places of a window are trained in
one pass: the item head over the whole catalogue, the semantic-ID head over the codes that continue a real path.
"""

# Axes: R touched items, B windows, T places, Q drawn places, X valid places of all windows, N items, H hidden width,
# P levels, Y places of a level where there is a choice, C children, l codes written

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrec.generator.batches import Batch
from mmrec.generator.config import TrainingConfig
from mmrec.generator.item_softmax import item_softmax
from mmrec.generator.model import Generator
from mmrec.generator.semantic_id_head import EncodedHistory, SemanticIdHead
from mmrec.semantic_ids.decode_index import DecodeIndex


class Losses(NamedTuple):
    """Losses of one batch, as means over its places.

    Attributes:
        item: Mean cross-entropy of the item head, in nats.
        semantic_id: Mean negative log-probability of a whole path, in nats.
        item_places: Over how many places `item` is a mean. Several processes weigh their means by it.
        semantic_id_places: Over how many places `semantic_id` is a mean.
    """

    item: Tensor
    semantic_id: Tensor
    item_places: int
    semantic_id_places: int


def compute_losses(
    model: Generator, batch: Batch, index: DecodeIndex, nodes_PN: Tensor, config: TrainingConfig
) -> Losses:
    """Both heads' losses on one batch.

    Args:
        model: In training mode.
        batch: On the model's device.
        index: The decode index, on the model's device.
        nodes_PN: From `nodes_by_depth`.
        config: `label_smoothing` and `semantic_id_share` are read.
    """
    local, rows_R = _touched(batch, config)
    tokens_RH = model.item_tokens(rows_R)
    memory = model.read(local.history_BT, local.valid_BT, tokens_RH)
    target_X = local.target_BT[local.valid_BT]
    item_loss = item_softmax(
        memory.states_BTH[local.valid_BT],
        tokens_RH,
        target_X,
        local.drawn,
        scale=tokens_RH.shape[1] ** -0.5,
        label_smoothing=config.label_smoothing,
    )
    places = len(target_X)

    # The head learns from the LLM and changes nothing in it.
    with torch.no_grad():
        tokens_NH = tokens_RH if rows_R is None else model.item_tokens()
    path_loss, path_places = path_softmax(
        model.semantic_id_head,
        memory.detached(),
        tokens_NH.detach(),
        batch,
        index,
        nodes_PN,
        share=config.semantic_id_share,
    )
    return Losses(item_loss, path_loss, places, path_places)


def _touched(batch: Batch, config: TrainingConfig) -> tuple[Batch, Tensor | None]:
    """A batch against drawn items in the rows of the items it touches, and which those are; else as it is, and None.

    Gradients of a step then cost what the step touches, and not what the catalogue holds.
    """
    # A smoothed target is spread over the whole catalogue, and so touches it.
    if batch.drawn is None or config.label_smoothing:
        return batch, None
    rows_R = torch.unique(torch.cat([batch.history_BT.flatten(), batch.target_BT.flatten(), batch.drawn.rows_M]))
    drawn = batch.drawn._replace(rows_M=torch.searchsorted(rows_R, batch.drawn.rows_M))
    history_BT, target_BT = (torch.searchsorted(rows_R, rows_BT) for rows_BT in (batch.history_BT, batch.target_BT))
    return Batch(history_BT, target_BT, batch.valid_BT, drawn), rows_R


def path_softmax(
    head: SemanticIdHead,
    memory: EncodedHistory,
    tokens_NH: Tensor,
    batch: Batch,
    index: DecodeIndex,
    nodes_PN: Tensor,
    *,
    share: float,
) -> tuple[Tensor, int]:
    """Mean negative log-probability of the paths of what came next, level by level.

    Args:
        head: The semantic-ID head.
        memory: The batch's histories, read by the LLM.
        tokens_NH: Token of every item. Shape: (N, H).
        batch: The windows.
        index: The decode index.
        nodes_PN: From `nodes_by_depth`.
        share: Share of the places that are drawn, above 0 to 1.

    Returns:
        The loss, in nats, and over how many places it is a mean.
    """
    keys = head.node_keys(tokens_NH, index)
    width, device = batch.valid_BT.shape[1], batch.valid_BT.device
    drawn_Q = torch.randperm(width)[: math.ceil(share * width)].sort().values.to(device)
    valid_BQ, target_BQ = batch.valid_BT[:, drawn_Q], batch.target_BT[:, drawn_Q]
    causal_QT = torch.arange(width, device=device) <= drawn_Q.unsqueeze(1)
    state_BQlH = head(
        tuple(nodes_PN[depth][target_BQ] for depth in range(1, index.levels)),
        memory.states_BTH[:, drawn_Q],
        memory,
        causal_QT.expand(len(valid_BQ), -1, -1),
        keys,
    )
    state_XlH, target_X = state_BQlH[valid_BQ], target_BQ[valid_BQ]
    loss = torch.zeros((), device=device)
    for depth in range(index.levels):
        parent_X = nodes_PN[depth, target_X]
        # An only child follows with certainty: nothing to learn, and the deeper, the more of them there are.
        open_X = index.child_begin[depth].diff()[parent_X] > 1
        parent_Y, target_Y = parent_X[open_X], target_X[open_X]
        if not len(parent_Y):
            continue
        slot_Y = nodes_PN[depth + 1, target_Y] - index.child_begin[depth][parent_Y]
        log_probs_YC = head.child_log_probs(state_XlH[open_X, depth], index.children(parent_Y, depth), depth, keys)
        loss = loss + F.nll_loss(log_probs_YC, slot_Y, reduction="sum") / len(target_X)
    return loss, len(target_X)


def nodes_by_depth(index: DecodeIndex) -> Tensor:
    """Node of every item at every depth, by catalogue row. Shape: (P + 1, N), int64."""
    items = len(index.items_N)
    nodes_PN = torch.empty(index.levels + 1, items, dtype=torch.long, device=index.items_N.device)
    for depth, begin in enumerate(index.item_begin):
        sizes = begin.diff()
        node_of_place = torch.repeat_interleave(torch.arange(len(sizes), device=begin.device), sizes)
        nodes_PN[depth, index.items_N] = node_of_place
    return nodes_PN
