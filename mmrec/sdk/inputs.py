"""Converts lists of items that callers pass to the SDK's methods.

Knows nothing of protobuf, gRPC or models.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import fields

from mmrec.contract.items import ItemFailure, ItemInput
from mmrec.errors import InvalidArgumentError, MmrecError, prefixed

Items = Iterable[ItemInput | Mapping[str, object]]
"""Items, each an `ItemInput` or a mapping with its fields."""
UpsertBatches = Iterable[Items]
AsyncUpsertBatches = UpsertBatches | AsyncIterable[Items]

_ITEM_FIELDS = tuple(field.name for field in fields(ItemInput))


def item_inputs(items: Items) -> tuple[ItemInput | ItemFailure, ...]:
    """Items as `ItemInput`; an item that breaks a rule becomes an `ItemFailure` at the same index.

    Raises:
        InvalidArgumentError: an entry is neither an `ItemInput` nor a mapping of its fields.
    """
    if isinstance(items, str | bytes | Mapping | ItemInput):
        raise InvalidArgumentError(f"items is a {type(items).__name__}; pass a list of items", field="items")
    return tuple(_item_input(item, f"items[{i}]") for i, item in enumerate(items))


def _item_input(item: ItemInput | Mapping[str, object], where: str) -> ItemInput | ItemFailure:
    if isinstance(item, ItemInput):
        return item
    if not isinstance(item, Mapping):
        raise InvalidArgumentError(
            f"{where} is a {type(item).__name__}; pass an ItemInput or a mapping with its fields", field=where
        )
    unknown = [name for name in item if name not in _ITEM_FIELDS]
    if unknown:
        raise InvalidArgumentError(
            f"{where} has the field {unknown[0]!r}; an item has {', '.join(_ITEM_FIELDS)}: "
            "put other columns into attributes",
            field=where,
        )
    try:
        return ItemInput(**item)  # type: ignore[arg-type]  # ItemInput checks its own values
    except MmrecError as err:
        item_id = item.get("item_id", "")
        return ItemFailure(item_id if isinstance(item_id, str) else "", prefixed(err, where))
