"""How well a model finds held-out pictures by words, words by pictures, and labels by their names.

Asks the model for vectors and knows nothing else about it.
"""

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
    """What can be scored."""

    def encode_held(self, rows_H: npt.NDArray[np.int64]) -> Vectors:
        """Unit vectors of held-out pairs' pictures. Shape: (H, D)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, in the same space. Shape: (N, D)."""
        ...


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """Figures on what training never saw.

    Attributes:
        text_to_image: Distinct titles search among all held-out pictures; any picture with that very title is right.
        text_to_own_image: Each picture's title searches for that one picture, its namesakes being wrong.
        image_to_text: Pictures search among the distinct titles.
        words_to_image: As `text_to_image`, with all the words of an item instead of its title.
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
    """One vector per group of held-out pairs, from the words of its first, and each pair's group."""
    _, first, number_H = np.unique(group_H, return_index=True, return_inverse=True)
    texts = [pairs.held.texts[text] for text in pairs.held.ids_NS[pairs.held_rows[first], slot].tolist()]
    return model.encode_texts(texts), number_H.astype(np.int64)
