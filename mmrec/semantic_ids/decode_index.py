"""The decode index: a prefix tree (trie) of all semantic IDs of a catalogue in flat arrays.

Items are sorted by path, so a node of the tree is a range of the sorted table, and the children of a node are adjacent
at the next depth. Each depth stores where each node's children begin (CSR), the code of each child, and where each
node's items begin. A beam step is then a few gathers for all beams of all requests at once. A catalogue change merges
the new paths into the sorted table and rebuilds the arrays in a few linear passes, without sorting the whole table; the
index is always exact.
"""

# Axes: N items, M added items, R removed rows, P levels of a semantic ID, V_l nodes at depth l (V_0 = 1 root, V_P = N
# leaves), C children of a node (padded), X positions in the sorted table (called places)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.background import between_steps

Codes = Sequence[npt.NDArray[np.int32]]
"""Paths as P arrays, one per level."""

KEY_BITS = 63
"""Paths of up to this many bits are sorted as integers."""


class Children(NamedTuple):
    """Children of some nodes, padded to the same length.

    Attributes:
        nodes: Node index of each child at the next depth; 0 where padded. Shape: (*nodes, C), int64.
        codes: Code of each child; the code of node 0 where padded. Shape: (*nodes, C), int64.
        exists: False where padded. Shape: (*nodes, C), bool.
    """

    nodes: Tensor
    codes: Tensor
    exists: Tensor


class DecodeIndex(NamedTuple):
    """Prefix tree of semantic IDs. Immutable; all tensors live on one device.

    Attributes:
        items_N: Catalogue row of each sorted path. Shape: (N,), int32.
        child_begin: Per depth 0..P-1, where each node's children begin at the next depth. Shape: (V_l + 1,), int32.
        child_code: Per depth 0..P-1, the code of every node at the next depth. Shape: (V_{l+1},), int32.
        item_begin: Per depth 0..P, where each node's items begin in the sorted table. Shape: (V_l + 1,), int32.
        widths: Codes per level: every code of level l is below ``widths[l]``.
        fan_out: Maximum number of children of a node, per depth 0..P-1.
        choices: Number of nodes with more than one child, per depth 0..P-1.
    """

    items_N: Tensor
    child_begin: tuple[Tensor, ...]
    child_code: tuple[Tensor, ...]
    item_begin: tuple[Tensor, ...]
    widths: tuple[int, ...]
    fan_out: tuple[int, ...]
    choices: tuple[int, ...]

    @property
    def levels(self) -> int:
        """Codes of a semantic ID."""
        return len(self.child_code)

    @property
    def nodes(self) -> tuple[int, ...]:
        """Nodes per depth 0..P."""
        return (1, *(len(codes) for codes in self.child_code))

    @property
    def memory(self) -> int:
        """Bytes of all arrays; shared arrays count once."""
        arrays = [self.items_N, *self.child_begin, *self.child_code, *self.item_begin]
        return sum({array.data_ptr(): array.numel() * array.element_size() for array in arrays}.values())

    def to(self, device: torch.device) -> DecodeIndex:
        """The same index on another device."""
        moved: dict[int, Tensor] = {}

        def move(array: Tensor) -> Tensor:
            return moved.setdefault(id(array), array.to(device))

        return self._replace(
            items_N=move(self.items_N),
            child_begin=tuple(map(move, self.child_begin)),
            child_code=tuple(map(move, self.child_code)),
            item_begin=tuple(map(move, self.item_begin)),
        )

    def children(self, nodes: Tensor, depth: int, *, tight: bool = False) -> Children:
        """Children of `nodes` at `depth`.

        Args:
            nodes: Shape: any, int64.
            depth: 0 for the root up to P - 1.
            tight: Whether to pad to the most children among `nodes` instead of `fan_out`; ignored on a GPU, where it
                would force a synchronisation.
        """
        begin = self.child_begin[depth]
        first, end = begin.take(nodes), begin.take(nodes + 1)
        most = int((end - first).max()) if tight and not nodes.is_cuda else self.fan_out[depth]
        if most == 1:
            # Every node has a child.
            only = first.long().unsqueeze(-1)
            return Children(only, self.child_code[depth].take(only).long(), torch.ones_like(only, dtype=torch.bool))
        children = first.unsqueeze(-1) + torch.arange(most, dtype=first.dtype, device=nodes.device)
        exists = children < end.unsqueeze(-1)
        children = children.mul_(exists).long()
        return Children(children, self.child_code[depth].take(children).long(), exists)

    def parents(self, depth: int) -> Tensor:
        """Parent of every node at `depth`, 1 or more. Shape: (V_l,), int64."""
        counts_V = self.child_begin[depth - 1].diff()
        nodes_V = torch.arange(len(counts_V), device=counts_V.device)
        return torch.repeat_interleave(nodes_V, counts_V, output_size=len(self.child_code[depth - 1]))

    def nodes_of(self, places_X: Tensor, depth: int) -> Tensor:
        """Node at `depth` that contains each place of the sorted table. Shape: (X,), int64."""
        if depth == self.levels:
            return places_X
        return torch.searchsorted(self.item_begin[depth], places_X.to(torch.int32), right=True).long() - 1

    def place_of_rows(self, rows: int) -> Tensor:
        """Place of each catalogue row in the sorted table, -1 for rows that are not in the index.

        Args:
            rows: Number of catalogue rows, removed items included.

        Returns:
            Shape: (rows,), int32.
        """
        places = torch.full((rows,), -1, dtype=torch.int32, device=self.items_N.device)
        numbers = torch.arange(len(self.items_N), dtype=torch.int32, device=places.device)
        return places.scatter_(0, self.items_N.long(), numbers)

    def sorted_codes(self) -> list[npt.NDArray[np.int32]]:
        """Semantic IDs in sorted order, rebuilt from the tree: P arrays, one per level. Shape of each: (N,), int32."""
        items, levels = len(self.items_N), []
        for depth in range(1, self.levels + 1):
            between_steps()
            codes_V, begins = self.child_code[depth - 1].cpu(), self.item_begin[depth].cpu()
            if len(codes_V) < items:
                codes_V = torch.repeat_interleave(codes_V, begins.diff(), output_size=items)
            levels.append(codes_V.numpy())
        return levels

    def sorted_paths(self) -> npt.NDArray[np.int32]:
        """Semantic IDs in sorted order, rebuilt from the tree. Shape: (N, P), int32."""
        return np.stack(self.sorted_codes(), axis=1)

    def paths(self) -> npt.NDArray[np.int32]:
        """Semantic IDs in catalogue order; every row must be in the index. Shape: (N, P), int32."""
        paths_NP = np.empty((len(self.items_N), self.levels), dtype=np.int32)
        paths_NP[self.items_N.cpu().numpy()] = self.sorted_paths()
        return paths_NP


def build_decode_index(
    semantic_ids_NP: npt.NDArray[np.int32],
    widths: tuple[int, ...] | None = None,
    alive_N: npt.NDArray[np.bool_] | None = None,
) -> DecodeIndex:
    """Sort items by path and build the flat tree.

    Args:
        semantic_ids_NP: One unique path per item, in catalogue order. Shape: (N, P), int32.
        widths: Codes per level; None: the largest code plus one.
        alive_N: Rows to include; None for all. Shape: (N,), bool.

    Raises:
        InvalidArgumentError: there are no items, a code is out of range, or two items share a path.
    """
    rows_N = np.arange(len(semantic_ids_NP)) if alive_N is None else np.flatnonzero(alive_N)
    if alive_N is not None:
        semantic_ids_NP = semantic_ids_NP[rows_N]
    items, levels = semantic_ids_NP.shape
    if items == 0 or levels == 0:
        raise InvalidArgumentError(f"semantic IDs have the shape {semantic_ids_NP.shape}; at least 1 x 1 is needed")
    widths = widths or tuple(int(c) + 1 for c in semantic_ids_NP.max(axis=0))
    _check_codes(semantic_ids_NP, widths)
    order_N = _order(semantic_ids_NP, widths)
    return _from_sorted([code_N[order_N] for code_N in semantic_ids_NP.T], rows_N[order_N].astype(np.int32), widths)


def change_decode_index(
    index: DecodeIndex,
    *,
    added_MP: npt.NDArray[np.int32],
    rows_M: npt.NDArray[np.integer[Any]],
    removed_R: npt.NDArray[np.integer[Any]],
) -> DecodeIndex:
    """A new index with items added and removed; `index` is not modified.

    Args:
        index: On the CPU.
        added_MP: Paths of the added items. Shape: (M, P), int32.
        rows_M: Catalogue rows of the added items. Shape: (M,).
        removed_R: Catalogue rows to remove; rows not in the index are ignored. Shape: (R,).

    Raises:
        InvalidArgumentError: a code is out of range, two items share a path, or no items would remain.
    """
    items_N, codes = index.items_N.numpy(), index.sorted_codes()
    if len(removed_R):
        rows = int(max(items_N.max(initial=0), removed_R.max())) + 1
        is_removed = np.zeros(rows, dtype=bool)
        is_removed[removed_R] = True
        stays_N = ~is_removed[items_N]
        if not stays_N.all():
            items_N, codes = items_N[stays_N], [code_N[stays_N] for code_N in codes]
    if len(rows_M):
        _check_codes(added_MP, index.widths)
        order_M = _order(added_MP, index.widths)
        added_MP, rows_M = added_MP[order_M], rows_M[order_M].astype(np.int32)
        between_steps()
        before_M = _places(codes, list(added_MP.T), index.widths)
        between_steps()
        items_N = np.insert(items_N, before_M, rows_M)
        codes = [np.insert(code_N, before_M, added_M) for code_N, added_M in zip(codes, added_MP.T, strict=True)]
    if not len(items_N):
        raise InvalidArgumentError("all items would be deleted; a decode index needs at least one")
    return _from_sorted(codes, items_N, index.widths)


def _check_codes(paths_NP: npt.NDArray[np.int32], widths: tuple[int, ...]) -> None:
    if paths_NP.shape[1] != len(widths) or (paths_NP < 0).any() or (paths_NP.max(axis=0) >= widths).any():
        raise InvalidArgumentError(
            f"a code is out of range: the largest per level are {paths_NP.max(axis=0).tolist()}, the smallest "
            f"{paths_NP.min(axis=0).tolist()}; level l takes codes from 0 to below {widths}"
        )


def _keys(codes: Codes, widths: tuple[int, ...]) -> npt.NDArray[np.int64] | None:
    """Paths as integers with the same order; None if they exceed `KEY_BITS`. Shape: (N,), int64."""
    bits = [max(1, (width - 1).bit_length()) for width in widths]
    if sum(bits) > KEY_BITS:
        return None
    keys_N = codes[0].astype(np.int64)
    for code_N, size in zip(codes[1:], bits[1:], strict=True):
        keys_N <<= size
        keys_N |= code_N
    return keys_N


def _order(paths_NP: npt.NDArray[np.int32], widths: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Rows sorted by path, stable. Shape: (N,), int64."""
    keys_N = _keys(list(paths_NP.T), widths)
    return np.lexsort(paths_NP.T[::-1]) if keys_N is None else np.argsort(keys_N, kind="stable")


def _places(old: Codes, new: Codes, widths: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Insertion places of sorted new paths into sorted old ones, as `np.searchsorted`. Shape: (M,), int64."""
    old_N, new_M = _keys(old, widths), _keys(new, widths)
    if old_N is not None and new_M is not None:
        return np.searchsorted(old_N, new_M)
    both = [np.concatenate([new_M, old_N]) for new_M, old_N in zip(new, old, strict=True)]
    order = np.lexsort(both[::-1])
    is_new = order < len(new[0])
    return np.asarray(np.cumsum(~is_new)[is_new], dtype=np.int64)


def _from_sorted(codes: Codes, items_N: npt.NDArray[np.int32], widths: tuple[int, ...]) -> DecodeIndex:
    items = len(items_N)
    starts = [np.zeros(1, dtype=np.int32)]
    child_code = []
    differs_N = np.zeros(items, dtype=bool)
    differs_N[0] = True
    for code_N in codes:
        between_steps()
        differs_N[1:] |= code_N[1:] != code_N[:-1]
        starts.append(np.flatnonzero(differs_N).astype(np.int32))
        child_code.append(np.ascontiguousarray(code_N[starts[-1]]))
    if len(starts[-1]) != items:
        same = int(np.flatnonzero(~differs_N)[0])
        path = [int(code_N[same]) for code_N in codes]
        raise InvalidArgumentError(
            f"items {int(items_N[same - 1])} and {int(items_N[same])} share the path {path}; "
            "semantic IDs must be unique: give them different last codes"
        )
    between_steps()
    item_begin = [np.append(start, np.int32(items)) for start in starts[:-1]]
    # A node's first child begins at the same item as the node; at the last depth, the children are the items.
    child_begin = [
        np.append(np.searchsorted(starts[depth + 1], starts[depth]), len(starts[depth + 1])).astype(np.int32)
        for depth in range(len(starts) - 2)
    ]
    counts = [np.diff(begin) for begin in (*child_begin, item_begin[-1])]
    shared = [torch.from_numpy(begin) for begin in item_begin]
    return DecodeIndex(
        items_N=torch.from_numpy(np.ascontiguousarray(items_N)),
        child_begin=(*map(torch.from_numpy, child_begin), shared[-1]),
        child_code=tuple(map(torch.from_numpy, child_code)),
        item_begin=(*shared, torch.arange(items + 1, dtype=torch.int32)),
        widths=widths,
        fan_out=tuple(int(count.max()) for count in counts),
        choices=tuple(int((count > 1).sum()) for count in counts),
    )
