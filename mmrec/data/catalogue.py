"""The items of a dataset, column by column, in the order of the items table. Knows nothing of files and
events.

The unit of work is a row number: everything downstream (embeddings, codes, histories) is indexed by it.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrec.errors import InvalidArgumentError, InvalidDatasetError
from mmrec.types import ItemRecord

__all__ = ["OWN_COLUMNS", "Catalogue", "item_text"]

OWN_COLUMNS = ("item_id", "title", "description", "image")
"""Columns with a meaning of their own; every other one is an attribute."""


@dataclass(frozen=True)
class Catalogue:
    """Items as columns of text. N items; '' stands for a missing value.

    Attributes:
        item_ids: Unique, not empty. Length N.
        titles: Short names. Length N.
        descriptions: Words. Length N.
        images: References to pictures as in the dataset. Length N.
        attributes: Every further column by name, in the table's order; each of length N.
        alive_N: Which rows are items. The others were deleted while the catalogue was being served, and are kept so
            that the rows after them stay what they are. None for all of them. Shape: (N,), bool.

    Raises:
        InvalidDatasetError: columns differ in length, or an id is empty or there twice.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    descriptions: tuple[str, ...]
    images: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    alive_N: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        columns = {
            "title": self.titles,
            "description": self.descriptions,
            "image": self.images,
            **self.attributes,
        }
        for name, values in columns.items():
            if len(values) != len(self.item_ids):
                raise InvalidDatasetError(
                    f"column {name!r} has {len(values)} values for {len(self.item_ids)} items; give one each"
                )
        if len(self._rows) != len(self.item_ids) or "" in self._rows:
            raise InvalidDatasetError("item ids must be unique and not empty; number the items or drop the copies")

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {item_id: row for row, item_id in enumerate(self.item_ids)}

    @cached_property
    def items(self) -> int:
        """Rows that are items."""
        return len(self) if self.alive_N is None else int(np.count_nonzero(self.alive_N))

    def row_of(self, item_id: str) -> int | None:
        """Row of an item, or None when the catalogue does not have it."""
        row = self._rows.get(item_id)
        return None if row is None or (self.alive_N is not None and not self.alive_N[row]) else row

    def last_row_of(self, item_id: str) -> int | None:
        """Row of an item, or the one it had when it was deleted, or None when it never was."""
        return self._rows.get(item_id)

    def record(self, row: int) -> ItemRecord:
        """One row as clients see it; its semantic id is empty, for the catalogue knows none."""
        return ItemRecord(
            item_id=self.item_ids[row],
            title=self.titles[row],
            description=self.descriptions[row],
            image=self.images[row],
            attributes={name: values[row] for name, values in self.attributes.items()},
        )

    def take(self, rows: npt.NDArray[Any]) -> Catalogue:
        """The catalogue of these rows alone, in this order. Shape: (M,), integers, or (N,) booleans."""
        chosen = np.asarray(rows)
        indices = (np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)).tolist()

        def pick(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[i] for i in indices)

        return Catalogue(
            item_ids=pick(self.item_ids),
            titles=pick(self.titles),
            descriptions=pick(self.descriptions),
            images=pick(self.images),
            attributes={name: pick(values) for name, values in self.attributes.items()},
            alive_N=None if self.alive_N is None else self.alive_N[indices],
        )

    def has_words(self) -> npt.NDArray[np.bool_]:
        """Which items have a title, a description or an attribute. Shape: (N,), bool."""
        found = np.zeros(len(self), dtype=np.bool_)
        for values in (self.titles, self.descriptions, *self.attributes.values()):
            found |= np.fromiter((bool(value.strip()) for value in values), dtype=np.bool_, count=len(self))
        return found

    def texts(self, template: str | None = None) -> list[str]:
        """The text of each item for an encoder; see `item_text`. Length N.

        Raises:
            InvalidArgumentError: the template names a column that is not there, or is not a format string.
        """
        if template is not None:
            _check_template(template, (*OWN_COLUMNS, *self.attributes))
        return [item_text(self.record(row), template) for row in range(len(self))]

    @classmethod
    def from_table(cls, table: Any) -> Catalogue:
        """From a table with the column `item_id` and any others, all of them text (pyarrow Table)."""
        columns = {name: tuple(value or "" for value in table.column(name).to_pylist()) for name in table.column_names}
        empty = ("",) * table.num_rows
        return cls(
            item_ids=columns["item_id"],
            titles=columns.get("title", empty),
            descriptions=columns.get("description", empty),
            images=columns.get("image", empty),
            attributes={name: values for name, values in columns.items() if name not in OWN_COLUMNS},
        )

    def to_table(self) -> Any:
        """All columns as text (pyarrow Table), for a bundle or a dataset folder."""
        columns = {
            "item_id": self.item_ids,
            "title": self.titles,
            "description": self.descriptions,
            "image": self.images,
            **self.attributes,
        }
        return pa.table({name: pa.array(values, type=pa.string()) for name, values in columns.items()})


def item_text(item: ItemRecord, template: str | None = None) -> str:
    """The words of one item, for a text encoder.

    Args:
        item: The item.
        template: `str.format` over the column names, as in ``{title} by {brand}``. None: the title, the
            description and then ``column: value`` for every attribute that has a value, as sentences. A ``|``
            in a value separates entries of a list and becomes a comma.

    Raises:
        InvalidArgumentError: the template names a column that is not there, or is not a format string.
    """
    own = {"item_id": item.item_id, "title": item.title, "description": item.description, "image": item.image}
    columns = {**item.attributes, **own}
    if template is not None:
        try:
            return template.format_map(columns).strip()
        except (ValueError, LookupError, AttributeError):
            _check_template(template, tuple(columns))
            raise
    parts = [item.title.strip(), item.description.strip()]
    for name, value in item.attributes.items():
        entries = [entry.strip() for entry in value.split("|") if entry.strip()]
        parts.append(f"{name}: {', '.join(entries)}" if entries else "")
    text = ""
    for part in filter(None, parts):
        gap = "" if not text else " " if text.endswith((".", "!", "?")) else ". "
        text += gap + part
    return text


def _check_template(template: str, columns: tuple[str, ...]) -> None:
    """Allow plain column names only: `{title.__class__}` and `{0}` are not texts of an item."""
    try:
        fields = [(name, spec) for _, name, spec, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as err:
        raise InvalidArgumentError(
            f"the text template {template!r} is no format string; write columns as {{title}}, braces as {{{{",
            field="template",
        ) from err
    for name, spec in fields:
        if name not in columns or spec:
            raise InvalidArgumentError(
                f"the text template {template!r} names {name!r}; the columns are {', '.join(columns)}",
                field="template",
            )
