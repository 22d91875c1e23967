"""Which nodes of a decode index a catalogue change affects; the others only get new numbers.

Items that stay keep their order, so the unaffected nodes are the same in the same order before and after, and values
computed for them remain valid.
"""

# Axes: R removed items, M added items, X places in the sorted table, T affected nodes

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mmrec.semantic_ids.decode_index import DecodeIndex

Places = npt.NDArray[np.int64]


class NodeChange(NamedTuple):
    """Affected nodes of one depth: those that contain a removed or added item.

    Attributes:
        before_T: Nodes of the index before, ascending. Shape: (T,), int64.
        after_T: Nodes of the index after, ascending; T may differ. Shape: (T,), int64.
    """

    before_T: Places
    after_T: Places


def node_changes(before: DecodeIndex, after: DecodeIndex, left_R: Places, came_M: Places) -> tuple[NodeChange, ...]:
    """Affected nodes of each depth, 1 to P.

    Args:
        before: The index before, on the CPU.
        after: The index after, on the CPU.
        left_R: Places, in `before`, of items that were removed or got another path. Shape: (R,).
        came_M: Places, in `after`, of items that were added or got another path. Shape: (M,).
    """
    left_R, came_M = np.sort(left_R), np.sort(came_M)
    changes = []
    for depth in range(1, before.levels + 1):
        above_left = np.unique(_nodes_of(before, left_R, depth))
        above_came = np.unique(_nodes_of(after, came_M, depth))
        # A node with an item that stays exists both before and after.
        stays = _nodes_of(before, _place_of_rank(_first_ranks(after, above_came, came_M, depth), left_R), depth)
        stayed = _nodes_of(after, _place_of_rank(_first_ranks(before, above_left, left_R, depth), came_M), depth)
        changes.append(NodeChange(np.union1d(above_left, stays), np.union1d(above_came, stayed)))
    return tuple(changes)


def _nodes_of(index: DecodeIndex, places_X: Places, depth: int) -> Places:
    return index.nodes_of(torch.from_numpy(places_X), depth).numpy()


def _first_ranks(index: DecodeIndex, nodes_T: Places, others_X: Places, depth: int) -> Places:
    """Rank, among items not in `others_X`, of the first such item of each node that has one."""
    begins = index.item_begin[depth].numpy()
    first_T, last_T = (begins[nodes].astype(np.int64) for nodes in (nodes_T, nodes_T + 1))
    rank_first_T = first_T - np.searchsorted(others_X, first_T)
    rank_last_T = last_T - np.searchsorted(others_X, last_T)
    return rank_first_T[rank_last_T > rank_first_T]


def _place_of_rank(ranks_X: Places, others_X: Places) -> Places:
    """Places of items from their rank among items not in `others_X`, which is ascending."""
    return ranks_X + np.searchsorted(others_X - np.arange(len(others_X)), ranks_X, side="right")
