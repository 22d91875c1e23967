"""Zero-shot tagging: which labels fit an item, by similarity in the space that pictures and words share.

A label is put into several templates, which are encoded as queries and averaged; an item's score is the weighted mean
of the label's cosines with the existing vectors of the item: fused, picture alone, words alone. A softmax
over the labels makes probabilities of the scores; its temperature is fitted where right labels are known
(`mmrec.understanding.calibration`). Knows nothing about encoders: the caller brings a function from texts to vectors.
"""

# Axes: N items, L labels, D shared dimensions, K labels returned

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError
from mmrec.understanding.calibration import softmax
from mmrec.understanding.nearest import Floats, check_vectors

DEFAULT_TEMPLATES = ("{label}", "a photo of {label}", "{column}: {label}", "a product photo of {label}", "{label} item")
"""Sentences a label is put into. ``{column}`` is the column that the labels belong to; without one, templates that name
it are left out."""
DEFAULT_TEMPERATURE = 0.05
"""Used where no labels are known to fit one. Fitted values were between 0.03 (140 labels) and 0.09 (7 labels)."""
MAX_LABELS = 10_000
MAX_LABEL_CHARS = 1_000
COLUMN_STEPS = 64
"""Requests without items that make the labels of a column ready, each in part."""

_WEIGHTS = (1.0, 0.5, 1.0)
"""Of an item's vectors: fused, picture alone, words alone. From held-out columns of a catalogue with short titles: more
for the picture helped coarse labels (categories) and cost fine ones (colours), which the words name."""
_SCORES_AT_ONCE = 2**24
_TEXTS_AT_ONCE = 2_048


class SharedVectors(NamedTuple):
    """Vectors of items in the shared space.

    Attributes:
        fused_ND: Of picture and words. Shape: (N, D), float32, unit rows.
        image_ND: Of the picture alone, zero rows where there is none; None if not computed. Shape: (N, D), float32.
        text_ND: Of the words alone, likewise. Shape: (N, D), float32.
    """

    fused_ND: Floats
    image_ND: Floats | None = None
    text_ND: Floats | None = None


class Tags(NamedTuple):
    """The most probable labels of items, most probable first; of equal ones the first of the label set.

    Attributes:
        labels: The label set.
        labels_NK: Places in `labels`. Shape: (N, K), int64.
        probabilities_NK: Over the whole label set. Shape: (N, K), float32.
    """

    labels: tuple[str, ...]
    labels_NK: npt.NDArray[np.int64]
    probabilities_NK: Floats

    def of(self, row: int, *, min_probability: float = 0.0) -> tuple[tuple[str, float], ...]:
        """Labels of one item with their probabilities, those of at least `min_probability`."""
        return tuple(
            (self.labels[label], float(probability))
            for label, probability in zip(self.labels_NK[row], self.probabilities_NK[row], strict=True)
            if probability >= min_probability
        )


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The label set, checked.

    Raises:
        InvalidArgumentError: there are none or more than `MAX_LABELS`; or one is not text, blank, there twice, or
            longer than `MAX_LABEL_CHARS`.
    """
    if isinstance(labels, str):
        raise InvalidArgumentError(f"labels is the text {labels!r:.60}; pass a list of texts", field="labels")
    if not 1 <= len(labels) <= MAX_LABELS:
        raise InvalidArgumentError(
            f"there are {len(labels):,} labels; give 1 to {MAX_LABELS:,} to choose from", field="labels"
        )
    seen: set[str] = set()
    for place, label in enumerate(labels):
        where = f"labels[{place}]"
        if not isinstance(label, str):
            raise InvalidArgumentError(f"{where} is a {type(label).__name__}; labels are texts", field=where)
        if not label.strip() or len(label) > MAX_LABEL_CHARS:
            raise InvalidArgumentError(
                f"{where} has {len(label):,} characters{'' if label.strip() else ', all blank'}; a label has 1 to "
                f"{MAX_LABEL_CHARS:,}",
                field=where,
            )
        if label in seen:
            raise InvalidArgumentError(f"{where} is {label!r:.60}, which is there already; give each once", field=where)
        seen.add(label)
    return tuple(labels)


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """The templates, checked.

    Raises:
        InvalidArgumentError: there are none, or one does not hold ``{label}``.
    """
    if isinstance(templates, str) or not templates:
        raise InvalidArgumentError(
            f"templates is {templates!r:.60}; pass a list with at least one text that holds {{label}}",
            field="templates",
        )
    for place, template in enumerate(templates):
        if not isinstance(template, str) or "{label}" not in template:
            raise InvalidArgumentError(
                f"templates[{place}] is {template!r:.60}; it must hold {{label}}", field=f"templates[{place}]"
            )
    return tuple(templates)


def split_entries(value: str) -> tuple[str, ...]:
    """Entries of a value that may be a list separated by ``|``; blank ones are left out."""
    return tuple(dict.fromkeys(entry.strip() for entry in value.split("|") if entry.strip()))


def column_labels(values: Sequence[str]) -> tuple[str, ...]:
    """The distinct entries of a column, the most frequent first and equal ones by name, at most `MAX_LABELS`.

    Entries longer than `MAX_LABEL_CHARS` are left out: they are no labels.
    """
    counts = Counter(entry for value in values for entry in split_entries(value) if len(entry) <= MAX_LABEL_CHARS)
    return tuple(sorted(counts, key=lambda entry: (-counts[entry], entry))[:MAX_LABELS])


def label_vectors(
    labels: Sequence[str],
    encode: Callable[[list[str]], npt.NDArray[np.floating]],
    *,
    column: str = "",
    templates: Sequence[str] = DEFAULT_TEMPLATES,
) -> Floats:
    """One vector per label: the mean over the templates, scaled to unit norm.

    Args:
        labels: The label set.
        encode: Texts to unit vectors of the shared space, as searches. Shape: (M,) to (M, D).
        column: What the labels are, for templates that name it; empty for nothing.
        templates: Sentences with ``{label}`` in them.

    Returns:
        Shape: (L, D), float32, unit rows.

    Raises:
        InvalidArgumentError: labels or templates break a rule, or no template is left without a column.
    """
    labels, templates = check_labels(labels), check_templates(templates)
    used = [template for template in templates if column or "{column}" not in template]
    if not used:
        raise InvalidArgumentError(
            "every template names {column}, and the labels belong to none; add a template without", field="templates"
        )
    name = column.replace("_", " ")
    # replace() and not format(), since a label may contain braces.
    texts = [
        template.replace("{column}", name).replace("{label}", label.replace("_", " "))
        for label in labels
        for template in used
    ]
    vectors = [
        np.asarray(encode(texts[at : at + _TEXTS_AT_ONCE]), np.float64) for at in range(0, len(texts), _TEXTS_AT_ONCE)
    ]
    mean_LD = np.concatenate(vectors).reshape(len(labels), len(used), -1).mean(axis=1)
    norm_L1 = np.linalg.norm(mean_LD, axis=1, keepdims=True)
    return np.asarray(mean_LD / np.maximum(norm_L1, 1e-12), np.float32)


def label_scores(vectors: SharedVectors, labels_LD: npt.NDArray[np.floating]) -> Floats:
    """How well each label fits each item: the weighted mean of cosines. Shape: (N, L), float32, in [-1, 1].

    Raises:
        InvalidArgumentError: shapes do not fit, or rows are not unit or zero rows.
    """
    labels_LD = check_vectors(labels_LD, "labels")
    return _item_vectors(vectors, labels_LD.shape[1]) @ labels_LD.T


def tag_vectors(
    vectors: SharedVectors,
    labels: Sequence[str],
    labels_LD: npt.NDArray[np.floating],
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    k: int = 5,
) -> Tags:
    """The k most probable labels of each item.

    Args:
        vectors: The items.
        labels: The label set.
        labels_LD: Its vectors, of `label_vectors`. Shape: (L, D).
        temperature: What scores are divided by before the softmax over all labels, above 0.
        k: Labels per item, at least 1; K is min(k, L).

    Raises:
        InvalidArgumentError: shapes do not fit, the temperature is not above 0, or k is less than 1.
    """
    labels = check_labels(labels)
    labels_LD = check_vectors(labels_LD, "labels")
    if len(labels) != len(labels_LD):
        raise InvalidArgumentError(
            f"there are {len(labels)} labels and {len(labels_LD)} vectors of labels; give one each", field="labels"
        )
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InvalidArgumentError(f"k is {k!r:.40}; it must be a whole number of at least 1", field="k")
    items_ND = _item_vectors(vectors, labels_LD.shape[1])
    wanted = min(int(k), len(labels))
    labels_NK = np.empty((len(items_ND), wanted), np.int64)
    probabilities_NK = np.empty((len(items_ND), wanted), np.float32)
    softmax(np.zeros((1, 1)), temperature)
    step = max(1, _SCORES_AT_ONCE // len(labels))
    for at in range(0, len(items_ND), step):
        # Rounded, so that the last bit, which depends on the batch, does not decide between equal labels.
        scores_NL = np.round(items_ND[at : at + step].astype(np.float64) @ labels_LD.T.astype(np.float64), 9)
        probabilities_NL = softmax(scores_NL, temperature)
        order_NK = np.argsort(-scores_NL, axis=1, kind="stable")[:, :wanted]
        labels_NK[at : at + step] = order_NK
        probabilities_NK[at : at + step] = np.take_along_axis(probabilities_NL, order_NK, axis=1)
    return Tags(labels, labels_NK, probabilities_NK)


def _item_vectors(vectors: SharedVectors, dimension: int) -> Floats:
    """Weighted means of the existing vectors, whose products with the labels are the mean cosines."""
    total_ND: npt.NDArray[np.float32] | None = None
    weight_N1: npt.NDArray[np.float32] | None = None
    for name, part_ND, weight in zip(("fused", "image", "text"), vectors, _WEIGHTS, strict=True):
        if part_ND is None:
            continue
        checked_ND = check_vectors(part_ND, name, dimension=dimension)
        if total_ND is None or weight_N1 is None:
            total_ND = np.zeros_like(checked_ND)
            weight_N1 = np.zeros((len(checked_ND), 1), np.float32)
        if len(checked_ND) != len(total_ND):
            raise InvalidArgumentError(
                f"there are {len(checked_ND)} {name} vectors and {len(total_ND)} fused ones; give one row per item",
                field=name,
            )
        there_N1 = checked_ND.any(axis=1, keepdims=True)
        total_ND += weight * checked_ND
        weight_N1 += np.float32(weight) * there_N1
    assert total_ND is not None
    assert weight_N1 is not None
    return np.asarray(total_ND / np.maximum(weight_N1, 1e-12), np.float32)
