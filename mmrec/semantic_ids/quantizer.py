"""Residual k-means: encodes a fused embedding as a short path of codes, and decodes paths approximately.

Level 0 quantises the embedding, each further level the residual of the levels before it. As a tokenizer for generative
recommendation it is as good as the RQ-VAE of TIGER (Rajput et al. 2023, arXiv:2305.05065) and trains in seconds.
"""

# Axes: N embeddings, D dimensions, L levels, K codes per level

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.runtime.limits import check_numbers
from mmrec.semantic_ids.clusters import check_embeddings, kmeans, nearest_centre

ITEMS_PER_CODE = 32
"""Fewer items per code give noisy codes, so small catalogues get smaller codebooks."""


@dataclass(frozen=True, slots=True)
class QuantizerConfig:
    """Quantizer options.

    Attributes:
        levels: Codes per path, at least 1.
        codebook_size: Maximum codes per level, 2 to 65,536. A catalogue of N items gets at most the largest power of
            two with `ITEMS_PER_CODE` items per code.
        iterations: Lloyd iterations per level.
    """

    levels: int = 3
    codebook_size: int = 256
    iterations: int = 25

    def __post_init__(self) -> None:
        check_numbers(self, "levels", "iterations", low=1)
        check_numbers(self, "codebook_size", low=2, high=65_536)

    def codes_for(self, items: int) -> int:
        """Codes per level for a catalogue of `items`: a power of two, capped at `codebook_size`."""
        wanted: int = 2 ** max(1, int(np.log2(max(items // ITEMS_PER_CODE, 2))))
        return min(self.codebook_size, wanted)


@dataclass(frozen=True, slots=True, eq=False)
class ResidualQuantizer:
    """Fitted codebooks.

    Attributes:
        codebooks_LKD: One codebook per level. Shape: (L, K, D), float32.
    """

    codebooks_LKD: npt.NDArray[np.float32]

    @property
    def levels(self) -> int:
        """Codes per path."""
        return int(self.codebooks_LKD.shape[0])

    @property
    def codebook_size(self) -> int:
        """Codes per level."""
        return int(self.codebooks_LKD.shape[1])

    @property
    def widths(self) -> tuple[int, ...]:
        """Codes of each level."""
        return (self.codebook_size,) * self.levels

    @property
    def encodes_new(self) -> bool:
        """Always true."""
        return True

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """State for `from_tensors`."""
        return {"codebooks": self.codebooks_LKD}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> ResidualQuantizer:
        """Inverse of `tensors`."""
        return cls(tensors["codebooks"])

    def encode(self, embeddings_ND: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """Path of each embedding: at every level the code nearest to the residual.

        Args:
            embeddings_ND: Shape: (N, D), float32.

        Returns:
            Codes in [0, K). Shape: (N, L), int32.
        """
        residual_ND = np.ascontiguousarray(embeddings_ND, dtype=np.float32).copy()
        codes_NL = np.empty((len(residual_ND), self.levels), dtype=np.int32)
        for level, codebook_KD in enumerate(self.codebooks_LKD):
            codes_NL[:, level] = nearest_centre(codebook_KD, residual_ND)
            residual_ND -= codebook_KD[codes_NL[:, level]]
        return codes_NL

    def decode(self, codes_NL: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Sum of the codes' vectors, which approximates the embedding. Shape: (N, D), float32."""
        levels = np.arange(self.levels)
        return np.asarray(self.codebooks_LKD[levels, codes_NL].sum(axis=1), dtype=np.float32)


def fit_quantizer(embeddings_ND: npt.NDArray[np.float32], config: QuantizerConfig, *, seed: int) -> ResidualQuantizer:
    """Fit one codebook per level by k-means on the residuals of the levels before.

    Args:
        embeddings_ND: Shape: (N, D), float32, N at least 1.
        config: Levels, codes and iterations.
        seed: Of the k-means initialisation; equal seeds and data give equal codebooks.

    Raises:
        InvalidArgumentError: there are no embeddings, or a value is not finite.
    """
    check_embeddings(embeddings_ND)
    codes = config.codes_for(len(embeddings_ND))
    residual_ND = np.ascontiguousarray(embeddings_ND, dtype=np.float32).copy()
    codebooks_LKD = np.empty((config.levels, codes, residual_ND.shape[1]), dtype=np.float32)
    for level in range(config.levels):
        codebooks_LKD[level] = kmeans(residual_ND, codes, iterations=config.iterations, seed=seed + level)
        residual_ND -= codebooks_LKD[level][nearest_centre(codebooks_LKD[level], residual_ND)]
    return ResidualQuantizer(codebooks_LKD)
