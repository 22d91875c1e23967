"""Pictures by URL come into the dataset folder from a server on a port of this machine, and items name them there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec.data.check import check_dataset
from mmrec.data.dataset import read_dataset
from mmrec.data.fetched_pictures import DEAD_LETTERS, fetch_pictures
from mmrec.data.fetching import FetchConfig, PictureFetcher
from mmrec.data.tables import read_table
from mmrec.data.writing import TableWriter
from mmrec.errors import InvalidArgumentError, InvalidDatasetError, NotFoundError
from tests.data.raw_server import RawServer, reply

Encode = Callable[..., bytes]
HOST = "shop.example"


@pytest.fixture
def server(encoded: Encode) -> Iterator[RawServer]:
    with RawServer() as running:
        running.paths["/a.jpg"] = reply(encoded(kind="JPEG"))
        running.paths["/b"] = reply(encoded(kind="PNG"))
        running.paths["/cut.jpg"] = reply(encoded(kind="PNG")[:-40])
        yield running


def _fetcher(server: RawServer, *hosts: str) -> PictureFetcher:
    config = FetchConfig(hosts or (HOST,), ports=(server.port,), allow_addresses=("127.0.0.1/32",))
    return PictureFetcher(config, lambda host, port: ("127.0.0.1",))


def _dataset(root: Path, server: RawServer, suffix: str = "csv") -> Path:
    """Five items: two share a picture, one has a file of its own, one a URL that leads nowhere, one another host."""
    root.mkdir()
    columns = {
        "item_id": ["007", "2", "3", "4", "5"],
        "title": ['A "lamp", oak', "two\nlines", "", "ünïcode \u2028 line", "five"],
        "image": [
            server.url("/a.jpg?v=1"),
            server.url("/a.jpg?v=1"),
            "own.png",
            server.url("/gone.jpg"),
            server.url("/b", "other.example"),
        ],
    }
    with TableWriter(root / f"items.{suffix.removesuffix('.gz')}", dict.fromkeys(columns, pa.string())) as writer:
        writer.write(columns)
    if suffix.endswith(".gz"):
        plain = root / f"items.{suffix.removesuffix('.gz')}"
        (root / f"items.{suffix}").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    return root


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "csv.gz", "jsonl.gz"])
def test_pictures_come_in_and_items_name_them(server: RawServer, tmp_path: Path, encoded: Encode, suffix: str) -> None:
    root = _dataset(tmp_path / "shop", server, suffix)
    before = read_table(root / f"items.{suffix}").text("title").to_pylist()
    done = fetch_pictures(root, _fetcher(server))
    assert (done.urls, done.fetched, done.found, done.failed, done.items) == (3, 1, 0, 2, 2)
    table = read_table(root / f"items.{suffix}")
    assert table.problems == ()
    assert table.text("item_id").to_pylist() == ["007", "2", "3", "4", "5"]
    assert table.text("title").to_pylist() == before
    name = table.text("image").to_pylist()[0]
    assert (root / "images" / name).read_bytes() == encoded(kind="JPEG")
    assert name.endswith(".jpg")
    assert table.text("image").to_pylist() == [
        name,
        name,
        "own.png",
        server.url("/gone.jpg"),
        server.url("/b", "other.example"),
    ]
    url = server.url("/a.jpg?v=1")
    assert table.text("image_url").to_pylist() == [url, url, "", "", ""]
    assert sorted(path.name for path in root.iterdir()) == [DEAD_LETTERS, "images", f"items.{suffix}"]


def test_what_is_not_fetched_is_told_and_tried_again(server: RawServer, tmp_path: Path, encoded: Encode) -> None:
    root = _dataset(tmp_path / "shop", server)
    first = fetch_pictures(root, _fetcher(server))
    letters = [json.loads(line) for line in (root / DEAD_LETTERS).read_text().splitlines()]
    assert [(letter["item_id"], letter["url"]) for letter in letters] == [
        ("4", server.url("/gone.jpg")),
        ("5", server.url("/b", "other.example")),
    ]
    assert "status 404" in letters[0]["reason"]
    assert "'other.example' is not in the allow-list" in letters[1]["reason"]
    assert [failure.reason for failure in first.examples] == [letter["reason"] for letter in letters]
    assert not any(f"Host: other.example:{server.port}" in request for request in server.requests)

    server.paths["/gone.jpg"] = reply(encoded(kind="WEBP"))
    asked = len(server.requests)
    again = fetch_pictures(root, _fetcher(server, HOST, "other.example"))
    assert (again.urls, again.fetched, again.found, again.failed) == (2, 2, 0, 0)
    assert len(server.requests) == asked + 2
    assert not (root / DEAD_LETTERS).exists()
    report = check_dataset(root)
    assert report.with_picture == 0.8
    assert [problem.kind for problem in report.problems] == ["missing picture"]


def test_a_table_imported_again_finds_the_pictures_that_are_there(server: RawServer, tmp_path: Path) -> None:
    root = _dataset(tmp_path / "shop", server)
    fetch_pictures(root, _fetcher(server))
    fresh = _dataset(tmp_path / "again", server)
    (fresh / "items.csv").replace(root / "items.csv")
    asked = len(server.requests)
    done = fetch_pictures(root, _fetcher(server))
    assert (done.fetched, done.found, done.items) == (0, 1, 2)
    assert len(server.requests) == asked + 1, "only what had failed is asked for"


def test_after_a_kill_before_the_table_was_written_nothing_is_fetched_twice(server: RawServer, tmp_path: Path) -> None:
    root = _dataset(tmp_path / "shop", server)
    table = (root / "items.csv").read_bytes()
    fetch_pictures(root, _fetcher(server))
    (root / "items.csv").write_bytes(table)
    (root / "images" / ".half.jpg.1.tmp").write_bytes(b"half")
    assert fetch_pictures(root, _fetcher(server)).found == 1
    assert "own.png" in read_dataset(root).catalogue.images


def test_a_picture_that_is_cut_short_is_not_stored(server: RawServer, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "items.jsonl").write_text(json.dumps({"item_id": "1", "image": server.url("/cut.jpg"), "price": 3}) + "\n")
    done = fetch_pictures(root, _fetcher(server))
    assert (done.fetched, done.failed) == (0, 1)
    assert "/cut.jpg' is no use: the picture starts like a PNG file, but" in done.examples[0].reason
    assert list((root / "images").iterdir()) == []


def test_columns_of_parquet_and_json_keep_their_types(server: RawServer, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    url = server.url("/b")
    pq.write_table(
        pa.table({"item_id": [7], "image": [url], "price": [1.5], "tags": [["a", "b"]]}), root / "items.parquet"
    )
    fetch_pictures(root, _fetcher(server))
    row: dict[str, Any] = pq.read_table(root / "items.parquet").to_pylist()[0]
    assert (row["item_id"], row["price"], row["tags"], row["image_url"]) == (7, 1.5, ["a", "b"], url)
    (root / "items.parquet").unlink()
    (root / "items.jsonl").write_text(json.dumps({"item_id": "7", "image": url, "price": 1.5, "tags": ["a"]}) + "\n\n")
    assert fetch_pictures(root, _fetcher(server)).found == 1
    row = json.loads((root / "items.jsonl").read_text())
    assert row == {"item_id": "7", "image": row["image"], "price": 1.5, "tags": ["a"], "image_url": url}


def test_folders_that_cannot_be_used(server: RawServer, tmp_path: Path) -> None:
    fetcher = _fetcher(server)
    with pytest.raises(NotFoundError, match="does not exist"):
        fetch_pictures(tmp_path / "nowhere", fetcher)
    with pytest.raises(InvalidDatasetError, match="there is no items table"):
        fetch_pictures(tmp_path, fetcher)
    (tmp_path / "items.csv").write_text("item_id,image\n1,https://a.example/1.jpg,3\n")
    with pytest.raises(InvalidDatasetError, match="the row has 3 fields"):
        fetch_pictures(tmp_path, fetcher)
    with pytest.raises(InvalidArgumentError, match="threads is 0"):
        fetch_pictures(tmp_path, fetcher, threads=0)
    assert (tmp_path / "items.csv").read_text() == "item_id,image\n1,https://a.example/1.jpg,3\n"
