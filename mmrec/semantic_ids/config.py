"""Configuration of the semantic-ID tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_choice
from mmrec.semantic_ids.collaborative import CollaborativeConfig
from mmrec.semantic_ids.quantizer import QuantizerConfig
from mmrec.semantic_ids.rq_vae import RqVaeConfig

TokenizerKind = Literal["residual-kmeans", "rq-vae", "opq", "random", "sequential", "collaborative"]

TOKENIZERS: tuple[TokenizerKind, ...] = (
    "residual-kmeans",
    "rq-vae",
    "opq",
    "random",
    "sequential",
    "collaborative",
)
"""The first three quantise embeddings and can encode new items; the others index the items of one catalogue."""

_OPQ_LEVELS = 16


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """Tokenizer options.

    Attributes:
        kind: One of `TOKENIZERS`.
        levels: Codes per path without the last one, which resolves collisions; 0: 16 for ``opq``, 3 for the others.
        codebook_size: Maximum codes per level; see `QuantizerConfig`, and `index_items` for kinds that do not quantise.
        iterations: Of every k-means; for ``opq``, alternating updates of codebooks and rotation.
        rq_vae: Shape and training of ``rq-vae``.
        collaborative: Collaborative vectors quantised together with the embeddings; weight 0, the default, for none.
    """

    kind: TokenizerKind = "residual-kmeans"
    levels: int = 0
    codebook_size: int = 256
    iterations: int = 25
    rq_vae: RqVaeConfig = field(default_factory=RqVaeConfig)
    collaborative: CollaborativeConfig = field(default_factory=CollaborativeConfig)

    def __post_init__(self) -> None:
        check_choice("tokenizer", self.kind, TOKENIZERS)
        if not 0 <= self.levels <= 64:
            raise InvalidArgumentError(
                f"levels is {self.levels}; it must lie between 1 and 64, or be 0 for the tokenizer's own",
                field="levels",
            )
        if self.collaborative.weight and not self.quantises:
            raise InvalidArgumentError(
                f"the tokenizer {self.kind} quantises nothing, so collaborative vectors (weight "
                f"{self.collaborative.weight:g}) have no place in it; use weight 0, or residual-kmeans, rq-vae or opq",
                field="collaborative",
            )
        self.quantizer  # noqa: B018  # validates levels, codes and iterations

    @property
    def quantises(self) -> bool:
        """Whether paths are computed from embeddings."""
        return self.kind in ("residual-kmeans", "rq-vae", "opq")

    @property
    def quantizer(self) -> QuantizerConfig:
        """Levels, codes and iterations, with the default levels of the kind.

        Raises:
            InvalidArgumentError: one of them is out of range.
        """
        levels = self.levels or (_OPQ_LEVELS if self.kind == "opq" else 3)
        return QuantizerConfig(levels=levels, codebook_size=self.codebook_size, iterations=self.iterations)
