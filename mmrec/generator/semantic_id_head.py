"""The semantic-ID head: a small decoder that writes a path code by code, attending to every history place.

Works on hidden states, catalogue rows and nodes of the decode index; knows nothing about the LLM. The history's keys
and values are shared by all queries (all beams of a user). A step scores the children of a node against keys that
are made of what lies below each child: the mean of its items' tokens, plus the embedding of its code. What training
teaches about items is thereby known at every level of the tree, and a new item has a key as soon as it has a token;
codes alone (`GeneratorConfig.path_keys`) would have to learn every node's meaning again. The
probabilities are normalised over the children that exist, so those of all items sum to one and nothing outside the
catalogue has any.

Sources: TIGER (Rajput et al. 2023, arXiv:2305.05065) for decoding paths with attention to the whole history; tree-based
deep models (Zhu et al. 2018, arXiv:1801.02294) for nodes that stand for the items below them.
"""

# Axes: B users, T history places, N items, S stored keys, H hidden width, P levels of a semantic ID, l codes
# written, Q queries (history places in training, beams in search), C children of a node, V nodes of a depth, X nodes
# asked for

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec.catalogue.segments import Segmented
from mmrec.generator.batches import products_with_rows
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.decoder_layer import DecoderLayer, HistoryKV
from mmrec.semantic_ids.decode_index import Children, DecodeIndex

MOST_SCORED = 32_768
"""Nodes of a depth up to which a training step scores all of them by one matrix product and then picks its children's
scores: the gradient of picking keys is scattered and slow. Without gradients, picking keys is what costs less."""

PICKED_AT_ONCE = 1 << 23
"""Numbers of picked keys that are held at a time on a CPU."""


class EncodedHistory(NamedTuple):
    """A batch of histories as the heads see them, encoded once by the LLM.

    Attributes:
        states_BTH: The LLM's hidden states. Shape: (B, T, H).
        keys_BTH: What the semantic-ID head attends to: hidden state plus item token. Shape: (B, T, H).
        valid_BT: False where padded. Shape: (B, T), bool.
    """

    states_BTH: Tensor
    keys_BTH: Tensor
    valid_BT: Tensor

    def detached(self) -> EncodedHistory:
        """The same, which sends no gradient back to the LLM."""
        return EncodedHistory(self.states_BTH.detach(), self.keys_BTH.detach(), self.valid_BT)

    def last(self) -> Tensor:
        """Hidden state of each user's last history place. Shape: (B, H)."""
        last_B = self.valid_BT.sum(1) - 1
        return self.states_BTH[torch.arange(len(last_B), device=last_B.device), last_B]


class NodeKeys(NamedTuple):
    """What the head knows of every node of the decode index.

    Attributes:
        written_PVH: Per depth 1..P - 1, what writing a node adds to the decoder's input; after the last code nothing is
            written. Shape of each: (V, H).
        scored_PVH: Per depth 1..P, what a state is scored against. Shape of each: (V, H).
        by_code: Whether nodes of one code share a key, so that few are stored.
    """

    written_PVH: tuple[Segmented[Tensor], ...]
    scored_PVH: tuple[Segmented[Tensor], ...]
    by_code: bool = False

    def written(self, nodes: Tensor, depth: int) -> Tensor:
        """What writing nodes of `depth`, 1 to P - 1, adds. Shape: (*nodes, H)."""
        found: Tensor = self.written_PVH[depth - 1][nodes]
        return found


class KVCache(NamedTuple):
    """Keys and values that a search keeps: each step then costs one place per beam.

    Those of the history are there once for each user, and all beams read them; those of the path are a beam's own.

    Attributes:
        start_B1H: What every step begins with. Shape: (B, 1, H).
        history: Of every layer, those of the history.
        visible_B11T: Which history places may be seen; None for all of them. Shape: (B, 1, 1, T), bool.
        paths: Of every layer, keys and values of each code written; None at first. Shape of each: (B, Q, l, 2, heads,
            w).
    """

    start_B1H: Tensor
    history: tuple[HistoryKV, ...]
    visible_B11T: Tensor | None
    paths: tuple[Tensor, ...] | None

    def of_beams(self, beams_BW: Tensor) -> KVCache:
        """The same for other beams, each of which goes on where one of these is. Shape of `beams_BW`: (B, W), int64."""
        if self.paths is None:
            return self
        if self.paths[0].shape[1] == 1:
            paths = [path.expand(-1, beams_BW.shape[1], -1, -1, -1, -1) for path in self.paths]
        else:
            rows_B1 = torch.arange(len(beams_BW), device=beams_BW.device).unsqueeze(1)
            paths = [path[rows_B1, beams_BW] for path in self.paths]
        return self._replace(paths=tuple(paths))


class SemanticIdHead(nn.Module):
    """See the module's first paragraph.

    Args:
        hidden: Width of states and tokens.
        config: `heads`, `decoder_layers`, `dropout` and `path_keys` are read.
        widths: Codes per level of a semantic ID.
    """

    def __init__(self, hidden: int, config: GeneratorConfig, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths
        self.path_keys = config.path_keys
        self.start = nn.Linear(hidden, hidden)
        self.level = nn.Parameter(torch.randn(len(widths), hidden) * 0.02)
        embeddings = [nn.Embedding(width, hidden) for width in widths]
        self.code_embedding = nn.ModuleList(embeddings)
        self.written = nn.ModuleList(nn.Linear(hidden, hidden) for _ in widths)
        self.scored = nn.ModuleList(nn.Linear(hidden, hidden) for _ in widths)
        self.scored_norm = nn.ModuleList(nn.LayerNorm(hidden) for _ in widths)
        self.layers = nn.ModuleList(
            DecoderLayer(hidden, config.heads, config.dropout) for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(hidden)
        for embedding in embeddings:
            nn.init.normal_(embedding.weight, std=0.02)
        for linear in (self.start, *self.scored):
            # From the start a node is scored as the item head scores an item.
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)

    def node_keys(self, tokens_NH: Tensor, index: DecodeIndex) -> NodeKeys:
        """Keys of every node, from the tokens of the items below it.

        Args:
            tokens_NH: Token of every item, in catalogue order. Shape: (N, H).
            index: The decode index.
        """
        if self.path_keys == "codes":
            embeddings = cast("Sequence[nn.Embedding]", self.code_embedding)
            by_code = tuple(embedding.weight for embedding in embeddings)
            normed = tuple(norm(codes_KH) for norm, codes_KH in zip(self.scored_norm, by_code, strict=True))
            codes = (*index.child_code[:-1], index.child_code[-1].clamp(max=self.widths[-1] - 1))
            written = tuple(map(Segmented, by_code[:-1], codes[:-1]))
            return NodeKeys(written, tuple(map(Segmented, normed, codes)), by_code=True)
        sorted_NH = tokens_NH[index.items_N]
        tables: tuple[list[Segmented[Tensor]], list[Segmented[Tensor]]] = [], []
        for depth in range(1, index.levels + 1):
            sizes_V = index.item_begin[depth].diff()
            mean_VH = sorted_NH
            if len(sizes_V) < len(sorted_NH):
                node_N = torch.repeat_interleave(
                    torch.arange(len(sizes_V), device=sizes_V.device), sizes_V, output_size=len(sorted_NH)
                )
                total_VH = sorted_NH.new_zeros(len(sizes_V), sorted_NH.shape[1]).index_add(0, node_N, sorted_NH)
                mean_VH = total_VH / sizes_V.unsqueeze(1)
            for table, keys_VH in zip(tables, self.keys_of(mean_VH, index.child_code[depth - 1], depth), strict=True):
                if keys_VH is not None:
                    table.append(Segmented(keys_VH))
        return NodeKeys(tuple(tables[0]), tuple(tables[1]))

    def keys_of(self, mean_YH: Tensor, codes_Y: Tensor, depth: int) -> tuple[Tensor | None, Tensor]:
        """What is written for nodes, None at the last depth, and what they are scored against.

        Args:
            mean_YH: Mean token of the items below each node. Shape: (Y, H).
            codes_Y: Their codes. Shape: (Y,), integers.
            depth: Where they are, 1 to P.

        Returns:
            Shape of each: (Y, H).
        """
        level = depth - 1
        # The last code only tells collisions apart, and of these a catalogue may get more than training had.
        codes_YH = self.code_embedding[level](codes_Y.clamp(max=self.widths[level] - 1))
        scored_YH = self.scored_norm[level](self.scored[level](mean_YH) + codes_YH)
        last = depth == len(self.widths)
        return None if last else self.written[level](mean_YH) + codes_YH, scored_YH

    def forward(
        self,
        prefix_lBQ: tuple[Tensor, ...],
        query_BQH: Tensor,
        encoded: EncodedHistory,
        visible_BQT: Tensor,
        keys: NodeKeys,
    ) -> Tensor:
        """Hidden state from which each next code is read.

        Args:
            prefix_lBQ: Nodes written so far, one tensor per depth from 1; none of them at first. Shape: (B, Q) each.
            query_BQH: Hidden state of the place each query continues. Shape: (B, Q, H).
            encoded: The histories.
            visible_BQT: Which history places each query may see. Shape: (B, Q, T), bool.
            keys: From `node_keys`.

        Returns:
            One state per level 0..l. Shape: (B, Q, l + 1, H).
        """
        start_BQH = self.start(query_BQH)
        steps = [start_BQH]
        for depth, nodes_BQ in enumerate(prefix_lBQ):
            steps.append(start_BQH + keys.written(nodes_BQ, depth + 1))
        x_BQlH = torch.stack(steps, dim=2) + self.level[: len(steps)]
        for layer in self.layers:
            x_BQlH = layer(x_BQlH, encoded.keys_BTH, visible_BQT)
        return self.norm(x_BQlH)  # type: ignore[no-any-return]

    def begin(self, encoded: EncodedHistory) -> KVCache:
        """The beginning of a search, from the last place of each history: nothing is written yet."""
        valid_BT = encoded.valid_BT
        all_valid = not valid_BT.is_cuda and bool(valid_BT.all())
        return KVCache(
            self.start(encoded.last().unsqueeze(1)),
            tuple(layer.attended_history(encoded.keys_BTH) for layer in self._decoder_layers()),
            None if all_valid else valid_BT[:, None, None, :],
            None,
        )

    def step(self, nodes_BQ: Tensor | None, cache: KVCache, keys: NodeKeys) -> tuple[Tensor, KVCache]:
        """What `forward` gives for the last level, from what the steps before it left.

        Args:
            nodes_BQ: Nodes written last; None at first. Shape: (B, Q), int64.
            cache: From the step before, or `begin`.
            keys: From `node_keys`.

        Returns:
            State from which each next code is read, of shape (B, Q, H), and what the next step takes.
        """
        depth = 0 if cache.paths is None else cache.paths[0].shape[2]
        x_BQH = cache.start_B1H
        if nodes_BQ is not None:
            x_BQH = x_BQH + keys.written(nodes_BQ, depth)
        x_BQH = x_BQH + self.level[depth]
        paths = []
        for place, layer in enumerate(self._decoder_layers()):
            path = None if cache.paths is None else cache.paths[place]
            x_BQH, path = layer.step(x_BQH, path, cache.history[place], cache.visible_B11T)
            paths.append(path)
        return self.norm(x_BQH), cache._replace(paths=tuple(paths))

    def _decoder_layers(self) -> Sequence[DecoderLayer]:
        return cast("Sequence[DecoderLayer]", self.layers)

    def child_log_probs(self, state_XH: Tensor, children: Children, depth: int, keys: NodeKeys) -> Tensor:
        """Log-probability of each child of a node, normalised over the children that exist.

        Args:
            state_XH: State of the level `depth`. Shape: (..., H).
            children: Of the node of each prefix. Shape: (..., C).
            depth: Level that is decided.
            keys: From `node_keys`.

        Returns:
            -inf where no child exists; NaN where none does. Shape: (..., C), float32.
        """
        scored = keys.scored_PVH[depth]
        if not torch.is_grad_enabled():
            # The keys are many: they are read as they are stored.
            state_XH = state_XH.to(scored.base.dtype)
        few = keys.by_code or (torch.is_grad_enabled() and len(scored.base) <= MOST_SCORED)
        if depth == 0 or few:
            logits_XC = _all_logits(state_XH, scored, children.nodes)
        else:
            logits_XC = _picked_logits(state_XH, scored, children.nodes)
        logits_XC = logits_XC.float() / math.sqrt(scored.shape[1])
        return torch.log_softmax(logits_XC.masked_fill(~children.exists, float("-inf")), -1)


def _all_logits(state_XH: Tensor, scored: Segmented[Tensor], nodes_XC: Tensor) -> Tensor:
    """Products of each state with every stored key, of which those of some nodes are picked. Shape: (..., C)."""
    logits_XS = F.linear(state_XH, scored.base)
    if scored.delta is not None:
        logits_XS = torch.cat([logits_XS, products_with_rows(state_XH, scored.delta)], -1)
    places_XC = nodes_XC if scored.place_N is None else scored.place_N[nodes_XC].long()
    return logits_XS.gather(-1, places_XC)


def _picked_logits(state_XH: Tensor, scored: Segmented[Tensor], nodes_XC: Tensor) -> Tensor:
    """Products of each state with the keys picked for it. Shape: (..., C)."""
    hidden, most = scored.shape[1], nodes_XC.shape[-1]
    if torch.is_grad_enabled():
        return torch.matmul(scored[nodes_XC], state_XH.unsqueeze(-1)).squeeze(-1)
    at_once = max(1, nodes_XC.numel() if nodes_XC.is_cuda else PICKED_AT_ONCE // (most * hidden))
    # A product of a row and a matrix takes half as long as that of a matrix and a column.
    parts = [
        torch.bmm(state_YH.unsqueeze(1), scored[nodes_YC].transpose(1, 2)).squeeze(1)
        for state_YH, nodes_YC in zip(
            torch.split(state_XH.reshape(-1, hidden), at_once),
            torch.split(nodes_XC.reshape(-1, most), at_once),
            strict=True,
        )
    ]
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).view(nodes_XC.shape)
