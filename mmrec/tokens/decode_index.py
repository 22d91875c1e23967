"""The decode index: every semantic ID of a catalogue as a prefix tree laid out flat.

Works on sorted paths; knows nothing about models or requests. Items are sorted by path, so a node of the tree is a
range of the sorted table, and the children of a node are neighbours on the next level: each level needs only where
each node's children begin (CSR), which code each child has, and where each node's items begin. A beam step is then a
few gathers for all beams of all requests at once. With one cumulative sum over an eligibility bitmap, a node has an
eligible item below it exactly when ``cumulative[end] - cumulative[begin] > 0``: filters are exact inside the search.

"""

# Axes: N items, P levels of a semantic ID, V_l nodes at depth l (V_0 = 1 root, V_P = N leaves), B requests,
# W beams, C children of a node (padded to the level's largest count)

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.errors import InvalidArgumentError

__all__ = ["Children", "DecodeIndex", "build_decode_index"]


class Children(NamedTuple):
    """Children of some nodes, padded to the level's largest count.

    Attributes:
        nodes: Node of each child at the next depth; 0 where padded. Shape: (*nodes, C), int64.
        codes: Code of each child; 0 where padded. Shape: (*nodes, C), int64.
        exists: False where padded. Shape: (*nodes, C), bool.
    """

    nodes: Tensor
    codes: Tensor
    exists: Tensor


class DecodeIndex(NamedTuple):
    """Prefix tree of semantic IDs. Immutable; all tensors live on one device.

    Attributes:
        items_N: Catalogue row of each sorted path. Shape: (N,), int64.
        child_begin: Per depth 0..P-1, where each node's children begin at the next depth. Shape: (V_l + 1,), int64.
        child_code: Per depth 0..P-1, the code of every node at the next depth. Shape: (V_{l+1},), int64.
        item_begin: Per depth 0..P, where each node's items begin in the sorted table. Shape: (V_l + 1,), int64.
        widths: Codes per level: every code of level l is below ``widths[l]``.
        fan_out: Most children of any node, per depth 0..P-1.
    """

    items_N: Tensor
    child_begin: tuple[Tensor, ...]
    child_code: tuple[Tensor, ...]
    item_begin: tuple[Tensor, ...]
    widths: tuple[int, ...]
    fan_out: tuple[int, ...]

    @property
    def levels(self) -> int:
        """Codes of a semantic ID."""
        return len(self.child_code)

    def to(self, device: torch.device) -> DecodeIndex:
        """The same index on another device."""
        return DecodeIndex(
            self.items_N.to(device),
            tuple(t.to(device) for t in self.child_begin),
            tuple(t.to(device) for t in self.child_code),
            tuple(t.to(device) for t in self.item_begin),
            self.widths,
            self.fan_out,
        )

    def children(self, nodes: Tensor, depth: int) -> Children:
        """Children of `nodes`, which lie at `depth`.

        Args:
            nodes: Shape: any, int64.
            depth: 0 for the root up to P - 1.
        """
        begin = self.child_begin[depth]
        slots = torch.arange(self.fan_out[depth], device=nodes.device)
        children = begin[nodes].unsqueeze(-1) + slots
        exists = children < begin[nodes + 1].unsqueeze(-1)
        children = torch.where(exists, children, 0)
        return Children(children, self.child_code[depth][children], exists)

    def cumulative(self, eligible_BN: Tensor) -> Tensor:
        """Eligible items before each place of the sorted table.

        Args:
            eligible_BN: By catalogue row. Shape: (B, N), bool.

        Returns:
            Shape: (B, N + 1), int32.
        """
        sorted_BN = eligible_BN[:, self.items_N].to(torch.int32)
        return torch.nn.functional.pad(sorted_BN.cumsum(1, dtype=torch.int32), (1, 0))

    def eligible(self, nodes_BX: Tensor, depth: int, cumulative_BN: Tensor) -> Tensor:
        """Whether any eligible item lies below each node. Shape: like `nodes_BX` (B, ...), bool."""
        begin = self.item_begin[depth]
        flat = nodes_BX.flatten(1)
        below = cumulative_BN.gather(1, begin[flat + 1]) - cumulative_BN.gather(1, begin[flat])
        return (below > 0).view(nodes_BX.shape)

    def paths(self) -> npt.NDArray[np.int32]:
        """Semantic IDs in catalogue order, rebuilt from the tree. Shape: (N, P), int32."""
        count = len(self.items_N)
        paths_NP = np.empty((count, self.levels), dtype=np.int32)
        rows = self.items_N.cpu().numpy()
        for depth in range(1, self.levels + 1):
            sizes = np.diff(self.item_begin[depth].cpu().numpy())
            paths_NP[rows, depth - 1] = np.repeat(self.child_code[depth - 1].cpu().numpy(), sizes)
        return paths_NP


def build_decode_index(semantic_ids_NP: npt.NDArray[np.int32], widths: tuple[int, ...] | None = None) -> DecodeIndex:
    """Sort items by path and lay the tree out flat.

    Args:
        semantic_ids_NP: One unique path per item, in catalogue order. Shape: (N, P), int32.
        widths: Codes per level; None takes one more than the largest code seen.

    Raises:
        InvalidArgumentError: there are no items, a code is out of range, or two items share a path.
    """
    items, levels = semantic_ids_NP.shape
    if items == 0 or levels == 0:
        raise InvalidArgumentError(f"semantic IDs have the shape {semantic_ids_NP.shape}; at least 1 x 1 is needed")
    widths = widths or tuple(int(c) + 1 for c in semantic_ids_NP.max(axis=0))
    if len(widths) != levels or (semantic_ids_NP < 0).any() or (semantic_ids_NP.max(axis=0) >= widths).any():
        raise InvalidArgumentError(
            f"a code is out of range: the largest per level are {semantic_ids_NP.max(axis=0).tolist()}, the smallest "
            f"{semantic_ids_NP.min(axis=0).tolist()}; level l takes codes from 0 to below {widths}"
        )
    order_N = np.lexsort(semantic_ids_NP.T[::-1])
    sorted_NP = semantic_ids_NP[order_N]

    # starts[depth]: where each node of that depth begins in the sorted table
    starts = [np.zeros(1, dtype=np.int64)]
    differs_N = np.zeros(items, dtype=bool)
    differs_N[0] = True
    for level in range(levels):
        differs_N[1:] |= sorted_NP[1:, level] != sorted_NP[:-1, level]
        starts.append(np.flatnonzero(differs_N))
    if len(starts[-1]) != items:
        same = int(np.flatnonzero(~differs_N)[0])
        raise InvalidArgumentError(
            f"items {int(order_N[same - 1])} and {int(order_N[same])} share the path {sorted_NP[same].tolist()}; "
            "semantic IDs must be unique: give them different last codes"
        )

    child_begin = [
        np.append(np.searchsorted(starts[depth + 1], starts[depth]), len(starts[depth + 1])) for depth in range(levels)
    ]
    return DecodeIndex(
        items_N=torch.from_numpy(order_N.astype(np.int64)),
        child_begin=tuple(torch.from_numpy(begin.astype(np.int64)) for begin in child_begin),
        child_code=tuple(
            torch.from_numpy(sorted_NP[starts[depth + 1], depth].astype(np.int64)) for depth in range(levels)
        ),
        item_begin=tuple(torch.from_numpy(np.append(start, items).astype(np.int64)) for start in starts),
        widths=widths,
        fan_out=tuple(int(np.diff(begin).max()) for begin in child_begin),
    )
