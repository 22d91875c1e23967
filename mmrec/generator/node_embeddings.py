"""Keys of the decode index's nodes that follow the catalogue: a change works out those of the nodes that it touches.

Works on tokens and nodes; knows nothing about requests. A key is made of the mean of the tokens below its node, and the
sum of a node is that of its children's sums, so that a change costs a few children per touched node however many items
lie below. Keys of nodes that a change does not touch stay in their rows, and an array says which row each node has now.
Rows that are in use no more are given up when the room behind them ends.
"""

# Axes: N items, V nodes of a depth, Y nodes asked for, C children of these, H hidden width

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmrec.catalogue.growing_rows import GrowingRows
from mmrec.generator.semantic_id_head import NodeKeys, SemanticIdHead
from mmrec.semantic_ids.decode_index import DecodeIndex
from mmrec.semantic_ids.node_changes import NodeChange


class _Depth(NamedTuple):
    """Keys of one depth.

    Attributes:
        tables: What is written, what is scored and, above the depth over the items, the sums of tokens.
        rows_V: Row of every node in these. Shape: (V,), int32.
    """

    tables: tuple[GrowingRows, ...]
    rows_V: Tensor

    def changed(self, change: NodeChange, nodes: int, values: tuple[Tensor, ...]) -> _Depth:
        """The keys of the index after a change, which has so many nodes, with those of the touched nodes."""
        device = self.rows_V.device
        after_T = torch.from_numpy(change.after_T).to(device)
        stays_V = torch.ones(len(self.rows_V), dtype=torch.bool, device=device)
        stays_V[torch.from_numpy(change.before_T).to(device)] = False
        touched_V = torch.zeros(nodes, dtype=torch.bool, device=device)
        touched_V[after_T] = True
        rows_V = torch.empty(nodes, dtype=torch.int32, device=device)
        rows_V[~touched_V] = self.rows_V[stays_V]
        used = len(self.tables[0])
        if len(after_T) <= self.tables[0].spare:
            rows_V[after_T] = torch.arange(used, used + len(after_T), dtype=torch.int32, device=device)
            pairs = zip(self.tables, values, strict=True)
            return _Depth(tuple(table.append(values_TH) for table, values_TH in pairs), rows_V)
        rows_V[after_T] = 0
        tables = []
        for table, values_TH in zip(self.tables, values, strict=True):
            rows_VH = table.rows[rows_V]
            rows_VH[after_T] = values_TH
            tables.append(GrowingRows.of(rows_VH))
        return _Depth(tuple(tables), torch.arange(nodes, dtype=torch.int32, device=device))


class LiveKeys:
    """Keys of one state of a catalogue. Make the first with `of`, and others with `over`; none is ever written to.

    Attributes:
        keys: For searches.
    """

    def __init__(self, head: SemanticIdHead, depths: tuple[_Depth, ...], keys: NodeKeys) -> None:
        self._head = head
        self._depths = depths
        self.keys = keys

    @classmethod
    @torch.inference_mode()
    def of(cls, head: SemanticIdHead, tokens_NH: Tensor, index: DecodeIndex) -> LiveKeys:
        """The keys of a catalogue; arguments as in `SemanticIdHead.node_keys`."""
        if head.path_keys == "codes":
            return cls(head, (), head.node_keys(tokens_NH, index))
        depths: dict[int, _Depth] = {}
        for depth in range(index.levels, 0, -1):
            nodes_V = torch.arange(index.nodes[depth], device=tokens_NH.device)
            values = _values(head, tokens_NH, index, depths, depth, nodes_V)
            depths[depth] = _Depth(tuple(map(GrowingRows.of, values)), nodes_V.to(torch.int32))
        return cls._made(head, depths)

    @torch.inference_mode()
    def over(self, tokens_NH: Tensor, index: DecodeIndex, changes: tuple[NodeChange, ...]) -> LiveKeys:
        """The keys after a change.

        Args:
            tokens_NH: Of every item from then on. Shape: (N, H).
            index: The index after the change, where the tokens are.
            changes: What it touched, per depth 1..P.
        """
        if not self._depths:
            return LiveKeys(self._head, (), self._head.node_keys(tokens_NH, index))
        depths: dict[int, _Depth] = {}
        for depth in range(index.levels, 0, -1):
            touched_Y = torch.from_numpy(changes[depth - 1].after_T).to(tokens_NH.device)
            values = _values(self._head, tokens_NH, index, depths, depth, touched_Y)
            before = self._depths[depth - 1]
            depths[depth] = before.changed(changes[depth - 1], index.nodes[depth], values)
        return self._made(self._head, depths)

    @classmethod
    def _made(cls, head: SemanticIdHead, depths: dict[int, _Depth]) -> LiveKeys:
        ordered = tuple(depths[depth] for depth in sorted(depths))
        written, scored = (tuple(depth.tables[place].rows for depth in ordered) for place in (0, 1))
        return cls(head, ordered, NodeKeys(written, scored, tuple(depth.rows_V for depth in ordered)))


def _values(
    head: SemanticIdHead,
    tokens_NH: Tensor,
    index: DecodeIndex,
    below: dict[int, _Depth],
    depth: int,
    nodes_Y: Tensor,
) -> tuple[Tensor, ...]:
    """What the tables of a depth hold of some nodes. Shape of each: (Y, H)."""
    total_YH = _totals(tokens_NH, index, below, depth, nodes_Y)
    begins = index.item_begin[depth]
    sizes_Y1 = (begins[nodes_Y + 1] - begins[nodes_Y]).unsqueeze(1)
    keys = head.keys_of(total_YH / sizes_Y1, index.child_code[depth - 1][nodes_Y], depth)
    return (*keys, total_YH) if depth < index.levels - 1 else keys


def _totals(tokens_NH: Tensor, index: DecodeIndex, below: dict[int, _Depth], depth: int, nodes_Y: Tensor) -> Tensor:
    """Sum of the tokens below each node, child by child. Shape: (Y, H)."""
    if depth == index.levels:
        return tokens_NH[index.items_N[nodes_Y]]
    begins = index.child_begin[depth]
    first_Y = begins[nodes_Y].long()
    sizes_Y = begins[nodes_Y + 1].long() - first_Y
    own_C = torch.repeat_interleave(torch.arange(len(nodes_Y), device=nodes_Y.device), sizes_Y)
    ends_Y = sizes_Y.cumsum(0)
    children_C = first_Y[own_C] + torch.arange(len(own_C), device=own_C.device) - (ends_Y - sizes_Y)[own_C]
    child = below[depth + 1]
    if len(child.tables) > 2:
        parts_CH = child.tables[2].rows[child.rows_V[children_C]]
    else:
        parts_CH = _totals(tokens_NH, index, below, depth + 1, children_C)
    return parts_CH.new_zeros(len(nodes_Y), parts_CH.shape[1]).index_add(0, own_C, parts_CH)
