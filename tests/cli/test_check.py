"""`mmrec check`, run in this process through the program's own entry point."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.commands import status_of


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "items.csv").write_text("item_id,title\n1,One\n2,Two\n")
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\nann,1,1000000000\nann,2,1100000000\n")
    return tmp_path


@pytest.fixture
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not the dataset's, where what is left lying is named as a file that is not read."""
    return tmp_path_factory.mktemp("out")


def test_a_sound_dataset(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("check", str(dataset)) == 0
    out, err = capsys.readouterr()
    lines = {line.split("  ")[0]: line.split()[-1] for line in out.splitlines() if "  " in line}
    assert lines["users"] == "1"
    assert lines["items"] == "2"
    assert lines["events"] == "2"
    assert lines["first event"] == "2001-09-09"
    assert lines["density"] == "100.0000%"
    assert lines["errors"] == "0"
    assert err.endswith("no errors\n")


def test_errors_leave_status_3_and_name_their_rows(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "events.csv").write_text("user_id,item_id,timestamp\nann,1,soon\nann,2,5\n")
    assert status_of("check", str(dataset), "--quiet") == 3
    out, err = capsys.readouterr()
    assert "events.csv:2" in out
    assert "timestamp is 'soon'; a timestamp is" in out
    assert "left out: bad timestamp" in out
    assert err == f"error: 1 error in the dataset {str(dataset)!r}\n"


def test_errors_for_which_other_commands_refuse_are_told_apart(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset / "items.csv").write_text("item_id,title\n1,One\n2,Two\n2,Three\n,Four\n")
    (dataset / "events.csv").write_text("user_id,item_id,timestamp\nann,1,soon\nann,2,1100000000\nann,2\n")
    assert status_of("check", str(dataset), "--json", "--quiet") == 3
    out, err = capsys.readouterr()
    refused_for = ["duplicate item id", "empty item id", "malformed row"]
    assert sorted(json.loads(out)["refused_for"]) == refused_for
    assert "4 errors in the dataset" in err
    assert "; other commands refuse it until these are fixed: " in err
    assert all(kind in err for kind in refused_for)
    assert "bad timestamp" not in err


def test_warnings_alone_leave_status_0(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "events.csv").write_text("user_id,item_id,timestamp\nann,1,\nann,2,2024-05-31\n")
    assert status_of("check", str(dataset)) == 0
    assert "no errors, 1 warning\n" in capsys.readouterr().err


def test_the_report_is_small_and_the_file_of_problems_has_them_all(
    dataset: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"ann,missing-{i},2024-05-31\n" for i in range(3000))
    (dataset / "events.csv").write_text("user_id,item_id,timestamp\n" + rows)
    assert status_of("check", str(dataset), "-q") == 3
    screen = capsys.readouterr().out
    assert screen.count("missing-") == 3
    assert "and 2,997 more of this kind" in screen
    file = out / "problems.jsonl"
    assert status_of("check", str(dataset), "--json", "-q", "--problems", str(file)) == 3
    printed = capsys.readouterr().out
    assert len(printed) < 5_000
    report = json.loads(printed)
    assert (report["errors"], report["event_rows"]) == (3000, 3000)
    (group,) = report["problems"]
    assert (group["kind"], group["count"], len(group["examples"])) == ("unknown item", 3000, 5)
    first = {
        "file": "events.csv",
        "row": 2,
        "column": "item_id",
        "kind": "unknown item",
        "message": "item_id 'missing-0' is not in the items table; add the item or drop the event",
        "severity": "error",
    }
    assert group["examples"][0] == first
    lines = file.read_text().splitlines()
    assert (len(lines), json.loads(lines[0])) == (3000, first)


def test_problems_go_to_a_csv_file(dataset: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (dataset / "events.csv").write_text("user_id,item_id,timestamp\nann,1,soon\nann,2,2024-05-31\n")
    file = out / "problems.csv"
    assert status_of("check", str(dataset), "--problems", str(file)) == 3
    assert "wrote 1 problems to" in capsys.readouterr().err
    with file.open(newline="") as rows:
        (row,) = csv.DictReader(rows)
    assert (row["row"], row["kind"], row["severity"]) == ("2", "bad timestamp", "error")


def test_a_file_of_problems_of_another_kind(dataset: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("check", str(dataset), "--problems", str(out / "problems.xlsx")) == 2
    assert "must end in .jsonl or .csv" in capsys.readouterr().err
    assert status_of("check", str(dataset), "--problems", str(out / "gone" / "problems.csv")) == 2
    assert "name another file" in capsys.readouterr().err


def test_an_empty_folder_is_reported_not_raised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("check", str(tmp_path)) == 3
    assert "there is no items table" in capsys.readouterr().out


def test_no_such_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("check", str(tmp_path / "nowhere")) == 3
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: the dataset")


def test_how_columns_are_read_and_items_are_worded(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = 'item_id,title,description,price\n1,One,<b>Soft</b> &amp; warm,"1.299,00 €"\n2,Two,,"12,50 €"\n'
    (dataset / "items.csv").write_text(table, encoding="utf-8")
    assert status_of("check", str(dataset)) == 0
    out = capsys.readouterr().out
    assert "1.299,00 € -> 1299; 12,50 € -> 12.5" in out
    assert "One. Soft & warm\n" in out
    assert status_of("check", str(dataset), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["columns"][0]["kind"] == "number-comma"
    assert document["columns"][0]["examples"] == [["1.299,00 €", "1299"], ["12,50 €", "12.5"]]
    assert document["words"] == [{"item_id": "1", "text": "One. Soft & warm"}, {"item_id": "2", "text": "Two"}]
