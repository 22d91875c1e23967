"""Every kind of problem is found, with its file and row, and what is sound is counted."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmrec.data.check import CheckReport, check_dataset
from mmrec.errors import NotFoundError

Folder = Callable[..., Path]
Encode = Callable[..., bytes]


def _found(report: CheckReport) -> list[tuple[str, int, str, str]]:
    return [(problem.file, problem.row, problem.kind, problem.severity) for problem in report.problems]


def test_a_sound_dataset(folder: Folder, encoded: Encode) -> None:
    root = folder()
    (root / "images").mkdir()
    for name in ("8.png", "9.png"):
        (root / "images" / name).write_bytes(encoded())
    (root / "users.csv").write_text("user_id,age\nann,30\nbob,\neve,\n")
    report = check_dataset(root)
    assert report.problems == ()
    assert (report.items, report.users, report.events, report.listed_users) == (3, 2, 3, 3)
    assert report.with_picture == pytest.approx(2 / 3)
    assert report.with_words == 1.0
    assert (report.time_column, report.first, report.last) == ("timestamp", "1970-01-01", "1970-01-01")
    assert report.density == pytest.approx(0.5)


def test_every_event_that_is_dropped_is_named(folder: Folder) -> None:
    events = (
        "user_id\titem_id\ttimestamp\trating\n"
        "ann\t8\t1\t3\nann\tnobody\t2\t3\nann\t8\tsoon\t3\nann\t8\t4\tgood\n\t8\t5\t3\nann\t\t6\t3\nann\t8\t\t3\n"
    )
    report = check_dataset(folder({"items.tsv": "item_id\ttitle\n8\tx\n", "events.tsv": events}))
    assert sorted(_found(report)) == [
        ("events.tsv", 3, "unknown item", "error"),
        ("events.tsv", 4, "bad timestamp", "error"),
        ("events.tsv", 5, "bad rating", "error"),
        ("events.tsv", 6, "empty user id", "error"),
        ("events.tsv", 7, "empty item id in event", "error"),
        ("events.tsv", 8, "empty timestamp", "warning"),
    ]
    assert (report.errors, report.warnings) == (5, 1)
    assert (report.events, report.event_rows) == (2, 7)


def test_every_picture_that_cannot_be_used_is_named(folder: Folder, encoded: Encode) -> None:
    jpeg = encoded(Image.new("RGB", (64, 64), (9, 90, 200)), "JPEG")
    refs = [
        "good.jpg",
        "cut.jpg",
        "gone.jpg",
        "../out.jpg",
        "https://example.org/1.jpg",
        "",
        "note.txt",
        "good.jpg",
    ]
    items = "item_id\timage\n" + "".join(f"{i}\t{ref}\n" for i, ref in enumerate(refs))
    root = folder({"items.tsv": items, "images/good.jpg": jpeg, "images/cut.jpg": jpeg[: len(jpeg) // 2]})
    (root / "images" / "note.txt").write_text("not a picture")
    report = check_dataset(root)
    assert _found(report) == [
        ("items.tsv", 0, "picture not fetched", "warning"),
        ("items.tsv", 3, "unreadable picture", "error"),
        ("items.tsv", 4, "missing picture", "error"),
        ("items.tsv", 5, "unreadable picture", "error"),
        ("items.tsv", 8, "unreadable picture", "error"),
    ]
    assert report.with_picture == 0.25
    assert "image is 'gone.jpg', which is neither in images/ nor in images.zip" in str(report.problems[2])


def test_pictures_in_an_archive(folder: Folder, encoded: Encode) -> None:
    root = folder({"items.csv": "item_id,image\n1,1.png\n2,images/2.png\n3,3.png\n"})
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        for name in ("1.png", "2.png"):
            archive.writestr(name, encoded())
    report = check_dataset(root)
    assert _found(report) == [("items.csv", 4, "missing picture", "error")]


def test_a_damaged_archive_is_one_problem(folder: Folder) -> None:
    root = folder({"items.csv": "item_id,image\n1,1.png\n2,2.png\n", "images.zip": b"PK\3\4"})
    assert _found(check_dataset(root)) == [("images.zip", 0, "unreadable archive", "error")]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, [("", 0, "missing table", "error")]),
        ({"items.tsv": "item_id\n"}, [("items.tsv", 0, "empty catalogue", "error")]),
        ({"items.tsv": "id\n1\n"}, [("items.tsv", 1, "missing column", "error")]),
        (
            {"items.tsv": "item_id\tt\n1\ta\n1\tb\n\tc\n"},
            [("items.tsv", 3, "duplicate item id", "error"), ("items.tsv", 4, "empty item id", "error")],
        ),
        (
            {"items.tsv": b"item_id\tt\n1\t\xff\n2\tok\n3\t\xe9\n"},
            [("items.tsv", 2, "bad encoding", "error"), ("items.tsv", 4, "bad encoding", "error")],
        ),
        (
            {"items.tsv": "item_id\n1\n", "users.csv": "user_id\nu\nu\n"},
            [("users.csv", 3, "duplicate user id", "error")],
        ),
        (
            {"items.tsv": "item_id\n1\n", "events.csv": "user_id,item_id,timestamp\nu,1,20240531\n"},
            [("events.csv", 0, "doubtful timestamp", "warning")],
        ),
    ],
)
def test_tables_that_are_wrong(
    folder: Folder, files: dict[str, str], expected: list[tuple[str, int, str, str]]
) -> None:
    assert _found(check_dataset(folder(files))) == expected


def test_one_warning_for_all_empty_positions(folder: Folder) -> None:
    events = "user_id\titem_id\tposition\n" + "".join(f"u{u}\t1\t{p}\n" for u in range(4) for p in ("", "1"))
    report = check_dataset(folder({"items.tsv": "item_id\n1\n", "events.tsv": events}))
    assert _found(report) == [("events.tsv", 2, "empty position", "warning")]
    assert "4 events have no position" in report.problems[0].message
    assert (report.events, report.first) == (8, "")


def test_ids_that_look_like_terminal_codes_are_quoted(folder: Folder) -> None:
    report = check_dataset(folder({"items.tsv": "item_id\n\x1b[2J\n\x1b[2J\n"}))
    assert "\x1b" not in str(report.problems[0])


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        check_dataset(tmp_path / "nowhere")


def test_items_with_neither_words_nor_a_picture_are_counted(folder: Folder) -> None:
    items = "item_id\ttitle\timage\n1\tmug\t\n2\t\tx.png\n3\t\t\n4\t \t\n"
    assert check_dataset(folder({"items.tsv": items})).without_content == 2
