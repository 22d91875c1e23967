"""What README.md shows is run here: the Python blocks, the `bash` blocks, and the tables beside their source.

Of the blocks marked `sh`, the one from a release to a server is run on a release the test writes; `make` is not run
from inside `make test`.
"""

from __future__ import annotations

import ast
import re
import runpy
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmrec.cli import EXIT_CODES, app
from tests.commands import run, start
from tests.data.importers.shop_files import write_events, write_feed_xml, write_orders, write_shopify

pytestmark = pytest.mark.slow

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
ADDRESS = "localhost:50051"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def after_the_demo(demo_dataset: Path, demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks as `make demo` leaves it."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "demo-output").mkdir()
    (folder / "demo-output" / "dataset").symlink_to(demo_dataset, target_is_directory=True)
    (folder / "demo-output" / "bundle").symlink_to(demo_bundle, target_is_directory=True)
    return folder


def _command(words: list[str], folder: Path) -> str:
    """Run a command line that begins with ``mmrec``."""
    assert words[0] == "mmrec"
    done = run(*words[1:], cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_session_with_a_server_runs_as_written(
    demo_server: str, after_the_demo: Path, child_environment: dict[str, str]
) -> None:
    (session,) = [block for block in _blocks("python") if "Client(" in block]
    assert session.count(ADDRESS) == 1
    code = session.replace(ADDRESS, demo_server)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=after_the_demo,
        env=child_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert printed[0] == "60 items"
    assert len(printed) == 1 + 3 + 5


def test_the_session_in_process_runs_as_written(
    after_the_demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (session,) = [block for block in _blocks("python") if "Recommender" in block]
    (tmp_path / "session.py").write_text(session, encoding="utf-8")
    monkeypatch.chdir(after_the_demo)
    runpy.run_path(str(tmp_path / "session.py"))
    (printed,) = capsys.readouterr().out.splitlines()
    assert len(ast.literal_eval(printed)) == 5


@pytest.mark.parametrize("line", [line for block in _blocks("bash") for line in block.splitlines() if line])
def test_a_command_of_the_readme_runs(line: str, after_the_demo: Path) -> None:
    words = shlex.split(line, comments=True)
    assert words[0] == "mmrec"
    assert _command(words, after_the_demo) != ""


def test_every_mmrec_command_of_the_readme_exists_with_its_flags(capsys: pytest.CaptureFixture[str]) -> None:
    for block in _blocks("sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["mmrec"]:
                continue
            with pytest.raises(SystemExit):
                app.run([words[1], "--help"])
            shown = capsys.readouterr().out
            assert [word for word in words if word.startswith("--") and f"{word} " not in shown] == [], line


def test_the_table_of_commands_has_them_all_in_order() -> None:
    assert re.findall(r"^\| `mmrec ([\w-]+)` \|", README, re.MULTILINE) == list(app.COMMANDS)


def test_the_table_of_exit_codes_is_the_one_of_the_command_line() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE)
    assert {int(code): words for code, words in rows} == EXIT_CODES


def test_the_first_screen_has_the_two_commands_and_a_session() -> None:
    first_screen = "\n".join(README.splitlines()[:45])
    for shown in ("make demo", "make test", "pip install", "from mmrec import Client", "client.recommend("):
        assert shown in first_screen


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """A folder with a MovieLens-100K release of twelve films and eight users."""
    release = tmp_path / "ml-100k"
    release.mkdir()
    flags = "|".join("0" * 19)
    films = "".join(f"{n}|Film {n} (199{n % 10})|01-Jan-1995||http://films/{n}|{flags}\n" for n in range(1, 13))
    (release / "u.item").write_text(films, encoding="latin-1")
    ratings = "".join(f"{u}\t{(u + n) % 12 + 1}\t{n % 5 + 1}\t{881250000 + n}\n" for u in range(1, 9) for n in range(6))
    (release / "u.data").write_text(ratings, encoding="latin-1")
    genres = "\n".join(f"genre{n}|{n}" for n in range(19))
    (release / "u.genre").write_text(genres + "\n", encoding="latin-1")
    (release / "u.user").write_text("".join(f"{u}|30|F|writer|12345\n" for u in range(1, 9)), encoding="latin-1")
    return tmp_path


def test_from_a_release_to_a_server_as_written(own_data: Path) -> None:
    (block,) = [block for block in _blocks("sh") if "mmrec import movielens" in block]
    *commands, serve = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert [words[1] for words in commands] == ["import", "check", "fit", "evaluate"]
    for words in commands:
        _command(words, own_data)
    with start(*serve[1:], cwd=own_data) as server:
        assert server.stdout.readline().strip().endswith(":50051")
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0


@pytest.mark.parametrize("kind", ["shopify", "google-merchant"])
def test_from_a_shops_files_to_a_checked_dataset_as_written(kind: str, tmp_path: Path) -> None:
    """All but fetching from hosts that are not here, and fitting, which tests/training/test_fit_of_a_shop.py does."""
    (block,) = [block for block in _blocks("sh") if f"mmrec import {kind}" in block]
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert [words[1] for words in commands] == ["import", "fetch", "check", "fit"]
    write_shopify(tmp_path / "products_export.csv")
    write_orders(tmp_path / "orders_export.csv")
    write_feed_xml(tmp_path / "feed.xml")
    write_events(tmp_path / "events.csv")
    for words in (commands[0], commands[2]):
        _command(words, tmp_path)
    hosts = [words[words.index("--hosts") + 1] for words in commands if "--hosts" in words]
    assert hosts == [{"shopify": "cdn.shopify.com", "google-merchant": "img.shop.example"}[kind]]
    assert commands[2][2] == commands[3][2] == commands[1][2] == commands[0][-1]
