"""Field masks: which fields of an item a partial update replaces, as paths like ``("title", "attributes.price")``.

A field in the mask takes the value that was sent, or becomes empty if none was sent; other fields keep their values.
``attributes`` stands for all columns, ``attributes.NAME`` for one. An empty mask, or ``*``, means the whole item.
Knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmrec.contract.items import ItemInput, ItemRecord
from mmrec.contract.rules import MAX_ID_CHARS, Each, Text
from mmrec.errors import InvalidArgumentError

FIELDS = ("title", "description", "image", "attributes")
_ATTRIBUTE = "attributes."


class ItemWords(NamedTuple):
    """The words of an item: title, description and columns by name."""

    title: str
    description: str
    attributes: dict[str, str]


class FieldMask:
    """The rule of a mask, which returns distinct paths in order, without those that another path includes."""

    def check(self, value: Any, where: str) -> tuple[str, ...]:
        """See `mmrec.contract.rules.Rule`."""
        paths = set(_PATHS.check(value, where))
        if paths == {"*"}:
            return ()
        for path in sorted(paths):
            if path not in FIELDS and not (path.startswith(_ATTRIBUTE) and path != _ATTRIBUTE):
                raise InvalidArgumentError(
                    f"{where} has {path!r:.80}; what can be replaced is {', '.join(FIELDS)} and attributes.NAME, or * "
                    "alone for whole items",
                    field=where,
                )
        if "attributes" in paths:
            paths = {path for path in paths if not path.startswith(_ATTRIBUTE)}
        return tuple(sorted(paths))


_PATHS = Each(Text(2 * MAX_ID_CHARS), "field names")


def field_path(column: str) -> str:
    """The path of a dataset's column; a path is returned unchanged."""
    return column if column in FIELDS or column.startswith(_ATTRIBUTE) else _ATTRIBUTE + column


def named_columns(mask: Sequence[str]) -> tuple[str, ...]:
    """The columns that a mask contains as ``attributes.NAME``."""
    return tuple(path.removeprefix(_ATTRIBUTE) for path in mask if path.startswith(_ATTRIBUTE))


def replaced_words(old: ItemInput | ItemRecord, new: ItemInput, mask: Sequence[str]) -> ItemWords:
    """The words of an item after a partial update; a column in the mask that was not sent is removed.

    Args:
        old: The item before.
        new: What was sent; fields outside `mask` are not read.
        mask: As returned by `FieldMask`, at least one path.
    """
    attributes = dict(new.attributes if "attributes" in mask else old.attributes)
    for column in named_columns(mask):
        attributes.pop(column, None)
        if column in new.attributes:
            attributes[column] = new.attributes[column]
    return ItemWords(
        new.title if "title" in mask else old.title,
        new.description if "description" in mask else old.description,
        attributes,
    )
