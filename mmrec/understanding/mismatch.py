"""Finds items whose picture and words disagree: a shoe described as a lamp, a picture uploaded to the wrong item.

Works on picture-only and words-only vectors of the shared space. A cosine alone is not comparable between items: short
words are near everything, and a plain background is near nothing. So an item's picture is compared with other pictures
for the same words, and its words with other words for the same picture: `fit` is the share of random others that fit
worse, near 1 for a matching pair, 0.5 for a random one. The lowest fit comes first.
"""

# Axes: N items, B items with both, S sampled others, D shared dimensions, M items returned

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.background import between_steps
from mmrec.understanding.nearest import Floats, check_vectors

_SCORES_AT_ONCE = 2**23


class Mismatches(NamedTuple):
    """Items with picture and words, the ones that agree least first.

    Attributes:
        rows_M: Rows of the items. Shape: (M,), int64.
        agreement_M: Cosine of picture and words, -1 to 1. Shape: (M,), float32.
        fit_M: Share of random other pictures that fit the words worse, and of other words that fit the picture worse,
            the mean of both; 0 to 1. Shape: (M,), float32.
        percentile_M: Share of the items that are ranked as worse, 0 for the worst, below 1. Shape: (M,), float32.
    """

    rows_M: npt.NDArray[np.int64]
    agreement_M: Floats
    fit_M: Floats
    percentile_M: Floats


def find_mismatches(
    image_ND: npt.NDArray[np.floating],
    text_ND: npt.NDArray[np.floating],
    *,
    sample: int = 2_000,
) -> Mismatches:
    """Rank the items that have a picture and words by how badly the two fit each other.

    Args:
        image_ND: Of pictures alone, in the shared space; unit or zero rows. Shape: (N, D).
        text_ND: Of words alone, likewise. Shape: (N, D).
        sample: Random others that a picture and its words are compared with, at least 1; all when there are fewer.
            Bounds the work: one million items take a million times this many products.

    Returns:
        Lowest fit first; of equal ones the lower cosine, then the lower row.

    Raises:
        InvalidArgumentError: shapes do not fit, or rows are not unit or zero rows.
    """
    image_ND = check_vectors(image_ND, "image")
    text_ND = check_vectors(text_ND, "text", dimension=image_ND.shape[1])
    ranked_N = np.asarray(image_ND.any(axis=1))
    if len(image_ND) != len(text_ND):
        raise InvalidArgumentError(
            f"there are {len(image_ND):,} picture vectors and {len(text_ND):,} words vectors; give one row per item",
            field="text",
        )
    ranked_N &= text_ND.any(axis=1)
    rows_B = np.flatnonzero(ranked_N)
    if not len(rows_B):
        nothing = np.zeros(0, np.float32)
        return Mismatches(rows_B, nothing, nothing, nothing)
    image_BD, text_BD = image_ND[rows_B], text_ND[rows_B]
    agreement_B = np.einsum("bd,bd->b", image_BD.astype(np.float64), text_BD.astype(np.float64)).astype(np.float32)
    generator = np.random.default_rng(0)
    sample_S = np.sort(generator.choice(len(rows_B), min(sample, len(rows_B)), replace=False))
    picture_fit_B = _share_of_worse(text_BD, image_BD[sample_S], sample_S, agreement_B)
    words_fit_B = _share_of_worse(image_BD, text_BD[sample_S], sample_S, agreement_B)
    fit_B = ((picture_fit_B + words_fit_B) / 2).astype(np.float32)
    order_M = np.lexsort((rows_B, agreement_B, fit_B))
    fit_M, agreement_M = fit_B[order_M], agreement_B[order_M]
    # Equal items share the place of the first.
    begins_M = np.append(True, (np.diff(fit_M) != 0) | (np.diff(agreement_M) != 0))
    place_M = np.maximum.accumulate(np.where(begins_M, np.arange(len(order_M)), 0))
    percentile_M = (place_M / len(order_M)).astype(np.float32)
    return Mismatches(rows_B[order_M], agreement_M, fit_M, percentile_M)


def _share_of_worse(
    own_BD: Floats, others_SD: Floats, sample_S: npt.NDArray[np.int64], agreement_B: Floats
) -> npt.NDArray[np.float64]:
    """Share of the sampled others, without the item itself, that are less similar; a tie counts half.

    Shape: (B,), float64; 0.5 where there is no other.
    """
    is_sampled_B = np.zeros(len(own_BD), np.int64)
    is_sampled_B[sample_S] = 1
    share_B = np.empty(len(own_BD), np.float64)
    step = max(1, _SCORES_AT_ONCE // len(others_SD))
    for at in range(0, len(own_BD), step):
        between_steps()
        scores_BS = own_BD[at : at + step] @ others_SD.T
        own_B1 = agreement_B[at : at + step, None]
        # Copies of one picture tie up to rounding.
        near_BS = np.abs(scores_BS - own_B1) <= 1e-5
        worse_B = ((scores_BS < own_B1) & ~near_BS).sum(axis=1) + 0.5 * near_BS.sum(axis=1)
        itself = is_sampled_B[at : at + step]
        others = len(others_SD) - itself
        share_B[at : at + step] = np.where(others > 0, (worse_B - 0.5 * itself) / np.maximum(others, 1), 0.5)
    return share_B
