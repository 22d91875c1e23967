"""What a search over the decode index may return, for each customer of a batch, exact at every node.

Works on catalogue rows and the nodes of an index; knows nothing about filters' words or models. Two things can close a
node. A bitmap (a filter, an allow list) closes it where no item that passes lies below it, which one cumulative sum
over the sorted table tells by two gathers. A few single items (what was seen, a deny list) close it only where they are
all that lies below it: such nodes are found once per search, from the items upwards, and there are at most as many of
them at a depth as there are items. A search without a filter therefore costs next to nothing more than one without any
constraint, however many nodes it looks at.
"""

# Axes: B customers, N items, D items left out (padded), W beams, C children of a node, V nodes of a depth

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.decode_index import Children, DecodeIndex

Places = npt.NDArray[np.integer[Any]] | Sequence[int]

FEW = 4096
"""Single items per customer beyond which a bitmap is cheaper."""


class Passing(NamedTuple):
    """A set of items, ready to be searched within; made once, for any number of searches.

    Attributes:
        before_N: How many of its items lie before each place of the sorted table. Shape: (N + 1,), int32.
        items: How many there are.
    """

    before_N: Tensor
    items: int


class Closed(NamedTuple):
    """Nodes of one depth below which everything that passes is left out.

    Attributes:
        parents_BD: The node above each; one after all others, and after those of empty beams, where padded. Shape:
            (B, D), int64.
        slots_BD: Which child of its parent each is. Shape: (B, D), int64.
    """

    parents_BD: Tensor
    slots_BD: Tensor


class Eligibility(NamedTuple):
    """What each customer of a batch may be given.

    Attributes:
        groups: The sets of items that searches are confined to, each with the customers that it confines.
        closed: Per depth 1..P, nodes below which everything that passes is left out; None where there is none.
        counts_B: Items that each customer may be given. Shape: (B,), int64.
        left_out_BD: Places of the sorted table that are left out of what passes, N where padded; None where there are
            none. Shape: (B, D), int32.
        own_BN: `Passing.before_N` of a set for every customer, instead of `groups`; None for none. Shape: (B, N + 1),
            int32, contiguous.
    """

    groups: tuple[tuple[Tensor, Passing], ...]
    closed: tuple[Closed | None, ...]
    counts_B: Tensor
    left_out_BD: Tensor | None
    own_BN: Tensor | None = None

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
        none = scores_BX.shape[1] - 1
        if self.groups:
            begin, scores_BWC = index.item_begin[depth + 1], scores_BX[:, :-1].view(children.nodes.shape)
            for customers, passing in self.groups:
                nodes = children.nodes[customers]
                end = begin.take(nodes + 1).long()
                shut = passing.before_N.take(end) == passing.before_N.take(begin.take(nodes).long())
                scores_BWC[customers] = scores_BWC[customers].masked_fill(shut, float("-inf"))
        if self.own_BN is not None:
            shut_BWC = self._shut_by_own(self.own_BN, children.nodes, depth + 1, index)
            scores_BX[:, :-1].view(children.nodes.shape).masked_fill_(shut_BWC, float("-inf"))
        closed = self.closed[depth]
        if closed is not None:
            beam_BD = torch.searchsorted(nodes_BW, closed.parents_BD).clamp_(max=nodes_BW.shape[1] - 1)
            elsewhere_BD = nodes_BW.gather(1, beam_BD) != closed.parents_BD
            place_BD = closed.slots_BD.add(beam_BD, alpha=children.nodes.shape[2]).masked_fill_(elsewhere_BD, none)
            scores_BX.scatter_(1, place_BD, float("-inf"))

    @staticmethod
    def _shut_by_own(own_BN: Tensor, nodes_BWC: Tensor, depth: int, index: DecodeIndex) -> Tensor:
        """Nodes of a depth below which nothing of each customer's own set lies. Shape: (B, W, C), bool."""
        begin_BWC, end_BWC = nodes_BWC, nodes_BWC + 1
        if depth < index.levels:
            # A node of the last depth is its item's place.
            begin = index.item_begin[depth]
            begin_BWC, end_BWC = begin.take(begin_BWC), begin.take(end_BWC)
        own = own_BN.view(-1)
        if len(own_BN) > 1:
            first_B11 = torch.arange(0, len(own), own_BN.shape[1], device=own.device).view(-1, 1, 1)
            begin_BWC, end_BWC = begin_BWC + first_B11, end_BWC + first_B11
        before_X, until_X = (own.index_select(0, places.flatten()) for places in (begin_BWC, end_BWC))
        return (before_X == until_X).view(nodes_BWC.shape)

    def items(self, index: DecodeIndex) -> Tensor:
        """Which items each customer may be given, by place of the sorted table. Shape: (B, N), bool."""
        items = index.nodes[-1]
        open_BN = torch.ones(len(self.counts_B), items + 1, dtype=torch.bool, device=self.counts_B.device)
        for customers, one in self.groups:
            open_BN[customers, :items] = one.before_N.diff() > 0
        if self.own_BN is not None:
            open_BN[:, :items] = self.own_BN.diff(dim=1) > 0
        if self.left_out_BD is not None:
            # Padding is written into a place of its own, which is cut off.
            open_BN.scatter_(1, self.left_out_BD.long(), False)
        return open_BN[:, :items]


def passing(rows_N: npt.NDArray[np.bool_] | Tensor, index: DecodeIndex) -> Passing:
    """Make a set of items ready.

    Args:
        rows_N: Whether each catalogue row is of the set. Shape: (rows,), bool.
        index: The decode index; what it does not have is not of the set.
    """
    # A copy where it is NumPy's: bitmaps that are shared are not writable, which torch warns of.
    bits = rows_N if isinstance(rows_N, Tensor) else torch.tensor(rows_N, device=index.items_N.device)
    before_N = torch.zeros(len(index.items_N) + 1, dtype=torch.int32, device=bits.device)
    torch.cumsum(bits.index_select(0, index.items_N), 0, dtype=torch.int32, out=before_N[1:])
    return Passing(before_N, int(before_N[-1]))


def eligible(
    index: DecodeIndex,
    left_out: Sequence[Places],
    within: Sequence[Passing | None] | None = None,
) -> Eligibility:
    """What a batch of customers may be given.

    Args:
        index: The decode index.
        left_out: For each customer, places of the sorted table that may not be returned, in any order, more than once
            or -1 if need be.
        within: For each customer, the set that the search is confined to; None for everything.

    Raises:
        InvalidArgumentError: a customer leaves out more than `FEW` items one by one.
    """
    batch, items, device = len(left_out), len(index.items_N), index.items_N.device
    sets = list(within) if within is not None else [None] * batch
    longest = max((len(places) for places in left_out), default=0)
    if longest > FEW:
        raise InvalidArgumentError(f"{longest:,} items are left out one by one; more than {FEW:,} go into a set")
    groups = tuple(_grouped(sets, device))
    counts_B = torch.tensor([items if one is None else one.items for one in sets], device=device)
    if not longest:
        return Eligibility(groups, (None,) * index.levels, counts_B, None)
    place_BD = _sorted_places(left_out, longest, groups, index)
    there_BD = place_BD < items
    closed = _closed(place_BD, there_BD, groups, index)
    return Eligibility(groups, closed, counts_B - there_BD.sum(1), place_BD)


def eligible_padded(
    index: DecodeIndex, batch: int, place_BD: Tensor | None, own_BN: Tensor | None = None
) -> Eligibility:
    """As `eligible`, from what stands in arrays of any fixed size: on a GPU nothing waits, so that a graph can hold it.

    Args:
        index: The decode index.
        batch: Customers.
        place_BD: From `padded_places`, where the index is; None leaves out none. Shape: (B, D), int32.
        own_BN: See `Eligibility.own_BN`; None for everything.
    """
    items, device = len(index.items_N), index.items_N.device
    counts_B = torch.full((batch,), items, device=device) if own_BN is None else own_BN[:, -1].long()
    if place_BD is None:
        return Eligibility((), (None,) * index.levels, counts_B, None, own_BN)
    if own_BN is not None:
        inside_BD = place_BD.clamp(max=items - 1).long()
        outside_BD = own_BN.gather(1, inside_BD + 1) == own_BN.gather(1, inside_BD)
        place_BD = place_BD.masked_fill(outside_BD, items).sort(dim=1).values
    there_BD = place_BD < items
    closed = _closed(place_BD, there_BD, (), index, own_BN)
    return Eligibility((), closed, counts_B - there_BD.sum(1), place_BD, own_BN)


def padded_places(left_out: Sequence[Places], shape: tuple[int, int], items: int) -> npt.NDArray[np.int32]:
    """Places that are left out, each once, in order, padded.

    Args:
        left_out: See `eligible`.
        shape: Of the result: as many rows as customers or more, and as many columns as any leaves out or more.
        items: Of the index; what stands where padded.

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


def _sorted_places(
    left_out: Sequence[Places],
    longest: int,
    groups: Sequence[tuple[Tensor, Passing]],
    index: DecodeIndex,
) -> Tensor:
    """Places that are left out of what passes, each once, in order, N where padded. Shape: (B, D), int32."""
    items = len(index.items_N)
    place_BD = torch.from_numpy(padded_places(left_out, (len(left_out), longest), items)).to(index.items_N.device)
    if not groups:
        return place_BD
    for customers, one in groups:
        # What does not pass is closed already, and must not be counted twice.
        own = place_BD[customers].clamp(max=items - 1).long()
        outside = one.before_N.take(own + 1) == one.before_N.take(own)
        place_BD[customers] = place_BD[customers].masked_fill(outside, items)
    return place_BD.sort(dim=1).values


def _closed(
    place_BD: Tensor,
    there_BD: Tensor,
    groups: Sequence[tuple[Tensor, Passing]],
    index: DecodeIndex,
    own_BN: Tensor | None = None,
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
        below_BD = end_BD - begin_BD
        for customers, one in groups:
            before_N = one.before_N
            below_BD[customers] = before_N[end_BD[customers]] - before_N[begin_BD[customers]]
        if own_BN is not None:
            below_BD = own_BN.gather(1, end_BD.long()) - own_BN.gather(1, begin_BD.long())
        out_BD = torch.searchsorted(place_BD, end_BD) - torch.searchsorted(place_BD, begin_BD)
        node_BD, shut_BD = parent_BD, there_BD & (out_BD == below_BD)
        if not shut_BD.is_cuda and not shut_BD.any():
            break
    return tuple(closed)


def eligible_rows(eligible_BN: npt.NDArray[np.bool_] | Tensor, index: DecodeIndex) -> Eligibility:
    """What a batch of customers may be given, each a bitmap of its own.

    Args:
        eligible_BN: By catalogue row. Shape: (B, rows), bool.
        index: The decode index.
    """
    return eligible(index, [np.empty(0, np.int64)] * len(eligible_BN), [passing(row_N, index) for row_N in eligible_BN])


def _grouped(sets: Sequence[Passing | None], device: torch.device) -> list[tuple[Tensor, Passing]]:
    """Customers by the set that confines them; sets are told apart by identity."""
    rows: dict[int, list[int]] = {}
    by_id: dict[int, Passing] = {}
    for row, one in enumerate(sets):
        if one is not None:
            by_id[id(one.before_N)] = one
            rows.setdefault(id(one.before_N), []).append(row)
    return [(torch.tensor(found, device=device), by_id[key]) for key, found in rows.items()]
