"""Pictures by URL come into the dataset folder from a server on a port of this machine, and readers find them there."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from mmrec.data.check import check_dataset
from mmrec.data.dataset import read_dataset
from mmrec.data.fetched_pictures import DEAD_LETTERS, fetch_pictures
from mmrec.data.fetching import FetchConfig, PictureFetcher
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
def test_pictures_come_in_and_every_reader_finds_them(
    server: RawServer, tmp_path: Path, encoded: Encode, suffix: str
) -> None:
    root = _dataset(tmp_path / "shop", server, suffix)
    before = (root / f"items.{suffix}").read_bytes()
    done = fetch_pictures(root, _fetcher(server))
    assert (done.urls, done.fetched, done.found, done.failed, done.items) == (3, 1, 0, 2, 4)
    assert (root / f"items.{suffix}").read_bytes() == before
    (stored,) = (root / "images").iterdir()
    assert stored.suffix == ".jpg"
    assert sorted(path.name for path in root.iterdir()) == [DEAD_LETTERS, "images", f"items.{suffix}"]
    data = read_dataset(root)
    assert [data.pictures.has(ref) for ref in data.catalogue.images] == [True, True, False, False, False]
    assert data.pictures.read(server.url("/a.jpg?v=1")) == encoded(kind="JPEG")
    assert data.pictures.read(server.url("/gone.jpg")) is None


def test_stored_pictures_may_be_packed(server: RawServer, tmp_path: Path, encoded: Encode) -> None:
    root = _dataset(tmp_path / "shop", server)
    fetch_pictures(root, _fetcher(server))
    (stored,) = (root / "images").iterdir()
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        archive.write(stored, f"images/{stored.name}")
    stored.unlink()
    assert read_dataset(root).pictures.read(server.url("/a.jpg?v=1")) == encoded(kind="JPEG")


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
    assert (again.urls, again.fetched, again.found, again.failed) == (3, 2, 1, 0)
    assert len(server.requests) == asked + 2
    assert not (root / DEAD_LETTERS).exists()
    report = check_dataset(root)
    assert report.with_picture == 0.8
    assert [group.kind for group in report.problems] == ["missing picture"]


def test_a_table_imported_again_finds_the_pictures_that_are_there(server: RawServer, tmp_path: Path) -> None:
    root = _dataset(tmp_path / "shop", server)
    fetch_pictures(root, _fetcher(server))
    fresh = _dataset(tmp_path / "again", server)
    (fresh / "items.csv").replace(root / "items.csv")
    asked = len(server.requests)
    done = fetch_pictures(root, _fetcher(server))
    assert (done.fetched, done.found, done.items) == (0, 1, 4)
    assert len(server.requests) == asked + 1, "only what had failed is asked for"


def test_after_a_kill_what_is_whole_is_not_fetched_again(server: RawServer, tmp_path: Path) -> None:
    root = _dataset(tmp_path / "shop", server)
    fetch_pictures(root, _fetcher(server))
    (stored,) = (root / "images").iterdir()
    (root / "images" / f".{stored.name}.1.tmp").write_bytes(b"half")
    assert fetch_pictures(root, _fetcher(server)).found == 1
    stored.unlink()
    assert fetch_pictures(root, _fetcher(server)).found == 0


def test_a_picture_that_is_cut_short_is_not_stored(server: RawServer, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "items.jsonl").write_text(json.dumps({"item_id": "1", "image": server.url("/cut.jpg"), "price": 3}) + "\n")
    done = fetch_pictures(root, _fetcher(server))
    assert (done.fetched, done.failed) == (0, 1)
    assert "/cut.jpg' is no use: the picture starts like a PNG file, but" in done.examples[0].reason
    assert list((root / "images").iterdir()) == []


def test_folders_that_cannot_be_used(server: RawServer, tmp_path: Path) -> None:
    fetcher = _fetcher(server)
    with pytest.raises(NotFoundError, match="does not exist"):
        fetch_pictures(tmp_path / "nowhere", fetcher)
    with pytest.raises(InvalidDatasetError, match="there is no items table"):
        fetch_pictures(tmp_path, fetcher)
    (tmp_path / "items.csv").write_text("id,image\n1,https://a.example/1.jpg\n")
    with pytest.raises(InvalidDatasetError, match="has no column 'item_id'"):
        fetch_pictures(tmp_path, fetcher)
    with pytest.raises(InvalidArgumentError, match="threads is 0"):
        fetch_pictures(tmp_path, fetcher, threads=0)
