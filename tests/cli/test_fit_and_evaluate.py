"""`mmrec fit` and `mmrec evaluate`, and what every command says of a damaged bundle."""

import json
import shutil
from pathlib import Path

import pytest

from mmrec.cli import main


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


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
    status, stdout, stderr = run(["fit", str(words_only), "--out", str(out), "--epochs", "1", "--json"], capsys)
    assert status == 0, stderr
    record = json.loads(stdout)
    assert record["bundle"] == str(out)
    assert {"fused", "generator", "popularity", "transitions", "item-knn", "graph-text"} <= {
        row["name"] for row in record["rows"]
    }
    assert (out / "CURRENT").read_text().strip() == record["version"]


def test_evaluate_as_json_has_the_documented_keys(demo_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, stdout, _ = run(["evaluate", str(demo_bundle), "--json"], capsys)
    assert status == 0
    for row in json.loads(stdout)["rows"]:
        assert set(row) == {"name", "seen", "recall@5", "recall@10", "ndcg@5", "ndcg@10", "users"}


def test_evaluate_prints_one_table(demo_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, stdout, _ = run(["evaluate", str(demo_bundle), "--quiet"], capsys)
    assert status == 0
    assert "Recall@10" in stdout
    assert "item-knn" in stdout


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--preset", "huge"], 2, "preset is 'huge'"),
        (["--require", "sound"], 2, "require"),
        (["--device", "tpu"], 2, "device is 'tpu'"),
        (["--dtype", "float8"], 2, "dtype is 'float8'"),
        (["--epochs", "-1"], 2, "epochs is -1"),
        (["--seed", "-1"], 2, "seed is -1"),
        (["--template", "{colour}"], 2, "colour"),
        (["--language-model", "nobody/nothing"], 4, "neither a local folder nor a hub model"),
        (["--text-model", "/nowhere"], 4, "/nowhere"),
    ],
)
def test_a_fit_that_cannot_be_done_says_why(
    words_only: Path, tmp_path: Path, arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, stdout, stderr = run(["fit", str(words_only), "--out", str(tmp_path / "b"), *arguments], capsys)
    assert (found, stdout) == (status, "")
    assert words in stderr
    assert "Traceback" not in stderr
    assert not (tmp_path / "b" / "CURRENT").exists()


def test_a_dataset_that_is_missing_or_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path / "missing", tmp_path):
        status, _, stderr = run(["fit", str(folder), "--out", str(tmp_path / "b")], capsys)
        assert status == 3
        assert str(folder) in stderr


@pytest.mark.parametrize(
    "command",
    [
        ["evaluate"],
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
    status, stdout, stderr = run([name, str(damaged), *rest], capsys)
    assert (status, stdout) == (4, "")
    assert "embeddings.safetensors" in stderr
    assert "Traceback" not in stderr
