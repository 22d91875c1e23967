"""The tokenizer interface, and fitting and loading the tokenizer that a configuration names.

Works on the embeddings and training histories of a catalogue. Tokenizers are `ResidualQuantizer`, `RqVae`,
`ProductQuantizer` and `ItemPaths`; `WithCollaborative` appends collaborative vectors to the input of one of the first
three.
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
    """Maps fused embeddings to paths of codes. Methods return one row per input row, in order."""

    @property
    def levels(self) -> int:
        """Codes per path, without the last code of a semantic ID."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Codes of each level: every code of level l is below ``widths[l]``."""

    @property
    def encodes_new(self) -> bool:
        """Whether items that were not in the fitted catalogue can get a path."""

    def encode(self, embeddings_ND: Floats) -> Codes:
        """Paths of new items from their fused embeddings. Shape: (M, L), int32.

        Raises:
            FailedPreconditionError: `encodes_new` is false.
        """

    def decode(self, codes_NL: Codes) -> Floats:
        """Approximate fused embeddings of paths. Shape: (M, D), float32.

        Raises:
            FailedPreconditionError: `encodes_new` is false.
        """

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Full state, for `tokenizer_from_tensors`."""


class FittedTokens(NamedTuple):
    """A fitted tokenizer and the semantic IDs of its catalogue.

    Attributes:
        tokenizer: Encodes new items.
        semantic_ids_NP: Unique paths in catalogue order. Shape: (N, P), int32.
    """

    tokenizer: Tokenizer
    semantic_ids_NP: Codes


@dataclass(frozen=True, slots=True, eq=False)
class WithCollaborative:
    """A tokenizer of concatenated content and collaborative vectors; collaborative vectors of new items are imputed.

    Attributes:
        inner: Tokenizer of the concatenated vectors.
        imputation: Imputes collaborative vectors from content.
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
        """Path of each embedding, with an imputed collaborative vector. Shape: (M, L), int32."""
        return self.inner.encode(self.imputation.widen(embeddings_ND))

    def decode(self, codes_NL: Codes) -> Floats:
        """Approximate content embeddings. Shape: (M, D), float32."""
        return self.inner.decode(codes_NL)[:, : self.imputation.content_WD.shape[1]]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """State of tokenizer and imputation."""
        return self.inner.tensors() | self.imputation.tensors()


def fit_tokenizer(fused_ND: Floats, train: Interactions, config: TokenizerConfig, *, seed: int) -> FittedTokens:
    """Fit the tokenizer that the configuration names.

    Args:
        fused_ND: Fused embeddings of the catalogue. Shape: (N, D), float32.
        train: Training events only; used by item indexing and collaborative vectors.
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
    vectors = collaborative_vectors(train, len(fused_ND), config.collaborative, seed=seed)
    imputation = Imputation.of(fused_ND, vectors, config.collaborative)
    widened = imputation.widen(fused_ND, vectors)
    inner = _fit_quantizer(widened, config, seed)
    return FittedTokens(WithCollaborative(inner, imputation), assign_semantic_ids(inner.encode(widened)))


def tokenizer_from_tensors(tensors: Mapping[str, npt.NDArray[Any]]) -> Tokenizer:
    """The tokenizer whose `Tokenizer.tensors` are among `tensors`; their names tell the kind. Others are ignored.

    Raises:
        KeyError: tensors of a tokenizer are missing.
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
