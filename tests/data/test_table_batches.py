"""One reader for whole tables and streams: the same rows and problems however a file is cut, packed and asked for."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec.data.row_stream import RowStream
from mmrec.data.table_batches import TableReader
from mmrec.data.tables import read_table
from mmrec.errors import InvalidDatasetError

Folder = Callable[..., Path]
Rows = list[tuple[int, tuple[str, ...]]]


def streamed(path: Path, block_bytes: int) -> tuple[Rows, list[tuple[int, str]]]:
    """Good rows with their lines, and line and message of what is wrong."""
    reader = TableReader(path, block_bytes=block_bytes, block_rows=max(block_bytes, 1))
    rows: Rows = []
    wrong = []
    for batch in reader.batches():
        columns = [batch.columns[name].cast(pa.large_string()).to_pylist() for name in reader.columns or batch.columns]
        for index, (line, values) in enumerate(zip(batch.lines.tolist(), zip(*columns, strict=True), strict=True)):
            if index not in batch.bad:
                rows.append((line, values))
        wrong += [(problem.row, problem.message) for problem in batch.bad.values()]
    return rows, wrong + [(problem.row, problem.message) for problem in reader.problems if problem.severity == "error"]


def whole(path: Path) -> tuple[Rows, list[tuple[int, str]]]:
    table = read_table(path)
    values = zip(*(table.text(name).to_pylist() for name in table.columns), strict=True)
    errors = [(p.row, p.message) for p in table.problems if p.severity == "error"]
    return list(zip(table.lines.tolist(), values, strict=True)), errors


def by_hand(text: str, delimiter: str, quoted: bool) -> tuple[Rows, list[int]]:
    """The rule, character by character: good rows with their lines, and the lines of the bad ones."""
    rows: Rows = []
    bad: list[int] = []
    at, line, width = 0, 1, 0
    while at < len(text):
        end = text.find("\n", at) if "\n" in text[at:] else len(text)
        if not text[at:end].removesuffix("\r"):
            at, line = end + 1, line + 1
            continue
        fields: list[str] | None = []
        place = at
        while True:
            value = ""
            if quoted and text[place : place + 1] == '"':
                place += 1
                while place < len(text) and (text[place] != '"' or text[place + 1 : place + 2] == '"'):
                    value += text[place]
                    place += 2 if text[place] == '"' else 1
                if place == len(text):
                    fields = None
                place += 1
                ended = text[place:].startswith(("\n", "\r\n")) or text[place:] in ("", "\r")
                if not ended and text[place : place + 1] != delimiter:
                    fields = None
                if fields is None:
                    break
                fields.append(value)
                if ended:
                    place += text[place:].find("\n") + 1 if "\n" in text[place:] else len(text)
                    break
                place += 1
                continue
            while place < len(text) and text[place] not in (delimiter, "\n"):
                value += text[place]
                place += 1
            more = text[place : place + 1] == delimiter
            fields.append(value if more else value.removesuffix("\r"))
            place += 1
            if not more:
                break
        width = width or len(fields or ())
        if fields is None or len(fields) != width:
            bad.append(line)
        else:
            rows.append((line, tuple(fields)))
        if fields is None:
            at, line = end + 1, line + 1
        else:
            line += max(text[at:place].count("\n"), 1)
            at = place
    return rows, bad


PIECES = ['"', ",", "\n", "\r\n", "a", "b", "é", " ", '""', "\r", "\t", "1,2\n", '"x",y\n', "\ufeff"]
SNIPPETS = st.lists(st.sampled_from(PIECES), max_size=40)


@given(SNIPPETS, st.sampled_from(["csv", "tsv"]), st.sampled_from([1, 2, 3, 7, 1000]))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_read_by_the_rule_however_it_is_cut(
    tmp_path: Path, snippets: list[str], kind: str, size: int
) -> None:
    header = "one,two\n" if kind == "csv" else "one\ttwo\n"
    # Rows that make sure that a TSV is not taken for a quoted one.
    text = header + ("" if kind == "csv" else "n\tn\n") + "".join(snippets)
    path = tmp_path / f"t.{kind}"
    path.write_bytes(text.encode())
    rows, bad = by_hand(text, "," if kind == "csv" else "\t", kind == "csv")
    found, wrong = streamed(path, size)
    assert found == rows[1:]
    assert [line for line, _ in wrong] == bad
    assert whole(path) == (found, wrong)


CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text('",;\t\n\r', max_size=4)
CELLS = st.lists(st.tuples(CELL, CELL), max_size=12)


@given(
    CELLS,
    st.sampled_from(["csv", "csv.gz", "csv.zst", "csv.bz2", "csv.lz4", "csv.br", "jsonl", "jsonl.zst", "parquet"]),
    st.integers(1, 40),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_whole_and_streamed(
    tmp_path: Path, cells: list[tuple[str, str]], kind: str, size: int
) -> None:
    path = tmp_path / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(
            pa.table(
                [[row[0] for row in cells], [row[1] for row in cells]],
                schema=pa.schema([("one", pa.string()), ("two", pa.string())]),
            ),
            path,
        )
    else:
        text = io.StringIO()
        if kind.startswith("csv"):
            # csv.writer cannot write a field with a lone carriage return that reads back otherwise.
            csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows([("one", "two"), *cells])
        else:
            for one, two in cells:
                text.write(json.dumps({"one": one, "two": two}, ensure_ascii=False) + "\n")
        path.write_bytes(packed(text.getvalue().encode(), path.suffix))
    rows, problems = streamed(path, size)
    assert [values for _, values in rows] == cells
    if cells or not kind.startswith("jsonl"):
        assert problems == []
        assert [tuple(row.values.values()) for row in RowStream(path)] == cells
    assert whole(path) == (rows, problems)


def packed(data: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(data)
    if suffix == ".bz2":
        return bz2.compress(data)
    codec = {".zst": "zstd", ".lz4": "lz4", ".br": "brotli"}.get(suffix)
    if codec is None:
        return data
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


# --- quotes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["", '3,"two\nlines"\n', '3,5" plate\n', "3,a,b\n"])
def test_a_quoted_value_with_text_behind_it_is_the_same_problem_whatever_the_other_rows_are(
    folder: Folder, other: str
) -> None:
    root = folder({"t.csv": f'item_id,title\n1,"24" monitor"\n2,ok\n{other}'})
    rows, problems = whole(root / "t.csv")
    assert rows[0] == (3, ("2", "ok"))
    assert problems[0] == (
        2,
        'text follows the closing quote, as in "24" monitor"; put the whole value in quotes and write each quote '
        'inside it as ""',
    )


def test_a_stray_quote_inside_a_value_is_a_character(folder: Folder) -> None:
    root = folder({"t.csv": 'item_id,title\n1,24" monitor\n2,"a ""b"""\n3,x"y"z\n'})
    assert whole(root / "t.csv") == ([(2, ("1", '24" monitor')), (3, ("2", 'a "b"')), (4, ("3", 'x"y"z'))], [])


def test_a_quote_that_is_never_closed_costs_one_row(folder: Folder) -> None:
    root = folder({"t.csv": 'item_id,title\n1,"open\n' + "2,b\n" * 3000})
    rows, problems = whole(root / "t.csv")
    assert len(rows) == 3000
    message = 'the quotes of the row that starts here do not match; write a quote inside quotes as ""'
    assert problems == [(2, message)]


def test_a_space_before_a_quote_is_named(folder: Folder) -> None:
    _, problems = whole(folder({"t.csv": 'item_id,title\n1, "a, b"\n'}) / "t.csv")
    assert problems == [
        (2, "the row has 3 fields, the header has 2; write no space between a delimiter and the quote after it")
    ]


def test_a_line_that_is_too_long_costs_one_row(folder: Folder) -> None:
    root = folder({"t.csv": b"item_id,title\n1,a\n" + b"x" * (2**24 + 1) + b"\n2,b\n" + b"y" * (2**25)})
    rows, problems = whole(root / "t.csv")
    assert [(line, values[0]) for line, values in rows] == [(2, "1"), (4, "2")]
    assert problems == [(3, "the line has more than 16,777,216 bytes; shorten it"), (5, problems[0][1])]


# --- dialects -----------------------------------------------------------------------------------------------


def told(path: Path) -> list[str]:
    return [problem.message for problem in read_table(path).problems if problem.severity == "warning"]


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        (
            "t.csv",
            "item_id;price\n1;12,5\n",
            "the header is separated by a semicolon, so the rows are read as separated",
        ),
        ("t.csv", '"item_id"\t"price"\n"1"\t"12,5"\n', "the header is separated by a tab"),
        ("t.csv", "item_id|price\n1|12,5\n", "the header is separated by a vertical bar"),
        ("t.tsv", 'item_id,price\n1,"12,5"\n', "the header is separated by a comma"),
        ("t.csv", "sep=;\nitem_id;price\n1;12,5\n", "the first line names a semicolon as the delimiter"),
        ("t.csv", '\ufeff"sep=;"\r\nitem_id;price\r\n1;12,5\r\n', "the first line names a semicolon as the delimiter"),
        ("t.csv", "item_id;price;a,b\n1;12,5;\n", "the header is separated by a semicolon"),
        ("t.tsv", '"item_id"\t"price"\n1\t12,5\n', "its fields are wrapped in double quotes"),
        ("t.tsv", 'item_id\tprice\n1\t"12,5"\n', "its fields are wrapped in double quotes"),
    ],
)
def test_another_dialect_is_recognised_and_told(folder: Folder, name: str, text: str, note: str) -> None:
    path = folder({name: text}) / name
    table = read_table(path)
    assert {column: table.text(column).to_pylist() for column in list(table.columns)[:2]} == {
        "item_id": ["1"],
        "price": ["12,5"],
    }
    assert note in told(path)[0]
    assert table.problems[0].kind == "dialect"
    assert [list(row.values.values())[:2] for row in RowStream(path)] == [["1", "12,5"]]


def test_a_sep_line_that_names_the_usual_delimiter_needs_no_word(folder: Folder) -> None:
    path = folder({"t.csv": "sep=,\nitem_id,title\n1,a\n"}) / "t.csv"
    assert whole(path) == ([(3, ("1", "a"))], [])


def test_a_tsv_with_quotes_may_have_line_breaks_in_them(folder: Folder) -> None:
    text = '"id"\t"title"\n"1"\t"two\nlines and a\ttab"\n"2"\t"a ""b"""\n'
    rows, _ = whole(folder({"t.tsv": text}) / "t.tsv")
    assert rows == [(2, ("1", "two\nlines and a\ttab")), (4, ("2", 'a "b"'))]


def test_a_plain_tsv_keeps_its_quotes_and_says_that_some_look_like_more(folder: Folder) -> None:
    text = 'item_id\ttitle\n1\t"Great" Expectations\n2\tHat\n3\t"Mug, red"\n4\t"Cup, blue"\n'
    path = folder({"t.tsv": text}) / "t.tsv"
    assert read_table(path).text("title").to_pylist() == ['"Great" Expectations', "Hat", '"Mug, red"', '"Cup, blue"']
    assert told(path) == [
        "2 values, the first of them here, are wrapped in double quotes, which a TSV keeps as they are; if they are "
        "not part of the values, save the table as CSV"
    ]
    assert read_table(path).problems[0].row == 4


@pytest.mark.parametrize("text", ["a,b;c;d\n1,2;3;4\n5,6\n", "a,b;c;d\n", "a\n1;2\n"])
def test_a_delimiter_that_is_in_doubt_is_the_usual_one(folder: Folder, text: str) -> None:
    path = folder({"t.csv": text}) / "t.csv"
    assert list(read_table(path).columns) == text.partition("\n")[0].split(",")
    assert told(path) == []


@pytest.mark.parametrize(("name", "message"), [("x" * 513, "the name of a column has 513 characters"), ("", "no name")])
def test_columns_that_no_request_could_name(folder: Folder, name: str, message: str) -> None:
    root = folder({"t.csv": f"item_id,{name}\n1,2\n", "t.jsonl": json.dumps({"item_id": "1", name: "2"})})
    assert message in read_table(root / "t.csv").problems[0].message
    assert message in read_table(root / "t.jsonl").problems[0].message


# --- folders of parts ---------------------------------------------------------------------------------------


def test_a_folder_of_parts_is_one_table(folder: Folder) -> None:
    root = folder({"events.parquet/_SUCCESS": "", "events.parquet/.part-0.crc": "x"})
    for day, parts in (("2024-05-01", 2), ("2024-05-02", 1), ("__HIVE_DEFAULT_PARTITION__", 1)):
        (root / "events.parquet" / f"day={day}").mkdir()
        for part in range(parts):
            path = root / "events.parquet" / f"day={day}" / f"part-{part * 9}.snappy.parquet"
            pq.write_table(pa.table({"user_id": ["ann", "bob"], "item_id": [part, part]}), path)
    table = read_table(root / "events.parquet")
    assert table.problems == ()
    assert table.text("item_id").to_pylist() == ["0", "0", "1", "1", "0", "0", "0", "0"]
    assert table.text("day").to_pylist() == ["2024-05-01"] * 4 + ["2024-05-02"] * 2 + [""] * 2
    assert table.place(3) == ("events.parquet/day=2024-05-01/part-9.snappy.parquet", 2)
    assert table.lines.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    stream = RowStream(root / "events.parquet")
    rows = list(stream)
    assert (stream.count, stream.columns) == (8, ("user_id", "item_id", "day"))
    assert stream.place(rows[3].line) == table.place(3)


def test_parts_of_several_formats_and_columns(folder: Folder) -> None:
    root = folder(
        {
            "events/part-2.csv": "user_id,item_id\nann,1\n\nbob,2,3\nbob,2\n",
            "events/part-10.CSV.GZ": gzip.compress(b"item_id,user_id,extra\n3,eve,x\n"),
            "events/part-11.csv": b"",
            "events/part-12.jsonl": '{"user_id": "zoe", "item_id": 4}\n',
        }
    )
    table = read_table(root / "events")
    assert {name: table.text(name).to_pylist() for name in table.columns} == {
        "user_id": ["ann", "bob", "eve", "zoe"],
        "item_id": ["1", "2", "3", "4"],
        "extra": ["", "", "x", ""],
    }
    places = [table.place(row) for row in range(4)]
    assert places == [
        ("events/part-2.csv", 2),
        ("events/part-2.csv", 5),
        ("events/part-10.CSV.GZ", 2),
        ("events/part-12.jsonl", 1),
    ]
    assert str(table.problems[0]).startswith("events/part-2.csv:4: the row has 3 fields")


def test_parts_whose_types_differ_become_text(folder: Folder) -> None:
    root = folder({"t.parquet/_SUCCESS": ""})
    pq.write_table(pa.table({"a": [1, 2]}), root / "t.parquet" / "0.parquet")
    pq.write_table(pa.table({"a": ["x"]}), root / "t.parquet" / "1.parquet")
    assert read_table(root / "t.parquet").text("a").to_pylist() == ["1", "2", "x"]


def test_a_damaged_part_is_named(folder: Folder) -> None:
    root = folder({"t.csv/0.csv": "a\n1\n", "t.csv/1.csv.gz": b"a\n1\n"})
    (problem,) = read_table(root / "t.csv").problems
    assert (problem.file, problem.kind) == ("t.csv/1.csv.gz", "unreadable table")
    with pytest.raises(
        InvalidDatasetError, match=r"t.csv/1.csv.gz' cannot be used: cannot be read: it is not a whole gzip"
    ):
        RowStream(root / "t.csv")


# --- the middle of a file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".bz2", ".lz4"])
def test_a_packed_file_that_is_cut_gives_what_it_has_and_then_says_so(folder: Folder, suffix: str) -> None:
    text = "a\tb\n" + "".join(f"{n}\t{n * 7919 % 10007}\n" for n in range(150_000))
    root = folder({f"t.tsv{suffix}": packed(text.encode(), suffix)[:-2000]})
    table = read_table(root / f"t.tsv{suffix}")
    assert table.text("a").to_pylist()[:3] == ["0", "1", "2"]
    assert 1000 < table.rows < 150_000
    assert [problem.kind for problem in table.problems if problem.file][-1] == "unreadable table"
    with pytest.raises(InvalidDatasetError, match="cannot be read: it is not a whole"):
        list(RowStream(root / f"t.tsv{suffix}"))


def test_pictures_in_a_parquet_table_are_left_out_and_told(folder: Folder) -> None:
    root = folder({})
    encoded = pa.array([b"\xff\xd8\xff", None], pa.binary())
    struct = pa.StructArray.from_arrays([encoded, pa.array(["a.jpg", None])], ["bytes", "path"])
    for columns, refs in (
        ({"item_id": ["1", "2"], "image_bytes": encoded, "image": ["x.png", ""]}, ["x.png", ""]),
        ({"item_id": ["1", "2"], "image": encoded}, ["", ""]),
        ({"item_id": ["1", "2"], "image": struct}, ["a.jpg", ""]),
    ):
        pq.write_table(pa.table(columns), root / "items.parquet")
        table = read_table(root / "items.parquet")
        assert table.text("image").to_pylist() == refs
        assert list(table.columns) == ["item_id", "image"]
        assert [(problem.kind, problem.severity) for problem in table.problems] == [("picture not read", "warning")]


@given(
    st.binary(max_size=200),
    st.sampled_from(["csv", "tsv", "jsonl", "parquet", "csv.gz", "csv.zst", "tsv.bz2", "jsonl.lz4", "csv.br"]),
    st.booleans(),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_never_raise_anything_of_their_own(tmp_path: Path, data: bytes, kind: str, pack: bool) -> None:
    path = tmp_path / f"t.{kind}"
    path.write_bytes(packed(data, path.suffix) if pack else data)
    table = read_table(path)
    assert table.rows == len(table.lines)
    try:
        rows = [row for row in RowStream(path) if row.problem is None]
    except InvalidDatasetError:
        return
    assert len(rows) == table.rows


def _parquet() -> bytes:
    sink = io.BytesIO()
    columns: dict[str, Any] = {
        "item_id": [str(n) for n in range(50)],
        "price": pa.array(range(50), pa.float32()),
        "tags": [["a"]] * 50,
    }
    pq.write_table(pa.table(columns), sink, row_group_size=10)
    return sink.getvalue()


PARQUET = _parquet()


@given(st.integers(0, len(PARQUET)), st.integers(0, len(PARQUET) - 1), st.integers(0, 255))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_parquet_file_never_raises_anything_of_its_own(tmp_path: Path, cut: int, at: int, byte: int) -> None:
    data = bytearray(PARQUET)
    data[at] = byte
    path = tmp_path / "t.parquet"
    path.write_bytes(data if cut % 2 else data[:cut])
    for name in (table := read_table(path)).columns:
        table.text(name).to_pylist()
