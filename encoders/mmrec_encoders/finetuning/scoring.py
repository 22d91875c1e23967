"""Evaluation on held-out pairs: text-to-image and image-to-text retrieval, and zero-shot classification."""

# Axes: H held-out pictures, T held-out titles, D dimensions

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from mmrec_encoders.finetuning.retrieval import Retrieval, retrieval
from mmrec_encoders.finetuning.zero_shot import LabelAccuracy, zero_shot
from mmrec_encoders.protocols import Vectors

if TYPE_CHECKING:
    from mmrec_encoders.finetuning.pairs import Pairs


class Scored(Protocol):
    """A model that can be evaluated."""

    def encode_held(self, rows_H: npt.NDArray[np.int64]) -> Vectors:
        """Unit vectors of held-out pairs' pictures. Shape: (H, D)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, in the same space. Shape: (N, D)."""
        ...


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """Figures on the held-out pairs.

    Attributes:
        text_to_image: Distinct titles to held-out pictures; every picture with the title is correct.
        text_to_own_image: Title of each picture to pictures; only the picture itself is correct.
        image_to_text: Pictures to distinct titles.
        words_to_image: As `text_to_image`, with all words of an item instead of its title.
        labels: Zero-shot accuracy by column.
    """

    text_to_image: Retrieval
    text_to_own_image: Retrieval
    image_to_text: Retrieval
    words_to_image: Retrieval
    labels: tuple[LabelAccuracy, ...] = ()


def score(model: Scored, pairs: Pairs, columns: Sequence[str], prompts: Sequence[str]) -> HeldOutFigures:
    """Figures on the held-out pairs.

    Args:
        model: Gives the vectors.
        pairs: At least one of them held out.
        columns: For zero-shot accuracy; may be empty.
        prompts: See `FinetuningConfig.prompts`.
    """
    rows = pairs.held_rows
    pictures_HD = model.encode_held(rows)
    titles_TD, title_H = _distinct(model, pairs, pairs.title_M[rows], 0)
    words_WD, words_H = _distinct(model, pairs, pairs.held.ids_NS[rows, 1], 1)
    each_T, each_H = np.arange(len(titles_TD)), np.arange(len(rows))
    labels = (
        zero_shot(name, pairs.catalogue.attributes[name], rows, pictures_HD, model.encode_texts, prompts)
        for name in columns
    )
    return HeldOutFigures(
        retrieval(titles_TD, pictures_HD, each_T, title_H),
        retrieval(titles_TD[title_H], pictures_HD, each_H, each_H),
        retrieval(pictures_HD, titles_TD, title_H, each_T),
        retrieval(words_WD, pictures_HD, np.arange(len(words_WD)), words_H),
        tuple(found for found in labels if found is not None),
    )


def _distinct(
    model: Scored, pairs: Pairs, group_H: npt.NDArray[np.int64], slot: int
) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """Text vector of each group of held-out pairs, from its first pair, and the group of each pair."""
    _, first, number_H = np.unique(group_H, return_index=True, return_inverse=True)
    texts = [pairs.held.texts[text] for text in pairs.held.ids_NS[pairs.held_rows[first], slot].tolist()]
    return model.encode_texts(texts), number_H.astype(np.int64)
