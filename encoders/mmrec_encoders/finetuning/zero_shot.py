"""Zero-shot classification: accuracy of the label whose text is nearest to a picture."""

# Axes: H pictures, L labels, P prompts, D dimensions

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError
from mmrec_encoders.finetuning.texts import category_columns, entries
from mmrec_encoders.protocols import Vectors

if TYPE_CHECKING:
    from mmrec.catalogue.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class LabelAccuracy:
    """Figures of one column.

    Attributes:
        column: Its name.
        labels: Distinct labels in the whole catalogue; all are candidates.
        pictures: Held-out pictures whose item has a label.
        accuracy: Share of pictures whose nearest label is one of the item's.
        commonest: Accuracy of always predicting the most common label.
    """

    column: str
    labels: int
    pictures: int
    accuracy: float
    commonest: float


def label_columns(catalogue: Catalogue, asked: Sequence[str]) -> tuple[str, ...]:
    """The columns to report on: those in `asked`, or else those with 2 to 200 classes.

    Raises:
        InvalidArgumentError: one of `asked` is not in the table, or is empty.
    """
    for name in asked:
        if not any(value.strip() for value in catalogue.attributes.get(name, ())):
            raise InvalidArgumentError(
                f"labels names {name!r}, which the items table lacks or leaves empty; its attribute columns are "
                f"{', '.join(catalogue.attributes) or 'none'}",
                field="labels",
            )
    return tuple(asked) or category_columns(catalogue)


def zero_shot(
    column: str,
    values: Sequence[str],
    held_H: npt.NDArray[np.int64],
    pictures_HD: Vectors,
    encode: Callable[[Sequence[str]], Vectors],
    prompts: Sequence[str],
) -> LabelAccuracy | None:
    """Classify held-out pictures by the labels of a column.

    Args:
        column: Its name.
        values: Of all items; a ``|`` separates several labels of one item.
        held_H: Rows of the held-out pictures. Shape: (H,).
        pictures_HD: Their unit vectors. Shape: (H, D).
        encode: Texts to unit vectors.
        prompts: See `FinetuningConfig.prompts`.

    Returns:
        None where no held-out item has a label.
    """
    own = [entries(value) for value in values]
    labels = sorted({label for several in own for label in several})
    rows = [(place, own[row]) for place, row in enumerate(held_H.tolist()) if own[row]]
    if not rows:
        return None
    name = column.replace("_", " ")
    texts = [prompt.replace("{column}", name).replace("{value}", label) for label in labels for prompt in prompts]
    label_LD = encode(texts).reshape(len(labels), len(prompts), -1).mean(axis=1)
    label_LD /= np.maximum(np.linalg.norm(label_LD, axis=1, keepdims=True), 1e-12)
    predicted = (pictures_HD[[place for place, _ in rows]] @ label_LD.T).argmax(axis=1)
    right = [labels[label] in several for label, (_, several) in zip(predicted.tolist(), rows, strict=True)]
    counts = Counter(label for _, several in rows for label in several)
    return LabelAccuracy(column, len(labels), len(rows), float(np.mean(right)), counts.most_common(1)[0][1] / len(rows))
