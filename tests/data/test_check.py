"""Every kind of problem is found, with its file and row, and what is sound is counted."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mmrec.data.check import CheckReport, check_dataset
from mmrec.data.problems import Problem
from mmrec.data.summary import ColumnUse, TableSummary
from mmrec.errors import NotFoundError
from tests.data.conftest import ITEMS

Folder = Callable[..., Path]
Encode = Callable[..., bytes]


NOW = datetime.datetime(2024, 6, 1, tzinfo=datetime.UTC)
MAY = 1_717_150_502
"""Seconds since 1970 of 31 May 2024, 10:15:02."""


def _found(report: CheckReport) -> list[tuple[str, int, str, str]]:
    return [(problem.file, problem.row, problem.kind, problem.severity) for problem in report.examples]


def _kinds(report: CheckReport) -> dict[str, int]:
    return {group.kind: group.count for group in report.problems}


def test_a_sound_dataset(folder: Folder, encoded: Encode) -> None:
    events = (
        "user_id\titem_id\ttimestamp\trating\nann\t8\t2024-05-31\t4\nann\t007\t2024-05-30\t5\nbob\t9\t2024-05-29\t\n"
    )
    root = folder({"items.tsv": ITEMS, "events.tsv": events})
    (root / "images").mkdir()
    for name in ("8.png", "9.png"):
        (root / "images" / name).write_bytes(encoded())
    (root / "users.csv").write_text("user_id,age\nann,30\nbob,\neve,\n")
    report = check_dataset(root)
    assert report.problems == ()
    assert (report.items, report.users, report.events, report.listed_users) == (3, 2, 3, 3)
    assert report.with_picture == pytest.approx(2 / 3)
    assert report.with_words == 1.0
    assert (report.with_events, report.users_with_three) == (1.0, 0)
    assert (report.time_column, report.first, report.last) == ("timestamp", "2024-05-29", "2024-05-31")
    assert report.repeats == (3, 0, 0, 0)
    assert report.tables == (TableSummary("items.tsv", 3, 3), TableSummary("events.tsv", 3, 3))
    assert report.event_columns == (
        ColumnUse("timestamp", "dates like 2024-05-31; 2024-05-29 to 2024-05-31 (UTC)"),
        ColumnUse("rating", "4 to 5 (a scale of 5): events below 3 are counted as negative"),
    )
    assert report.density == pytest.approx(0.5)


def test_every_event_that_is_dropped_is_named(folder: Folder) -> None:
    events = (
        "user_id\titem_id\ttimestamp\trating\n"
        f"ann\t8\t{MAY}\t3\nann\tnobody\t{MAY}\t3\nann\t8\tsoon\t3\nann\t8\t{MAY}\tgood\n\t8\t{MAY}\t3\n"
        f"ann\t\t{MAY}\t3\nbob\t8\t\t3\n"
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
    assert report.tables[1].left_out == {
        "bad timestamp": 1,
        "bad rating": 1,
        "empty user id": 1,
        "empty item id in event": 1,
        "unknown item": 1,
    }


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
        ("items.tsv", 5, "unreadable picture", "error"),
        ("items.tsv", 8, "unreadable picture", "error"),
        ("items.tsv", 4, "missing picture", "error"),
    ]
    assert report.with_picture == 0.25
    assert "image is 'gone.jpg', which is neither in images/ nor in images.zip" in str(report.problems[2].examples[0])


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
            [],
        ),
    ],
)
def test_tables_that_are_wrong(
    folder: Folder, files: dict[str, str], expected: list[tuple[str, int, str, str]]
) -> None:
    assert _found(check_dataset(folder(files))) == expected


def test_one_warning_for_all_empty_positions(folder: Folder) -> None:
    rows = "".join(f"u{u}\t{item}\t{p}\n" for u in range(4) for item, p in ((1, ""), (2, "1")))
    events = "user_id\titem_id\tposition\n" + rows
    report = check_dataset(folder({"items.tsv": "item_id\n1\n2\n", "events.tsv": events}))
    assert _found(report) == [("events.tsv", 2, "empty position", "warning")]
    assert "4 events have no position" in report.problems[0].examples[0].message
    assert (report.events, report.first) == (8, "")


def test_ids_that_look_like_terminal_codes_are_quoted(folder: Folder) -> None:
    report = check_dataset(folder({"items.tsv": "item_id\n\x1b[2J\n\x1b[2J\n"}))
    assert "\x1b" not in "".join(str(problem) for group in report.problems for problem in group.examples)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        check_dataset(tmp_path / "nowhere")


def test_settings_decide_how_columns_are_read_and_what_does_not_fit_is_counted(folder: Folder) -> None:
    items = "item_id\ttitle\tprice\tnote\n1\tHat\t1,299\tx\n2\tCap\task\ty\n3\tShoe\t\tz\n"
    root = folder({"items.tsv": items, "dataset.toml": '[columns]\nprice = "number"\n[words]\nleave_out = ["note"]\n'})
    report = check_dataset(root)
    assert _found(report) == [("items.tsv", 3, "misfit values", "warning")]
    assert report.examples[0].message.startswith("price is number by dataset.toml, which does not fit 1 of its values")
    assert [(column.name, column.kind, column.configured, column.words) for column in report.columns] == [
        ("price", "number", True, False),
        ("note", "text", False, False),
    ]
    assert [(entry.item_id, entry.text) for entry in report.words] == [("1", "Hat"), ("2", "Cap"), ("3", "Shoe")]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            '[columns]\nprise = "number"\n',
            "[columns] names 'prise', which is no attribute of the items; those are 'price'",
        ),
        ('[columns]\ntitle = "list"\n', "[columns] names 'title', which is no attribute"),
        ('[words]\nleave_out = ["brand"]\n', "[words] leave_out names 'brand'"),
        ('[words]\ntemplate = "{brand}"\n', "names 'brand'; the columns are"),
        ("[columns\n", "is not TOML"),
    ],
)
def test_settings_that_cannot_be_used_are_a_problem(folder: Folder, settings: str, says: str) -> None:
    root = folder({"items.tsv": "item_id\ttitle\tprice\n1\tHat\t5\n", "dataset.toml": settings})
    report = check_dataset(root)
    assert _found(report) == [("dataset.toml", 0, "unusable settings", "error")]
    assert says in report.examples[0].message


def test_rows_of_one_kind_are_counted_and_only_the_first_are_kept(folder: Folder) -> None:
    rows = 200_000
    events = "user_id,item_id,timestamp\n" + "".join(f"u,x{i},{MAY}\n" for i in range(rows))
    handed: list[Problem] = []
    root = folder({"items.csv": "item_id\n1\n", "events.csv": events})
    report = check_dataset(root, every=handed.extend, now=NOW)
    (group,) = report.problems
    assert (group.file, group.column, group.kind, group.count) == ("events.csv", "item_id", "unknown item", rows)
    assert [problem.row for problem in group.examples] == [2, 3, 4, 5, 6]
    assert report.errors == len(handed) == rows
    assert handed[-1] == Problem(
        "events.csv",
        rows + 1,
        "item_id",
        "unknown item",
        f"item_id 'x{rows - 1}' is not in the items table; add the item or drop the event",
    )


@pytest.mark.parametrize(
    ("table", "kind", "count"),
    [
        ("user_id,item_id,timestamp\n" + "u,1,soon\n" * 9, "bad timestamp", 9),
        ("user_id,item_id,position\n" + "u,1,1.5\n" * 9, "bad position", 9),
        ("user_id,item_id,timestamp,rating\n" + f"u,1,{MAY},good\n" * 9, "bad rating", 9),
        ("user_id,item_id,timestamp\n" + f",1,{MAY}\n" * 9, "empty user id", 9),
        ("user_id,item_id,timestamp\n" + f"u,,{MAY}\n" * 9, "empty item id in event", 9),
        ("user_id,item_id,timestamp\n" + f"{'u' * 513},1,{MAY}\n" * 9, "unusable user id", 9),
        ("user_id,item_id,timestamp\n" + "u,1,100\n" * 9, "time before 1990", 9),
        ("user_id,item_id,timestamp\n" + "u,1,2100-01-01\n" * 9, "time in the future", 9),
    ],
)
def test_every_kind_of_row_of_the_events_is_counted(folder: Folder, table: str, kind: str, count: int) -> None:
    report = check_dataset(folder({"items.csv": "item_id\n1\n", "events.csv": table}), now=NOW)
    (group,) = [group for group in report.problems if group.kind == kind]
    assert (group.count, len(group.examples)) == (count, 5)


def test_every_kind_of_row_of_items_users_and_pictures_is_counted(folder: Folder) -> None:
    items = "item_id\ttitle\timage\n" + "".join(f"{i}\tx\tgone{i}.png\n" for i in range(7)) + "0\tx\t\n" * 6
    items += "\tx\t\n" * 6 + f"a\tx{'y' * 100_000}\t\n" * 1 + f"{'i' * 513}\tx\t\n"
    users = "user_id\n" + "u\n" * 8 + "\n" + "\x07\n"
    report = check_dataset(folder({"items.tsv": items, "users.csv": users}), now=NOW)
    assert _kinds(report) == {
        "duplicate item id": 6,
        "empty item id": 6,
        "unusable item id": 1,
        "long text": 1,
        "duplicate user id": 7,
        "unusable user id": 1,
        "missing picture": 7,
    }
    assert report.tables == (
        TableSummary("items.tsv", 21, 7, {"unusable id": 12, "unusable item id": 1, "long text": 1}),
    )


def test_an_exact_repeat_of_an_event_is_reported(folder: Folder) -> None:
    rows = "".join(f"u,{i},{MAY + i}\n" * 2 for i in range(10))
    items = "item_id\n" + "".join(f"{i}\n" for i in range(10))
    report = check_dataset(folder({"items.csv": items, "events.csv": "user_id,item_id,timestamp\n" + rows}), now=NOW)
    assert report.repeats == (20, 10, 10, 10)
    (group,) = report.problems
    assert (group.kind, group.severity) == ("repeated event", "warning")
    assert "10 of 20 events (50.0%) are exact repeats of another one" in group.examples[0].message


def test_reloads_of_one_page_are_told_and_later_purchases_are_not(folder: Folder) -> None:
    reloads = "".join(f"u,{i // 2},{MAY + i}\n" for i in range(20))
    again = "".join(f"v,{i % 10},{MAY + i}\n" for i in range(20))
    items = "item_id\n" + "".join(f"{i}\n" for i in range(10))
    head = "user_id,item_id,timestamp\n"
    report = check_dataset(folder({"items.csv": items, "events.csv": head + reloads}), now=NOW)
    assert report.repeats == (20, 0, 10, 10)
    assert _kinds(report) == {"item again": 1}
    (root := Path(report.dataset) / "events.csv").write_text(head + again)
    report = check_dataset(root.parent, now=NOW)
    assert report.repeats == (20, 0, 0, 10)
    assert report.problems == ()


def test_what_the_columns_of_the_events_are_taken_for(folder: Folder) -> None:
    events = (
        "user_id,item_id,timestamp,event_type,rating,quantity,position\n"
        f"u,1,{MAY},purchase,5,1,1\nu,2,{MAY},Remove From Cart,5,1,2\nu,3,{MAY},purchase,1,1,3\nv,1,{MAY},,,1,4\n"
    )
    report = check_dataset(folder({"items.csv": "item_id\n1\n2\n3\n", "events.csv": events}), now=NOW)
    assert report.problems == ()
    assert report.event_columns == (
        ColumnUse("timestamp", "seconds since 1970; 2024-05-31 to 2024-05-31 (UTC)"),
        ColumnUse("event_type", "counted as positive: purchase (2), empty (1); as negative: Remove From Cart (1)"),
        ColumnUse("rating", "1 to 5 (a scale of 5): events below 3 are counted as negative"),
        ColumnUse("quantity", "not read, it has no effect", used=False),
        ColumnUse("position", "orders events of one moment"),
    )
    assert report.tables[1] == TableSummary(
        "events.csv", 4, 2, {}, {"by event_type Remove From Cart": 1, "by rating below 3": 1}
    )


def test_items_with_neither_words_nor_a_picture_are_counted(folder: Folder) -> None:
    items = "item_id\ttitle\timage\n1\tmug\t\n2\t\tx.png\n3\t\t\n4\t \t\n"
    assert check_dataset(folder({"items.tsv": items})).without_content == 2


def test_user_ids_that_are_alike_but_for_spaces_or_a_decimal_point_are_warned_of(folder: Folder) -> None:
    events = f"user_id,item_id,timestamp\nu1,1,{MAY}\nu1 ,1,{MAY + 1}\n7,1,{MAY}\n7.0,1,{MAY + 1}\n8.0,1,{MAY}\n"
    report = check_dataset(folder({"items.csv": "item_id\n1\n", "events.csv": events}), now=NOW)
    assert [(problem.kind, problem.severity, problem.message) for problem in report.examples] == [
        (
            "alike user ids",
            "warning",
            "2 user ids are like others but for spaces or '.0', such as 'u1 ' and 'u1'; they are taken for different "
            "users: write each id one way",
        )
    ]
