"""Small dataset folders written by hand, and encoded pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ITEMS = "item_id\ttitle\tcolour\timage\n007\tBond\tblack\t\n8\tHat\t\timages/8.png\n9\tShoe\tred\t9.png\n"
EVENTS = "user_id\titem_id\ttimestamp\trating\nann\t8\t200\t4\nann\t007\t100\t5\nbob\t9\t50\t\n"


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a dataset folder from contents by file name; without any, three items and three events."""

    def make(files: dict[str, str | bytes] | None = None) -> Path:
        root = tmp_path / "dataset"
        root.mkdir()
        content: dict[str, str | bytes] = {"items.tsv": ITEMS, "events.tsv": EVENTS}
        for name, text in (content if files is None else files).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return root

    return make


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Encodes a Pillow picture; without one, a red square."""

    def encode(picture: Image.Image | None = None, kind: str = "PNG", **options: Any) -> bytes:
        sink = io.BytesIO()
        (picture or Image.new("RGB", (8, 8), (255, 0, 0))).save(sink, kind, **options)
        return sink.getvalue()

    return encode
