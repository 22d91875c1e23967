"""Training losses of the generator: cross-entropy of the item head and of the semantic-ID head on one batch.

All positions of a window are trained in one pass: the item head over the whole catalogue, the semantic-ID head over the
codes that continue an existing path.
"""

# Axes: R items of the batch, B windows, T history positions (places), Q sampled positions, X valid positions of all
# windows, N items, H hidden width, P levels, Y positions of a level with more than one child, C children, l path
# positions

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
    """Mean losses of one batch.

    Attributes:
        item: Mean cross-entropy of the item head, in nats.
        semantic_id: Mean negative log-probability of a whole path, in nats.
        item_places: Number of positions averaged in `item`, by which several processes weight their means.
        semantic_id_places: Number of positions averaged in `semantic_id`.
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
    local, rows_R = _compacted(batch, config)
    tokens_RH = model.item_tokens(rows_R)
    encoded = model.read(local.history_BT, local.valid_BT, tokens_RH)
    target_X = local.target_BT[local.valid_BT]
    item_loss = item_softmax(
        encoded.states_BTH[local.valid_BT],
        tokens_RH,
        target_X,
        local.drawn,
        scale=tokens_RH.shape[1] ** -0.5,
        label_smoothing=config.label_smoothing,
    )
    places = len(target_X)

    # The semantic-ID loss sends no gradients to the LLM.
    with torch.no_grad():
        tokens_NH = tokens_RH if rows_R is None else model.item_tokens()
    path_loss, path_places = path_softmax(
        model.semantic_id_head,
        encoded.detached(),
        tokens_NH.detach(),
        batch,
        index,
        nodes_PN,
        share=config.semantic_id_share,
    )
    return Losses(item_loss, path_loss, places, path_places)


def _compacted(batch: Batch, config: TrainingConfig) -> tuple[Batch, Tensor | None]:
    """A batch with sampled negatives, renumbered to the items in it, and their catalogue rows.

    Gradients then cost as much as the items of the batch, not as the catalogue. A batch without negatives is returned
    unchanged, with None.
    """
    # Label smoothing needs the tokens of the whole catalogue.
    if batch.drawn is None or config.label_smoothing:
        return batch, None
    rows_R = torch.unique(torch.cat([batch.history_BT.flatten(), batch.target_BT.flatten(), batch.drawn.rows_M]))
    drawn = batch.drawn._replace(rows_M=torch.searchsorted(rows_R, batch.drawn.rows_M))
    history_BT, target_BT = (torch.searchsorted(rows_R, rows_BT) for rows_BT in (batch.history_BT, batch.target_BT))
    return Batch(history_BT, target_BT, batch.valid_BT, drawn), rows_R


def path_softmax(
    head: SemanticIdHead,
    encoded: EncodedHistory,
    tokens_NH: Tensor,
    batch: Batch,
    index: DecodeIndex,
    nodes_PN: Tensor,
    *,
    share: float,
) -> tuple[Tensor, int]:
    """Mean negative log-probability of the targets' paths, level by level.

    Args:
        head: The semantic-ID head.
        encoded: The batch's histories, encoded by the LLM.
        tokens_NH: Token of every item. Shape: (N, H).
        batch: The windows.
        index: The decode index.
        nodes_PN: From `nodes_by_depth`.
        share: Share of positions that are sampled, in (0, 1].

    Returns:
        The loss, in nats, and the number of positions it averages.
    """
    keys = head.node_keys(tokens_NH, index)
    width, device = batch.valid_BT.shape[1], batch.valid_BT.device
    drawn_Q = torch.randperm(width)[: math.ceil(share * width)].sort().values.to(device)
    valid_BQ, target_BQ = batch.valid_BT[:, drawn_Q], batch.target_BT[:, drawn_Q]
    causal_QT = torch.arange(width, device=device) <= drawn_Q.unsqueeze(1)
    state_BQlH = head(
        tuple(nodes_PN[depth][target_BQ] for depth in range(1, index.levels)),
        encoded.states_BTH[:, drawn_Q],
        encoded,
        causal_QT.expand(len(valid_BQ), -1, -1),
        keys,
    )
    state_XlH, target_X = state_BQlH[valid_BQ], target_BQ[valid_BQ]
    loss = torch.zeros((), device=device)
    for depth in range(index.levels):
        parent_X = nodes_PN[depth, target_X]
        # An only child has probability 1: nothing to learn.
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
