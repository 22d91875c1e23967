"""Amazon Reviews 2023 and 2018, with records as their pages show them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mmrec.data.dataset import read_dataset
from mmrec.data.importers.amazon import import_amazon
from mmrec.data.writing import PictureHost
from mmrec.errors import InvalidDatasetError, NotFoundError

META: list[Any] = [
    {
        "main_category": "All Beauty",
        "title": "Howard LC0008 Leather Conditioner, 8-Ounce (4-Pack)",
        "average_rating": 4.8,
        "rating_number": 10,
        "features": ["Cleans leather", "UV protection"],
        "description": ["First part.", "Second part."],
        "price": 18.99,
        "images": [
            {
                "thumb": "https://m.example/t2.jpg",
                "large": "https://m.example/l2.jpg",
                "variant": "PT01",
                "hi_res": None,
            },
            {
                "thumb": "https://m.example/t1.jpg",
                "large": "https://m.example/l1.jpg",
                "variant": "MAIN",
                "hi_res": "https://m.example/h1.jpg",
            },
        ],
        "videos": [],
        "store": "Howard Products",
        "categories": ["Beauty", "Skin Care"],
        "details": {"Brand": "Howard"},
        "parent_asin": "B01CUPMQZE",
        "bought_together": None,
    },
    {"parent_asin": "0007", "title": "Bare", "images": [], "price": None, "store": None, "description": []},
    {"parent_asin": "0007", "title": "The same again"},
    {"title": "no asin"},
]
REVIEWS: list[Any] = [
    {
        "rating": 5.0,
        "title": "Great",
        "text": "…",
        "images": [],
        "asin": "B00YQ6X8EO",
        "parent_asin": "B01CUPMQZE",
        "user_id": "AGKHLEW2SOWHNMFQIJGBECAF7INQ",
        "timestamp": 1588687728923,
        "helpful_vote": 0,
        "verified_purchase": True,
    },
    {"rating": 1, "asin": "0007", "user_id": "AGKHLEW2SOWHNMFQIJGBECAF7INQ", "timestamp": 1488687728923},
    {"rating": None, "parent_asin": "0007", "user_id": "B", "timestamp": 1488687728923},
    {"rating": 4.0, "parent_asin": "unknown", "user_id": "B", "timestamp": 1488687728923},
    {"rating": 4.0, "parent_asin": "0007", "timestamp": 1488687728923},
]


def _write(path: Path, records: list[Any]) -> Path:
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_a_category(tmp_path: Path, suffix: str) -> None:
    reviews = _write(tmp_path / f"Beauty.{suffix}", REVIEWS)
    metadata = _write(tmp_path / f"meta_Beauty.{suffix}", META)
    done = import_amazon(reviews, metadata, tmp_path / "out")
    assert (done.items, done.users, done.events, done.dropped) == (2, 2, 3, 4)
    assert [(entry.what, entry.count) for entry in done.left_out if entry.kind == "row"] == [
        ("lines of metadata whose item was there before", 1),
        ("lines of metadata without parent_asin", 1),
        ("reviews of items that the metadata does not have", 1),
        ("reviews without user_id or parent_asin", 1),
    ]
    columns = {entry.what: (entry.count, entry.example) for entry in done.left_out if entry.kind == "column"}
    assert sorted(columns) == [
        *("asin", "average_rating", "details", "helpful_vote", "rating_number", "text", "title", "verified_purchase"),
    ]
    assert columns["details"] == (1, f"{{'Brand': 'Howard'}} at meta_Beauty.{suffix}:1")
    assert done.picture_hosts == (PictureHost("m.example", 1),)
    assert f"mmrec fetch {tmp_path / 'out'} --hosts m.example" in done.notes[0]
    data = read_dataset(done.out, min_rating=0)
    assert data.catalogue.item_ids == ("B01CUPMQZE", "0007")
    assert data.catalogue.descriptions == ("First part. Second part.", "")
    assert data.catalogue.images == ("https://m.example/h1.jpg", "")
    assert {name: values[0] for name, values in data.catalogue.attributes.items()} == {
        "main_category": "All Beauty",
        "categories": "Beauty|Skin Care",
        "store": "Howard Products",
        "price": "18.99",
        "features": "Cleans leather|UV protection",
    }
    assert data.interactions.history(0).tolist() == [1, 0]
    assert data.interactions.times_E.tolist() == [1488687728, 1588687728, 1488687728]


def test_the_two_files_swapped(tmp_path: Path) -> None:
    reviews, metadata = _write(tmp_path / "r.jsonl", REVIEWS), _write(tmp_path / "m.jsonl", META)
    with pytest.raises(InvalidDatasetError, match="has no review of an item"):
        import_amazon(metadata, reviews, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lines_that_are_no_json_are_counted(tmp_path: Path) -> None:
    reviews, metadata = _write(tmp_path / "r.jsonl", REVIEWS), _write(tmp_path / "m.jsonl", META)
    reviews.write_text(reviews.read_text() + '{"rating": 5.0, "ti\n[]\n\n')
    assert import_amazon(reviews, metadata, tmp_path / "out").dropped == 6


def test_a_download_cut_short(tmp_path: Path) -> None:
    metadata = _write(tmp_path / "m.jsonl", META)
    reviews = _write(tmp_path / "r.jsonl.gz", REVIEWS)
    reviews.write_bytes(reviews.read_bytes()[:-20])
    with pytest.raises(InvalidDatasetError, match="damaged or cut short"):
        import_amazon(reviews, metadata, tmp_path / "out")
    with pytest.raises(NotFoundError):
        import_amazon(tmp_path / "nowhere", metadata, tmp_path / "out")


META_2018: list[Any] = [
    {
        "category": ["Clothing", "Women"],
        "description": ["<p>For <b>dancing</b>.</p>", "A footless tutu."],
        "title": "Girls Ballet Tutu",
        "also_buy": ["B00JHONN1S"],
        "imageURL": ["https://images.example/s1.jpg"],
        "imageURLHighRes": ["https://images.example/h1.jpg", "https://images.example/h2.jpg"],
        "feature": ["Elastic", "One size"],
        "rank": "1,000 in Toys",
        "price": "$3.17",
        "asin": "0000031852",
        "brand": "Coxlures",
        "main_cat": "Toys",
        "similar_item": "",
    },
    {"asin": "0000031853", "imUrl": "https://old.example/1.jpg", "categories": [["Toys"]], "title": "Old form"},
]
REVIEWS_2018: list[Any] = [
    {
        "reviewerID": "A2SUAM1J3GNN3B",
        "asin": "0000031852",
        "reviewerName": "J. McDonald",
        "vote": "5",
        "style": {"Format:": "Hardcover"},
        "reviewText": "I bought this",
        "overall": 5.0,
        "summary": "Heavenly",
        "unixReviewTime": 1252800000,
        "reviewTime": "09 13, 2009",
        "verified": True,
    },
    {"reviewerID": "A2SUAM1J3GNN3B", "asin": "0000031853", "overall": "4", "reviewTime": "09 14, 2009"},
    {"reviewerID": "B", "asin": "0000031853", "overall": "good", "unixReviewTime": "1252900000"},
    {"reviewerID": "B", "asin": "0000031853", "overall": 1.0, "unixReviewTime": "soon"},
]


def test_a_category_of_2018_is_recognised_by_its_records(tmp_path: Path) -> None:
    reviews = _write(tmp_path / "All_Beauty_5.json.gz", REVIEWS_2018)
    metadata = _write(tmp_path / "meta_All_Beauty.json.gz", META_2018)
    done = import_amazon(reviews, metadata, tmp_path / "out")
    assert (done.items, done.users, done.events, done.dropped) == (2, 2, 3, 1)
    data = read_dataset(done.out)
    assert data.catalogue.item_ids == ("0000031852", "0000031853")
    assert data.catalogue.descriptions[0] == "For dancing. A footless tutu."
    assert data.catalogue.images == ("https://images.example/h1.jpg", "https://old.example/1.jpg")
    assert {name: values[0] for name, values in data.catalogue.attributes.items()} == {
        "main_category": "Toys",
        "categories": "Clothing|Women",
        "store": "Coxlures",
        "price": "$3.17",
        "features": "Elastic|One size",
    }
    assert data.interactions.history(0).tolist() == [0, 1]
    assert data.interactions.times_E.tolist() == [1252800000, 1252886400, 1252900000]
    told = {(entry.kind, entry.what): (entry.count, entry.example) for entry in done.left_out}
    assert told["row", "reviews whose unixReviewTime is no moment"] == (1, "'soon' at All_Beauty_5.json.gz:4")
    assert told["value", "values of overall that are no numbers"] == (1, "'good' at All_Beauty_5.json.gz:3")
    assert {what for kind, what in told if kind == "column"} == {
        *("also_buy", "rank", "reviewerName", "vote", "style", "reviewText", "summary", "verified"),
    }


def test_a_timestamp_in_words_is_read(tmp_path: Path) -> None:
    record = {"user_id": "u", "parent_asin": "0007", "rating": 5.0}
    stamps = ["1588687728923", "2020-05-05 14:08:48.923", "2020-05-05T16:08:48.923+02:00"]
    reviews = _write(tmp_path / "r.jsonl", [{**record, "timestamp": stamp} for stamp in stamps])
    metadata = _write(tmp_path / "m.jsonl", META)
    done = import_amazon(reviews, metadata, tmp_path / "out", table_format="jsonl")
    lines = (done.out / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["timestamp"] for line in lines] == [1588687728923] * 3
