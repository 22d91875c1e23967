"""Amazon Reviews 2023, with records as its pages show them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from mmrec.data.dataset import read_dataset
from mmrec.data.importers.amazon import import_amazon
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
    assert done.notes == (
        "dropped 2 lines of metadata without a parent_asin of their own",
        "dropped 1 reviews without user_id, parent_asin or timestamp",
        "dropped 1 reviews of items that the metadata does not have",
    )
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
