"""Shopify's exports, in the older and the newer names of columns, of a small shop that is written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrec.data.check import check_dataset
from mmrec.data.dataset import read_dataset
from mmrec.data.importers.shopify import import_shopify
from mmrec.data.tables import read_table
from mmrec.data.writing import PictureHost
from mmrec.errors import InvalidDatasetError
from mmrec.filters.filter import CatalogueFilter
from tests.data.importers.shop_files import CDN, OLD_HEADER, write_csv, write_orders, write_shopify


def _rows(folder: Path, stem: str = "items") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{stem}.jsonl").read_text().split("\n") if line]


def _import(tmp_path: Path, rows: list[dict[str, str]], **options: Any) -> Any:
    source = write_csv(tmp_path / "products.csv", OLD_HEADER, rows)
    return import_shopify(source, tmp_path / "out", table_format="jsonl", overwrite=True, **options)


@pytest.mark.parametrize("new_names", [False, True])
def test_products_become_items(tmp_path: Path, new_names: bool) -> None:
    source = write_shopify(tmp_path / "products_export.csv", new_names=new_names)
    done = import_shopify(source, tmp_path / "out", table_format="jsonl")
    assert (done.items, done.events, done.dropped) == (30, 0, 6)
    assert done.picture_hosts == (PictureHost("cdn.shopify.com", 30),)
    assert _rows(done.out)[0] == {
        "item_id": "mug-01",
        "title": 'Blue mug "No. 1", 12 cm',
        "description": "A mug for cafés, made of oak & wool.\nSize: 1 cm\nGröße “L”",
        "image": f"{CDN}/mug-01.jpg?v=1",
        "more_images": f"{CDN}/mug-01-side.jpg?v=1",
        "vendor": "Ada",
        "category": "Home & Garden|Decor|Mugs",
        "type": "mug",
        "tags": "home|mug|sale/2026",
        "price": "20.90",
        "price_max": "22.90",
        "compare_at_price": "30.90",
        "in_stock": "true",
        "sku": "MUG-01-S|MUG-01-M|MUG-01-L",
        "barcode": "400100000000|400100000001|400100000002",
        "weight_grams": "250.0",
        "gift_card": "false",
        "condition": "new",
        "color_pattern": "blue",
        "size": "S|M|L",
    }
    columns = {entry.what for entry in done.left_out if entry.kind == "column" and entry.count}
    assert columns == {
        *("Variant Requires Shipping", "Image Alt Text", "SEO Title", "Variant Weight Unit", "Cost per item"),
    }
    assert [(entry.what, entry.count, entry.example) for entry in done.left_out if entry.kind == "row"] == [
        ("rows without a handle", 1, "products_export.csv:126"),
        ("rows of a product with neither a variant nor a picture", 1, "products_export.csv:127"),
        ("products whose status is 'draft'; --keep-unpublished keeps them", 1, "products_export.csv:122"),
        ("products whose status is 'archived'; --keep-unpublished keeps them", 1, "products_export.csv:123"),
        ("products that are not published; --keep-unpublished keeps them", 1, "products_export.csv:124"),
        ("items without a title, a description and a picture", 1, "'bare' at products_export.csv:125"),
    ]


def test_variants_become_items(tmp_path: Path) -> None:
    done = import_shopify(write_shopify(tmp_path / "p.csv"), tmp_path / "out", items_of="variant", table_format="jsonl")
    rows = {row["item_id"]: row for row in _rows(done.out)}
    assert done.items == 60
    small, large = rows["MUG-01-S"], rows["MUG-01-L"]
    assert (small["title"], small["handle"], small["size"]) == ('Blue mug "No. 1", 12 cm - S', "mug-01", "S")
    assert (small["price"], small["in_stock"], large["price"], large["in_stock"]) == ("20.90", "false", "22.90", "true")
    assert rows["RUG-02-X"]["title"] == 'Grün rug "No. 2", 12 cm'


def test_drafts_are_kept_if_asked_for(tmp_path: Path) -> None:
    done = import_shopify(
        write_shopify(tmp_path / "p.csv"), tmp_path / "o", keep_unpublished=True, table_format="jsonl"
    )
    rows = {row["item_id"]: row for row in _rows(done.out)}
    assert done.items == 33
    assert (rows["a-draft"]["status"], rows["old"]["status"], rows["hidden"]["published"]) == (
        "draft",
        "archived",
        "false",
    )


def test_orders_become_events_under_pseudonyms(tmp_path: Path) -> None:
    source, orders = write_shopify(tmp_path / "p.csv"), write_orders(tmp_path / "orders_export.csv")
    done = import_shopify(source, tmp_path / "out", events=orders, table_format="jsonl")
    assert (done.users, done.events) == (12, 138)
    events = _rows(done.out, "events")
    assert {name: events[0][name] for name in ("item_id", "timestamp", "event_type")} == {
        "item_id": "mug-01",
        "timestamp": "2026-01-10T14:14:00Z",
        "event_type": "purchase",
    }
    assert len({event["user_id"] for event in events}) == 12
    everything = b"".join(path.read_bytes() for path in done.out.iterdir()) + "".join(done.notes).encode()
    assert b"@" not in everything
    assert b"Elm St" not in everything
    assert [(entry.what, entry.count) for entry in done.left_out if "order" in entry.what or "event" in entry.what] == [
        ("further lines of an order for the same item", 6),
        ("lines of orders that were cancelled", 2),
        ("lines of orders that were refunded or voided", 1),
        ("lines of orders without an e-mail address and a telephone number", 1),
        ("events of items that are not there", 1),
        ("events whose timestamp is no moment", 1),
        ("lines of orders without an item", 1),
    ]
    again = import_shopify(source, tmp_path / "again", events=orders, table_format="jsonl")
    assert _rows(again.out, "events")[0]["user_id"] != events[0]["user_id"], "the key is made anew"
    report = check_dataset(done.out)
    assert (report.errors, report.items, report.users, report.events) == (0, 30, 12, 138)


def test_the_columns_can_be_filtered(tmp_path: Path) -> None:
    catalogue = read_dataset(import_shopify(write_shopify(tmp_path / "p.csv"), tmp_path / "out").out).catalogue
    filters = CatalogueFilter(catalogue)
    for text, ids in (
        ('category:"Mugs" AND price < 22 AND in_stock = true', ["mug-01"]),
        ('size:"L" AND price > 47', ["rug-29"]),
        ('tags:"lamp" AND barcode:"400300000000"', ["lamp-03"]),
    ):
        assert [catalogue.item_ids[row] for row in np.flatnonzero(filters.bitmap(text))] == ids


def test_stock_prices_and_ids_of_odd_variants(tmp_path: Path) -> None:
    base = {"Option1 Name": "Type", "Variant Inventory Tracker": "shopify", "Variant Inventory Policy": "deny"}
    rows = [
        {"Handle": "a", "Title": "A", **base, "Option1 Value": "x|y", "Variant SKU": "S1", "Variant Price": "free"},
        {"Handle": "a", **base, "Option1 Value": "z", "Variant SKU": "S1", "Variant Inventory Qty": "-2"},
        {"Handle": "b", "Title": "B", **base, "Option1 Value": "1", "Variant Inventory Policy": "continue"},
        {"Handle": "b", **base, "Option1 Value": "2", "Variant Inventory Tracker": "", "Variant Inventory Qty": "0"},
        {"Handle": "b", **base, "Option1 Value": "3", "Variant Inventory Qty": "many", "Vendor": "late"},
        {"Handle": "b", **base, "Option1 Value": "3", "Variant Inventory Qty": "0", "Vendor": "later"},
    ]
    done = _import(tmp_path, rows, items_of="variant")
    made = [(row["item_id"], row["option_type"], row.get("in_stock", "")) for row in _rows(done.out)]
    assert made == [
        ("a/x|y", "x/y", ""),
        ("a/z", "z", "false"),
        ("b/1", "1", "true"),
        ("b/2", "2", "true"),
        ("b/3", "3", ""),
    ]
    assert [(entry.what, entry.example) for entry in done.left_out if entry.kind != "column"] == [
        ("items whose id was there before", "'b/3' at products.csv:7"),
        ("values of price that are no numbers", "'free' at products.csv:2"),
        ("quantities in stock that are no numbers", "'many' at products.csv:6"),
        ("values of vendor that differ from the first of the product", "'later' at products.csv:7"),
    ]
    assert any(note.startswith("2 variants have no quantity") for note in done.notes)


def test_pictures_go_by_their_position(tmp_path: Path) -> None:
    rows = [
        {"Handle": "a", "Title": "A", "Image Src": "https://x.example/2.jpg", "Image Position": "2"},
        {"Handle": "a", "Image Src": "https://x.example/0.jpg"},
        {"Handle": "a", "Image Src": "https://x.example/1.jpg", "Image Position": "1"},
        {"Handle": "a", "Image Src": "https://x.example/2.jpg", "Image Position": "3"},
        {"Handle": "a", "Variant Price": "1", "Variant Image": "https://y.example/v|1.jpg"},
    ]
    (row,) = _rows(_import(tmp_path, rows).out)
    assert row["image"] == "https://x.example/1.jpg"
    assert row["more_images"] == "https://x.example/2.jpg|https://x.example/0.jpg|https://y.example/v%7C1.jpg"


def test_files_that_are_wrong_leave_nothing_behind(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("sku,name\n1,a\n")
    with pytest.raises(InvalidDatasetError, match=r"no product export of Shopify.*columns are sku, name"):
        import_shopify(other, tmp_path / "out")
    with pytest.raises(InvalidDatasetError, match=r"leaves no item.*status is 'draft'"):
        _import(tmp_path, [{"Handle": "a", "Title": "A", "Status": "draft"}])
    source = write_shopify(tmp_path / "p.csv")
    other.write_text("item_id,when\nmug-01,1\n")
    with pytest.raises(InvalidDatasetError, match="has no column user_id and no timestamp"):
        import_shopify(source, tmp_path / "out", events=other)
    other.write_text("user_id,item_id,timestamp\nu,gone,1\n")
    with pytest.raises(
        InvalidDatasetError, match="can be used as an event: left out 1 row: events of items that are not"
    ):
        import_shopify(source, tmp_path / "out", events=other)
    assert not (tmp_path / "out").exists()


def test_tables_of_every_format_hold_the_same(tmp_path: Path) -> None:
    source = write_shopify(tmp_path / "p.csv")
    titles = []
    for kind in ("parquet", "csv", "tsv", "jsonl"):
        done = import_shopify(source, tmp_path / kind, table_format=kind)
        assert sorted(path.name for path in done.out.iterdir()) == [f"items.{kind}"]
        titles.append(read_table(done.out / f"items.{kind}").text("title").to_pylist())
    assert titles[0] == titles[1] == titles[2] == titles[3]
