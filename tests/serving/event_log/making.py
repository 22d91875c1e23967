"""Events for tests, in as few words as possible. Imports nothing that takes long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmrec.contract.events import UserEvent
from mmrec_serving.event_log import RecordedEvent


def event(
    user_id: str = "ann", item_id: str = "mug", event_type: str = "view", time: float = 5.0, **more: Any
) -> UserEvent:
    return UserEvent(item_id, event_type, user_id, time=time, **more)


def numbered(batches: Iterable[Sequence[RecordedEvent]]) -> list[tuple[int, UserEvent]]:
    return [(entry.sequence, entry.event) for batch in batches for entry in batch]


def files_with(folder: Path, text: str) -> list[str]:
    """Names of the files that contain a text."""
    return sorted(path.name for path in folder.iterdir() if text.encode() in path.read_bytes())
