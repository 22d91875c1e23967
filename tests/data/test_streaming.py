from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec.data.dataset import read_dataset
from mmrec.data.streaming import ItemStream, ItemWindow
from mmrec.data.writing import write_table
from mmrec.errors import InvalidArgumentError, InvalidDatasetError, NotFoundError

Folder = Callable[..., Path]


def windows(root: Path, rows: int = 3) -> list[ItemWindow]:
    return list(ItemStream(root, rows).windows())


def ids(found: list[ItemWindow]) -> list[str]:
    return [item.item_id for window in found for item in window.items]


def failures(found: list[ItemWindow]) -> list[tuple[int, str, str, str]]:
    return [tuple(failure) for window in found for failure in window.failures]


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "jsonl"])
def test_windows_have_so_many_rows_each_and_the_last_the_rest(folder: Folder, kind: str) -> None:
    root = folder({})
    rows = [{"item_id": f"{n:03d}", "title": f"Mug {n}", "colour": "red", "image": f"{n}.png"} for n in range(8)]
    write_table(root / f"items.{kind}", pa.Table.from_pylist(rows))
    found = windows(root)
    assert [(window.number, window.rows) for window in found] == [(0, 3), (1, 3), (2, 2)]
    assert ids(found) == [f"{n:03d}" for n in range(8)]
    assert found[0].items[1][1:6] == ("001", "Mug 1", "", "1.png", {"colour": "red"})
    assert found[0].items[0].line == {"parquet": 1, "csv": 2, "tsv": 2, "jsonl": 1}[kind]
    stream = ItemStream(root, 3)
    assert (stream.file, stream.estimate()) == (f"items.{kind}", 8)


def test_a_row_that_breaks_a_rule_is_a_failure_and_the_others_go_on(folder: Folder) -> None:
    long = "x" * 100_001
    root = folder(
        {
            "items.csv": b"item_id,title,colour\n"
            b'1,"Mug, red",red\n'
            b'2,5" plate,\n'
            b'3,"never closed,blue\n'
            b"4,x,y\n"
            b"5,a\n"
            b"\n"
            b'6,"two\nlines",z\n'
            b"1,again,\n"
            b"\xff7,q,w\n"
            b" ,none,\n"
            b'8,"a"b,c\n' + f"9,{long},\n".encode() + b"x" * 513 + b",t,c\n"
            b"10,ok,ok"
        }
    )
    found = windows(root)
    assert ids(found) == ["1", "2", "4", "6", "10"]
    assert found[1].items[1].title == "two\nlines"
    problems = failures(found)
    assert [(line, field) for line, _, field, _ in problems] == [
        (4, ""),
        (6, ""),
        (10, "item_id"),
        (11, ""),
        (12, "item_id"),
        (13, ""),
        (14, "title"),
        (15, "item_id"),
    ]
    assert problems[0][3] == ('the quotes of the row that starts here do not match; write a quote inside quotes as ""')
    assert problems[1][3] == "the row has 2 fields, the header has 3; quote values that contain commas"
    assert problems[2] == (10, "1", "item_id", "item_id '1' was there before, at 2; keep one row per item")
    assert problems[3][3] == "byte 0xff at position 1 of the line is not UTF-8; save the file as UTF-8"
    assert problems[6][:3] == (14, "9", "title")
    assert "title has 100,001 characters; at most 100,000 are accepted" in problems[6][3]


def test_an_id_that_was_there_many_windows_before_is_found(folder: Folder, tmp_path: Path) -> None:
    root = folder({"items.tsv": "item_id\n" + "".join(f"{n}\n" for n in range(3000)) + "7\n"})
    scratch = tmp_path / "ids"
    found = []
    for window in ItemStream(root, 1000).windows(scratch):
        assert scratch.is_file()
        found.append(window)
    assert not scratch.exists()
    assert failures(found) == [(3002, "7", "item_id", "item_id '7' was there before, at 9; keep one row per item")]


def test_json_lines_with_columns_of_their_own(folder: Folder) -> None:
    root = folder(
        {
            "items.jsonl": '{"item_id": "1", "a": "x"}\n{"item_id": 2, "b": ["y", "z"], "a": null}\n'
            '[1]\n{"item_id": 3.5}\n{"item_id": "4", "a": "\\ud800"}\nnot json\n\n{"item_id": "5", "\\ud800": "k"}\n'
        }
    )
    found = windows(root, 10)
    assert [(item.item_id, dict(item.attributes)) for item in found[0].items] == [
        ("1", {"a": "x", "b": ""}),
        ("2", {"a": "", "b": "y|z"}),
    ]
    assert [(line, item_id) for line, item_id, _, _ in failures(found)] == [
        (3, ""),
        (4, "3.5"),
        (5, "4"),
        (6, ""),
        (8, ""),
    ]
    assert "decimal point" in failures(found)[1][3]
    assert "surrogate" in failures(found)[2][3]


def test_pictures_in_a_parquet_table(folder: Folder) -> None:
    root = folder({})
    names = pa.array(["1", "2"])
    encoded = pa.array([b"\xff\xd8\xff", None], pa.binary())
    struct = pa.StructArray.from_arrays([encoded, pa.array(["a.jpg", None])], ["bytes", "path"])
    for table, refs in (
        (pa.table({"item_id": names, "image_bytes": encoded, "image": ["x.png", ""]}), ["x.png", ""]),
        (pa.table({"item_id": names, "image": encoded}), ["", ""]),
        (pa.table({"item_id": names, "image": struct}), ["a.jpg", ""]),
    ):
        pq.write_table(table, root / "items.parquet")
        (window,) = windows(root)
        assert [item.picture for item in window.items] == [b"\xff\xd8\xff", None]
        assert [item.image for item in window.items] == refs
        assert [dict(item.attributes) for item in window.items] == [{}, {}]


def test_parquet_with_a_value_that_is_no_utf8_loses_that_row(folder: Folder) -> None:
    root = folder({})
    title = pa.array([b"good", b"\xffbad", b"fine"], pa.binary()).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"item_id": ["1", "2", "3"], "title": title}), root / "items.parquet")
    found = windows(root)
    assert ids(found) == ["1", "3"]
    message = "byte 0xff in 'title' is not UTF-8; write the table again as UTF-8"
    assert failures(found) == [(2, "2", "title", message)]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "there is no items table"),
        ({"items.csv": "item_id\n1\n", "items.tsv": "item_id\n1\n"}, "items.csv and items.tsv are both there"),
        ({"items.csv": ""}, "is empty; its first line must name the columns"),
        ({"items.csv": "item_id,title\n"}, "has no rows; a catalogue needs at least one item"),
        ({"items.csv": "id,title\n1,a\n"}, "has no column 'item_id'; the columns are 'id', 'title'"),
        ({"items.csv": "item_id,a,a\n1,2,3\n"}, "the column 'a' is there 2 times"),
        ({"items.tsv": b"\xff\xfei\0"}, "is UTF-16; tables are UTF-8"),
        ({"items.parquet": b"PAR1 or not"}, "is not a readable Parquet file"),
        ({"items.tsv.gz": b"\x1f\x8b\x08\0garbage"}, "cannot be read: it is not a whole gzip file"),
    ],
)
def test_a_table_that_cannot_be_used_at_all_is_refused(
    folder: Folder, files: dict[str, str | bytes], message: str
) -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        windows(folder(files))
    assert message in caught.value.message


def test_a_gzip_file_that_is_cut_short_gives_what_it_has_and_then_says_so(folder: Folder) -> None:
    text = "item_id\ttitle\n" + "".join(f"{n}\t{n * 7919 % 10007}\n" for n in range(40_000))
    root = folder({"items.tsv.gz": gzip.compress(text.encode())[:-2000]})
    stream = ItemStream(root, 100).windows()
    assert [item.item_id for item in next(stream).items][:3] == ["0", "1", "2"]
    with pytest.raises(InvalidDatasetError, match="not a whole gzip file"):
        list(stream)


def test_old_line_ends_and_byte_order_marks_are_read_over(folder: Folder) -> None:
    root = folder({"items.tsv": b"\xef\xbb\xbfitem_id\ttitle\r1\ta\r2\tb\r"})
    assert ids(windows(root)) == ["1", "2"]


def test_a_window_of_nothing_and_a_missing_folder_are_refused(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="window_rows is 0"):
        ItemStream(folder(), 0)
    with pytest.raises(NotFoundError, match="does not exist"):
        ItemStream(tmp_path / "nowhere", 1)


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), max_size=12)
ROWS = st.lists(st.tuples(TEXT.filter(str.strip), TEXT, TEXT), min_size=1, max_size=20, unique_by=lambda row: row[0])


@given(rows=ROWS, kind=st.sampled_from(["parquet", "csv", "tsv", "jsonl"]), size=st.integers(1, 7))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_streamed_is_what_is_read_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], kind: str, size: int
) -> None:
    root = tmp_path_factory.mktemp("rows")
    columns = ("item_id", "title", "brand")
    write_table(root / f"items.{kind}", pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows]))
    catalogue = read_dataset(root).catalogue
    items = [item for window in windows(root, size) for item in window.items]
    assert tuple(item.item_id for item in items) == catalogue.item_ids
    assert tuple(item.title for item in items) == catalogue.titles
    assert tuple(item.attributes["brand"] for item in items) == catalogue.attributes["brand"]
