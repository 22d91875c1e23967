"""Constrained beam search over the decode index, for any step scorer.

All beams of all users advance one level at a time in a few tensor operations. The constraint is applied before top-k: a
beam only holds nodes with an eligible item below them, so every result is an eligible item, and min(beam width,
eligible) results are returned.
"""

# Axes: B users, W beams, C children of a node, X candidates, N items

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.decode_index import Children, DecodeIndex
from mmrec.semantic_ids.eligibility import Eligibility


class PathScorer(Protocol):
    """Scores the steps of one search, depth by depth from the root; keeps the state of the search."""

    def step(self, nodes_BW: Tensor, children: Children, depth: int) -> Tensor:
        """Log-probability of each child given its parent; finite where a child exists, else -inf.

        Args:
            nodes_BW: Nodes at `depth`; arbitrary for empty beams. Shape: (B, W), int64.
            children: Of those nodes. Shape: (B, W, C).
            depth: 0 for the root up to P - 1.

        Returns:
            Shape: (B, W, C), float32.
        """

    def keep(self, parents_BW: Tensor) -> None:
        """Reorder the state after top-k; not called if the beams are unchanged.

        Args:
            parents_BW: Previous beam that each new beam continues. Shape: (B, W), int64.
        """


class PathResult(NamedTuple):
    """Items found by a search, best first; ties go to the item whose path sorts first.

    Attributes:
        items_BW: Catalogue rows, -1 past the last result. Shape: (B, W), int64.
        log_probs_BW: Natural log of each item's probability, -inf past the last result. Shape: (B, W), float32.
    """

    items_BW: Tensor
    log_probs_BW: Tensor


def search_paths(scorer: PathScorer, allowed: Eligibility, index: DecodeIndex, *, width: int) -> PathResult:
    """The most probable eligible items of each user.

    Equals ranking all eligible items by their total log-probability if the beam is wide enough to hold every prefix of
    the result at every level; a beam as wide as the catalogue always is.

    Args:
        scorer: For one search over this index.
        allowed: Eligible items of the same index.
        index: The decode index.
        width: Beams per user, 1 or more; capped at the catalogue size.

    Raises:
        InvalidArgumentError: `width` is below 1.
    """
    width = checked_width(width, index)
    batch, device = len(allowed.counts_B), index.items_N.device
    nodes_BW = torch.zeros(batch, 1, dtype=torch.long, device=device)
    score_BW = torch.zeros(batch, 1, device=device)
    for depth in range(index.levels):
        # Empty beams get arbitrary children, which their score of -inf excludes.
        inside_BW = nodes_BW.clamp(max=index.nodes[depth] - 1)
        children = index.children(inside_BW, depth, tight=True)
        if depth and children.nodes.shape[2] == 1:
            # Every node has one child, which is eligible if its parent is, so beams keep their order. (Not at the root,
            # whose eligibility has not been checked yet.)
            nodes_BW = children.nodes.squeeze(2).masked_fill(score_BW == float("-inf"), index.nodes[depth + 1])
            score_BW = score_BW + scorer.step(inside_BW, children, depth).squeeze(2)
            continue
        # Ineligible children are masked before scoring, while the few arrays this needs are in the cache.
        so_far_BX = score_BW.new_empty(batch, children.nodes[0].numel() + 1)
        so_far_BWC = so_far_BX[:, :-1].view(children.nodes.shape)
        so_far_BWC.copy_(score_BW.unsqueeze(-1))
        allowed.close_(so_far_BX, nodes_BW, children, depth, index)
        total_BX = (so_far_BWC + scorer.step(inside_BW, children, depth)).flatten(1)
        places_BW, score_BW = best_places(total_BX, min(width, total_BX.shape[1]))
        # Empty beams come last, with a node index past the end, so that nodes stay sorted.
        empty_BW = score_BW == float("-inf")
        nodes_BW = children.nodes.flatten(1).gather(1, places_BW).masked_fill_(empty_BW, index.nodes[depth + 1])
        scorer.keep(places_BW // children.nodes.shape[2])
    return _by_score(nodes_BW, score_BW, index)


def best_items(by_place_BN: Tensor, allowed: Eligibility, index: DecodeIndex, *, width: int) -> PathResult:
    """The best eligible items when the score of every item is known.

    Args:
        by_place_BN: Scores by place of the sorted table, never NaN. Shape: (B, N), float32.
        allowed: Eligible items of the same index.
        index: The decode index.
        width: Number of results, 1 or more.

    Raises:
        InvalidArgumentError: `width` is below 1.
    """
    width = checked_width(width, index)
    places_BW, score_BW = best_places(by_place_BN.masked_fill(~allowed.items(index), float("-inf")), width)
    return _by_score(places_BW, score_BW, index)


def best_places(total_BX: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Deterministic top-k of each row, in order of position; ties go to the lower position, -inf comes last.

    Ties at the cut are resolved by a top-k over integers that combine score and position; on a CPU, where checking is
    cheap, a plain top-k is used if there are none.

    Args:
        total_BX: Never NaN. Shape: (B, X), float32.
        keep: 1 to X.

    Returns:
        Positions, 0 where the score is -inf, and scores. Shape of each: (B, keep).
    """
    count = total_BX.shape[1]
    if keep < count and not total_BX.is_cuda:
        best_BW, places_BW = total_BX.topk(keep + 1, dim=1)
        if bool((best_BW[:, keep - 1] > best_BW[:, keep]).all()):
            places_BW, order_BW = places_BW[:, :keep].sort(dim=1)
            return places_BW, best_BW.gather(1, order_BW)
    # Bit patterns of non-negative floats sort like the floats, those of negative ones in reverse; adding 0 turns -0
    # into 0.
    bits_BX = (total_BX + 0.0).view(torch.int32)
    ordered_BX = bits_BX ^ ((bits_BX >> 31) & 0x7FFFFFFF)
    later_X = torch.arange(count - 1, -1, -1, device=total_BX.device)
    top_BW = later_X.add(ordered_BX, alpha=1 << 32).topk(keep, dim=1, sorted=False).values
    places_BW = count - 1 - (top_BW & 0xFFFFFFFF)
    score_BW = total_BX.gather(1, places_BW)
    empty_BW = score_BW == float("-inf")
    places_BW, order_BW = places_BW.masked_fill(empty_BW, count).sort(dim=1)
    return places_BW % count, score_BW.gather(1, order_BW)


def checked_width(width: int, index: DecodeIndex) -> int:
    """The beam width, capped at the catalogue size.

    Raises:
        InvalidArgumentError: it is below 1.
    """
    if width < 1:
        raise InvalidArgumentError(f"the beam width is {width}; it must be 1 or more", field="beam_width")
    return min(width, len(index.items_N))


def _by_score(places_BW: Tensor, score_BW: Tensor, index: DecodeIndex) -> PathResult:
    score_BW, order_BW = score_BW.sort(dim=1, descending=True, stable=True)
    places_BW = places_BW.gather(1, order_BW)
    items_BW = index.items_N[places_BW.clamp(max=len(index.items_N) - 1)].long()
    return PathResult(items_BW.masked_fill(score_BW == float("-inf"), -1), score_BW)
