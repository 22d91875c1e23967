"""Whatever lies in a dataset folder is read, or named with what to do so that it is."""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec.data.check import check_dataset
from mmrec.data.inventory import column_problems, folder_problems, likely_column
from mmrec.data.streaming import ItemStream
from mmrec.data.table_files import table_files, table_name
from mmrec.errors import InvalidDatasetError

Folder = Callable[..., Path]
ITEMS = "item_id\ttitle\n7\tHat\n"
EVENTS = "user_id,item_id,timestamp\nann,7,1717150502\n"


def excel() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return sink.getvalue()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"user_id": ["ann"], "item_id": ["7"], "timestamp": [1717150502]}), sink)
    return sink.getvalue()


def sqlite(path: Path) -> bytes:
    database = sqlite3.connect(path / "x.db")
    database.execute("CREATE TABLE items (id)")
    database.close()
    return (path / "x.db").read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("Events.csv", EVENTS, "is not read, and there is no events table; name it 'events.csv'"),
        ("event.csv", EVENTS, "name it 'events.csv'"),
        ("EVENTS.CSV.GZ", gzip.compress(EVENTS.encode(), mtime=0), "name it 'events.csv.gz'"),
        ("interactions.csv", EVENTS, "name it 'events.csv'"),
        ("orders.tsv", EVENTS, "name it 'events.tsv'"),
        ("user-ratings.csv", EVENTS, "name it 'events.csv'"),
        ("userReviews.jsonl", "{}", "name it 'events.jsonl'"),
        ("events.txt", EVENTS, "name it events.csv, events.tsv, events.jsonl or events.parquet, after what it holds"),
        ("events.xlsx", excel(), "it is an Excel workbook; save it as CSV, as events.csv"),
        ("orders.xlsx", excel(), "it is an Excel workbook; save it as CSV, as events.csv"),
        ("events.csv.xz", b"\xfd7zXZ\x00 ", "it is packed with xz, which is not read; unpack it"),
        ("events.zip", b"PK\3\4" + b"x" * 60, "it is a zip archive; unpack it"),
        ("events", EVENTS, "name it events.csv, events.tsv, events.jsonl or events.parquet"),
        ("events.pq", parquet(), "it is a Parquet file; name it 'events.parquet'"),
        ("events/notes.txt", "x", "it holds no table: the names of its files must end in one of .parquet, .csv"),
        ("orders/part-0.csv", EVENTS, "name it 'events'"),
        ("Events.parquet/part-0.parquet", parquet(), "name it 'events.parquet'"),
    ],
)
def test_a_near_miss_of_a_table_that_is_not_there_is_an_error(
    folder: Folder, name: str, content: str | bytes, message: str
) -> None:
    report = check_dataset(folder({"items.tsv": ITEMS, name: content}))
    assert [(problem.file, problem.kind) for problem in report.examples] == [(name.partition("/")[0], "misnamed table")]
    assert report.errors == 1
    assert message in report.examples[0].message


@pytest.mark.parametrize(
    ("name", "content"),
    [("item.csv", ITEMS), ("Items.tsv", ITEMS), ("products.csv", ITEMS), ("items.xlsx", excel()), ("items.txt", ITEMS)],
)
def test_a_near_miss_of_the_items_is_named_by_whoever_needs_them(
    folder: Folder, name: str, content: str | bytes
) -> None:
    root = folder({name: content, "events.csv": EVENTS})
    assert [problem.kind for problem in check_dataset(root).examples if not problem.row] == [
        "missing table",
        "misnamed table",
    ]
    with pytest.raises(InvalidDatasetError, match=f"there is no items table .*; {name}: is not read"):
        ItemStream(root, 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("events.csv", EVENTS),
        ("events.CSV", EVENTS),
        ("events.csv.zst", ""),
        ("events.csv.gz", gzip.compress(EVENTS.encode(), mtime=0)),
        ("events.Parquet", parquet()),
        ("events/0.csv", EVENTS),
        ("events.parquet/day=2024-05-01/part-0.parquet", parquet()),
        ("events.csv/part-00000", EVENTS),
    ],
)
def test_what_is_read_needs_no_word(folder: Folder, name: str, content: str | bytes) -> None:
    if name.endswith(".zst"):
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(EVENTS.encode())
        content = sink.getvalue().to_pybytes()
    files: dict[str, str | bytes] = {"items.tsv": ITEMS, name: content, "dataset.toml": "", "README.md": "x"}
    root = folder({**files, "images/notes.txt": "", ".DS_Store": "", "LICENSE": ""})
    if "/" in name:
        (root / name.partition("/")[0] / "_SUCCESS").touch()
    report = check_dataset(root)
    assert (report.examples, report.events) == ((), 1)
    assert table_files(root, "events") == [root / name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (excel(), "is an Excel workbook; save it as CSV"),
        (b"PK\3\4" + b"x" * 60, "is a zip archive; unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel or Office file; save it as CSV"),
        (gzip.compress(b"x", mtime=0), "is packed with gzip; name it 'events.csv.gz', or unpack it"),
        (b"\x28\xb5\x2f\xfd....", "is packed with zstd; name it 'events.csv.zst', or unpack it"),
        (parquet(), "is a Parquet file; name it 'events.parquet'"),
        (EVENTS.encode("utf-16"), "is UTF-16; tables are UTF-8"),
        (EVENTS.encode("utf-16-le"), "looks like UTF-16; tables are UTF-8"),
        (EVENTS.encode("utf-32"), "is UTF-32; tables are UTF-8"),
        (EVENTS.encode("utf-32-be"), "looks like UTF-32; tables are UTF-8"),
        (b"<!DOCTYPE html>\n<html>", "is a web page; download the table itself"),
        (b'<?xml version="1.0"?>', "is XML; write it as CSV"),
        (b'[{"user_id": "ann"}]', "is JSON; write one object on each line, and name it 'events.jsonl'"),
        (b'{"user_id": "ann"}\n', "is JSON; write one object on each line, and name it 'events.jsonl'"),
        (b"%PDF-1.4", "is a PDF; export its table as CSV"),
        (b"ARROW1\0\0", "is a Feather (Arrow IPC) file; write it as Parquet"),
    ],
)
def test_a_table_that_is_something_else_is_told_by_its_content(folder: Folder, content: bytes, message: str) -> None:
    report = check_dataset(folder({"items.tsv": ITEMS, "events.csv": content}))
    assert [(problem.file, problem.kind) for problem in report.examples] == [("events.csv", "unreadable table")]
    assert message in report.examples[0].message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.jsonl", '[\n  {"user_id": "ann"}\n]', "is one JSON array; write one object on each line"),
        ("events.jsonl", '{\n  "user_id": "ann"\n}', "is JSON over several lines; write each object on one line"),
        (
            "events.csv.gz",
            EVENTS,
            "it is not a whole gzip file; write it again, or, if it is not packed at all, name it 'events.csv'",
        ),
        ("events.csv.gz", gzip.compress(excel(), mtime=0), "is an Excel workbook; save it as CSV"),
        ("events.csv.gz", gzip.compress(parquet(), mtime=0), "is a Parquet file; name it 'events.parquet'"),
        ("events.parquet", EVENTS, "is not a readable Parquet file; write it again, or export it as CSV"),
        ("events.parquet", excel(), "is not a readable Parquet file; it is an Excel workbook; save it as CSV"),
        ("events.parquet", gzip.compress(b"x", mtime=0), "is packed with gzip"),
    ],
)
def test_content_of_other_formats(folder: Folder, name: str, content: str | bytes, message: str) -> None:
    report = check_dataset(folder({"items.tsv": ITEMS, name: content}))
    assert message in next(problem for problem in report.examples if problem.file == name).message


def test_sqlite_is_told(folder: Folder, tmp_path: Path) -> None:
    report = check_dataset(folder({"items.tsv": ITEMS, "events.csv": sqlite(tmp_path)}))
    assert report.examples[0].message == "is an SQLite database; export its table as CSV"


def test_everything_else_is_a_warning(folder: Folder) -> None:
    root = folder({"items.tsv": ITEMS, "events.csv": EVENTS, "orders.csv": EVENTS, "notes.txt": "x", "Thumbs.db": ""})
    for name in ("pictures", "old"):
        (root / name).mkdir()
    (root / "images.tar.gz").write_bytes(b"")
    (root / "Images.zip").write_bytes(b"")
    (root / "customers.csv").write_text("user_id\n")
    problems = folder_problems(root)
    assert [(problem.file, problem.severity) for problem in problems] == [
        ("Images.zip", "warning"),
        ("customers.csv", "warning"),
        ("images.tar.gz", "warning"),
        ("notes.txt", "warning"),
        ("old", "warning"),
        ("orders.csv", "warning"),
        ("pictures", "warning"),
    ]
    assert "'images.zip' or the folder 'images': name it so" in problems[0].message
    assert "there is no users table; name it 'users.csv'" in problems[1].message
    assert "unpack it there" in problems[2].message
    assert "a dataset has items.*, events.*, users.*, images/ or images.zip" in problems[3].message
    assert "pictures are read from the folder 'images': name it so" in problems[6].message


def test_files_among_the_parts_of_a_table_that_are_none(folder: Folder) -> None:
    root = folder(
        {"items.tsv": ITEMS, "events/0.csv": EVENTS, "events/day=1/1.xlsx": excel(), "events/_delta_log/0.json": "{}"}
    )
    (problem,) = folder_problems(root)
    assert (problem.file, problem.severity) == ("events/day=1/1.xlsx", "warning")


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("title", "Title"),
        ("item_id", "ITEM_ID"),
        ("item_id", "itemid"),
        ("item_id", "product_id"),
        ("user_id", "user"),
        ("timestamp", "time"),
        ("image", "image_url"),
        ("item_id", "Item ID"),
    ],
)
def test_near_misses_of_columns_are_told_with_the_name_to_use(column: str, found: str) -> None:
    assert likely_column(column, ["x", found, "y"]) == found


def test_columns_that_mean_something_are_no_near_misses() -> None:
    assert likely_column("item_id", ["user_id", "title", "weight"]) == ""
    assert likely_column("item_id", ["id", "itemId"]) == "itemId"


def test_near_misses_of_columns_in_a_dataset(folder: Folder) -> None:
    root = folder(
        {
            "items.csv": "item_id,Title,image_url,name,size\n7,Hat,,x,5\n",
            "events.csv": "user,ITEM_ID,time,Rating\nann,7,1,3\n",
        }
    )
    report = check_dataset(root)
    messages = [str(problem) for problem in report.examples]
    assert messages == [
        "items.csv: the column 'Title' is read as an attribute; if it is the title of a row, name it 'title'",
        "items.csv: the column 'image_url' is read as an attribute; if it is the image of a row, name it 'image'",
        "events.csv: the column 'time' is not read; if it is the timestamp of a row, name it 'timestamp'",
        "events.csv: the column 'Rating' is not read; if it is the rating of a row, name it 'rating'",
        "events.csv:1: there is no column 'user_id'; the columns are 'user', 'ITEM_ID', 'time', 'Rating'; if 'user' is "
        "it, name it 'user_id'",
        "events.csv:1: there is no column 'item_id'; the columns are 'user', 'ITEM_ID', 'time', 'Rating'; if 'ITEM_ID' "
        "is it, name it 'item_id'",
    ]
    assert column_problems("items", "items.csv", ["item_id", "title", "name"]) == []


def test_names_of_tables() -> None:
    assert table_name("Events.CSV.gz") == ("Events", "csv", ".gz")
    assert table_name("a.b.parquet") == ("a.b", "parquet", "")
    for name in ("events", "events.gz", ".csv", "events.parquet.gz", "events.csv.xz"):
        assert table_name(name) is None


def test_a_part_that_links_lead_to_as_well_is_read_once(folder: Folder) -> None:
    root = folder({"items.tsv": ITEMS, "events/day=1/a.csv": EVENTS, "events/b.csv": EVENTS})
    events = root / "events"
    (events / "A-latest.csv").symlink_to("b.csv")
    (events / "current").symlink_to("day=1")
    (events / "up").symlink_to(root)
    (events / "day=1" / "again").symlink_to(events)
    (events / "blob.csv").symlink_to("_hidden")
    (events / "_hidden").write_text(EVENTS)
    found = [path.relative_to(events).as_posix() for path in table_files(root, "events")]
    assert found == ["b.csv", "blob.csv", "day=1/a.csv"]
    (events / "blob.csv").unlink()
    assert [(problem.file, problem.message) for problem in folder_problems(root)] == [
        ("events/A-latest.csv", "is not read: it is a link to 'b.csv', which is read already")
    ]


def test_a_pipe_is_named_and_not_waited_for(folder: Folder) -> None:
    root = folder({"items.tsv": ITEMS, "events/a.csv": EVENTS})
    os.mkfifo(root / "events" / "b.csv")
    assert [path.name for path in table_files(root, "events")] == ["a.csv"]
    assert [(problem.file, problem.message) for problem in folder_problems(root)] == [
        ("events/b.csv", "is not read: it is no regular file")
    ]
    os.mkfifo(root / "users.csv")
    assert ("users.csv", "warning") in [(problem.file, problem.severity) for problem in folder_problems(root)]
