"""Tables that are printed and stored, rows that are kept, and intervals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.intervals import Estimate, mean_estimate, ratio_estimate, resample_weights, share_estimate, shown
from benchmarks.options import Options
from benchmarks.report import Machine, Report, file_hashes, installed_versions
from benchmarks.rows import Rows


def _report(**changes: Any) -> Report:
    whole = {
        "name": "speed",
        "conditions": "Two rows.",
        "columns": ("contender", "items/s", "note"),
        "rows": [("ours", 1234.5678, None), ("theirs", 7.25, "slow")],
        "data": {"set/items.tsv": "0123456789abcdef"},
        "versions": {"peer": "1.2"},
        "details": {"repeats": [1, 2]},
        "notes": ["Said below."],
    }
    return Report(**(whole | changes))


def test_a_report_is_a_table_and_a_record_with_machine_versions_and_hashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _report().publish(tmp_path)
    record = json.loads(path.read_text(encoding="utf-8"))
    table = path.with_suffix(".md").read_text(encoding="utf-8")
    assert path.name == f"{record['date']}-speed.json"
    assert record["rows"] == [
        {"contender": "ours", "items/s": 1234.5678, "note": None},
        {"contender": "theirs", "items/s": 7.25, "note": "slow"},
    ]
    assert record["data"] == {"set/items.tsv": "0123456789abcdef"}
    assert record["details"] == {"repeats": [1, 2]}
    assert record["other_versions"] == {"peer": "1.2"}
    assert record["versions"] == installed_versions()
    assert record["machine"]["cores"] == Machine.here().cores
    assert {"processor", "flags", "memory_gib", "gpu", "system"} <= set(record["machine"])
    assert "| ours | 1,234.6 |  |\n| theirs | 7.250 | slow |\n" in table
    assert "SHA-256 of the data: set/items.tsv: 0123456789ab\n" in table
    assert "The peer's environment: peer 1.2\n" in table
    assert table.endswith("\n\nSaid below.\n")
    assert capsys.readouterr().out.strip() == table.strip()


def test_a_rehearsal_says_so(tmp_path: Path) -> None:
    path = _report(rehearsal=True).publish(tmp_path)
    assert json.loads(path.read_text(encoding="utf-8"))["rehearsal"] is True
    assert path.with_suffix(".md").read_text(encoding="utf-8").startswith("# speed (quick run: a rehearsal")


def test_a_row_with_a_cell_too_few_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shorter"):
        _report(rows=[("ours", 1.0)]).publish(tmp_path)


def test_rows_of_a_run_that_was_cut_short_are_kept_until_the_table_is_out(tmp_path: Path) -> None:
    measured = []

    def work() -> dict[str, Any]:
        measured.append(1)
        return {"items/s": 3.5}

    first = Rows("speed", Options(), {"size": 1}, tmp_path)
    assert first.measure("ours", work) == {"items/s": 3.5}
    with first.path.open("a", encoding="utf-8") as file:
        file.write('{"label": "theirs", "ro')  # killed while it was written
    again = Rows("speed", Options(), {"size": 1}, tmp_path)
    assert again.measure("ours", work) == {"items/s": 3.5}
    assert len(measured) == 1
    assert Rows("speed", Options(), {"size": 2}, tmp_path).path != again.path
    again.finish()
    assert list(tmp_path.iterdir()) == []
    Rows("speed", Options(), {"size": 1}, tmp_path).measure("ours", work)
    Rows("speed", Options(fresh=True), {"size": 1}, tmp_path).measure("ours", work)
    assert len(measured) == 3


def test_hashes_follow_the_bytes_and_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"a")
    (tmp_path / "items.tsv").write_bytes(b"rows")
    before = file_hashes(tmp_path, "items.tsv", "images")
    assert list(before) == [f"{tmp_path.name}/items.tsv", f"{tmp_path.name}/images"]
    (tmp_path / "images" / "a.jpg").rename(tmp_path / "images" / "b.jpg")
    after = file_hashes(tmp_path, "items.tsv", "images")
    assert before[f"{tmp_path.name}/items.tsv"] == after[f"{tmp_path.name}/items.tsv"]
    assert before[f"{tmp_path.name}/images"] != after[f"{tmp_path.name}/images"]


def test_intervals_hold_the_figure_and_narrow_with_more_units() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(0.5, 0.1, 30), rng.normal(0.5, 0.1, 3000)
    wide = mean_estimate(few, resample_weights(30, 500))
    narrow = mean_estimate(many, resample_weights(3000, 500))
    assert wide.low < wide.value < wide.high
    assert narrow.high - narrow.low < 0.2 * (wide.high - wide.low)
    assert narrow.high - narrow.low == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(3000), rel=0.15)
    constant = mean_estimate(np.full(10, 0.25), resample_weights(10, 50))
    assert constant == Estimate(0.25, 0.25, 0.25)


def test_a_ratio_weighs_units_by_their_questions() -> None:
    estimate = ratio_estimate(np.array([1.0, 0.0]), np.array([1.0, 3.0]), resample_weights(2, 200))
    assert estimate.value == 0.25
    assert estimate.low <= 0.25 <= estimate.high


def test_the_interval_of_a_share_is_wilsons() -> None:
    estimate = share_estimate(0.9, 100)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (0.8256, 0.9448)
    assert share_estimate(1.0, 10).high == pytest.approx(1.0)
    assert shown(Estimate(0.1, -0.05, 0.25), sign=True) == "+0.100 [-0.050, +0.250]"


def test_the_benchmarks_are_named_by_help_and_an_unknown_one_is_refused(project_root: Path) -> None:
    from benchmarks.__main__ import BENCHMARKS

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"], cwd=project_root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in BENCHMARKS:
        assert f"  {name} " in done.stdout
        assert (project_root / "benchmarks" / f"{name.replace('-', '_')}.py").is_file()
    wrong = subprocess.run(
        [sys.executable, "-m", "benchmarks", "nothing"], cwd=project_root, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "no benchmark is called 'nothing'" in wrong.stderr
