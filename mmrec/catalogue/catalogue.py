"""The items of a dataset, column by column, in the order of the items table.

Unit of work: a row number, by which everything downstream (embeddings, codes, histories) is indexed. A change of a few
items makes a new catalogue, which shares unchanged data with the old one. Knows nothing about files and events.
"""

# Axes: N items, M items added or replaced, R deleted rows

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrec.catalogue.column_kinds import COLUMN_KINDS
from mmrec.catalogue.item_words import EVERY_COLUMN, ItemWords, check_words, item_text
from mmrec.catalogue.row_table import RowTable
from mmrec.catalogue.text_columns import TextColumn
from mmrec.contract.items import ItemRecord
from mmrec.errors import InvalidDatasetError

OWN_COLUMNS = ("item_id", "title", "description", "image")
"""Columns with a fixed meaning; every other column is an attribute."""
_KIND = b"mmrec.kind"
_WRONG_IDS = "item ids must be unique and not empty; number the items or drop the copies"


@dataclass(frozen=True)
class Catalogue:
    """Items as columns of text, tuples or `TextColumn`. N items; '' stands for a missing value.

    Attributes:
        item_ids: Unique, not empty. Length N.
        titles: Short names. Length N.
        descriptions: Words. Length N.
        images: References to pictures as in the dataset. Length N.
        attributes: Every further column by name, in the table's order; each of length N.
        alive_N: Which rows are items; the others were deleted, and stay so that later rows keep their numbers. None:
            all are items. Shape: (N,), bool.
        kinds: Configured kinds of columns by name, each one of `COLUMN_KINDS`. Other columns have the kind that their
            values agree on. Names of missing columns are ignored.

    Raises:
        InvalidDatasetError: columns differ in length, or an id is empty or occurs twice.
    """

    item_ids: Sequence[str]
    titles: Sequence[str]
    descriptions: Sequence[str]
    images: Sequence[str]
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    alive_N: npt.NDArray[np.bool_] | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self._columns().items():
            if len(values) != len(self.item_ids):
                raise InvalidDatasetError(
                    f"column {name!r} has {len(values)} values for {len(self.item_ids)} items; give one each"
                )
        if len(self._rows) != len(self.item_ids) or "" in self._rows:
            raise InvalidDatasetError(_WRONG_IDS)

    def __len__(self) -> int:
        return len(self.item_ids)

    def _columns(self) -> dict[str, Sequence[str]]:
        own = {"item_id": self.item_ids, "title": self.titles, "description": self.descriptions, "image": self.images}
        return own | dict(self.attributes)

    @cached_property
    def _rows(self) -> RowTable:
        return RowTable(self.item_ids)

    @cached_property
    def items(self) -> int:
        """Number of rows that are items."""
        return len(self) if self.alive_N is None else int(np.count_nonzero(self.alive_N))

    def row_of(self, item_id: str) -> int | None:
        """Row of an item; None when the catalogue does not have it."""
        row = self._rows.row(item_id)
        return None if row is None or (self.alive_N is not None and not self.alive_N[row]) else row

    def rows_of(self, item_ids: Iterable[str]) -> list[int]:
        """Rows of those items that the catalogue has, in the order of the ids."""
        return [row for row in map(self.row_of, item_ids) if row is not None]

    def missing(self, item_ids: Iterable[str]) -> tuple[str, ...]:
        """Ids that the catalogue does not have, in their order, none twice."""
        return tuple(item_id for item_id in dict.fromkeys(item_ids) if self.row_of(item_id) is None)

    def last_row_of(self, item_id: str) -> int | None:
        """Row of an item, also of a deleted one; None for an unknown id."""
        return self._rows.row(item_id)

    def title_of(self, item_id: str) -> str:
        """Title of an item, also of a deleted one; empty for an unknown id."""
        row = self.last_row_of(item_id)
        return "" if row is None else self.titles[row]

    def changed(
        self, records: Sequence[ItemRecord], rows_M: npt.NDArray[np.int64], deleted_R: npt.NDArray[np.int64]
    ) -> Catalogue:
        """The catalogue after a change, as a new object; the cost depends on the changed items only.

        Args:
            records: Items to add, or to replace those of the same id, with every column of the catalogue. Length M.
            rows_M: Row of each: the one its id has or had; for new ids the rows after the last, in order. Shape:
                (M,), int64.
            deleted_R: Rows of deleted items. Shape: (R,), int64.

        Raises:
            InvalidDatasetError: an id is empty or occurs twice, or a row is not that of its item.
        """
        ids, rows = [record.item_id for record in records], rows_M.tolist()
        new = self._new_ids(ids, rows)
        if len(deleted_R) and not 0 <= int(deleted_R.min()) <= int(deleted_R.max()) < len(self):
            raise InvalidDatasetError(
                f"rows {deleted_R.tolist()!s:.80} go; the rows of the catalogue are 0 to {len(self) - 1}"
            )

        def column(old: Sequence[str], texts: list[str]) -> Sequence[str]:
            return TextColumn.of(old).changed(rows, texts) if rows else old

        alive_N = np.ones(len(self) + len(new), np.bool_)
        if self.alive_N is not None:
            alive_N[: len(self)] = self.alive_N
        alive_N[rows_M] = True
        alive_N[deleted_R] = False
        alive_N.flags.writeable = False
        made = object.__new__(Catalogue)
        # `__post_init__` has checked the old rows, and `_new_ids` the new ones.
        made.__dict__.update(
            item_ids=column(self.item_ids, ids),
            titles=column(self.titles, [record.title for record in records]),
            descriptions=column(self.descriptions, [record.description for record in records]),
            images=column(self.images, [record.image for record in records]),
            attributes={
                name: column(values, [record.attributes[name] for record in records])
                for name, values in self.attributes.items()
            },
            alive_N=None if alive_N.all() else alive_N,
            kinds=self.kinds,
            _rows=self._rows.with_ids(new),
        )
        return made

    def _new_ids(self, ids: list[str], rows: list[int]) -> list[str]:
        """The ids that have no row yet; checks all rules of `changed`."""
        if "" in ids or len(set(ids)) != len(ids):
            raise InvalidDatasetError(_WRONG_IDS)
        new: list[str] = []
        for item_id, row in zip(ids, rows, strict=True):
            known = self._rows.row(item_id)
            own = len(self) + len(new) if known is None else known
            if row != own:
                raise InvalidDatasetError(f"item {item_id!r:.80} is to go to row {row}; its row is {own}")
            if known is None:
                new.append(item_id)
        return new

    def record(self, row: int) -> ItemRecord:
        """One row as clients see it, without its semantic ID."""
        return ItemRecord(
            item_id=self.item_ids[row],
            title=self.titles[row],
            description=self.descriptions[row],
            image=self.images[row],
            attributes={name: values[row] for name, values in self.attributes.items()},
        )

    def take(self, rows: npt.NDArray[Any]) -> Catalogue:
        """A catalogue of these rows, in this order. Shape: (M,), integers, or (N,) booleans."""
        chosen = np.asarray(rows)
        indices = (np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)).tolist()
        columns = {name: tuple(values[i] for i in indices) for name, values in self._columns().items()}
        return self.from_columns(columns, self.kinds, None if self.alive_N is None else self.alive_N[indices])

    def has_words(self, words: ItemWords = EVERY_COLUMN) -> npt.NDArray[np.bool_]:
        """Which items have a title, a description, or an attribute that is words. Shape: (N,), bool."""
        found = np.zeros(len(self), dtype=np.bool_)
        attributes = self.attributes if words.columns is None else {*words.columns} & {*self.attributes}
        for values in (self.titles, self.descriptions, *(self.attributes[name] for name in attributes)):
            found |= np.fromiter((bool(value.strip()) for value in values), dtype=np.bool_, count=len(self))
        return found

    def texts(self, words: ItemWords = EVERY_COLUMN) -> list[str]:
        """The words of each item for an encoder; see `mmrec.catalogue.item_words`. Length N.

        Raises:
            InvalidArgumentError: the template names a missing column, or is not a format string.
        """
        check_words(words, (*OWN_COLUMNS, *self.attributes))
        return [item_text(self.record(row), words) for row in range(len(self))]

    @classmethod
    def from_table(cls, table: Any) -> Catalogue:
        """From a table (pyarrow Table) of text columns, one of them `item_id`.

        Raises:
            InvalidDatasetError: the configured kind of a column is unknown.
        """
        columns = {name: tuple(value or "" for value in table.column(name).to_pylist()) for name in table.column_names}
        return cls.from_columns(columns, _kinds_of(table.schema))

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, Sequence[str]],
        kinds: Mapping[str, str],
        alive_N: npt.NDArray[np.bool_] | None = None,
    ) -> Catalogue:
        """From columns of text by name, `item_id` among them, the configured kinds of attributes, and `alive_N`."""
        empty = ("",) * len(columns["item_id"])
        return cls(
            item_ids=columns["item_id"],
            titles=columns.get("title", empty),
            descriptions=columns.get("description", empty),
            images=columns.get("image", empty),
            attributes={name: values for name, values in columns.items() if name not in OWN_COLUMNS},
            alive_N=alive_N,
            kinds=kinds,
        )

    def to_table(self) -> Any:
        """All columns as text (pyarrow Table), for a bundle or a dataset folder.

        The configured kind of a column is in the metadata of its field.
        """
        columns = self._columns()
        fields = [
            pa.field(name, pa.string(), metadata={_KIND: self.kinds[name]} if name in self.kinds else None)
            for name in columns
        ]
        return pa.table([pa.array(list(values), type=pa.string()) for values in columns.values()], pa.schema(fields))


def _kinds_of(schema: Any) -> dict[str, str]:
    """Configured kinds, from the metadata of a table's fields."""
    kinds = {entry.name: entry.metadata[_KIND].decode() for entry in schema if _KIND in (entry.metadata or {})}
    for name, kind in kinds.items():
        if kind not in COLUMN_KINDS:
            raise InvalidDatasetError(
                f"column {name!r:.60} is said to be {kind!r:.60}; a column is read as one of {', '.join(COLUMN_KINDS)}"
            )
    return kinds
