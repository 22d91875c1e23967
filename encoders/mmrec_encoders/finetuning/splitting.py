"""Train and held-out split by title.

Items with the same title are in the same split, so that a product listed twice is not both trained on and evaluated.
"""

# Axes: N items

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidDatasetError


class TitleSplit(NamedTuple):
    """Result of the split.
    Attributes:
        held_N: Which items are held out. Shape: (N,), bool.
        title_N: Number of each item's title; equal for items of the same title. Shape: (N,), int64.
        held_titles: How many titles are held out.
    """

    held_N: npt.NDArray[np.bool_]
    title_N: npt.NDArray[np.int64]
    held_titles: int


def normalised_title(title: str) -> str:
    """Title for comparison: NFKC, case-folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", title).casefold().split())


def split_titles(titles: Sequence[str], share: float, *, seed: int = 0, most: int = 20_000) -> TitleSplit:
    """Hold out a share of the distinct titles.

    The choice depends on the seed and the titles, not on their order; most titles keep their split when the catalogue
    grows.

    Args:
        titles: One per item, not empty; compared by `normalised_title`.
        share: Of the distinct titles, over 0 and below 1.
        seed: Of the choice.
        most: Maximum number of held-out titles.

    Raises:
        InvalidDatasetError: there are too few titles to hold two out and train on two.
    """
    names = [normalised_title(title) for title in titles]
    distinct = sorted(set(names))
    wanted = min(most, max(2, round(share * len(distinct))))
    if len(distinct) - wanted < 2:
        raise InvalidDatasetError(
            f"the items with words and a picture have {len(distinct)} different titles; at least 4 are needed to hold "
            "some out: add items, or give them titles that tell them apart"
        )
    drawn = sorted(distinct, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "replace")).digest())
    held = set(drawn[:wanted])
    number = {name: at for at, name in enumerate(distinct)}
    return TitleSplit(
        np.fromiter((name in held for name in names), np.bool_, len(names)),
        np.fromiter((number[name] for name in names), np.int64, len(names)),
        wanted,
    )
