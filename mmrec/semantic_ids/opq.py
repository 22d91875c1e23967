"""Optimised product quantisation (Ge et al. 2013): long paths whose levels are independent of each other.

The embedding is rotated by an orthogonal matrix and split into one piece per level; each piece has its own codebook.
RPG predicts 16 to 64 such codes in parallel (Hou et al. 2025, arXiv:2506.05781). The rotation starts from principal
axes assigned so that all pieces have similar variance; then codebooks and rotation are updated alternately. (faiss has
the same as `OPQMatrix`, which corrupts memory on the smallest catalogues.)
"""

# Axes: N embeddings, D dimensions, L levels, K codes per level, R rotated dimensions (D up to a multiple of L),
# S = R / L dimensions of a piece

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.semantic_ids.clusters import check_embeddings, kmeans, nearest_centre
from mmrec.semantic_ids.quantizer import QuantizerConfig


@dataclass(frozen=True, slots=True, eq=False)
class ProductQuantizer:
    """A fitted rotation and codebooks.

    Attributes:
        rotation_RR: Orthogonal; a row vector is multiplied by its transpose. Shape: (R, R), float32.
        codebooks_LKS: One codebook per piece. Shape: (L, K, S), float32.
        dimension: D.
    """

    rotation_RR: npt.NDArray[np.float32]
    codebooks_LKS: npt.NDArray[np.float32]
    dimension: int

    @property
    def levels(self) -> int:
        """Codes per path."""
        return int(self.codebooks_LKS.shape[0])

    @property
    def widths(self) -> tuple[int, ...]:
        """Codes of each level."""
        return (int(self.codebooks_LKS.shape[1]),) * self.levels

    @property
    def encodes_new(self) -> bool:
        """Always true."""
        return True

    def encode(self, embeddings_ND: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """Path of each embedding: the code nearest to each piece.

        Args:
            embeddings_ND: Shape: (N, D), float32.

        Returns:
            Codes in [0, K). Shape: (N, L), int32.
        """
        pieces_NLS = self._pieces(embeddings_ND)
        codes_NL = np.empty((len(pieces_NLS), self.levels), dtype=np.int32)
        for level, codebook_KS in enumerate(self.codebooks_LKS):
            codes_NL[:, level] = nearest_centre(codebook_KS, pieces_NLS[:, level])
        return codes_NL

    def decode(self, codes_NL: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Approximate embeddings. Shape: (N, D), float32."""
        rotated_NR = self.codebooks_LKS[np.arange(self.levels), codes_NL].reshape(len(codes_NL), len(self.rotation_RR))
        return np.asarray((rotated_NR @ self.rotation_RR)[:, : self.dimension], dtype=np.float32)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """State for `from_tensors`."""
        return {
            "opq.rotation": self.rotation_RR,
            "opq.codebooks": self.codebooks_LKS,
            "opq.dimension": np.array([self.dimension], dtype=np.int64),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> ProductQuantizer:
        """Inverse of `tensors`."""
        return cls(tensors["opq.rotation"], tensors["opq.codebooks"], int(tensors["opq.dimension"][0]))

    def _pieces(self, embeddings_ND: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        rotated_NR = _padded(embeddings_ND, len(self.rotation_RR)) @ self.rotation_RR.T
        levels, _, size = self.codebooks_LKS.shape
        return np.asarray(rotated_NR, dtype=np.float32).reshape(len(embeddings_ND), levels, size)


def fit_product_quantizer(
    embeddings_ND: npt.NDArray[np.float32], config: QuantizerConfig, *, seed: int
) -> ProductQuantizer:
    """Fit the rotation, then one codebook per piece.

    Args:
        embeddings_ND: Shape: (N, D), float32, N at least 1.
        config: `iterations` is the number of alternating updates of codebooks and rotation.
        seed: Of the k-means initialisations.

    Raises:
        InvalidArgumentError: there are no embeddings, or a value is not finite.
    """
    check_embeddings(embeddings_ND)
    items, dimension = embeddings_ND.shape
    codes, levels = config.codes_for(items), config.levels
    padded_NR = _padded(embeddings_ND, -(-dimension // levels) * levels)
    rotation_RR = _balanced_axes(padded_NR, levels)
    codebooks_LKS = None
    for _ in range(config.iterations):
        pieces_NLS = (padded_NR @ rotation_RR.T).reshape(items, levels, -1)
        codebooks_LKS = _codebooks(pieces_NLS, codes, codebooks_LKS, seed)
        chosen = [codebooks_LKS[n][nearest_centre(codebooks_LKS[n], pieces_NLS[:, n])] for n in range(levels)]
        # Orthogonal Procrustes: the rotation that brings the embeddings nearest to their codes.
        left, _, right = np.linalg.svd(np.concatenate(chosen, axis=1).T @ padded_NR)
        rotation_RR = np.asarray(left @ right, dtype=np.float32)
    pieces_NLS = (padded_NR @ rotation_RR.T).reshape(items, levels, -1)
    return ProductQuantizer(rotation_RR, _codebooks(pieces_NLS, codes, codebooks_LKS, seed), dimension)


def _codebooks(
    pieces_NLS: npt.NDArray[np.float32], codes: int, start_LKS: npt.NDArray[np.float32] | None, seed: int
) -> npt.NDArray[np.float32]:
    """One codebook update. Two k-means iterations suffice, as each update starts from the previous codebooks."""
    codebooks = []
    for level in range(pieces_NLS.shape[1]):
        start_KS = None if start_LKS is None else start_LKS[level]
        codebooks.append(kmeans(pieces_NLS[:, level], codes, iterations=2, seed=seed + level, start_KD=start_KS))
    return np.stack(codebooks)


def _balanced_axes(vectors_NR: npt.NDArray[np.float32], levels: int) -> npt.NDArray[np.float32]:
    """Principal axes as rows, assigned to pieces so that the products of variances are balanced."""
    size = vectors_NR.shape[1] // levels
    centred_NR = (vectors_NR - vectors_NR.mean(axis=0)).astype(np.float64)
    variance_R, axes_RR = np.linalg.eigh(centred_NR.T @ centred_NR / len(vectors_NR))
    log_variance_R = np.log(np.maximum(variance_R, 1e-12))
    pieces: list[list[int]] = [[] for _ in range(levels)]
    for axis in range(len(variance_R))[::-1]:
        open_pieces = [piece for piece in pieces if len(piece) < size]
        min(open_pieces, key=lambda piece: float(log_variance_R[piece].sum())).append(axis)
    order = [axis for piece in pieces for axis in piece]
    return np.asarray(axes_RR[:, order].T, dtype=np.float32)


def _padded(vectors_ND: npt.NDArray[np.float32], width: int) -> npt.NDArray[np.float32]:
    """Zero-padded on the right to `width`. Shape: (N, width), float32."""
    padded = np.zeros((len(vectors_ND), width), dtype=np.float32)
    padded[:, : vectors_ND.shape[1]] = vectors_ND
    return padded
