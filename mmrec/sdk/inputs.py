"""Converts lists of items and events that callers pass to the SDK's methods.

Knows nothing of protobuf, gRPC or models.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from mmrec.contract.events import UserEvent
from mmrec.contract.items import ItemFailure, ItemInput
from mmrec.errors import InvalidArgumentError, MmrecError, prefixed

Items = Iterable[ItemInput | Mapping[str, object]]
"""Items, each an `ItemInput` or a mapping with its fields."""
UpsertBatches = Iterable[Items]
AsyncUpsertBatches = UpsertBatches | AsyncIterable[Items]

Events = Iterable[UserEvent | Mapping[str, object] | MmrecError]
"""Events, each a `UserEvent`, a mapping with its fields, or the error of one that was refused already."""


def item_inputs(items: Items) -> tuple[ItemInput | ItemFailure, ...]:
    """Items as `ItemInput`; an item that breaks a rule becomes an `ItemFailure` at the same index.

    Raises:
        InvalidArgumentError: an entry is neither an `ItemInput` nor a mapping of its fields.
    """
    return tuple(_item_input(item, where) for item, where in _entries(items, "items", ItemInput))


def user_events(events: Events) -> tuple[UserEvent | MmrecError, ...]:
    """Events as `UserEvent`; an event that breaks a rule becomes its error at the same index.

    Raises:
        InvalidArgumentError: an entry is neither a `UserEvent` nor a mapping of its fields.
    """
    return tuple(_user_event(event, where) for event, where in _entries(events, "events", UserEvent))


def _entries(entries: Any, name: str, kind: type[Any]) -> Iterator[tuple[Any, str]]:
    if isinstance(entries, str | bytes | Mapping | kind):
        raise InvalidArgumentError(f"{name} is a {type(entries).__name__}; pass a list of {name}", field=name)
    return ((entry, f"{name}[{i}]") for i, entry in enumerate(entries))


def _item_input(item: ItemInput | Mapping[str, object], where: str) -> ItemInput | ItemFailure:
    if isinstance(item, ItemInput):
        return item
    values = _fields_of(item, where, ItemInput, "an item", "put other columns into attributes")
    try:
        return ItemInput(**values)  # ItemInput checks its own values
    except MmrecError as err:
        item_id = values.get("item_id", "")
        return ItemFailure(item_id if isinstance(item_id, str) else "", prefixed(err, where))


def _user_event(event: UserEvent | Mapping[str, object] | MmrecError, where: str) -> UserEvent | MmrecError:
    if isinstance(event, UserEvent | MmrecError):
        return event
    values = _fields_of(event, where, UserEvent, "an event", "leave others out")
    missing = [name for name in ("item_id", "event_type") if name not in values]
    if missing:
        return InvalidArgumentError(f"{where} has no {missing[0]}; an event must say it", field=f"{where}.{missing[0]}")
    try:
        return UserEvent(**values)
    except MmrecError as err:
        return prefixed(err, where)


def _fields_of(entry: object, where: str, kind: type[Any], what: str, remedy: str) -> dict[str, Any]:
    """The mapping of one entry, whose keys are fields of `kind`."""
    names = tuple(field.name for field in fields(kind))
    if not isinstance(entry, Mapping):
        raise InvalidArgumentError(
            f"{where} is a {type(entry).__name__}; pass an {kind.__name__} or a mapping with its fields", field=where
        )
    unknown = [name for name in entry if name not in names]
    if unknown:
        raise InvalidArgumentError(
            f"{where} has the field {unknown[0]!r}; {what} has {', '.join(names)}: {remedy}", field=where
        )
    return dict(entry)
