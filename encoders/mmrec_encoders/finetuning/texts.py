"""Table of the distinct texts that describe each item, and sampling of one of them per picture."""

# Axes: N items, S slots of texts an item can have, B batch

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.item_words import EVERY_COLUMN, ItemWords
from mmrec.errors import InvalidArgumentError

if TYPE_CHECKING:
    from mmrec.catalogue.catalogue import Catalogue

_FEWEST, _MOST = 2, 200
MISSING = -1


class TextTable(NamedTuple):
    """Texts of a catalogue.

    Attributes:
        texts: Distinct, in the order of their first appearance.
        ids_NS: Indices of an item's texts by slot, or `MISSING`. Shape: (N, S), int64.
        weights_S: Relative sampling weight of each slot. Shape: (S,), float64.
    """

    texts: tuple[str, ...]
    ids_NS: npt.NDArray[np.int64]
    weights_S: npt.NDArray[np.float64]

    def only(self, rows_K: npt.NDArray[np.int64]) -> TextTable:
        """The texts of these items only, renumbered; the other items have none."""
        ids_NS = np.full_like(self.ids_NS, MISSING)
        used = np.unique(self.ids_NS[rows_K])
        used = used[used != MISSING]
        number = np.full(len(self.texts) + 1, MISSING, np.int64)
        number[used] = np.arange(len(used))
        # Index -1 (MISSING) selects the extra last entry.
        ids_NS[rows_K] = number[self.ids_NS[rows_K]]
        return TextTable(tuple(self.texts[text] for text in used.tolist()), ids_NS, self.weights_S)


def entries(value: str) -> list[str]:
    """Those of a list, which ``|`` separates; see `ItemWords`."""
    return [entry.strip() for entry in value.split("|") if entry.strip()]


def category_columns(catalogue: Catalogue) -> tuple[str, ...]:
    """Attribute columns with 2 to 200 classes."""
    columns = []
    for name, values in catalogue.attributes.items():
        distinct = {value for value in values if value.strip()}
        if _FEWEST <= len(distinct) <= min(_MOST, max(_FEWEST, len(values) // 2)):
            columns.append(name)
    return tuple(columns)


def text_table(
    catalogue: Catalogue,
    kinds: Sequence[tuple[str, float]],
    columns: Sequence[str] = (),
    words: ItemWords = EVERY_COLUMN,
) -> TextTable:
    """All texts of all items.

    Args:
        catalogue: The items.
        kinds: Kinds and weights; see `FinetuningConfig.texts`. Those of weight 0 are left out.
        columns: Columns that phrases are made of; empty for those of `category_columns` that are words.
        words: Of the kind ``item``.

    Raises:
        InvalidArgumentError: a column is not there, or a template is none.
    """
    unknown = sorted(set(columns) - {*catalogue.attributes})
    if unknown:
        raise InvalidArgumentError(
            f"the column {unknown[0]!r} is not in the items table; its attribute columns are "
            f"{', '.join(catalogue.attributes) or 'none'}",
            field="columns",
        )
    columns = tuple(columns) or tuple(
        name for name in category_columns(catalogue) if words.columns is None or name in words.columns
    )
    slots: list[tuple[float, Iterable[str]]] = []
    for kind, weight in kinds:
        if weight > 0:
            made = _slots(catalogue, kind, columns, words)
            # Slots of one kind share its weight.
            slots += [(weight / len(made), texts) for texts in made]
    numbers: dict[str, int] = {}
    ids_NS = np.full((len(catalogue), len(slots)), MISSING, np.int64)
    for slot, (_, texts) in enumerate(slots):
        for row, text in enumerate(texts):
            if clean := " ".join(text.split()):
                ids_NS[row, slot] = numbers.setdefault(clean, len(numbers))
    return TextTable(tuple(numbers), ids_NS, np.array([weight for weight, _ in slots], np.float64))


def draw_texts(
    table: TextTable, rows_B: npt.NDArray[np.int64], chance_B: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Sample one text for each of some items, which all have words.

    Args:
        table: The texts.
        rows_B: Items. Shape: (B,).
        chance_B: Uniform random numbers in [0, 1). Shape: (B,).

    Returns:
        Shape: (B,), int64.
    """
    ids_BS = table.ids_NS[rows_B]
    cumulative_BS = np.cumsum(np.where(ids_BS == MISSING, 0.0, table.weights_S), axis=1)
    slot_B = (cumulative_BS <= (chance_B * cumulative_BS[:, -1])[:, None]).sum(axis=1)
    chosen: npt.NDArray[np.int64] = ids_BS[np.arange(len(rows_B)), np.minimum(slot_B, ids_BS.shape[1] - 1)]
    return chosen


def true_texts(ids_BS: npt.NDArray[np.int64], texts_B: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which texts describe which pictures of a batch.

    Args:
        ids_BS: Texts of each picture's item. Shape: (B, S).
        texts_B: The sampled text of each. Shape: (B,).

    Returns:
        True at [t, p] where text t is one of picture p's texts. Shape: (B, B).
    """
    true_BB = np.zeros((len(texts_B), len(ids_BS)), np.bool_)
    for slot_B in ids_BS.T:
        true_BB |= texts_B[:, None] == slot_B[None, :]
    return true_BB


def _slots(catalogue: Catalogue, kind: str, columns: Sequence[str], words: ItemWords) -> list[Iterable[str]]:
    if kind == "title":
        return [catalogue.titles]
    if kind == "item":
        return [catalogue.texts(words)]
    if "{" in kind:
        return [catalogue.texts(ItemWords(kind))]
    values: Mapping[str, Sequence[str]] = {name: catalogue.attributes[name] for name in columns}
    if kind == "columns":
        phrased = [[_phrase(name, value) for value in values[name]] for name in columns]
        return [[". ".join(filter(None, row)) for row in zip(*phrased, strict=True)]] if phrased else []
    if kind == "phrase":
        return [[_phrase(name, value) for value in values[name]] for name in columns]
    return [[", ".join(entries(value)) for value in values[name]] for name in columns]


def _phrase(column: str, value: str) -> str:
    plain = ", ".join(entries(value))
    return f"{column.replace('_', ' ')}: {plain}" if plain else ""
