"""`mmrec fit`, `mmrec evaluate` and `mmrec compare`, and what every command says of a damaged bundle."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run as run_command
from tests.commands import run_here

pytestmark = pytest.mark.slow


@pytest.fixture
def words_only(tmp_path: Path) -> Path:
    """Eight items without pictures, five users who walk through them in order."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    items = "".join(f"i{n}\tthing number {n}\n" for n in range(8))
    events = "".join(f"u{u}\ti{(u + n) % 8}\t{n}\n" for u in range(5) for n in range(5))
    (folder / "items.tsv").write_text("item_id\ttitle\n" + items, encoding="utf-8")
    (folder / "events.tsv").write_text("user_id\titem_id\tposition\n" + events, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def damaged(demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo bundle with one byte of its embeddings flipped."""
    copy = tmp_path_factory.mktemp("damaged") / "bundle"
    shutil.copytree(demo_bundle, copy)
    path = next(copy.glob("versions/*/embeddings.safetensors"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return copy


def test_fit_publishes_a_bundle_and_prints_its_figures(
    words_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    status, stdout, stderr = run_here(["fit", str(words_only), "--out", str(out), "--epochs", "1", "--json"], capsys)
    assert status == 0, stderr
    record = json.loads(stdout)
    assert record["bundle"] == str(out)
    assert {"fused", "generator", "popularity", "transitions", "item-knn", "graph-text"} <= {
        row["name"] for row in record["rows"]
    }
    assert (out / "CURRENT").read_text().strip() == record["version"]


@pytest.fixture(scope="module")
def evaluated(demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `mmrec evaluate` says and writes of the demo bundle, asked once with everything."""
    folder = tmp_path_factory.mktemp("evaluated")
    files = ["--report", folder / "report", "--save-questions", folder / "questions.parquet"]
    done = run_command("evaluate", demo_bundle, "--json", *files)
    assert done.returncode == 0, done.stderr
    return {"folder": folder, "json": json.loads(done.stdout), "stderr": done.stderr}


def test_evaluate_as_json_has_the_documented_keys(evaluated: dict[str, Any]) -> None:
    record = evaluated["json"]
    accuracy = {f"{metric}@{k}" for metric in ("recall", "ndcg", "mrr") for k in (5, 10, 20)}
    names = ("coverage", "novelty", "popularity-ratio", "gini", "diversity")
    lists = {f"{name}@{k}" for name in names for k in (5, 10, 20)}
    for row in record["rows"]:
        assert set(row) == {"name", "seen", "users", "intervals"} | accuracy | lists
        assert set(row["intervals"]) == accuracy
        for key, (low, high) in row["intervals"].items():
            assert low - 1e-9 <= row[key] <= high + 1e-9
    assert (record["split"], record["cutoffs"], record["items"]) == ("leave-one-out", [5, 10, 20], 60)
    assert {(part["by"], part["slice"]) for part in record["slices"]} >= {("training events of the answer", "1-4")}
    against = {one["against"] for one in record["comparisons"]}
    assert len(against) == 1
    assert against <= {"graph-text", "pair-counts", "item-knn", "transitions", "popularity"}


def test_a_beam_as_wide_as_the_catalogue_is_exact(evaluated: dict[str, Any]) -> None:
    beam = evaluated["json"]["beam"]
    assert (beam["questions"], beam["of"], beam["width"]) == (120, 120, 60)
    # Not to the last digit: the two add up in different orders, and near ties may fall either way.
    assert all(beam[f"overlap@{k}"] > 0.99 for k in (5, 10, 20))
    assert all(abs(one["value"]) < 0.01 for one in beam["differences"].values())


def test_evaluate_writes_a_report_with_plots(evaluated: dict[str, Any]) -> None:
    folder = evaluated["folder"] / "report"
    markdown, page = (folder / name for name in ("report.md", "report.html"))
    for title in ("Accuracy", "Against the best floor", "Groups of users", "Beam and exact ranking", "Training"):
        assert f"## {title}" in markdown.read_text()
        assert f"<h2>{title}</h2>" in page.read_text()
    figures = re.findall(r"\]\((figures/[^)]+)\)", markdown.read_text())
    assert len(figures) == page.read_text().count("<img ") >= 6
    assert all((folder / figure).is_file() for figure in figures)
    assert "http" not in re.sub(r'"data:[^"]*"', "", page.read_text())
    assert str(page) in evaluated["stderr"]


def test_compare_pairs_saved_questions_with_a_bundle(
    evaluated: dict[str, Any], demo_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = str(evaluated["folder"] / "questions.parquet")
    status, stdout, stderr = run_here(
        ["compare", saved, str(demo_bundle), "--report", str(tmp_path / "report"), "--json"], capsys
    )
    assert status == 0, stderr
    record = json.loads(stdout)
    assert record["bundles"] == [saved, str(demo_bundle)]
    same = [one for one in record["comparisons"] if one["against"] == saved]
    assert [(one["metric"], one["difference"], one["holm_permutation"]) for one in same] == [
        ("recall@10", 0.0, 1.0),
        ("ndcg@10", 0.0, 1.0),
    ]
    mine = [row for row in evaluated["json"]["rows"] if row["name"] == "fused"]
    assert [{**row, "name": "fused"} for row in record["rows"] if row["name"] == str(demo_bundle)] == mine
    assert "## Differences" in (tmp_path / "report" / "report.md").read_text()


def test_evaluate_prints_tables(demo_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, stdout, _ = run_here(
        ["evaluate", str(demo_bundle), "--quiet", "--cutoffs", "3,10", "--questions", "40", "--beam-sample", "5"],
        capsys,
    )
    assert status == 0
    for words in (
        "40 of 120 users, ranked among 60 items",
        "Recall@3",
        "NDCG@10",
        "item-knn",
        "coverage",
        "Against the best floor",
        "5 of 40 users",
    ):
        assert words in stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cutoffs", "5,61"], "60 items"),
        (["--cutoffs", "ten"], "--cutoffs is 'ten'"),
        (["--split", "random"], "leave-one-out, time"),
        (["--split", "time"], "has learned"),
        (["--questions", "-2"], "questions is -2"),
        (["--beam-sample", "-2"], "beam_sample is -2"),
        (["--report", __file__], "report folder"),
        (["--save-questions", "questions.csv"], ".parquet"),
    ],
)
def test_an_evaluation_that_cannot_be_done_says_why(
    demo_bundle: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, stdout, stderr = run_here(["evaluate", str(demo_bundle), "--quiet", *arguments], capsys)
    assert (status, stdout) == (2, "")
    assert words in stderr
    assert "Traceback" not in stderr


def test_a_fit_by_time_is_evaluated_by_time(
    words_only: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (words_only / "events.tsv").read_text().splitlines()[1:]
    timed = [line.split("\t") for line in lines]
    moments = [f"{u}\t{i}\t{1_600_000_000 + 100 * int(n) + int(u[1:])}\n" for u, i, n in timed]
    (words_only / "events.tsv").write_text("user_id\titem_id\ttimestamp\n" + "".join(moments), encoding="utf-8")
    out = tmp_path / "bundle"
    fitted = ["fit", str(words_only), "--out", str(out), "--epochs", "1", "--split", "time", "--relabel-ids", "--json"]
    status, stdout, stderr = run_here(fitted, capsys)
    assert status == 0, stderr
    rows = json.loads(stdout)["rows"]
    status, stdout, stderr = run_here(["evaluate", str(out), "--json"], capsys)
    assert status == 0, stderr
    record = json.loads(stdout)
    assert (record["rows"], record["split"]) == (rows, "time")
    assert "tenth of the time span" in next(out.glob("versions/*/MODEL_CARD.md")).read_text()
    status, _, stderr = run_here(["evaluate", str(out), "--split", "leave-one-out"], capsys)
    assert (status, "fitted on the split time" in stderr) == (2, True)
    # The ids of the bundle are none of the dataset's.
    status, _, stderr = run_here(["evaluate", str(out), str(words_only)], capsys)
    assert (status, "0 events of items that the bundle knows" in stderr) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--preset", "huge"], 2, "preset is 'huge'"),
        (["--require", "sound"], 2, "require"),
        (["--device", "tpu"], 2, "device is 'tpu'"),
        (["--dtype", "float8"], 2, "dtype is 'float8'"),
        (["--epochs", "-1"], 2, "epochs is -1"),
        (["--seed", "-1"], 2, "seed is -1"),
        (["--split", "random"], 2, "split is 'random'"),
        (["--split", "time"], 3, "needs times"),
        (["--template", "{colour}"], 2, "colour"),
        (["--language-model", "nobody/nothing"], 4, "neither a local folder nor a hub model"),
        (["--text-model", "/nowhere"], 4, "/nowhere"),
    ],
)
def test_a_fit_that_cannot_be_done_says_why(
    words_only: Path, tmp_path: Path, arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, stdout, stderr = run_here(["fit", str(words_only), "--out", str(tmp_path / "b"), *arguments], capsys)
    assert (found, stdout) == (status, "")
    assert words in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "b" / "CURRENT").exists()


def test_a_dataset_that_is_missing_or_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path / "missing", tmp_path):
        status, _, stderr = run_here(["fit", str(folder), "--out", str(tmp_path / "b")], capsys)
        assert status == 3
        assert str(folder) in stderr


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate"],
        ["compare", "other"],
        ["info"],
        ["serve", "--port", "0"],
        ["recommend", "--user", "c0001"],
        ["similar", "p0001"],
        ["search", "--text", "mug"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_refuses_a_damaged_bundle_and_names_the_file(
    damaged: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, *rest = command
    status, stdout, stderr = run_here([name, str(damaged), *rest], capsys)
    assert (status, stdout) == (4, "")
    assert "embeddings.safetensors" in stderr
    assert "Traceback" not in stderr
