"""Generating items: beam search over semantic IDs under the decode index, and the exact probabilities of all items.

Works on a batch of histories already read by the LLM; knows nothing about requests. All beams of all customers move
one level at a time in a few tensor operations. The constraint comes before the selection: a beam only ever holds nodes
with an eligible item below them, so every result is a real, eligible item, and min(beam width, eligible) of them come
back.
"""

# Axes: B customers, T history places, W beams, l codes written, C children of a node, N items, H hidden width,
# V nodes of a depth

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmrec.errors import InvalidArgumentError
from mmrec.generator.semantic_id_head import Memory, NodeKeys, SemanticIdHead
from mmrec.tokens.decode_index import DecodeIndex

__all__ = ["BeamResult", "beam_search", "exact_log_probs"]

NODES_AT_ONCE = 2048
"""Nodes decoded in one go by `exact_log_probs`; bounds memory, changes nothing else."""


class BeamResult(NamedTuple):
    """Items a beam search found, best first; ties go to the item whose path sorts first.

    Attributes:
        items_BW: Catalogue rows, -1 past the last result. Shape: (B, W), int64.
        log_probs_BW: Natural log of each item's probability among all items, -inf past the last result.
            Shape: (B, W), float32.
    """

    items_BW: Tensor
    log_probs_BW: Tensor


@torch.inference_mode()
def beam_search(
    head: SemanticIdHead, memory: Memory, eligible_BN: Tensor, index: DecodeIndex, keys: NodeKeys, *, width: int
) -> BeamResult:
    """Generate the most probable eligible items of each customer.

    Equal to ranking all eligible items by their probability wherever the beam is wide enough to hold, at every level,
    each prefix of the answer; a beam as wide as the catalogue always is.

    Args:
        head: The semantic-ID head.
        memory: Histories read by the LLM.
        eligible_BN: Items that may be returned, by catalogue row. Shape: (B, N), bool.
        index: The decode index, on the same device.
        keys: Of its nodes, from `SemanticIdHead.node_keys`.
        width: Beams per customer, 1 or more; wider than the catalogue is as wide as the catalogue.

    Raises:
        InvalidArgumentError: `width` is below 1.
    """
    if width < 1:
        raise InvalidArgumentError(f"the beam width is {width}; it must be 1 or more", field="beam_width")
    batch, device = len(memory.valid_BT), memory.valid_BT.device
    width = min(width, len(index.items_N))
    cumulative_BN = index.cumulative(eligible_BN)
    query_BH = memory.last()

    nodes_BW = torch.zeros(batch, 1, dtype=torch.long, device=device)
    score_BW = torch.zeros(batch, 1, device=device)
    prefix_lBW: tuple[Tensor, ...] = ()
    for depth in range(index.levels):
        beams = nodes_BW.shape[1]
        children = index.children(nodes_BW, depth)
        open_BWC = children.exists & index.eligible(children.nodes, depth + 1, cumulative_BN)
        if index.fan_out[depth] == 1:
            step_BWC = torch.zeros_like(open_BWC, dtype=torch.float32)
        else:
            visible_BQT = memory.valid_BT.unsqueeze(1).expand(-1, beams, -1)
            state_BWlH = head(prefix_lBW, query_BH.unsqueeze(1).expand(-1, beams, -1), memory, visible_BQT, keys)
            step_BWC = head.child_log_probs(state_BWlH[:, :, -1], nodes_BW, depth, index, keys)
        total_BX = (score_BW.unsqueeze(-1) + step_BWC).masked_fill(~open_BWC, float("-inf")).flatten(1)

        # A stable sort, and beams kept in node order, make ties fall to the path that sorts first.
        keep = min(width, total_BX.shape[1])
        best_BW = total_BX.sort(dim=1, descending=True, stable=True).indices[:, :keep].sort(dim=1).values
        score_BW = total_BX.gather(1, best_BW)
        nodes_BW = children.nodes.flatten(1).gather(1, best_BW)
        parents_BW = best_BW // index.fan_out[depth]
        prefix_lBW = (*(written_BW.gather(1, parents_BW) for written_BW in prefix_lBW), nodes_BW)

    score_BW, order_BW = score_BW.sort(dim=1, descending=True, stable=True)
    items_BW = index.items_N[nodes_BW.gather(1, order_BW)]
    return BeamResult(items_BW.masked_fill(score_BW == float("-inf"), -1), score_BW)


@torch.inference_mode()
def exact_log_probs(head: SemanticIdHead, memory: Memory, index: DecodeIndex, keys: NodeKeys) -> Tensor:
    """Log-probability of every item, level by level over every node of the tree. Shape: (B, N), float32.

    Costs a decoder step per node and customer: for catalogues of thousands, and for checking beams.
    """
    batch, device = len(memory.valid_BT), memory.valid_BT.device
    query_BH = memory.last()
    score_BV = torch.zeros(batch, 1, device=device)
    prefix_lV: tuple[Tensor, ...] = ()
    for depth in range(index.levels):
        count = len(index.child_begin[depth]) - 1
        parent_V = torch.repeat_interleave(
            torch.arange(count, device=device),
            index.child_begin[depth].diff(),
            output_size=len(index.child_code[depth]),
        )
        score_next_BV = score_BV[:, parent_V].clone()
        if index.fan_out[depth] > 1:
            for begin in range(0, count, NODES_AT_ONCE):
                nodes_V = torch.arange(begin, min(begin + NODES_AT_ONCE, count), device=device)
                queries = len(nodes_V)
                state_BVlH = head(
                    tuple(written_V[nodes_V].expand(batch, -1) for written_V in prefix_lV),
                    query_BH.unsqueeze(1).expand(-1, queries, -1),
                    memory,
                    memory.valid_BT.unsqueeze(1).expand(-1, queries, -1),
                    keys,
                )
                step_BVC = head.child_log_probs(state_BVlH[:, :, -1], nodes_V.expand(batch, -1), depth, index, keys)
                exists_VC = index.children(nodes_V, depth).exists
                first = int(index.child_begin[depth][begin])
                score_next_BV[:, first : first + int(exists_VC.sum())] += step_BVC[:, exists_VC]
        score_BV = score_next_BV
        prefix_lV = (*(written_V[parent_V] for written_V in prefix_lV), torch.arange(len(parent_V), device=device))
    by_row_BN = torch.empty_like(score_BV)
    by_row_BN[:, index.items_N] = score_BV
    return by_row_BN
