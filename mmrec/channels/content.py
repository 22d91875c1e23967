"""Content similarity: cosine of fused embeddings between an item and the recent history.

Works on catalogue rows; knows nothing about how the embeddings were made.
"""

# Axes: N items, D dimensions, B customers, K requested items, T history places, E places of all histories

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.catalogue.segments import Segmented
from mmrec.channels.transitions import history_weights, recent_weights
from mmrec.runtime.limits import check_numbers

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ContentConfig:
    """How history items are weighted.

    Attributes:
        decay: Weight of a history item relative to the one after it, above 0 to 1.
        recent: Number of most recent history items that are used.
    """

    decay: float = 0.7
    recent: int = 10

    def __post_init__(self) -> None:
        check_numbers(self, "decay", over=0, high=1)
        check_numbers(self, "recent", low=1)


def content_scores(
    histories: Sequence[npt.NDArray[np.int32]], embeddings_ND: Segmented[Vectors], config: ContentConfig
) -> npt.NDArray[np.float32]:
    """Decayed sum of cosine similarities to the recent history items.

    Args:
        histories: Catalogue rows, oldest first.
        embeddings_ND: Unit-norm fused embeddings. Shape: (N, D), float32.
        config: See `ContentConfig`.

    Returns:
        Shape: (B, N), float32.
    """
    weights = history_weights(histories, len(embeddings_ND), decay=config.decay, recent=config.recent)
    read_BE = sp.csr_array((weights.data, np.arange(weights.nnz), weights.indptr), shape=(len(histories), weights.nnz))
    taste_BD = read_BE @ embeddings_ND[weights.indices]
    return np.asarray(embeddings_ND.scores(lambda vectors_ND: taste_BD @ vectors_ND.T), dtype=np.float32)


def content_query(
    history: npt.NDArray[np.int32], embeddings_ND: Segmented[Vectors], config: ContentConfig
) -> npt.NDArray[np.float32]:
    """The vector whose inner products with items are the `content_scores` after one history. Shape: (D,), float32."""
    tail_T, weights_T = recent_weights(history, decay=config.decay, recent=config.recent)
    return np.asarray(weights_T @ embeddings_ND[tail_T], dtype=np.float32)


def content_parts(
    history: npt.NDArray[np.int32],
    embeddings_ND: Segmented[Vectors],
    rows_K: npt.NDArray[np.int64],
    config: ContentConfig,
) -> npt.NDArray[np.float32]:
    """What each recent history item adds to the scores of the requested items; sums to `content_scores`.

    Args:
        history: Catalogue rows, oldest first.
        embeddings_ND: As in `content_scores`.
        rows_K: The requested items. Shape: (K,).
        config: See `ContentConfig`.

    Returns:
        One row for each of the last `recent` history items. Shape: (T, K), float32.
    """
    tail_T, weights_T = recent_weights(history, decay=config.decay, recent=config.recent)
    return np.asarray(weights_T[:, None] * (embeddings_ND[tail_T] @ embeddings_ND[rows_K].T), dtype=np.float32)
