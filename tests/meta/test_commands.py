"""Every command is a file of its own, explains itself with an example, and speaks the same way."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mmrec.cli import app, main

NAMES = (
    "demo",
    "import",
    "fetch",
    "check",
    "adapt",
    "embed",
    "prepare",
    "prompt",
    "fit",
    "evaluate",
    "compare",
    "recommend",
    "rank",
    "chat",
    "explain",
    "embed-user",
    "rate",
    "similar",
    "search",
    "tag",
    "duplicates",
    "mismatch",
    "serve",
    "top",
    "bench-server",
    "upsert",
    "record",
    "events",
    "forget",
    "delete",
    "fold",
    "rollback",
    "info",
)
GROUPED = (
    "index stats",
    "index path",
    "index items",
    "index verify",
    "keys new",
    "keys list",
    "models list",
    "models get",
)
COMPUTING = (
    "demo",
    "adapt",
    "embed",
    "prompt",
    "fit",
    "evaluate",
    "compare",
    "recommend",
    "rank",
    "chat",
    "explain",
    "embed-user",
    "rate",
    "similar",
    "search",
    "tag",
    "duplicates",
    "mismatch",
    "serve",
    "info",
)


@pytest.fixture(params=[*NAMES, *GROUPED])
def name(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


def _help(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    return out


def test_there_are_exactly_these_commands() -> None:
    assert tuple(app.COMMANDS) == NAMES
    assert tuple(f"{word} {name}" for word, group in app.GROUPS.items() for name in group.commands) == GROUPED


@pytest.mark.parametrize("word", ["index", "keys", "models"])
def test_a_group_has_a_file_with_its_commands_and_says_what_it_is_for(
    word: str, project_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = app.GROUPS[word]
    tree = ast.parse((project_root / "mmrec" / "cli" / f"{word}.py").read_text(encoding="utf-8"))
    public = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
    assert public == list(group.commands)
    shown = _help(word, capsys)
    assert group.help in shown
    assert [name for name in public if f"  {name} " not in shown] == []
    assert f"  {word} " in _help("", capsys)


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_a_file_with_one_public_function(name: str, project_root: Path) -> None:
    module = "import_" if name == "import" else name.replace("-", "_")
    tree = ast.parse((project_root / "mmrec" / "cli" / f"{module}.py").read_text(encoding="utf-8"))
    public = [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
    assert public == [module]
    assert app.COMMANDS[name].__module__ == f"mmrec.cli.{module}"


def test_the_help_of_a_command_has_an_example_whose_flags_exist(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = _help(name, capsys)
    examples = re.findall(rf"^ +(?:\$ )?(mmrec {name}\b.*)$", shown, re.MULTILINE)
    assert examples, shown
    for example in examples:
        words = shlex.split(example, comments=True)
        flags = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert {flag for flag in flags if f"{flag} " not in shown and f"{flag}\n" not in shown} == set()


def test_every_command_can_speak_json_and_be_quiet(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = _help(name, capsys)
    assert "--json " in shown
    assert "-q, --quiet " in shown


@pytest.mark.parametrize("computing", COMPUTING)
def test_every_command_that_computes_takes_a_device_and_a_number_format(
    computing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = _help(computing, capsys)
    assert "--device " in shown
    assert "--dtype " in shown


def test_no_help_text_leaks_the_notation_of_docstrings(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = _help(name, capsys)
    assert re.findall(r"``|:class:|Args:|Raises:|\\b", shown) == []


def test_no_command_loads_torch_to_show_its_help(child_environment: dict[str, str]) -> None:
    code = "from mmrec.cli import app; import sys; print(sorted({'torch', 'faiss'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
