"""Changes for tests, in as few words as possible. Imports nothing that takes long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from mmrec.contract.items import ItemInput
from mmrec_serving.change_log import Change, Sequenced, Upsert

D1, D2 = b"digest 1", b"digest 2"


class Clock:
    """Stands still until a test sets it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def numbered(batches: Iterable[Sequence[Sequenced]]) -> list[tuple[int, Change]]:
    return [(entry.sequence, entry.change) for batch in batches for entry in batch]


def upsert(item_id: str, title: str = "mug", fields: tuple[str, ...] = (), **more: Any) -> Upsert:
    payload, version = more.pop("payload", b"vector"), more.pop("encoder_version", "e1")
    return Upsert(item_id, ItemInput(item_id, title, **more), payload, version, fields)
