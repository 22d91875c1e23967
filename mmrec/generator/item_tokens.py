"""An item's token: what the generator knows of every item, brought to the width of the LLM.

Works on catalogue rows; knows nothing about histories and heads. A token is the projection of the item's content (its
fused embedding, and a sketch of its very words), plus the embeddings of its codes, plus three things that only
training events can teach: the item's own learned residual, the residuals of the items that follow it in training
histories, and those of the items whose words are like its own. An item that training has never seen has neither a
residual nor followers; its neighbours by words lend it what they learned. One that is hidden in a training step looks
exactly like that, so that cold items are served by what they will have.

Sharing residuals over an item-item graph follows LATTICE (Zhang et al. 2021, arXiv:2104.09036) and FREEDOM (Zhou & Shen
2023, arXiv:2211.06924).
"""

# Axes: N items, R asked rows, C content dimensions, P levels of a semantic ID, K neighbours, H hidden width

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec.generator.config import GeneratorConfig


class Neighbours(NamedTuple):
    """A few neighbours of every item; a graph laid out as a table.

    Attributes:
        rows_NK: Catalogue rows, 0 where there are fewer. Shape: (N, K), int64.
        weights_NK: Shares that sum to one, or zeros for an item without neighbours. Shape: (N, K), float32.
    """

    rows_NK: Tensor
    weights_NK: Tensor

    def take(self, rows: Tensor | slice) -> Neighbours:
        """Those of some items."""
        return Neighbours(self.rows_NK[rows], self.weights_NK[rows])


class ItemTable(NamedTuple):
    """What the model knows of every item, before projection.

    Attributes:
        content_NC: Fused embedding, and whatever else describes the item's content. Shape: (N, C), float32.
        paths_NP: Semantic IDs. Shape: (N, P), int64.
        warm_N: Whether the item has training events, and so a learned residual. Shape: (N,), bool.
        followers: Items that follow in training histories; None for none.
        alike: Warm items with similar words; None for none.
    """

    content_NC: Tensor
    paths_NP: Tensor
    warm_N: Tensor
    followers: Neighbours | None = None
    alike: Neighbours | None = None

    def take(self, rows: Tensor | slice) -> ItemTable:
        """The table of some items; neighbours stay rows of the whole one."""
        return ItemTable(
            self.content_NC[rows],
            self.paths_NP[rows],
            self.warm_N[rows],
            self.followers and self.followers.take(rows),
            self.alike and self.alike.take(rows),
        )


class ItemTokens(nn.Module):
    """Token of every item.

    Args:
        config: `use_ids`, `use_content` and `residual_dropout` are read.
        table: The catalogue; kept as buffers that are not part of the weights.
        widths: Codes per level of a semantic ID.
        hidden: Width of a token.
    """

    content_NC: Tensor
    paths_NP: Tensor
    warm_N: Tensor

    def __init__(self, config: GeneratorConfig, table: ItemTable, widths: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.config = config
        items, dimension = table.content_NC.shape
        self.project = nn.Linear(dimension, hidden)
        # The last code only tells collisions apart: it says nothing of the item.
        self.code_embedding = nn.ModuleList(nn.Embedding(width, hidden) for width in widths[:-1])
        self.residual = nn.Embedding(items, hidden)
        self.share = nn.Parameter(torch.ones(2))
        self.norm = nn.LayerNorm(hidden)
        for embedding in (*self.code_embedding, self.residual):
            nn.init.normal_(embedding.weight, std=0.02)
        self.register_buffer("content_NC", table.content_NC, persistent=False)
        self.register_buffer("paths_NP", table.paths_NP, persistent=False)
        self.register_buffer("warm_N", table.warm_N, persistent=False)
        for name, neighbours in (("followers", table.followers), ("alike", table.alike)):
            self.register_buffer(f"{name}_rows_NK", neighbours and neighbours.rows_NK, persistent=False)
            self.register_buffer(f"{name}_weights_NK", neighbours and neighbours.weights_NK, persistent=False)

    def table(self) -> ItemTable:
        """The catalogue that was given."""
        return ItemTable(
            self.content_NC, self.paths_NP, self.warm_N, self._neighbours("followers"), self._neighbours("alike")
        )

    def over(self, table: ItemTable) -> ItemTokens:
        """The same weights over a changed catalogue: its rows are those of this one and perhaps more after them.

        Args:
            table: A row past those of this one has no residual. Its `warm_N` must be false there.
        """
        with torch.device("meta"):
            made = ItemTokens(self.config, table, (0,), self.norm.normalized_shape[0])
        made.project, made.code_embedding, made.norm = self.project, self.code_embedding, self.norm
        made.share = self.share
        more = len(table.warm_N) - self.residual.num_embeddings
        weight_NH = F.pad(self.residual.weight.detach(), (0, 0, 0, more)) if more else self.residual.weight.detach()
        items, hidden = weight_NH.shape
        made.residual = nn.Embedding(items, hidden, _weight=weight_NH, _freeze=True)
        return made.train(self.training)

    def forward(self, rows_R: Tensor | None = None) -> Tensor:
        """Tokens; some items are hidden at random while training.

        Args:
            rows_R: Catalogue rows that are wanted; None for all. Shape: (R,), int64.

        Returns:
            Shape: (R, H), float32.
        """
        rows = slice(None) if rows_R is None else rows_R
        return self._tokens(self.table().take(rows), self.residual.weight[rows])

    def of_items(self, items: ItemTable, own_M: Tensor) -> Tensor:
        """Tokens of items as a table describes them, whatever this catalogue has of them.

        Args:
            items: A row for each; neighbours are rows of this catalogue. Shapes with M for N.
            own_M: Rows whose residuals the warm ones have; any for the others. Shape: (M,), int64.

        Returns:
            Shape: (M, H), float32.
        """
        return self._tokens(items, self.residual.weight[own_M])

    def _tokens(self, items: ItemTable, residual_RH: Tensor) -> Tensor:
        # Sums over neighbours have no kernel in half precision on a CPU, and cost too little to want one.
        with torch.autocast(self.content_NC.device.type, enabled=False):
            tokens_RH = self.project(items.content_NC)
            if not self.config.use_content:
                tokens_RH = torch.zeros_like(tokens_RH)
            else:
                for level, embedding in enumerate(self.code_embedding):
                    tokens_RH = tokens_RH + embedding(items.paths_NP[:, level])
            if self.config.use_ids:
                shown_R1 = self._shown(items.warm_N).unsqueeze(1).float()
                tokens_RH = tokens_RH + shown_R1 * residual_RH
                if items.followers is not None:
                    tokens_RH = tokens_RH + self.share[0] * shown_R1 * self._mixed(items.followers)
                if items.alike is not None and self.config.use_content:
                    tokens_RH = tokens_RH + self.share[1] * self._mixed(items.alike)
            return self.norm(tokens_RH)  # type: ignore[no-any-return]

    def _shown(self, warm_R: Tensor) -> Tensor:
        if not (self.training and self.config.residual_dropout):
            return warm_R
        return warm_R & (torch.rand(len(warm_R), device=warm_R.device) >= self.config.residual_dropout)

    def _neighbours(self, name: str) -> Neighbours | None:
        rows_NK = getattr(self, f"{name}_rows_NK")
        return None if rows_NK is None else Neighbours(rows_NK, getattr(self, f"{name}_weights_NK"))

    def _mixed(self, neighbours: Neighbours) -> Tensor:
        """Weighted sum of the neighbours' residuals. Shape: (R, H)."""
        return F.embedding_bag(
            neighbours.rows_NK, self.residual.weight, per_sample_weights=neighbours.weights_NK, mode="sum"
        )


def neighbours_of(strength: sp.csr_array, keep: int) -> Neighbours:
    """The `keep` strongest columns of each row, with weights that sum to one; the lower column wins ties.

    Args:
        strength: Strengths; those of 0 and below are no neighbours. Shape: (R, N), float.
        keep: 1 or more.
    """
    strength = sp.csr_array(strength)
    asked = strength.shape[0]
    row_E = np.repeat(np.arange(asked), np.diff(strength.indptr))
    order_E = np.lexsort((strength.indices, -strength.data, row_E))
    place_E = np.arange(strength.nnz) - np.repeat(strength.indptr[:-1], np.diff(strength.indptr))
    kept_E = (place_E < keep) & (strength.data[order_E] > 0)
    rows_RK: npt.NDArray[np.int64] = np.zeros((asked, keep), dtype=np.int64)
    weights_RK: npt.NDArray[np.float32] = np.zeros((asked, keep), dtype=np.float32)
    rows_RK[row_E[kept_E], place_E[kept_E]] = strength.indices[order_E][kept_E]
    weights_RK[row_E[kept_E], place_E[kept_E]] = strength.data[order_E][kept_E]
    weights_RK /= np.maximum(weights_RK.sum(axis=1, keepdims=True), 1e-12)
    return Neighbours(torch.from_numpy(rows_RK), torch.from_numpy(weights_RK))
