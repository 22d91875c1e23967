"""The items that a search over the decode index may return, for each customer of a batch, exact at every node.

Works on sets of items and the nodes of an index; knows nothing about filters' words or models. Two things can close a
node. A mask (a filter, an allow list) closes it where no item of the set lies below it, which its counts over the
sorted table tell by two gathers. A few single items (seen ones, a deny list) close it only where they are all that lies
below it: such nodes are found once per search, from the items upwards, and there are at most as many of them at a depth
as there are items. A search without a filter therefore costs next to nothing more than one without any constraint,
however many nodes it looks at.
"""

# Axes: B customers, N items, D items left out (padded), S sets, F ranges of a customer, W beams, C children of a node,
# V nodes of a depth

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.errors import InvalidArgumentError
from mmrec.filters.mask import EligibilityMask
from mmrec.semantic_ids.decode_index import Children, DecodeIndex

Places = npt.NDArray[np.integer[Any]] | Sequence[int]

FEW = 4096
"""Single items per customer beyond which a mask is cheaper."""


class BatchMasks(NamedTuple):
    """The mask of each customer of a batch.

    Attributes:
        counts_SN: `EligibilityMask.counts` of each set: one contiguous tensor of shape (S, N + 1), int32, which takes
            one gather; or, on a CPU, S tensors of shape (N + 1,), which need not be copied for each search, None for
            the set of all items.
        set_B: Which of them each customer has. Shape: (B,), int64.
    """

    counts_SN: Tensor | tuple[Tensor | None, ...]
    set_B: Tensor

    def below(self, begin_BX: Tensor, end_BX: Tensor) -> Tensor:
        """How many items of each customer's set lie in ranges of the sorted table. Shape: (B, ...), int32."""
        shape, customers = begin_BX.shape, len(begin_BX)
        begin_BF, end_BF = begin_BX.reshape(customers, -1), end_BX.reshape(customers, -1)
        if isinstance(self.counts_SN, Tensor):
            if len(self.counts_SN) > 1:
                first_B1 = (self.set_B * self.counts_SN.shape[1]).unsqueeze(1)
                begin_BF, end_BF = begin_BF + first_B1, end_BF + first_B1
            counts = self.counts_SN.view(-1)
            return (counts.index_select(0, end_BF.flatten()) - counts.index_select(0, begin_BF.flatten())).view(shape)
        below_BF = torch.empty(begin_BF.shape, dtype=torch.int32)
        for place, begin_F, end_F, below_F in zip(self.set_B.tolist(), begin_BF, end_BF, below_BF, strict=True):
            counts_N = self.counts_SN[place]
            if counts_N is None:
                below_F.copy_(end_F - begin_F)
            else:
                # Both ends of one customer's ranges at once, while what lies between them is in the cache.
                torch.sub(counts_N.index_select(0, end_F), counts_N.index_select(0, begin_F), out=below_F)
        return below_BF.view(shape)

    def items(self, count: int) -> Tensor:
        """Which items are in each customer's set, by place of the sorted table. Shape: (B, N), bool."""
        if isinstance(self.counts_SN, Tensor):
            return (self.counts_SN.diff(dim=1) > 0)[self.set_B]
        inside_BN = torch.ones(len(self.set_B), count, dtype=torch.bool)
        for place, counts_N in enumerate(self.counts_SN):
            if counts_N is not None:
                inside_BN[self.set_B == place] = counts_N.diff() > 0
        return inside_BN


class Closed(NamedTuple):
    """Nodes of one depth below which every item of the set is left out.

    Attributes:
        parents_BD: The node above each; one after all others, and after those of empty beams, where padded. Shape:
            (B, D), int64.
        slots_BD: Which child of its parent each is. Shape: (B, D), int64.
    """

    parents_BD: Tensor
    slots_BD: Tensor


class Eligibility(NamedTuple):
    """The items that each customer of a batch may be given.

    Attributes:
        masks: The sets that searches are confined to; None for everything.
        closed: Per depth 1..P, nodes below which every item of the set is left out; None where there is none.
        counts_B: Items that each customer may be given. Shape: (B,), int64.
        left_out_BD: Places of the sorted table that are left out of the sets, N where padded; None where there are
            none. Shape: (B, D), int32.
    """

    masks: BatchMasks | None
    closed: tuple[Closed | None, ...]
    counts_B: Tensor
    left_out_BD: Tensor | None

    def close_(self, scores_BX: Tensor, nodes_BW: Tensor, children: Children, depth: int, index: DecodeIndex) -> None:
        """Give the children that must not be entered the score -inf, in place.

        Args:
            scores_BX: Of each child of each beam, and one more that stands for no child. Shape: (B, W x C + 1),
                float32.
            nodes_BW: Nodes at `depth` in ascending order, V_l where there is none. Shape: (B, W), int64.
            children: Of those nodes. Shape: (B, W, C).
            depth: 0 for the root up to P - 1.
            index: The decode index.
        """
        if self.masks is not None:
            begin_BWC, end_BWC = children.nodes, children.nodes + 1
            if depth + 1 < index.levels:
                # A node of the last depth is its item's place.
                begin = index.item_begin[depth + 1]
                begin_BWC, end_BWC = begin.take(begin_BWC), begin.take(end_BWC)
            empty_BWC = self.masks.below(begin_BWC, end_BWC) == 0
            scores_BX[:, :-1].view(children.nodes.shape).masked_fill_(empty_BWC, float("-inf"))
        closed = self.closed[depth]
        if closed is not None:
            none = scores_BX.shape[1] - 1
            beam_BD = torch.searchsorted(nodes_BW, closed.parents_BD).clamp_(max=nodes_BW.shape[1] - 1)
            elsewhere_BD = nodes_BW.gather(1, beam_BD) != closed.parents_BD
            place_BD = closed.slots_BD.add(beam_BD, alpha=children.nodes.shape[2]).masked_fill_(elsewhere_BD, none)
            scores_BX.scatter_(1, place_BD, float("-inf"))

    def items(self, index: DecodeIndex) -> Tensor:
        """Which items each customer may be given, by place of the sorted table. Shape: (B, N), bool."""
        items = index.nodes[-1]
        open_BN = torch.ones(len(self.counts_B), items + 1, dtype=torch.bool, device=self.counts_B.device)
        if self.masks is not None:
            open_BN[:, :items] = self.masks.items(items)
        if self.left_out_BD is not None:
            # Padding is written into a place of its own, which is cut off.
            open_BN.scatter_(1, self.left_out_BD.long(), False)
        return open_BN[:, :items]


def eligible(
    index: DecodeIndex,
    left_out: Sequence[Places],
    within: Sequence[EligibilityMask | None] | None = None,
) -> Eligibility:
    """The items that a batch of customers may be given.

    Args:
        index: The decode index.
        left_out: For each customer, places of the sorted table that may not be returned, in any order, more than once
            or -1 if need be.
        within: For each customer, the set that the search is confined to; None for everything.

    Raises:
        InvalidArgumentError: a customer leaves out more than `FEW` items one by one.
    """
    batch, items, device = len(left_out), len(index.items_N), index.items_N.device
    longest = max((len(places) for places in left_out), default=0)
    if longest > FEW:
        raise InvalidArgumentError(f"{longest:,} items are left out one by one; more than {FEW:,} go into a set")
    place_BD = torch.from_numpy(padded_places(left_out, (batch, longest), items)).to(device) if longest else None
    return eligible_padded(index, batch, place_BD, _batch_masks(within or (), index))


def eligible_padded(
    index: DecodeIndex, batch: int, place_BD: Tensor | None, masks: BatchMasks | None = None
) -> Eligibility:
    """As `eligible`, from what stands in arrays of any fixed size: on a GPU nothing waits, so that a graph can hold it.

    Args:
        index: The decode index.
        batch: Customers.
        place_BD: From `padded_places`, where the index is; None leaves out none. Shape: (B, D), int32.
        masks: The sets that searches are confined to; None for everything.
    """
    items, device = len(index.items_N), index.items_N.device
    counts_B = torch.full((batch,), items, device=device)
    if masks is not None:
        counts_B = masks.below(torch.zeros_like(counts_B), counts_B).long()
    if place_BD is None:
        return Eligibility(masks, (None,) * index.levels, counts_B, None)
    if masks is not None:
        # What is not in the set is closed already, and must not be counted twice.
        inside_BD = place_BD.clamp(max=items - 1).long()
        outside_BD = masks.below(inside_BD, inside_BD + 1) == 0
        place_BD = place_BD.masked_fill(outside_BD, items).sort(dim=1).values
    there_BD = place_BD < items
    return Eligibility(masks, _closed(place_BD, there_BD, masks, index), counts_B - there_BD.sum(1), place_BD)


def padded_places(left_out: Sequence[Places], shape: tuple[int, int], items: int) -> npt.NDArray[np.int32]:
    """Places that are left out, each once, in order, padded.

    Args:
        left_out: See `eligible`.
        shape: Of the result: as many rows as customers or more, and as many columns as any leaves out or more.
        items: Of the index; the padding.

    Returns:
        Shape: (B, D), int32.
    """
    padded = np.full(shape, items, dtype=np.int32)
    for row, places in enumerate(left_out):
        padded[row, : len(places)] = np.asarray(places)
    padded[padded < 0] = items
    padded.sort(axis=1)
    again = padded[:, 1:] == padded[:, :-1]
    if again.any():
        padded[:, 1:][again] = items
        padded.sort(axis=1)
    return padded


def everything(index: DecodeIndex) -> Tensor:
    """`EligibilityMask.counts` of all items. Shape: (N + 1,), int32."""
    return torch.arange(len(index.items_N) + 1, dtype=torch.int32, device=index.items_N.device)


def _batch_masks(within: Sequence[EligibilityMask | None], index: DecodeIndex) -> BatchMasks | None:
    """Each distinct set once; None where nobody is confined to one."""
    if all(mask is None for mask in within):
        return None
    sets = {mask: place for place, mask in enumerate(dict.fromkeys(within))}
    set_B = torch.tensor([sets[mask] for mask in within], device=index.items_N.device)
    if len(sets) > 1 and not set_B.is_cuda:
        return BatchMasks(tuple(None if mask is None else mask.counts(index.items_N) for mask in sets), set_B)
    counts = [everything(index) if mask is None else mask.counts(index.items_N) for mask in sets]
    return BatchMasks(counts[0].unsqueeze(0) if len(counts) == 1 else torch.stack(counts), set_B)


def _closed(
    place_BD: Tensor, there_BD: Tensor, masks: BatchMasks | None, index: DecodeIndex
) -> tuple[Closed | None, ...]:
    """See `Eligibility.closed`; found from the items upwards."""
    closed: list[Closed | None] = [None] * index.levels
    safe_BD = torch.where(there_BD, place_BD, 0)
    node_BD, shut_BD = safe_BD, there_BD
    for depth in range(index.levels, 0, -1):
        parent_BD = index.nodes_of(safe_BD, depth - 1)
        # Above what is open, all is open.
        closed[depth - 1] = Closed(
            torch.where(shut_BD, parent_BD, index.nodes[depth - 1] + 1),
            node_BD - index.child_begin[depth - 1].take(parent_BD),
        )
        begin_BD = index.item_begin[depth - 1].take(parent_BD)
        end_BD = index.item_begin[depth - 1].take(parent_BD + 1)
        below_BD = end_BD - begin_BD if masks is None else masks.below(begin_BD, end_BD)
        out_BD = torch.searchsorted(place_BD, end_BD) - torch.searchsorted(place_BD, begin_BD)
        node_BD, shut_BD = parent_BD, there_BD & (out_BD == below_BD)
        if not shut_BD.is_cuda and not shut_BD.any():
            break
    return tuple(closed)
