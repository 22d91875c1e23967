"""What was left out, counted and said."""

from __future__ import annotations

from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.writing import LeftOut


def test_counts_first_examples_and_sentences() -> None:
    tally = LeftOutTally()
    tally.column("notes", "x" * 100, "a.csv:2")
    tally.column("notes", "y", "a.csv:3", 1999)
    tally.empty_column("notes")
    tally.empty_column("b")
    tally.empty_column("c")
    tally.file("tags.csv")
    tally.value("prices that are no numbers", "free", "a.csv:4")
    tally.row("rows without an id", "a.csv:5")
    before = tally.found
    tally.row("rows without an id", "a.csv:6")
    tally.row("rows that are never counted", "a.csv:7", 0)
    assert tally.rows == 2
    assert tally.found[0] == LeftOut("row", "rows without an id", 2, "a.csv:5")
    summary = tally.summary("first of all")
    assert summary["dropped"] == 2
    assert summary["notes"] == (
        "first of all",
        "left out 2 rows: rows without an id, the first: a.csv:5",
        "left out 1 value: prices that are no numbers, the first: 'free' at a.csv:4",
        f"left out column 'notes' (2,000 values, the first: '{'x' * 59}... at a.csv:2)",
        "left out columns without values: b, c",
        "left out files: tags.csv",
    )
    assert [entry.what for entry in summary["left_out"]] == [
        *("rows without an id", "prices that are no numbers", "notes", "b", "c", "tags.csv"),
    ]
    assert tally.reasons(before) == "left out 2 rows: rows without an id, the first: a.csv:5"
    assert tally.reasons(tally.found) == ""
