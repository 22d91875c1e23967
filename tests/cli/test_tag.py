"""`mmrec tag`: labels for items on a bundle and on a server, and an imputed column of a dataset."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmrec.data.dataset import read_dataset
from mmrec.data.tables import read_table
from mmrec.data.writing import write_table
from tests.commands import run_here

pytestmark = pytest.mark.slow(10)

KINDS = "lamp,mug,clock,armchair,backpack,umbrella"


@pytest.fixture(scope="module")
def half_known(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's dataset with the category of every second item left out."""
    folder = tmp_path_factory.mktemp("half") / "dataset"
    shutil.copytree(demo_dataset, folder)
    (items,) = folder.glob("items.*")
    columns = {name: column.to_pylist() for name, column in _columns(items).items()}
    columns["category"] = [value if row % 2 else "" for row, value in enumerate(columns["category"])]
    items.unlink()
    import pyarrow as pa

    write_table(folder / "items.csv", pa.table({name: pa.array(v, pa.string()) for name, v in columns.items()}))
    return folder


def _columns(path: Path) -> dict:
    return dict(read_table(path).columns)


# --- labels for items ---


def test_labels_for_items_of_the_catalogue(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["tag", *place, "--items", "p0001,nonsense,p0002", "--labels", KINDS, "--k", "2", "--json"]
    status, out, err = run_here(asked, capsys)
    assert (status, err) == (0, "not in the catalogue, skipped: nonsense\n")
    reply = json.loads(out)
    assert [entry["item_id"] for entry in reply["items"]] == ["p0001", "p0002"]
    assert all(len(entry["tags"]) == 2 for entry in reply["items"])
    assert reply["missing_ids"] == ["nonsense"]
    assert reply["calibration"]["calibrated"] is False


def test_an_item_s_words_name_it(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["tag", *place, "--text", "an oak lamp", "--labels", KINDS, "--k", "1"], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "Labels, with probabilities (not calibrated: use them for ranking only)"
    assert out.splitlines()[3].split()[:2] == ["1", "lamp"]


def test_a_column_s_values_are_labels_with_calibrated_probabilities(
    place: list[str], demo_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = sorted((demo_dataset / "images").iterdir())[0]
    asked = ["tag", *place, "--picture", str(picture), "--text", "a camping lamp", "--column", "category", "--json"]
    status, out, err = run_here(asked, capsys)
    assert (status, err) == (0, "")
    reply = json.loads(out)
    categories = set(read_dataset(demo_dataset).catalogue.attributes["category"])
    assert {tag["label"] for tag in reply["items"][0]["tags"]} <= categories
    assert reply["calibration"]["calibrated"] is True
    assert reply["calibration"]["rows"] > 0
    assert 0 <= reply["calibration"]["accuracy"] <= 1


def test_labels_from_a_file(place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.txt").write_text("lamp\n\nmug, enamel\n", encoding="utf-8")
    asked = ["tag", *place, "--text", "lamp", "--labels-file", str(tmp_path / "labels.txt"), "--json"]
    status, out, _ = run_here(asked, capsys)
    assert status == 0
    assert sorted(tag["label"] for tag in json.loads(out)["items"][0]["tags"]) == ["lamp", "mug, enamel"]


def test_a_file_that_is_no_picture_is_refused_by_field(
    place: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words.jpg").write_bytes(b"not a picture at all")
    status, out, err = run_here(["tag", *place, "--picture", str(tmp_path / "words.jpg"), "--labels", "a,b"], capsys)
    assert (status, out) == (2, "")
    assert "items[0]" in err


def test_a_column_that_is_not_there(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["tag", *place, "--items", "p0001", "--column", "colour"], capsys)
    assert (status, out) == (2, "")
    assert "'colour'" in err
    assert "category" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--server", "localhost:1", "--labels", "a,b"], "none of --items, --text and --picture"),
        (["--server", "localhost:1", "--text", "a"], "neither labels nor column is given"),
        (["--server", "localhost:1", "--text", "a", "--labels", "a", "--column", "b"], "both labels and column"),
        (["--server", "localhost:1", "--text", "a", "--labels", "a,a"], "labels[1] is 'a' again"),
        (["--server", "localhost:1", "--text", "a", "--labels", "a", "--template", "x"], "{label}"),
        (["--server", "localhost:1", "--text", "a", "--labels", "a", "--modality", "smell"], "modality is 'smell'"),
        (["--server", "localhost:1", "--text", "a", "--labels", "a", "--min-confidence", "0.5"], "--min-confidence"),
        (["--text", "a", "--labels", "a"], "neither a bundle nor --server is given"),
    ],
)
def test_a_mistake_in_the_flags_ends_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_here(["tag", *arguments], capsys)
    assert (status, out) == (2, "")
    assert message in err


def test_a_folder_that_is_neither_a_bundle_nor_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["tag", str(tmp_path), "--column", "colour"], capsys)
    assert (status, out) == (3, "")
    assert "neither a bundle" in err
    status, out, err = run_here(["tag", str(tmp_path / "nowhere"), "--column", "colour"], capsys)
    assert (status, out) == (3, "")
    assert "nowhere" in err


# --- a column of a dataset ---


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_a_column_is_filled_into_a_file(
    half_known: Path, demo_bundle: Path, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out_file = tmp_path / f"filled.{suffix}"
    asked = ["tag", str(half_known), "--column", "category", "--bundle", str(demo_bundle), "--out", str(out_file)]
    status, out, err = run_here([*asked, "--modality", "words", "--json", "--quiet"], capsys)
    assert (status, err) == (0, "")
    summary = json.loads(out)
    assert (summary["items"], summary["given"], summary["filled"], summary["empty"]) == (60, 30, 30, 0)
    rows = _rows(out_file)
    assert [row["item_id"] for row in rows[:2]] == ["p0001", "p0002"]
    truth = read_dataset(half_known).catalogue.attributes["category"]
    assert [row["value"] for row in rows if row["source"] == "given"] == [value for value in truth if value]
    assert all(row["value"] and 0 <= float(row["confidence"]) <= 1 for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == [out_file.name]


def _rows(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in lines]
    return list(csv.DictReader(lines, delimiter="," if path.suffix == ".csv" else "\t"))


def test_what_is_filled_is_mostly_right_and_unsure_ones_stay_empty(
    half_known: Path, demo_dataset: Path, demo_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["tag", str(half_known), "--column", "category", "--bundle", str(demo_bundle), "--json", "--quiet"]
    status, out, _ = run_here(asked, capsys)
    assert status == 0
    truth = read_dataset(demo_dataset).catalogue.attributes["category"]
    values = json.loads(out)["values"]
    filled = [(row["value"], right) for row, right in zip(values, truth, strict=True) if row["source"] == "filled"]
    assert sum(value == right for value, right in filled) >= 20
    status, out, _ = run_here([*asked, "--modality", "words", "--min-confidence", "1.0"], capsys)
    assert status == 0
    assert {row["source"] for row in json.loads(out)["values"]} <= {"given", "empty", "filled"}
    assert json.loads(out)["empty"] > 0


def test_words_alone_need_no_bundle(half_known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["tag", str(half_known), "--column", "category", "--modality", "words", "-q"], capsys)
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "Column category"
    assert "Filled in (the first 20 of 30; --out writes all)" in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "--column is not given"),
        (["--column", "colour"], 2, "column is 'colour'"),
        (["--column", "title"], 2, "column is 'title'"),
        (["--column", "category", "--items", "p0001"], 2, "--items is given"),
        (["--column", "category", "--out", "filled.xlsx"], 2, ".parquet, .csv, .tsv, .jsonl"),
        (["--column", "category", "--modality", "smell"], 2, "modality is 'smell'"),
        (["--column", "category", "--bundle", "a", "--encoders", "b"], 2, "pass one of them"),
        (["--column", "category", "--bundle", "nowhere"], 3, "nowhere"),
    ],
)
def test_a_mistake_about_a_dataset(
    arguments: list[str], status: int, message: str, half_known: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_here(["tag", str(half_known), *arguments, "-q"], capsys)
    assert (code, out) == (status, "")
    assert message in err
