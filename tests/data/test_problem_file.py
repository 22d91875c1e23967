"""The file of all findings: whole lines in both formats, and refusals that name the file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mmrec.data.problem_file import ProblemFile
from mmrec.data.problems import Problem
from mmrec.errors import FailedPreconditionError, InvalidArgumentError

FINDINGS = [
    Problem("a.csv", 2, "item_id", "unknown item", "item_id 'é, \"x\"' is not there\nat all"),
    Problem("", 0, "", "missing table", "none", severity="warning"),
]


def test_json_lines_and_csv_hold_the_same(tmp_path: Path) -> None:
    for suffix in (".jsonl", ".csv"):
        with ProblemFile(tmp_path / f"p{suffix}") as file:
            file.write(FINDINGS[:1])
            file.write(FINDINGS[1:])
        assert file.written == 2
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as rows:
        read = list(csv.DictReader(rows))
    assert [{**row, "row": int(row["row"])} for row in read] == lines
    assert Problem(**lines[0]) == FINDINGS[0]


@pytest.mark.parametrize("name", ["p.txt", "gone/p.csv", "folder.csv"])
def test_a_file_that_cannot_be_is_refused_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidArgumentError):
        ProblemFile(tmp_path / name)


def test_a_full_disk_is_told_in_a_sentence() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")

    class _Full(type(full)):  # type: ignore[misc]
        suffix = ".csv"

    with pytest.raises(FailedPreconditionError, match="/dev/full"), ProblemFile(_Full(full)) as file:
        file.write(FINDINGS * 10_000)
