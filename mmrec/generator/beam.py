"""Generates items with the semantic-ID head, by beam search or from the exact probabilities of all items.

Works on histories encoded by the LLM. Each step of a beam search decodes one position per beam with a KV cache.
"""

# Axes: B users, T history positions, W beams, C children of a node, N items, H hidden width, V nodes of a depth,
# Y nodes or beams decoded at once

from __future__ import annotations

import torch
from torch import Tensor

from mmrec.generator.batches import padded_size
from mmrec.generator.semantic_id_head import EncodedHistory, KVCache, NodeKeys, SemanticIdHead
from mmrec.generator.threads import single_thread_if_small
from mmrec.semantic_ids.decode_index import Children, DecodeIndex
from mmrec.semantic_ids.eligibility import Eligibility
from mmrec.semantic_ids.path_search import PathResult, best_items, checked_width, search_paths

NODES_AT_ONCE = 2048
"""Nodes decoded at once by an exact search; bounds memory."""


def generate(
    head: SemanticIdHead,
    encoded: EncodedHistory,
    allowed: Eligibility,
    index: DecodeIndex,
    keys: NodeKeys,
    *,
    width: int,
) -> PathResult:
    """The most probable eligible items, by exact search if that is no more expensive, else by `beam_search`."""
    search = exact_search if exact_is_cheaper(index, width) else beam_search
    return search(head, encoded, allowed, index, keys, width=width)


def exact_is_cheaper(index: DecodeIndex, width: int) -> bool:
    """Whether the tree has no more nodes with several children than the beam search would decode."""
    branching = [depth for depth in range(index.levels) if index.choices[depth]]
    return sum(index.choices) <= sum(min(width, index.nodes[depth]) for depth in branching)


@torch.inference_mode()
def beam_search(
    head: SemanticIdHead,
    encoded: EncodedHistory,
    allowed: Eligibility,
    index: DecodeIndex,
    keys: NodeKeys,
    *,
    width: int,
) -> PathResult:
    """Generate the most probable eligible items of each user.

    Equals ranking all eligible items by probability if the beam is wide enough to hold every prefix of the result at
    every level; a beam as wide as the catalogue always is.

    Args:
        head: The semantic-ID head, in evaluation mode.
        encoded: Histories encoded by the LLM.
        allowed: Eligible items of the same index.
        index: The decode index, on the same device.
        keys: Of its nodes, from `SemanticIdHead.node_keys`.
        width: Beams per user, 1 or more; capped at the catalogue size.

    Raises:
        InvalidArgumentError: `width` is below 1.
    """
    batch, _, hidden = encoded.states_BTH.shape
    with single_thread_if_small(batch * width, 4 * hidden * hidden):
        return search_paths(_HeadScorer(head, encoded, index, keys), allowed, index, width=width)


class _HeadScorer:
    """Scores steps with the semantic-ID head and a KV cache.

    A beam with a single item below it is already decided. On a CPU, where checking is cheap, such beams are not
    decoded.
    """

    def __init__(self, head: SemanticIdHead, encoded: EncodedHistory, index: DecodeIndex, keys: NodeKeys) -> None:
        self._head, self._index, self._keys = head, index, keys
        self._last_choice = max((depth for depth in range(index.levels) if index.choices[depth]), default=-1)
        self._cache: KVCache | None = head.begin(encoded) if self._last_choice >= 0 else None
        self._slots_BW: Tensor | None = None
        """Beam in `_cache` that each beam continues; None if they are the same."""

    def step(self, nodes_BW: Tensor, children: Children, depth: int) -> Tensor:
        """Log-probability of each child. Shape: (B, W, C), float32."""
        if depth > self._last_choice or (depth == self._last_choice and children.exists.shape[2] == 1):
            self._cache = None
        beams_BY = None if nodes_BW.is_cuda or not depth or self._cache is None else self._undecided(nodes_BW, depth)
        if self._cache is None or (beams_BY is not None and not beams_BY.shape[1]):
            self._cache = None
            return _certain(children)
        if beams_BY is None:
            state_BWH = self._decode(nodes_BW, depth, self._cache, self._slots_BW)
            self._slots_BW = None
            if not self._index.choices[depth]:
                return _certain(children)
            return self._head.child_log_probs(state_BWH, children, depth, self._keys)
        slots_BY = beams_BY if self._slots_BW is None else self._slots_BW.gather(1, beams_BY)
        state_BYH = self._decode(nodes_BW.gather(1, beams_BY), depth, self._cache, slots_BY)
        numbers_BY = torch.arange(beams_BY.shape[1]).expand(beams_BY.shape)
        self._slots_BW = torch.zeros_like(nodes_BW).scatter_(1, beams_BY, numbers_BY)
        certain_BWC = _certain(children)
        if children.exists.shape[2] > 1:
            rows_B1 = torch.arange(len(beams_BY)).unsqueeze(1)
            own = Children(*(part[rows_B1, beams_BY] for part in children))
            certain_BWC[rows_B1, beams_BY] = self._head.child_log_probs(state_BYH, own, depth, self._keys)
        return certain_BWC

    def _undecided(self, nodes_BW: Tensor, depth: int) -> Tensor | None:
        """Beams with more than one item below them, padded with other beams; None for all. Shape: (B, Y), int64."""
        begin = self._index.item_begin[depth]
        undecided_BW = begin.take(nodes_BW + 1) - begin.take(nodes_BW) > 1
        most = padded_size(int(undecided_BW.sum(1).max()))
        if most >= nodes_BW.shape[1]:
            return None
        return undecided_BW.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]

    def _decode(self, nodes_BQ: Tensor, depth: int, cache: KVCache, slots_BQ: Tensor | None) -> Tensor:
        if slots_BQ is not None:
            cache = cache.of_beams(slots_BQ)
        state_BQH, self._cache = self._head.step(nodes_BQ if depth else None, cache, self._keys)
        return state_BQH

    def keep(self, parents_BW: Tensor) -> None:
        """Reorder the beams."""
        if self._cache is not None:
            self._slots_BW = parents_BW if self._slots_BW is None else self._slots_BW.gather(1, parents_BW)


def _certain(children: Children) -> Tensor:
    """Log-probabilities of only children: 0, or -inf where a child does not exist."""
    return torch.where(children.exists, 0.0, float("-inf"))


def exact_search(
    head: SemanticIdHead,
    encoded: EncodedHistory,
    allowed: Eligibility,
    index: DecodeIndex,
    keys: NodeKeys,
    *,
    width: int,
) -> PathResult:
    """The `width` best items of a beam search as wide as the catalogue; arguments as in `beam_search`."""
    checked_width(width, index)
    return best_items(_exact(head, encoded, index, keys), allowed, index, width=width)


@torch.inference_mode()
def exact_log_probs(head: SemanticIdHead, encoded: EncodedHistory, index: DecodeIndex, keys: NodeKeys) -> Tensor:
    """Log-probability of every item, by catalogue row. Shape: (B, N), float32.

    Costs a decoder step per user and node with several children: for catalogues of thousands, and for tests.
    """
    by_place_BN = _exact(head, encoded, index, keys)
    by_row_BN = torch.empty_like(by_place_BN)
    by_row_BN[:, index.items_N] = by_place_BN
    return by_row_BN


@torch.inference_mode()
def _exact(head: SemanticIdHead, encoded: EncodedHistory, index: DecodeIndex, keys: NodeKeys) -> Tensor:
    """Log-probability of every item by its place in the sorted table. Shape: (B, N), float32."""
    batch, device = len(encoded.valid_BT), encoded.valid_BT.device
    query_B1H = encoded.last().unsqueeze(1)
    score_BV = torch.zeros(batch, 1, device=device)
    prefix_lV: tuple[Tensor, ...] = ()
    for depth in range(index.levels):
        parent_V = index.parents(depth + 1)
        score_next_BV = score_BV[:, parent_V]
        choice_V = torch.nonzero(index.child_begin[depth].diff() > 1).flatten()
        for nodes_Y in torch.split(choice_V, NODES_AT_ONCE):
            queries = len(nodes_Y)
            state_BYlH = head(
                tuple(node_V[nodes_Y].expand(batch, -1) for node_V in prefix_lV),
                query_B1H.expand(-1, queries, -1),
                encoded,
                encoded.valid_BT.unsqueeze(1).expand(-1, queries, -1),
                keys,
            )
            children = index.children(nodes_Y, depth)
            expanded = Children(*(part.expand(batch, *part.shape) for part in children))
            step_BYC = head.child_log_probs(state_BYlH[:, :, -1], expanded, depth, keys)
            score_next_BV[:, children.nodes[children.exists]] += step_BYC[:, children.exists]
        score_BV = score_next_BV
        prefix_lV = (*(node_V[parent_V] for node_V in prefix_lV), torch.arange(len(parent_V), device=device))
    return score_BV
