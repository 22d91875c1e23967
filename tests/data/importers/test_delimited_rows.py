"""Delimited text with quotes, line breaks in quotes, and mistakes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec.data.importers.delimited_rows import QuotedText
from mmrec.data.importers.left_out import LeftOutTally
from mmrec.errors import InvalidDatasetError, NotFoundError

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), delimiter=st.sampled_from(",\t;"))
def test_what_is_written_is_read(tmp_path: Path, rows: list[tuple[str, str, str]], delimiter: str) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("a", "b", "c"), *rows])
    (tmp_path / "x.csv").write_bytes(buffer.getvalue().encode())
    tally = LeftOutTally()
    text = QuotedText(tmp_path / "x.csv", tally)
    assert text.columns == ("a", "b", "c")
    assert [tuple(row.values) for row in text] == rows
    assert tally.found == ()


def test_a_row_that_cannot_be_read_costs_itself(tmp_path: Path) -> None:
    data = b'a,b\n1,"open\n2,good\n3,b\xe9d\n4,"x" y\n\n5,a,b\n6,fine,,\n7,"two\nlines"\n'
    (tmp_path / "x.csv").write_bytes(data)
    tally = LeftOutTally()
    rows = [(row.place, *row.values) for row in QuotedText(tmp_path / "x.csv", tally)]
    assert rows == [
        ("x.csv:3", "2", "good"),
        ("x.csv:8", "6", "fine"),
        ("x.csv:9", "7", "two\nlines"),
    ]
    assert [(entry.what, entry.count, entry.example) for entry in tally.found] == [
        ("rows whose quotes do not match, or that are no UTF-8", 3, "x.csv:2"),
        ("rows with another number of fields than the header", 1, "x.csv:7"),
    ]


def test_files_that_are_no_text(tmp_path: Path) -> None:
    tally = LeftOutTally()
    with pytest.raises(NotFoundError, match="cannot read"):
        QuotedText(tmp_path / "nowhere.csv", tally)
    (tmp_path / "x.csv").write_bytes(b",,\n")
    with pytest.raises(InvalidDatasetError, match="its first line must name the columns"):
        QuotedText(tmp_path / "x.csv", tally)
