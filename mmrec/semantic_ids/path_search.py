"""Beam search over the decode index, for any scorer of steps.

Works on nodes, scores and eligible items; knows nothing about models. All beams of all customers move one level at a
time in a few tensor operations. The constraint comes before the selection: a beam only ever holds nodes with an
eligible item below them, so every result is a real, eligible item, and min(beam width, eligible) of them come back.
"""

# Axes: B customers, W beams, C children of a node, X candidates, N items

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.decode_index import Children, DecodeIndex
from mmrec.semantic_ids.eligibility import Eligibility


class PathScorer(Protocol):
    """Scores the steps of one search, depth by depth from the root."""

    def step(self, nodes_BW: Tensor, children: Children, depth: int) -> Tensor:
        """Log-probability of each child given its parent; finite where a child exists, and -inf where none does.

        Args:
            nodes_BW: Nodes at `depth`; that of a beam that holds nothing is any. Shape: (B, W), int64.
            children: Of those nodes. Shape: (B, W, C).
            depth: 0 for the root up to P - 1.

        Returns:
            Shape: (B, W, C), float32.
        """

    def keep(self, parents_BW: Tensor) -> None:
        """The search goes on with other beams, each of which continues one of those before; not called where the same
        beams go on.

        Args:
            parents_BW: Which one. Shape: (B, W), int64.
        """


class PathResult(NamedTuple):
    """Items a search found, best first; ties go to the item whose path sorts first.

    Attributes:
        items_BW: Catalogue rows, -1 past the last result. Shape: (B, W), int64.
        log_probs_BW: Natural log of each item's probability, -inf past the last result. Shape: (B, W), float32.
    """

    items_BW: Tensor
    log_probs_BW: Tensor


def search_paths(scorer: PathScorer, allowed: Eligibility, index: DecodeIndex, *, width: int) -> PathResult:
    """The most probable eligible items of each customer.

    Equal to ranking all eligible items by the sum of their steps wherever the beam is wide enough to hold, at every
    level, each prefix of the answer; a beam as wide as the catalogue always is.

    Args:
        scorer: Of one search over this index.
        allowed: Items that may be returned, of the same index.
        index: The decode index.
        width: Beams per customer, 1 or more; wider than the catalogue is as wide as the catalogue.

    Raises:
        InvalidArgumentError: `width` is below 1.
    """
    width = checked_width(width, index)
    batch, device = len(allowed.counts_B), index.items_N.device
    nodes_BW = torch.zeros(batch, 1, dtype=torch.long, device=device)
    score_BW = torch.zeros(batch, 1, device=device)
    for depth in range(index.levels):
        # A beam that holds nothing has children like any other; its own score is what closes them.
        inside_BW = nodes_BW.clamp(max=index.nodes[depth] - 1)
        children = index.children(inside_BW, depth, tight=True)
        if depth and children.nodes.shape[2] == 1:
            # Only children: what is open below a beam is open below its child, and all stay where they stand. Of the
            # root alone it is not yet known whether anything is.
            nodes_BW = children.nodes.squeeze(2).masked_fill(score_BW == float("-inf"), index.nodes[depth + 1])
            score_BW = score_BW + scorer.step(inside_BW, children, depth).squeeze(2)
            continue
        # What is closed is so before anything is scored, while the little that this takes is at hand.
        so_far_BX = score_BW.new_empty(batch, children.nodes[0].numel() + 1)
        so_far_BWC = so_far_BX[:, :-1].view(children.nodes.shape)
        so_far_BWC.copy_(score_BW.unsqueeze(-1))
        allowed.close_(so_far_BX, nodes_BW, children, depth, index)
        total_BX = (so_far_BWC + scorer.step(inside_BW, children, depth)).flatten(1)
        places_BW, score_BW = best_places(total_BX, min(width, total_BX.shape[1]))
        # Beams that hold nothing stand last, on a node after all others: the nodes stay in order.
        empty_BW = score_BW == float("-inf")
        nodes_BW = children.nodes.flatten(1).gather(1, places_BW).masked_fill_(empty_BW, index.nodes[depth + 1])
        scorer.keep(places_BW // children.nodes.shape[2])
    return _by_score(nodes_BW, score_BW, index)


def best_items(by_place_BN: Tensor, allowed: Eligibility, index: DecodeIndex, *, width: int) -> PathResult:
    """The best eligible items where the score of every item is known.

    Args:
        by_place_BN: By place of the sorted table, never NaN. Shape: (B, N), float32.
        allowed: Items that may be returned, of the same index.
        index: The decode index.
        width: As many as are wanted, 1 or more.

    Raises:
        InvalidArgumentError: `width` is below 1.
    """
    width = checked_width(width, index)
    places_BW, score_BW = best_places(by_place_BN.masked_fill(~allowed.items(index), float("-inf")), width)
    return _by_score(places_BW, score_BW, index)


def best_places(total_BX: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` best of each row, ties to the lower place, in the order of their places; what is -inf comes last.

    No sort of all candidates, and always the same. Where scores tie at the cut, it is one top-k over whole numbers that
    hold the score before the place; on a CPU, where it can be known for nothing that none do, one over the scores.

    Args:
        total_BX: Never NaN. Shape: (B, X), float32.
        keep: 1 to X.

    Returns:
        Places, 0 where the score is -inf, and scores. Shape of each: (B, keep).
    """
    count = total_BX.shape[1]
    if keep < count and not total_BX.is_cuda:
        best_BW, places_BW = total_BX.topk(keep + 1, dim=1)
        if bool((best_BW[:, keep - 1] > best_BW[:, keep]).all()):
            places_BW, order_BW = places_BW[:, :keep].sort(dim=1)
            return places_BW, best_BW.gather(1, order_BW)
    # The bits of a float that is not negative are in its order, those of a negative one in the reverse; adding 0 makes
    # both zeros one.
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
    """The beam width, no wider than the catalogue.

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
