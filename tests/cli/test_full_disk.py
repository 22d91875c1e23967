"""Commands on a disk that is full, by the real command line: one sentence, exit status 4, and nothing half-written."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mmrec.bundle import open_bundle
from tests.commands import Done, run
from tests.conftest import fill_disk

pytestmark = pytest.mark.slow

ITEMS = "item_id\ttitle\n" + "".join(f"i{n}\tthing number {n}\n" for n in range(12))
EVENTS = "user_id\titem_id\tposition\n" + "".join(f"u{u}\ti{(u + n) % 12}\t{n}\n" for u in range(12) for n in range(6))


def last_line(done: Done) -> str:
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: cannot write ")
    assert "No space left on device; free disk space" in line
    return line


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "items.tsv").write_text(ITEMS, encoding="utf-8")
    (folder / "events.tsv").write_text(EVENTS, encoding="utf-8")
    return folder


def test_a_fit_that_finds_no_room_and_the_same_command_goes_on(shop: Path, new_disk: Callable[[str], Path]) -> None:
    disk = new_disk("400k")
    arguments = ["fit", shop, "--out", disk / "bundle", "--epochs", "1", "--device", "cpu"]
    # Each time the disk has grown, and the fit gets further.
    for stage, grown in ((".fit/fusion", "10m"), (".fit/generator/training", "26m"), (".mmrec-staging", "100m")):
        line = last_line(run(*arguments))
        assert str(disk) in line
        assert stage in line
        assert line.endswith("run the same command again to continue")
        assert not (disk / "bundle" / "CURRENT").exists()
        assert list((disk / "bundle").rglob("*.tmp")) == []
        subprocess.run(["mount", "-o", f"remount,size={grown}", str(disk)], check=True)
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert open_bundle(disk / "bundle").manifest.files
    for name in ("words", "fusion"):
        assert f"kept from an earlier fit: {name}" in done.stderr


def test_tensorboard_files_that_find_no_room(shop: Path, small_disk: Path, tmp_path: Path) -> None:
    fill_disk(small_disk / "filler")
    done = run("fit", shop, "--out", tmp_path / "bundle", "--epochs", "2", "--log-dir", small_disk / "runs")
    assert str(small_disk) in last_line(done)


@pytest.mark.parametrize("flag", ["--report", "--save-questions"])
def test_what_an_evaluation_writes(flag: str, demo_bundle: Path, small_disk: Path) -> None:
    target = small_disk / ("report" if flag == "--report" else "questions.parquet")
    fill_disk(small_disk / "filler")
    done = run("evaluate", demo_bundle, flag, target)
    assert str(target) in last_line(done)
    assert sorted(path.name for path in small_disk.rglob("*") if path.is_file() and path.stat().st_size) == ["filler"]


def test_an_import(tmp_path: Path, small_disk: Path) -> None:
    source = tmp_path / "ml-100k"
    source.mkdir()
    genres = "|0" * 19
    items = [
        f"{n}|Film number {n} with a long name {n * 'x'} (1990)|01-Jan-1990||http://x{genres}" for n in range(1, 900)
    ]
    (source / "u.item").write_text("\n".join(items) + "\n", encoding="latin-1")
    (source / "u.genre").write_text("\n".join(f"g{n}|{n}" for n in range(19)) + "\n")
    (source / "u.data").write_text("".join(f"{u}\t{u + 1}\t5\t{u}\n" for u in range(1, 800)))
    fill_disk(small_disk / "filler")
    done = run("import", "movielens", source, "--out", small_disk / "out", "--format", "csv")
    assert str(small_disk) in last_line(done)
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_a_demo(small_disk: Path) -> None:
    done = run("demo", "--out", small_disk / "demo", "--items", "400")
    assert "No space left on device" in last_line(done)


def test_an_adaptation(demo_dataset: Path, small_disk: Path) -> None:
    done = run("adapt", demo_dataset, "--out", small_disk / "adapted", "--epochs", "1")
    line = last_line(done)
    assert str(small_disk) in line
    assert line.endswith("run the same command again to continue")


def test_a_column_that_is_filled_in(demo_dataset: Path, demo_bundle: Path, small_disk: Path) -> None:
    fill_disk(small_disk / "filler")
    out = small_disk / "filled.csv"
    done = run("tag", demo_dataset, "--column", "category", "--bundle", demo_bundle, "--out", out)
    assert str(out) in last_line(done)


def test_standard_output(demo_bundle: Path) -> None:
    done = run("info", demo_bundle, stdout=Path("/dev/full"))
    assert "No space left on device" in last_line(done)
