"""SIGTERM to real commands: exit status 143, a line that says how to go on, nothing half-written, nobody left over."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmrec.bundle import open_bundle
from mmrec.demo import write_demo_dataset
from tests.cli.test_full_disk import EVENTS, ITEMS
from tests.commands import Command, run, start
from tests.conftest import subprocess_environment

pytestmark = pytest.mark.slow(80)


def members(group: int) -> list[str]:
    """Command lines of the living processes of a process group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def left_over(group: int, seconds: float) -> list[str]:
    """Those that still live after so many seconds; it returns as soon as there is none."""
    last = time.monotonic() + seconds
    while (found := members(group)) and time.monotonic() < last:
        time.sleep(0.02)
    return found


def end_at(process: Command, stage: str) -> str:
    """Send SIGTERM at the first line that begins with `stage`, and see it end; what it said on stderr."""
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(stage):
            process.send_signal(signal.SIGTERM)
            break
    done = process.finish()
    text = "".join(said) + done.stderr
    assert done.returncode == 143, text
    assert "Traceback" not in text
    assert "bug" not in text
    assert left_over(process.pid, seconds=10) == []
    return text


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "items.tsv").write_text(ITEMS, encoding="utf-8")
    (folder / "events.tsv").write_text(EVENTS, encoding="utf-8")
    return folder


def test_a_fit_says_that_the_same_command_goes_on_and_it_does(tmp_path: Path) -> None:
    write_demo_dataset(tmp_path / "shop", items=50, users=20)
    arguments = ["fit", tmp_path / "shop", "--out", tmp_path / "bundle", "--epochs", "2", "--device", "cpu"]
    for stage in ("looking at the pictures", "encoding pictures", "train:", "evaluate"):
        with start(*arguments) as process:
            text = end_at(process, stage)
        assert "the same command" in text.strip().splitlines()[-1] or "mmrec fit" in text.strip().splitlines()[-1]
        assert not (tmp_path / "bundle" / "CURRENT").exists()
        assert not (tmp_path / "bundle" / ".mmrec-staging").exists()
        assert list((tmp_path / "bundle").rglob("*.tmp")) == []
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    for name in ("words", "pictures", "fusion", "tokens"):
        assert f"kept from an earlier fit: {name}" in done.stderr
    assert open_bundle(tmp_path / "bundle").manifest.files


def test_a_fit_of_two_processes(shop: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "mmrec"]
    words += ["fit", str(shop), "--out", str(tmp_path / "bundle"), "--device", "cpu"]
    words += ["--epochs", "500", "--max-history", "4"]
    with subprocess.Popen(
        words, env=subprocess_environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("train:"):
                process.send_signal(signal.SIGTERM)
                break
        _, said = process.communicate(timeout=240)
        left = left_over(process.pid, seconds=30)
        if left:
            os.killpg(process.pid, signal.SIGKILL)
        assert left == []
    # torchrun has a traceback of its own for the signal; ours say where they stopped.
    assert "internal error" not in said
    assert "stopped as asked in pass" in said
    assert (tmp_path / "bundle" / ".fit" / "generator" / "training.safetensors").is_file()
    assert not (tmp_path / "bundle" / "CURRENT").exists()


def test_an_adaptation(demo_dataset: Path, tmp_path: Path) -> None:
    with start("adapt", demo_dataset, "--out", tmp_path / "adapted", "--epochs", "400") as process:
        text = end_at(process, "training:")
    assert "which is saved; the same command goes on" in text


def test_an_evaluation_leaves_no_part_of_a_report(demo_bundle: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    with start("evaluate", demo_bundle, "--report", report) as process:
        text = end_at(process, "evaluate")
    assert text.endswith("no file is half-written, and the same command starts again from the beginning\n")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_demo_takes_its_server_with_it(tmp_path: Path) -> None:
    with start(
        "demo", "--out", tmp_path / "demo", "--items", "50", "--users", "20", "--keep", "--port", "0"
    ) as process:
        end_at(process, "the server keeps running")


def test_an_import_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "ml-100k"
    source.mkdir()
    (source / "u.genre").write_text("\n".join(f"g{n}|{n}" for n in range(19)) + "\n")
    genres = "|0" * 19
    items = [f"{n}|Film {n} (1990)|01-Jan-1990||http://x{genres}" for n in range(1, 2000)]
    (source / "u.item").write_text("\n".join(items) + "\n", encoding="latin-1")
    (source / "u.data").write_text("".join(f"{u}\t{u % 1900 + 1}\t5\t{u}\n" for u in range(1, 600_000)))
    with start("import", "movielens", source, "--out", tmp_path / "out") as process:
        end_at(process, "films")
    assert [path.name for path in tmp_path.iterdir()] == ["ml-100k"]


def test_a_second_signal_ends_at_once(shop: Path, tmp_path: Path) -> None:
    with start("fit", shop, "--out", tmp_path / "bundle", "--epochs", "400") as process:
        for line in process.stderr:
            if line.startswith("train:"):
                break
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.finish().returncode in (143, -signal.SIGTERM)
