"""Product feeds as text and as XML, of a small shop that is written here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mmrec.data.check import check_dataset
from mmrec.data.importers.merchant import import_merchant
from mmrec.data.writing import PictureHost
from mmrec.errors import InvalidDatasetError
from tests.data.importers.shop_files import write_events, write_feed_text, write_feed_xml


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "items.jsonl").read_text().split("\n") if line]


FIRST = {
    "item_id": "SKU-001",
    "title": 'Blue mug "No. 1", 12 cm',
    "description": "A mug for cafés,\nmade of oak & wool, 1 < 40 cm.\tWashable.",
    "image": "https://img.shop.example/1.jpg",
    "more_images": "https://img.shop.example/1-a.jpg|https://img.shop.example/1-b.jpg",
    "brand": "Åkerlund",
    "product_type": "Home|Decor|Mugs",
    "google_product_category": "Home & Garden|Decor",
    "price": "20.90",
    "sale_price": "15.00",
    "currency": "USD",
    "in_stock": "false",
    "availability": "out_of_stock",
    "condition": "new",
    "color": "red|blue",
    "item_group_id": "G0",
    "gtin": "4001000000007",
    "link": "https://shop.example/p/1?a=1&b=2",
    "custom_label_0": "autumn",
}


@pytest.mark.parametrize("kind", ["text", "rss", "atom", "gzip"])
def test_entries_become_items(tmp_path: Path, kind: str) -> None:
    source = tmp_path / ("feed.txt" if kind == "text" else "feed.xml")
    if kind == "text":
        write_feed_text(source)
    else:
        write_feed_xml(source, "atom" if kind == "atom" else "rss")
    if kind == "gzip":
        source.write_bytes(gzip.compress(source.read_bytes()))
    done = import_merchant(source, tmp_path / "out", table_format="jsonl")
    rows = _rows(done.out)
    assert rows[0] == FIRST
    assert [row["in_stock"] for row in rows[:4]] == ["false", "false", "true", "true"]
    assert [row["availability"] for row in rows[:4]] == ["out_of_stock", "preorder", "in_stock", "in_stock"]
    assert done.picture_hosts == (PictureHost("img.shop.example", 30),)
    told = {(entry.kind, entry.what): entry.count for entry in done.left_out}
    assert told["row", "items whose id was there before"] == 1
    assert told["value", "values of price that are no amount of money"] == 1
    assert told["column", "shipping"] == 30
    # In Atom each entry has an id of Atom's own, which serves where Google's is missing.
    assert done.items == (32 if kind == "atom" else 31)
    assert told.get(("row", "items without an id"), 0) == (0 if kind == "atom" else 1)


def test_events_name_items_by_id_or_code(tmp_path: Path) -> None:
    feed, events = write_feed_text(tmp_path / "feed.tsv"), write_events(tmp_path / "events.csv")
    done = import_merchant(feed, tmp_path / "out", events=events)
    assert (done.users, done.events) == (12, 96)
    told = {entry.what: entry.count for entry in done.left_out if "event" in entry.what or "rating" in entry.what}
    assert told == {
        "events of items that are not there": 1,
        "events without a user or an item": 1,
        "events without a timestamp": 1,
        "events whose timestamp is no moment": 1,
        "events of items whose name several items have": 1,
        "ratings that are no numbers": 12,
    }
    assert any(note.startswith("users called by an e-mail address or telephone number (1)") for note in done.notes)
    report = check_dataset(done.out)
    assert (report.errors, report.items, report.users, report.events) == (0, 31, 12, 96)


def test_text_as_people_write_it(tmp_path: Path) -> None:
    source = tmp_path / "feed.txt"
    source.write_text(
        "ID\tTitle\tg:image_link\tadditional image link\tadditional image link\tproduct type\t"
        "shipping(country:price)\tmy own\n"
        '1\t"Retro" lamp\thttps://a.example/1.jpg\thttps://a.example/2,3.jpg, https://a.example/4.jpg\t'
        'https://a.example/5.jpg\t"""Home > Lamps"",""Gifts"""\tUS:5 USD\tx\n'
        '2\t"two\nlines ""quoted"""\t\t\t\t\t\t\n'
        "3\ttoo short\n"
        '4\t"never closed\t\t\t\t\t\t\n'
        "5\t<b>Bold</b> &amp; bright\t\t\t\t\t\t\t\t\n"
    )
    done = import_merchant(source, tmp_path / "out", table_format="jsonl")
    rows = {row["item_id"]: row for row in _rows(done.out)}
    assert {item_id: row["title"] for item_id, row in rows.items()} == {
        "1": '"Retro" lamp',
        "2": 'two lines "quoted"',
        "4": '"never closed',
        "5": "Bold & bright",
    }
    assert rows["1"]["more_images"] == "https://a.example/2,3.jpg|https://a.example/4.jpg|https://a.example/5.jpg"
    assert rows["1"]["product_type"] == "Home|Lamps"
    assert [(entry.kind, entry.what, entry.count, entry.example) for entry in done.left_out] == [
        ("row", "rows with another number of fields than the header", 1, "feed.txt:5"),
        ("column", "shipping", 1, "'it has sub-attributes' at feed.txt:2"),
        ("column", "my_own", 1, "'x' at feed.txt:2"),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("\ufeffid\ttitle\n1\ta\n".encode("utf-16"), "is UTF-16; save it again as UTF-8"),
        ("<rss/>".encode("utf-16"), "is UTF-16; save it again as UTF-8"),
        (b"PK\3\4feed", "is a zip archive; unpack it"),
        (b"", "is empty"),
        (b"sku\tname\n1\ta\n", "no product feed: its first line must name .* it names sku, name"),
        (b"<rss><channel></channel></rss>", "leaves no item: it has no entries"),
        (b"<rss><channel><item>", "this is no well-formed XML: no element found"),
        (b"<rss><channel><item><g:id>1</g:id></item></channel></rss>", "feed:1: .*unbound prefix"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE rss [<!ENTITY a 'b'>]><rss/>", "feed:2: the feed has a document type"),
        (b"<!DOCTYPE rss SYSTEM 'http://127.0.0.1/x.dtd'><rss/>", "document type definition"),
        (b"<rss><item><title>&undefined;</title></item></rss>", "undefined entity"),
        (gzip.compress(b"id\ttitle\n1\ta\n" * 999, mtime=0)[:-9], "is damaged or cut short"),
    ],
)
def test_feeds_that_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "feed").write_bytes(data)
    with pytest.raises(InvalidDatasetError, match=message):
        import_merchant(tmp_path / "feed", tmp_path / "out")
    assert not (tmp_path / "out").exists()
