"""One small interface over everything that makes semantic IDs, and the one place that chooses.

Works on the embeddings and training histories of a catalogue; knows nothing about models or files. Concrete tokenizers
are `ResidualQuantizer`, `RqVae`, `ProductQuantizer` and `ItemPaths`; `WithCollaborative` puts what customers did beside
the content that one of the first three quantises.
"""

# Axes: N items, D fused dimensions, L levels, P = L + 1 levels of a semantic ID, M new items

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mmrec.data.interactions import Interactions
from mmrec.semantic_ids.clusters import check_embeddings
from mmrec.semantic_ids.collaborative import Imputation, collaborative_vectors
from mmrec.semantic_ids.config import TokenizerConfig
from mmrec.semantic_ids.item_paths import ItemPaths, index_items
from mmrec.semantic_ids.opq import ProductQuantizer, fit_product_quantizer
from mmrec.semantic_ids.quantizer import ResidualQuantizer, fit_quantizer
from mmrec.semantic_ids.rq_vae import RqVae, fit_rq_vae
from mmrec.semantic_ids.semantic_ids import assign_semantic_ids

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]


class Tokenizer(Protocol):
    """What makes paths. Every method keeps the order and the number of its rows."""

    @property
    def levels(self) -> int:
        """Codes per path, the last one of a semantic ID not counted."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Codes of each level: every code of level l is below ``widths[l]``."""

    @property
    def encodes_new(self) -> bool:
        """Whether an item that was not there when it was fitted can get a path."""

    def encode(self, embeddings_ND: Floats) -> Codes:
        """Paths of new items by their fused embeddings. Shape: (M, L), int32.

        Raises:
            FailedPreconditionError: `encodes_new` is false.
        """

    def decode(self, codes_NL: Codes) -> Floats:
        """Fused embeddings as far as paths describe them. Shape: (M, D), float32.

        Raises:
            FailedPreconditionError: `encodes_new` is false.
        """

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """All of it, for `tokenizer_from_tensors`."""


class FittedTokens(NamedTuple):
    """A tokenizer and what it makes of the catalogue it was fitted on.

    Attributes:
        tokenizer: For new items.
        semantic_ids_NP: Unique paths of the catalogue, in its order. Shape: (N, P), int32.
    """

    tokenizer: Tokenizer
    semantic_ids_NP: Codes


@dataclass(frozen=True, slots=True, eq=False)
class WithCollaborative:
    """A tokenizer of content and collaborative vectors side by side, which takes content alone.

    Attributes:
        inner: Takes both.
        imputation: The collaborative half of new items.
    """

    inner: Tokenizer
    imputation: Imputation

    @property
    def levels(self) -> int:
        """Codes per path."""
        return self.inner.levels

    @property
    def widths(self) -> tuple[int, ...]:
        """Codes of each level."""
        return self.inner.widths

    @property
    def encodes_new(self) -> bool:
        """Any embedding gets a path."""
        return self.inner.encodes_new

    def encode(self, embeddings_ND: Floats) -> Codes:
        """Path of each embedding, its collaborative half imputed. Shape: (M, L), int32."""
        return self.inner.encode(self.imputation.widen(embeddings_ND))

    def decode(self, codes_NL: Codes) -> Floats:
        """The content half. Shape: (M, D), float32."""
        return self.inner.decode(codes_NL)[:, : self.imputation.content_WD.shape[1]]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Both parts."""
        return self.inner.tensors() | self.imputation.tensors()


def fit_tokenizer(fused_ND: Floats, train: Interactions, config: TokenizerConfig, *, seed: int) -> FittedTokens:
    """Fit what the configuration names.

    Args:
        fused_ND: Fused embeddings of the catalogue. Shape: (N, D), float32.
        train: Training events only; read by what indexes items and by collaborative vectors.
        config: What to fit.
        seed: Equal seeds and data give equal paths on the same kind of machine.

    Raises:
        InvalidArgumentError: there are no items, or an embedding is not finite.
    """
    check_embeddings(fused_ND)
    if config.kind in ("random", "sequential", "collaborative"):
        paths = index_items(
            config.kind, train, len(fused_ND), config.quantizer, window=config.collaborative.window, seed=seed
        )
        return FittedTokens(paths, assign_semantic_ids(paths.codes_NL))
    if not config.collaborative.weight:
        quantizer = _fit_quantizer(fused_ND, config, seed)
        return FittedTokens(quantizer, assign_semantic_ids(quantizer.encode(fused_ND)))
    found = collaborative_vectors(train, len(fused_ND), config.collaborative, seed=seed)
    imputation = Imputation.of(fused_ND, found, config.collaborative)
    both = imputation.widen(fused_ND, found)
    inner = _fit_quantizer(both, config, seed)
    return FittedTokens(WithCollaborative(inner, imputation), assign_semantic_ids(inner.encode(both)))


def tokenizer_from_tensors(tensors: Mapping[str, npt.NDArray[Any]]) -> Tokenizer:
    """The tokenizer that `Tokenizer.tensors` described; the names say which. Tensors of other things are passed over.

    Raises:
        KeyError: no tokenizer, or only a part of one, is there.
    """
    tokenizer = _from_tensors(tensors)
    if "collaborative.vectors" in tensors:
        return WithCollaborative(tokenizer, Imputation.from_tensors(tensors))
    return tokenizer


def _fit_quantizer(vectors_ND: Floats, config: TokenizerConfig, seed: int) -> Tokenizer:
    if config.kind == "rq-vae":
        return fit_rq_vae(vectors_ND, config.quantizer, config.rq_vae, seed=seed)
    if config.kind == "opq":
        return fit_product_quantizer(vectors_ND, config.quantizer, seed=seed)
    return fit_quantizer(vectors_ND, config.quantizer, seed=seed)


def _from_tensors(tensors: Mapping[str, npt.NDArray[Any]]) -> Tokenizer:
    if "codebooks" in tensors:
        return ResidualQuantizer.from_tensors(tensors)
    if "rq_vae.codebooks_LKZ" in tensors:
        return RqVae.from_tensors(tensors)
    if "opq.codebooks" in tensors:
        return ProductQuantizer.from_tensors(tensors)
    if "item_paths" in tensors:
        return ItemPaths.from_tensors(tensors)
    raise KeyError(f"no known tokenizer among {sorted(tensors)}")
