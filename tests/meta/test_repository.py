"""Rules that hold for the project's files as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import mmrec

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "mmrec": ROOT / "mmrec",
    "mmrec_encoders": ROOT / "encoders" / "mmrec_encoders",
    "mmrec_serving": ROOT / "serving" / "mmrec_serving",
}
SOURCES = sorted(path for folder in PACKAGES.values() for path in folder.rglob("*.py"))


def _project_files() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("not a git checkout, so which files belong to the project cannot be told")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _calls(tree: ast.Module) -> list[tuple[str, dict[str, str]]]:
    """Every call of a module: what is called, and its keyword arguments, as source text."""
    return [
        (ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg})
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def _imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_no_file_names_a_folder_of_one_persons_machine() -> None:
    # Put together here, so that this file does not contain them.
    folders = re.compile("|".join(re.escape(f"/{name}/") for name in ("work", "root")) + r"|/home/\w+/|/Users/\w+/")
    found = {}
    for path in _project_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if hits := folders.findall(text):
            found[str(path.relative_to(ROOT))] = hits
    assert found == {"tests/meta/test_repository.py": [r"/home/\w+/"]} or found == {}


def test_nothing_large_is_in_the_project() -> None:
    large = {str(path.relative_to(ROOT)): path.stat().st_size for path in _project_files()}
    assert {name: size for name, size in large.items() if size > 1_000_000} == {}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_runs_code_that_comes_with_data(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert _imported(tree) & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"} == set()
    for function, words in _calls(tree):
        assert function not in {"eval", "exec", "torch.jit.load", "yaml.load"}
        assert function != "torch.load" or words.get("weights_only") == "True"
        assert words.get("trust_remote_code", "False") == "False"
        assert words.get("allow_pickle", "False") == "False"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_environment_is_read_at_the_entry_point_and_for_from_env_only(path: Path) -> None:
    if path in (ROOT / "mmrec" / "cli" / "__init__.py", ROOT / "mmrec" / "sdk" / "environment.py"):
        pytest.skip("this is the entry point, or what a caller of Client.from_env asks to be read")
    used = {
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert used & {"os.environ", "os.getenv", "os.putenv"} == set()


def test_the_version_is_the_same_everywhere_and_has_a_changelog_entry() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert mmrec.__version__ == project["version"]
    assert re.findall(r"^## \[?([^\]\s]+)\]?", changelog, re.MULTILINE)[:2] == [
        "Unreleased",
        mmrec.__version__,
    ]


def test_every_path_that_the_documents_name_exists() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
        assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_ci_runs_what_a_developer_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^make \w+$", script, re.MULTILINE) == ["make lint", "make test"]
    assert "set -euo pipefail" in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"demo", "test", "lint", "protos", "bench"} <= set(targets)


@pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed")
def test_the_wheel_has_exactly_the_three_packages(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name == f"mmrec-{mmrec.__version__}-py3-none-any.whl"
    information = f"mmrec-{mmrec.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, information}
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert f"{information}/licenses/LICENSE" in names
    assert sorted(name for name in names if name.endswith(".py")) == sorted(
        str(Path(package) / path.relative_to(folder))
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*.py")
    )
