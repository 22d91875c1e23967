"""The generator: an LLM that reads one soft token per history item, and two heads over its hidden states.

Works on catalogue rows; knows nothing about item ids, requests or files. An item's token is the projection of its
fused embedding, plus the embeddings of its codes, plus (warm items) a learned residual. The item head scores the whole
catalogue by dot product with those same tokens. The semantic-ID head is a small decoder that attends to every history
position and writes a path code by code; its probabilities are normalised over the codes that continue a real path, so
the probabilities of all items sum to one and nothing outside the catalogue has any.
"""

# Axes: B customers, T history places, N items, H hidden width, D fused dimensions, P levels of a semantic ID,
# Q queries (history places in training, beams in search), C children of a node, K codes of a level

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec.errors import InvalidArgumentError
from mmrec.generator.backbone import build_backbone
from mmrec.generator.config import GeneratorConfig
from mmrec.tokens.decode_index import DecodeIndex

__all__ = ["DecoderLayer", "Generator", "ItemTable", "Memory", "SemanticIdHead"]


class ItemTable(NamedTuple):
    """What the model knows of every item, before projection.

    Attributes:
        fused_ND: Fused embeddings. Shape: (N, D), float32.
        paths_NP: Semantic IDs. Shape: (N, P), int64.
        warm_N: Whether the item has training events, and so a learned residual. Shape: (N,), bool.
    """

    fused_ND: Tensor
    paths_NP: Tensor
    warm_N: Tensor


class Memory(NamedTuple):
    """A batch of histories as the heads see them.

    Attributes:
        states_BTH: The LLM's hidden states. Shape: (B, T, H).
        keys_BTH: What the semantic-ID head attends to: hidden state plus item token. Shape: (B, T, H).
        valid_BT: False where padded. Shape: (B, T), bool.
    """

    states_BTH: Tensor
    keys_BTH: Tensor
    valid_BT: Tensor

    def last(self) -> Tensor:
        """Hidden state of each customer's last history place. Shape: (B, H)."""
        last_B = self.valid_BT.sum(1) - 1
        return self.states_BTH[torch.arange(len(last_B), device=last_B.device), last_B]


class Generator(nn.Module):
    """An LLM over fused item tokens with an item head and a semantic-ID head.

    Args:
        config: Sizes.
        table: The catalogue; kept as buffers that are not part of the weights.
        widths: Codes per level of a semantic ID.
        backbone: A model and its hidden width, instead of the one `config` describes.

    Raises:
        InvalidArgumentError: the model's width is no multiple of `config.heads`.
        ModelNotAvailableError: a pretrained model can be neither found nor fetched.
    """

    fused_ND: Tensor
    paths_NP: Tensor
    warm_N: Tensor

    def __init__(
        self,
        config: GeneratorConfig,
        table: ItemTable,
        widths: tuple[int, ...],
        backbone: tuple[Any, int] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.widths = widths
        self.backbone, hidden = backbone or build_backbone(config)
        if hidden % config.heads:
            raise InvalidArgumentError(
                f"the language model is {hidden} wide, which {config.heads} heads do not divide; choose another number",
                field="heads",
            )
        items, dimension = table.fused_ND.shape
        self.project = nn.Linear(dimension, hidden)
        self.code_embedding = nn.ModuleList(nn.Embedding(width, hidden) for width in widths[:-1])
        self.residual = nn.Embedding(items, hidden)
        self.token_norm = nn.LayerNorm(hidden)
        self.state_norm = nn.LayerNorm(hidden)
        self.drop = nn.Dropout(config.dropout)
        self.semantic_id_head = SemanticIdHead(hidden, config, widths)
        for embedding in (*self.code_embedding, self.residual):
            nn.init.normal_(embedding.weight, std=0.02)
        self.register_buffer("fused_ND", table.fused_ND, persistent=False)
        self.register_buffer("paths_NP", table.paths_NP, persistent=False)
        self.register_buffer("warm_N", table.warm_N, persistent=False)

    def item_tokens(self) -> Tensor:
        """Token of every item; the residual is hidden at random while training. Shape: (N, H)."""
        keep_N = self.warm_N
        if self.training and self.config.residual_dropout:
            keep_N = keep_N & (torch.rand(len(keep_N), device=keep_N.device) >= self.config.residual_dropout)
        tokens_NH = self.project(self.fused_ND)
        for level, embedding in enumerate(self.code_embedding):
            tokens_NH = tokens_NH + embedding(self.paths_NP[:, level])
        tokens_NH = tokens_NH + self.residual.weight * keep_N.unsqueeze(1)
        return self.token_norm(tokens_NH)  # type: ignore[no-any-return]

    def read(self, history_BT: Tensor, valid_BT: Tensor, tokens_NH: Tensor) -> Memory:
        """Run the LLM over histories.

        Args:
            history_BT: Catalogue rows, oldest first, padded on the right. Shape: (B, T), int64.
            valid_BT: False where padded; at least one True per row. Shape: (B, T), bool.
            tokens_NH: From `item_tokens`.
        """
        inputs_BTH = self.drop(tokens_NH[history_BT])
        states_BTH = self.backbone(
            inputs_embeds=inputs_BTH.to(self.backbone.dtype), attention_mask=valid_BT.long(), use_cache=False
        ).last_hidden_state.to(tokens_NH.dtype)
        states_BTH = self.state_norm(self.drop(states_BTH))
        return Memory(states_BTH, states_BTH + inputs_BTH, valid_BT)

    def item_logits(self, states_XH: Tensor, tokens_NH: Tensor) -> Tensor:
        """Item-head scores over the whole catalogue, before the softmax. Shape: (..., N)."""
        return torch.matmul(states_XH, tokens_NH.T) / math.sqrt(tokens_NH.shape[1])


class SemanticIdHead(nn.Module):
    """A small decoder that writes a semantic ID code by code, attending to every history place.

    Keys and values of the history are computed once and shared by all queries (all beams of a customer).
    """

    def __init__(self, hidden: int, config: GeneratorConfig, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths
        self.start = nn.Linear(hidden, hidden)
        self.level = nn.Parameter(torch.randn(len(widths), hidden) * 0.02)
        self.code_embedding = nn.ModuleList(nn.Embedding(width, hidden) for width in widths[:-1])
        self.layers = nn.ModuleList(
            DecoderLayer(hidden, config.heads, config.dropout) for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.ModuleList(nn.Linear(hidden, width) for width in widths)

    def forward(self, prefix_BQl: Tensor, query_BQH: Tensor, memory: Memory, visible_BQT: Tensor) -> Tensor:
        """Hidden state from which each next code is read.

        Args:
            prefix_BQl: Codes written so far. Shape: (B, Q, l), int64, l from 0 to P - 1.
            query_BQH: Hidden state of the place each query continues. Shape: (B, Q, H).
            memory: The histories.
            visible_BQT: Which history places each query may see. Shape: (B, Q, T), bool.

        Returns:
            One state per level 0..l. Shape: (B, Q, l + 1, H).
        """
        written = prefix_BQl.shape[-1]
        steps = [self.start(query_BQH)]
        for level in range(written):
            steps.append(self.code_embedding[level](prefix_BQl[..., level]))
        x_BQlH = torch.stack(steps, dim=2) + self.level[: written + 1]
        for layer in self.layers:
            x_BQlH = layer(x_BQlH, memory.keys_BTH, visible_BQT)
        return self.norm(x_BQlH)  # type: ignore[no-any-return]

    def child_log_probs(self, state_XH: Tensor, nodes_X: Tensor, depth: int, index: DecodeIndex) -> Tensor:
        """Log-probability of each child of a node, normalised over the children that exist.

        Args:
            state_XH: State of the level `depth`. Shape: (..., H).
            nodes_X: Node of each prefix. Shape: (...), int64.
            depth: Level that is decided.
            index: The decode index.

        Returns:
            -inf where no child exists. Shape: (..., C).
        """
        _, codes_XC, exists_XC = index.children(nodes_X, depth)
        logits_XK = self.out[depth](state_XH).float()
        logits_XC = logits_XK.gather(-1, codes_XC).masked_fill(~exists_XC, float("-inf"))
        return torch.log_softmax(logits_XC, -1)


class DecoderLayer(nn.Module):
    """Attention over the path, attention over the history, and a feed-forward network; norms first."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.path_norm = nn.LayerNorm(hidden)
        self.path_qkv = nn.Linear(hidden, 3 * hidden)
        self.path_out = nn.Linear(hidden, hidden)
        self.history_norm = nn.LayerNorm(hidden)
        self.history_query = nn.Linear(hidden, hidden)
        self.history_kv = nn.Linear(hidden, 2 * hidden)
        self.history_out = nn.Linear(hidden, hidden)
        self.mlp = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x_BQlH: Tensor, keys_BTH: Tensor, visible_BQT: Tensor) -> Tensor:
        """One layer. Shapes as in `SemanticIdHead.forward`; returns (B, Q, l, H)."""
        x_BQlH = x_BQlH + self.drop(self._attend_path(self.path_norm(x_BQlH)))
        x_BQlH = x_BQlH + self.drop(self._attend_history(self.history_norm(x_BQlH), keys_BTH, visible_BQT))
        return torch.add(x_BQlH, self.drop(self.mlp(x_BQlH)))

    def _attend_path(self, x_BQlH: Tensor) -> Tensor:
        batch, queries, written, hidden = x_BQlH.shape
        qkv = self.path_qkv(x_BQlH).view(batch * queries, written, 3, self.heads, hidden // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.path_out(mixed.transpose(1, 2).reshape(x_BQlH.shape))  # type: ignore[no-any-return]

    def _attend_history(self, x_BQlH: Tensor, keys_BTH: Tensor, visible_BQT: Tensor) -> Tensor:
        batch, queries, written, hidden = x_BQlH.shape
        width = hidden // self.heads
        query = self.history_query(x_BQlH).view(batch, queries * written, self.heads, width).transpose(1, 2)
        key, value = (
            part.view(batch, -1, self.heads, width).transpose(1, 2) for part in self.history_kv(keys_BTH).chunk(2, -1)
        )
        mask = visible_BQT.repeat_interleave(written, dim=1).unsqueeze(1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.history_out(mixed.transpose(1, 2).reshape(x_BQlH.shape))  # type: ignore[no-any-return]
