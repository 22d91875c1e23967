"""Keys of the decode index's nodes that follow the catalogue: a change computes those of the nodes that it touches.

Works on tokens and nodes; knows nothing about requests. A key is made of the mean of the tokens below its node, and the
sum of a node is that of its children's sums, so that a change costs a few children per touched node however many items
lie below. Keys are tables of a base and a delta segment; for nodes that a change does not touch, its row map says where
the key is that they had.
"""

# Axes: N items, V nodes of a depth, Y nodes asked for, T touched nodes, C children of these, H hidden width

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmrec.catalogue.segments import Segmented
from mmrec.generator.semantic_id_head import NodeKeys, SemanticIdHead
from mmrec.runtime.background import between_steps
from mmrec.semantic_ids.decode_index import DecodeIndex
from mmrec.semantic_ids.node_changes import NodeChange

NODES_AT_ONCE = 1 << 16
"""Nodes whose first keys are computed at a time; bounds memory."""


class Tables(NamedTuple):
    """Of one depth: what is scored; above the last depth what is written; above the one before, sums of tokens."""

    scored: Segmented[Tensor]
    written: Segmented[Tensor] | None
    sums: Segmented[Tensor] | None


class NodeEmbeddings:
    """Keys of one value of a catalogue. Make the first with `of`, and others with `updated`; none is changed in place.

    Attributes:
        keys: For searches.
    """

    def __init__(self, head: SemanticIdHead, depths: tuple[Tables, ...], keys: NodeKeys, dtype: torch.dtype) -> None:
        self._head = head
        self._depths = depths
        self._dtype = dtype
        self.keys = keys

    @classmethod
    def of(
        cls, head: SemanticIdHead, tokens: Segmented[Tensor], index: DecodeIndex, dtype: torch.dtype = torch.float32
    ) -> NodeEmbeddings:
        """The keys of a catalogue.

        Args:
            head: The semantic-ID head.
            tokens: Of every item. Shape: (N, H).
            index: The decode index, where the tokens are.
            dtype: Number format in which keys are stored; that of the matrix products that they enter loses nothing.
        """
        return cls(head, (), NodeKeys((), ()), dtype).updated(tokens, index, ())

    @torch.inference_mode()
    def updated(self, tokens: Segmented[Tensor], index: DecodeIndex, changes: tuple[NodeChange, ...]) -> NodeEmbeddings:
        """The keys after a change of the catalogue.

        Args:
            tokens: Tokens of all items after the change. Shape: (N, H).
            index: The decode index after the change, on the device of the tokens.
            changes: The changed nodes of each depth 1..P.
        """
        head, device = self._head, index.items_N.device
        if head.path_keys == "codes":
            return NodeEmbeddings(head, (), head.node_keys(tokens.base, index), self._dtype)
        depths: dict[int, Tables] = {}
        for depth in range(index.levels, 0, -1):
            if not self._depths:
                every_V = torch.arange(index.nodes[depth], device=device)
                some = [self._values(tokens, index, depths, nodes_Y) for nodes_Y in torch.split(every_V, NODES_AT_ONCE)]
                depths[depth] = Tables._make(
                    None if parts[0] is None else Segmented(torch.cat(parts)) for parts in zip(*some, strict=True)
                )
                continue
            between_steps()
            change, before = changes[depth - 1], self._depths[depth - 1]
            touched_T = torch.from_numpy(change.after_T).to(device)
            place_V = _carried(before.scored.places_N, change)
            depths[depth] = Tables._make(
                None
                if table is None or values_TH is None
                else Segmented(table.base, place_V, table.delta).replaced(touched_T, values_TH)
                for table, values_TH in zip(before, self._values(tokens, index, depths, touched_T), strict=True)
            )
        ordered = tuple(depths[depth] for depth in sorted(depths))
        written = tuple(tables.written for tables in ordered if tables.written is not None)
        keys = NodeKeys(written, tuple(tables.scored for tables in ordered))
        return NodeEmbeddings(head, ordered, keys, self._dtype)

    def _values(
        self, tokens: Segmented[Tensor], index: DecodeIndex, below: dict[int, Tables], nodes_Y: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What the `Tables` above those of `below` hold of some nodes. Shape of each: (Y, H)."""
        depth = index.levels - len(below)
        total_YH = _totals(tokens, index, below, depth, nodes_Y)
        begins = index.item_begin[depth]
        sizes_Y1 = (begins[nodes_Y + 1] - begins[nodes_Y]).unsqueeze(1)
        codes_Y = index.child_code[depth - 1][nodes_Y]
        written_YH, scored_YH = self._head.keys_of(total_YH / sizes_Y1, codes_Y, depth)
        return (
            scored_YH.to(self._dtype),
            None if written_YH is None else written_YH.to(self._dtype),
            total_YH if depth < index.levels - 1 else None,
        )


def _carried(place_V: Tensor, change: NodeChange) -> Tensor:
    """The row map of the index after a change, with any place for touched nodes. Shape: (V,), int32."""
    # A change touches few of many nodes: what lies between them is copied in runs, which is faster than a mask.
    first, *runs = place_V.tensor_split(torch.from_numpy(change.before_T))
    kept = torch.cat([first, *(run[1:] for run in runs)])
    first, *runs = kept.tensor_split(torch.from_numpy(change.after_T - np.arange(len(change.after_T))))
    touched = kept.new_zeros(1)
    return torch.cat([first, *(part for run in runs for part in (touched, run))])


def _totals(
    tokens: Segmented[Tensor], index: DecodeIndex, below: dict[int, Tables], depth: int, nodes_Y: Tensor
) -> Tensor:
    """Sum of the tokens below each node, child by child. Shape: (Y, H)."""
    parts_CH: Tensor
    if depth == index.levels:
        parts_CH = tokens[index.items_N[nodes_Y]]
        return parts_CH
    begins = index.child_begin[depth]
    first_Y = begins[nodes_Y].long()
    sizes_Y = begins[nodes_Y + 1].long() - first_Y
    own_C = torch.repeat_interleave(torch.arange(len(nodes_Y), device=nodes_Y.device), sizes_Y)
    ends_Y = sizes_Y.cumsum(0)
    children_C = first_Y[own_C] + torch.arange(len(own_C), device=own_C.device) - (ends_Y - sizes_Y)[own_C]
    child = below[depth + 1]
    parts_CH = (
        child.sums[children_C] if child.sums is not None else _totals(tokens, index, below, depth + 1, children_C)
    )
    return parts_CH.new_zeros(len(nodes_Y), parts_CH.shape[1]).index_add(0, own_C, parts_CH)
