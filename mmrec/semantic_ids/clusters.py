"""K-means and nearest-centre search, from which all codebooks are built."""

# Axes: N vectors, K centres, D dimensions

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError

Floats = npt.NDArray[np.float32]


def kmeans(vectors_ND: Floats, centres: int, *, iterations: int, seed: int, start_KD: Floats | None = None) -> Floats:
    """Centres of Lloyd's k-means.

    Args:
        vectors_ND: Shape: (N, D), float32.
        centres: K. With K vectors or fewer, each vector is its own centre and the other centres are zero.
        iterations: Lloyd iterations.
        seed: Of the initialisation; equal seeds and data give equal centres.
        start_KD: Initial centres; None to draw them. Shape: (K, D), float32.

    Returns:
        Shape: (K, D), float32.
    """
    dimension = vectors_ND.shape[1]
    if len(vectors_ND) <= centres:
        centres_KD = np.zeros((centres, dimension), dtype=np.float32)
        centres_KD[: len(vectors_ND)] = vectors_ND
        return centres_KD
    fitted = faiss.Kmeans(
        dimension, centres, niter=iterations, seed=seed, min_points_per_centroid=1, max_points_per_centroid=256
    )
    fitted.train(np.ascontiguousarray(vectors_ND), init_centroids=start_KD)
    return np.asarray(fitted.centroids, dtype=np.float32).reshape(centres, dimension)


def nearest_centre(centres_KD: Floats, vectors_ND: Floats) -> npt.NDArray[np.int64]:
    """Index of the nearest centre by squared L2 distance; the lower index wins ties. Shape: (N,), int64."""
    index = faiss.IndexFlatL2(centres_KD.shape[1])
    index.add(np.ascontiguousarray(centres_KD))
    return np.asarray(index.search(np.ascontiguousarray(vectors_ND), 1)[1][:, 0])


def check_embeddings(embeddings_ND: Floats) -> None:
    """Check that codebooks can be fitted.

    Raises:
        InvalidArgumentError: there are no embeddings, or a value is not finite.
    """
    if len(embeddings_ND) == 0:
        raise InvalidArgumentError("there are 0 embeddings; a quantizer is fitted on at least 1")
    if not np.isfinite(embeddings_ND).all():
        raise InvalidArgumentError("an embedding holds NaN or infinity; correct the encoder before quantising")
