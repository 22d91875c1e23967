"""Item tokens: one vector of the LLM's width per item.

A token is the sum of the projected content (fused embedding and LSA projection of the words), the embeddings of the
item's codes, its own learned residual, and weighted residuals of its neighbours: items that follow it in training
histories, and warm items with similar words. A cold item has neither a residual nor followers, only neighbours by
words; residual dropout shows warm items like this in training.

Sharing residuals over an item-item graph follows LATTICE (Zhang et al. 2021, arXiv:2104.09036) and FREEDOM (Zhou & Shen
2023, arXiv:2211.06924).
"""

# Axes: N items, R selected rows, C content dimensions, P levels of a semantic ID, K neighbours, H hidden width

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec.generator.config import GeneratorConfig

RESIDUAL = "catalogue.residual.weight"
"""Name, in a generator, of the weights of which every item has its own."""

TOKENS_AT_ONCE = 1 << 16
"""Items whose tokens are computed at a time where nothing is learned; bounds memory."""


class Neighbours(NamedTuple):
    """Up to K neighbours of every item.

    Attributes:
        rows_NK: Catalogue rows, padded with 0. Shape: (N, K), int32.
        weights_NK: Weights that sum to one; zeros for padding. Shape: (N, K), float32.
    """

    rows_NK: Tensor
    weights_NK: Tensor

    def take(self, rows: Tensor | slice) -> Neighbours:
        """Neighbours of some items."""
        return Neighbours(self.rows_NK[rows], self.weights_NK[rows])


class ItemTable(NamedTuple):
    """Inputs of the token computation for every item.

    Attributes:
        content_NC: Fused embedding and other content features. Shape: (N, C), float32.
        paths_NP: Semantic IDs. Shape: (N, P), int32 or int64.
        warm_N: Whether the item has training events, and thus a learned residual. Shape: (N,), bool.
        followers: Items that follow it in training histories; None for none.
        alike: Warm items with similar words; None for none.
    """

    content_NC: Tensor
    paths_NP: Tensor
    warm_N: Tensor
    followers: Neighbours | None = None
    alike: Neighbours | None = None

    def take(self, rows: Tensor | slice) -> ItemTable:
        """The table of some items; neighbours remain rows of the whole catalogue."""
        return ItemTable(
            self.content_NC[rows],
            self.paths_NP[rows],
            self.warm_N[rows],
            self.followers and self.followers.take(rows),
            self.alike and self.alike.take(rows),
        )


class ItemTokens(nn.Module):
    """Computes the token of every item.

    Args:
        config: `use_ids`, `use_content` and `residual_dropout` are read.
        table: The catalogue; stored as non-persistent buffers.
        widths: Codes per level of a semantic ID.
        hidden: Width of a token.
        residual_NH: Learned residuals, which are not copied; None: to be learned. Shape: (N, H), float32.
    """

    content_NC: Tensor
    paths_NP: Tensor
    warm_N: Tensor

    def __init__(
        self,
        config: GeneratorConfig,
        table: ItemTable,
        widths: tuple[int, ...],
        hidden: int,
        residual_NH: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        items, dimension = table.content_NC.shape
        self.project = nn.Linear(dimension, hidden)
        # The last code only resolves collisions and carries no information about the item.
        self.code_embedding = nn.ModuleList(nn.Embedding(width, hidden) for width in widths[:-1])
        self.residual = nn.Embedding(items, hidden, _weight=residual_NH)
        self.share = nn.Parameter(torch.ones(2))
        self.norm = nn.LayerNorm(hidden)
        for embedding in (*self.code_embedding, *([self.residual] if residual_NH is None else [])):
            nn.init.normal_(embedding.weight, std=0.02)
        self.register_buffer("content_NC", table.content_NC, persistent=False)
        self.register_buffer("paths_NP", table.paths_NP, persistent=False)
        self.register_buffer("warm_N", table.warm_N, persistent=False)
        for name, neighbours in (("followers", table.followers), ("alike", table.alike)):
            self.register_buffer(f"{name}_rows_NK", neighbours and neighbours.rows_NK, persistent=False)
            self.register_buffer(f"{name}_weights_NK", neighbours and neighbours.weights_NK, persistent=False)

    def table(self) -> ItemTable:
        """The catalogue."""
        return ItemTable(
            self.content_NC, self.paths_NP, self.warm_N, self._neighbours("followers"), self._neighbours("alike")
        )

    def with_table(self, table: ItemTable) -> ItemTokens:
        """The tokens of a changed catalogue, with shared weights. Its first rows are those of this one.

        Args:
            table: Added rows have no residual; their `warm_N` must be false.
        """
        with torch.device("meta"):
            tokens = ItemTokens(self.config, table, (0,), self.norm.normalized_shape[0])
        tokens.project, tokens.code_embedding, tokens.norm = self.project, self.code_embedding, self.norm
        tokens.share = self.share
        added = len(table.warm_N) - self.residual.num_embeddings
        weight_NH = F.pad(self.residual.weight.detach(), (0, 0, 0, added)) if added else self.residual.weight.detach()
        items, hidden = weight_NH.shape
        tokens.residual = nn.Embedding(items, hidden, _weight=weight_NH, _freeze=True)
        return tokens.train(self.training)

    def forward(self, rows_R: Tensor | None = None) -> Tensor:
        """Tokens; in training, residual dropout treats random items as cold.

        Args:
            rows_R: Catalogue rows; None for all. Shape: (R,), int64.

        Returns:
            Shape: (R, H), float32.
        """
        table, items = self.table(), self.residual.num_embeddings
        if rows_R is not None or torch.is_grad_enabled() or items <= TOKENS_AT_ONCE:
            rows = slice(None) if rows_R is None else rows_R
            return self._tokens(table.take(rows), self.residual.weight[rows])
        tokens_NH = torch.empty_like(self.residual.weight)
        for begin in range(0, items, TOKENS_AT_ONCE):
            some = slice(begin, begin + TOKENS_AT_ONCE)
            tokens_NH[some] = self._tokens(table.take(some), self.residual.weight[some])
        return tokens_NH

    def of_items(self, items: ItemTable, own_M: Tensor) -> Tensor:
        """Tokens of items described by `items` instead of by this catalogue.

        Args:
            items: M items; their neighbours are rows of this catalogue.
            own_M: Rows whose residuals warm items use; arbitrary for cold ones. Shape: (M,), int64.

        Returns:
            Shape: (M, H), float32.
        """
        return self._tokens(items, self.residual.weight[own_M])

    def _tokens(self, items: ItemTable, residual_RH: Tensor) -> Tensor:
        # Weighted embedding sums have no half-precision kernel on a CPU, and are cheap.
        with torch.autocast(self.content_NC.device.type, enabled=False):
            tokens_RH = self.project(items.content_NC)
            if not self.config.use_content:
                tokens_RH = torch.zeros_like(tokens_RH)
            else:
                for level, embedding in enumerate(self.code_embedding):
                    tokens_RH = tokens_RH + embedding(items.paths_NP[:, level])
            if self.config.use_ids:
                warm_R1 = self._residual_dropout(items.warm_N).unsqueeze(1).float()
                tokens_RH = tokens_RH + warm_R1 * residual_RH
                if items.followers is not None:
                    tokens_RH = tokens_RH + self.share[0] * warm_R1 * self._mean_residual(items.followers)
                if items.alike is not None and self.config.use_content:
                    tokens_RH = tokens_RH + self.share[1] * self._mean_residual(items.alike)
            return self.norm(tokens_RH)  # type: ignore[no-any-return]

    def _residual_dropout(self, warm_R: Tensor) -> Tensor:
        """Which items are warm, without those dropped in training. Shape: (R,), bool."""
        if not (self.training and self.config.residual_dropout):
            return warm_R
        return warm_R & (torch.rand(len(warm_R), device=warm_R.device) >= self.config.residual_dropout)

    def _neighbours(self, name: str) -> Neighbours | None:
        rows_NK = getattr(self, f"{name}_rows_NK")
        return None if rows_NK is None else Neighbours(rows_NK, getattr(self, f"{name}_weights_NK"))

    def _mean_residual(self, neighbours: Neighbours) -> Tensor:
        """Weighted mean of the neighbours' residuals. Shape: (R, H)."""
        return F.embedding_bag(
            neighbours.rows_NK, self.residual.weight, per_sample_weights=neighbours.weights_NK, mode="sum"
        )


def neighbours_of(strength: sp.csr_array, keep: int) -> Neighbours:
    """The `keep` largest positive columns of each row, with weights normalised to sum to one; the lower column wins
    ties.

    Args:
        strength: Edge weights; values of 0 and below are no edges. Shape: (R, N), float.
        keep: 1 or more.
    """
    strength = sp.csr_array(strength)
    count = strength.shape[0]
    row_E = np.repeat(np.arange(count), np.diff(strength.indptr))
    order_E = np.lexsort((strength.indices, -strength.data, row_E))
    place_E = np.arange(strength.nnz) - np.repeat(strength.indptr[:-1], np.diff(strength.indptr))
    kept_E = (place_E < keep) & (strength.data[order_E] > 0)
    rows_RK: npt.NDArray[np.int32] = np.zeros((count, keep), dtype=np.int32)
    weights_RK: npt.NDArray[np.float32] = np.zeros((count, keep), dtype=np.float32)
    rows_RK[row_E[kept_E], place_E[kept_E]] = strength.indices[order_E][kept_E]
    weights_RK[row_E[kept_E], place_E[kept_E]] = strength.data[order_E][kept_E]
    weights_RK /= np.maximum(weights_RK.sum(axis=1, keepdims=True), 1e-12)
    return Neighbours(torch.from_numpy(rows_RK), torch.from_numpy(weights_RK))
