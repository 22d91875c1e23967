"""Events of a shop from a CSV: what items are called, who users are, and what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.importers.shop_events import ItemNames, ShopEvents, write_shop_events
from mmrec.errors import InvalidDatasetError
from mmrec.runtime.progress import NO_PROGRESS


def _events(tmp_path: Path, text: str, tally: LeftOutTally | None = None) -> tuple[ShopEvents, list[dict[str, Any]]]:
    names = ItemNames()
    for name in ("lamp", "mug"):
        names.add(name, name, own=True)
        names.add(f"sku-{name}", name)
        names.add("both", name)
    names.add("mug", "lamp")
    (tmp_path / "e.csv").write_text(text, encoding="utf-8")
    done = write_shop_events(tmp_path / "e.csv", tmp_path / "events.jsonl", names, tally or LeftOutTally(), NO_PROGRESS)
    return done, [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]


def test_an_id_wins_over_another_items_name(tmp_path: Path) -> None:
    _, rows = _events(tmp_path, "User ID;Item_ID;TIMESTAMP\nu;mug;1\nu;sku-lamp;2\n")
    assert rows == [
        {"user_id": "u", "item_id": "mug", "timestamp": "1"},
        {"user_id": "u", "item_id": "lamp", "timestamp": "2"},
    ]


def test_one_address_is_one_pseudonym_in_one_import(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp,rating\nA@x.example,mug,1,4.5\na@x.example ,mug,2,\nb@x.example,mug,3,\n"
    done, rows = _events(tmp_path, text)
    first, second, third = (row["user_id"] for row in rows)
    assert first == second != third
    assert (len(first), "@" in first, done.users) == (25, False, 2)
    assert [row.get("rating") for row in rows] == [4.5, None, None]
    assert "(2) got pseudonyms" in done.notes[0]
    _, again = _events(tmp_path, text)
    assert again[0]["user_id"] != first


def test_the_lines_of_an_order_share_what_its_first_line_says(tmp_path: Path) -> None:
    tally = LeftOutTally()
    text = (
        "Name,Email,Phone,Created at,Cancelled at,Lineitem name,Lineitem sku,Note Attributes\n"
        '#1,a@x.example,,2026-08-04 05:24:22 +0500,,Lamp,sku-lamp,"ring\ntwice"\n'
        ",,,,,Mug,sku-mug,\n"
        "#2,,+46 70,2026-08-05,,mug,,\n"
        "#3,a@x.example,,2026-08-06,2026-08-07,Mug,sku-mug,\n"
        "#3,,,,,Lamp,sku-lamp,\n"
        "#4,a@x.example,,2026-08-06,,Other,both,\n"
    )
    done, rows = _events(tmp_path, text, tally)
    assert [(row["item_id"], row["timestamp"], row["event_type"]) for row in rows] == [
        ("lamp", "2026-08-04T00:24:22Z", "purchase"),
        ("mug", "2026-08-04T00:24:22Z", "purchase"),
        ("mug", "2026-08-05T00:00:00Z", "purchase"),
    ]
    assert rows[0]["user_id"] == rows[1]["user_id"] != rows[2]["user_id"]
    assert [(entry.what, entry.count, entry.example) for entry in tally.found] == [
        ("lines of orders that were cancelled", 2, "e.csv:6"),
        ("events of items whose name several items have", 1, "'both' at e.csv:8"),
        ("Note Attributes", 1, "'…' at e.csv:2"),
    ]
    assert done.users == 2


def test_no_usable_event_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match=r"left out 2 rows: events without a timestamp, the first: e\.csv:2"):
        _events(tmp_path, "user_id,item_id,timestamp\nu,mug,\nu,mug,\n")
    with pytest.raises(InvalidDatasetError, match="it has no rows"):
        _events(tmp_path, "user_id,item_id,timestamp\n")
