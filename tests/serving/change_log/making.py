"""Changes for tests, in as few words as possible. Imports nothing that takes long."""

from __future__ import annotations

from typing import Any

from mmrec.contract.items import ItemInput
from mmrec_serving.change_log import Upsert


def upsert(item_id: str, title: str = "mug", fields: tuple[str, ...] = (), **more: Any) -> Upsert:
    payload, version = more.pop("payload", b"vector"), more.pop("encoder_version", "e1")
    return Upsert(item_id, ItemInput(item_id, title, **more), payload, version, fields)
