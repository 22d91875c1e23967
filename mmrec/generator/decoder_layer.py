"""One layer of the semantic-ID decoder: self-attention over the path, cross-attention to the history, feed-forward.

Computes whole paths at once (`forward`, for training) or one more position of each path with a KV cache (`step`, for
search).
"""

# Axes: B users, T history positions, H hidden width, l path positions, Q queries (history positions in training, beams
# in search), h heads, w width of a head

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HistoryKV(NamedTuple):
    """Keys and values of a history in one layer. Shape of each: (B, heads, T, w)."""

    key: Tensor
    value: Tensor


class DecoderLayer(nn.Module):
    """Self-attention over the path, cross-attention to the history, and a feed-forward network; pre-norm."""

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

    def attended_history(self, keys_BTH: Tensor) -> HistoryKV:
        """Keys and values of the history for cross-attention."""
        batch, _, hidden = keys_BTH.shape
        key, value = (
            part.view(batch, -1, self.heads, hidden // self.heads).transpose(1, 2)
            for part in self.history_kv(keys_BTH).chunk(2, -1)
        )
        return HistoryKV(key, value)

    def step(
        self, x_BQH: Tensor, path_BQl2hw: Tensor | None, history: HistoryKV, visible_B11T: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The layer for one more path position; also returns the extended entry of `KVCache.paths`."""
        batch, queries, hidden = x_BQH.shape
        width = hidden // self.heads
        qkv_BQ3hw = self.path_qkv(self.path_norm(x_BQH)).view(batch, queries, 3, self.heads, width)
        own_BQ12hw = qkv_BQ3hw[:, :, 1:].unsqueeze(2)
        if path_BQl2hw is None:
            path_BQl2hw, attended_BQhw = own_BQ12hw, qkv_BQ3hw[:, :, 2]
        else:
            path_BQl2hw = torch.cat([path_BQl2hw, own_BQ12hw], dim=2)
            attended_BQhw = _attention(qkv_BQ3hw[:, :, 0], path_BQl2hw)
        x_BQH = x_BQH + self.path_out(attended_BQhw.reshape(batch, queries, hidden))
        query_BQH = self.history_query(self.history_norm(x_BQH))
        mixed_BhQw = F.scaled_dot_product_attention(
            query_BQH.view(batch, queries, self.heads, width).transpose(1, 2),
            history.key,
            history.value,
            attn_mask=None if visible_B11T is None else visible_B11T.expand(-1, -1, queries, -1),
        )
        x_BQH = x_BQH + self.history_out(mixed_BhQw.transpose(1, 2).reshape(batch, queries, hidden))
        return x_BQH + self.mlp(x_BQH), path_BQl2hw

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
        key, value = self.attended_history(keys_BTH)
        mask = visible_BQT.repeat_interleave(written, dim=1).unsqueeze(1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.history_out(mixed.transpose(1, 2).reshape(x_BQlH.shape))  # type: ignore[no-any-return]


def _attention(query_BQhw: Tensor, path_BQl2hw: Tensor) -> Tensor:
    """Attention of the newest position over its own short path, elementwise and in float32. Shape: (B, Q, h, w)."""
    key_BQlhw, value_BQlhw = path_BQl2hw.float().unbind(3)
    logits_BQlh = (query_BQhw.float().unsqueeze(2) * key_BQlhw).sum(-1) / math.sqrt(key_BQlhw.shape[-1])
    return (logits_BQlh.softmax(2).unsqueeze(-1) * value_BQlhw).sum(2).to(query_BQhw.dtype)
