"""An engine whose catalogue is a dictionary: what changes do to it can be read off, and it starts in no time."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from mmrec.catalogue.change_applier import EncodeResult
from mmrec.contract.items import ItemInput, ItemRecord, Versions
from mmrec.contract.replies import ServiceInfo
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError

BASE = Versions(model="m", catalogue="c", codebook="b")


@dataclass(frozen=True)
class RecordItems:
    """Items of which nothing but the record is encoded."""

    records: tuple[ItemRecord, ...]

    def take(self, places: Sequence[int]) -> RecordItems:
        return RecordItems(tuple(self.records[place] for place in places))

    @classmethod
    def join(cls, parts: Sequence[RecordItems]) -> RecordItems:
        return cls(tuple(record for one in parts for record in one.records))


class DictEngine:
    """Items titled ``bad`` are refused; `encoded` counts what was encoded."""

    def __init__(self, *item_ids: str, encoder_version: str = "e1") -> None:
        self.items = {item_id: ItemRecord(item_id) for item_id in item_ids}
        self.encoder_version = encoder_version
        self.encoded = 0
        self.changes: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        self.versions = BASE

    def info(self) -> ServiceInfo:
        return ServiceInfo("dict", self.versions, len(self.items), 0, 8, (), 3, 4, "cpu", "none")

    def prepare_changes(self) -> None:
        pass

    def check_changeable(self) -> None:
        pass

    def check_deletable(self, item_ids: Sequence[str]) -> None:
        if not set(self.items) - set(item_ids):
            raise FailedPreconditionError("at least one must be left")

    def encode_items(self, items: Sequence[ItemInput], fields: Sequence[str] = ()) -> EncodeResult[RecordItems]:
        self.encoded += len(items)
        errors: dict[int, MmrecError] = {
            place: InvalidArgumentError("the title is bad", field="title")
            for place, item in enumerate(items)
            if item.title == "bad"
        }
        places = tuple(place for place in range(len(items)) if place not in errors)
        records = tuple(ItemRecord(items[place].item_id, items[place].title) for place in places)
        return EncodeResult(RecordItems(records), places, errors)

    def pack_items(self, items: RecordItems) -> list[bytes]:
        return [json.dumps([record.item_id, record.title]).encode() for record in items.records]

    def unpack_items(
        self, items: Sequence[ItemInput], packed: Sequence[bytes], fields: Sequence[Sequence[str]] = ()
    ) -> RecordItems:
        return RecordItems(tuple(ItemRecord(*json.loads(data)) for data in packed))

    def known(self, item_ids: Sequence[str]) -> list[bool]:
        return [item_id in self.items for item_id in item_ids]

    def change(self, items: RecordItems | None, deleted: Sequence[str] = (), *, version: str = "") -> Versions:
        self.hold.wait()
        version = version or f"c+{len(self.changes) + 1}"
        changed = {**self.items, **{record.item_id: record for record in (items.records if items else ())}}
        self.items = {item_id: record for item_id, record in changed.items() if item_id not in deleted}
        self.changes.append(version)
        self.versions = Versions("m", version, "b")
        return self.versions
