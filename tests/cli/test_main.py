"""Every way the command line ends, and the exit status it ends with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmrec.cli import EXIT_CODES, app, main
from mmrec.errors import BundleError, FieldViolation, InvalidArgumentError, UnavailableError
from tests.commands import status_of
from tests.meta.test_commands import NAMES


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Puts a function of the test in the place of `mmrec info`."""

    def put(function: Callable[[], None]) -> None:
        monkeypatch.setitem(app.COMMANDS, "info", function)

    return put


def _raising(err: BaseException) -> Callable[[], None]:
    def function() -> None:
        """Fail."""
        raise err

    return function


# --- help, version, usage ---


def test_help_names_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--help") == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^  ([a-z][a-z-]*)  ", shown, re.MULTILINE) == [*NAMES, "index", "keys", "models"]
    for code, words in EXIT_CODES.items():
        assert f"    {code:<4} {words}" in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out == "mmrec 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["info", "--nonsense"], "No such option: --nonsense"),
        (["similar"], "Missing argument"),
        (["recommend", "bundle", "--k", "ten"], "'--k' / '-k'"),
        ([], "Usage: mmrec"),
    ],
)
def test_a_usage_error_ends_with_2_and_says_so_on_stderr_alone(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_help_loads_neither_torch_nor_any_other_heavy_module(child_environment: dict[str, str]) -> None:
    code = """if True:
        import sys
        from mmrec.cli import main
        try:
            main(["--help"])
        except SystemExit:
            pass
        heavy = {"torch", "transformers", "open_clip", "sentence_transformers", "faiss", "pyarrow", "scipy",
                 "PIL", "grpc", "numpy", "torchvision", "safetensors"}
        print("loaded:", sorted(heavy & set(sys.modules)), file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == "loaded: []\n"


def test_the_package_runs_as_a_module(child_environment: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-m", "mmrec", "--help"], env=child_environment, check=False, timeout=30)
    assert done.returncode == 0


# --- errors ---


def test_an_error_of_ours_ends_with_its_own_status(
    command: Callable[[Callable[[], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(_raising(BundleError("manifest.json is missing; fit again")))
    assert status_of("info") == 4
    assert capsys.readouterr() == ("", "error: manifest.json is missing; fit again\n")
    command(_raising(UnavailableError("no server at localhost:1")))
    assert status_of("info") == 5


def test_every_broken_field_is_named_once(
    command: Callable[[Callable[[], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(
        _raising(
            InvalidArgumentError(
                "2 items break a rule",
                violations=[
                    FieldViolation("items[0].image", "is empty"),
                    FieldViolation("items[3]", "has no words"),
                ],
            )
        )
    )
    assert status_of("info") == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: 2 items break a rule",
        "  items[0].image: is empty",
        "  items[3]: has no words",
    ]
    command(_raising(InvalidArgumentError("k is -1; it must be 0 or more", field="k")))
    assert status_of("info") == 2
    assert capsys.readouterr().err == "error: k is -1; it must be 0 or more\n"


def test_an_unforeseen_error_ends_with_1_and_leaves_its_traceback_in_a_file(
    command: Callable[[Callable[[], None]], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command(_raising(ZeroDivisionError("private words")))
    assert status_of("info") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("internal error: ZeroDivisionError; this is a bug in mmrec. The traceback is in ")
    assert "private words" not in err
    (log,) = tmp_path.glob("mmrec-*.log")
    assert str(log) in err
    assert "ZeroDivisionError: private words" in log.read_text()


def test_with_debug_the_traceback_is_shown_instead(
    command: Callable[[Callable[[], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(_raising(ZeroDivisionError("private words")))
    assert status_of("--debug", "info") == 1
    assert "ZeroDivisionError: private words" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(
    command: Callable[[Callable[[], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(_raising(KeyboardInterrupt()))
    assert status_of("info") == 130
    assert capsys.readouterr() == ("", "interrupted\n")


def test_a_missing_optional_package_names_its_extra(
    command: Callable[[Callable[[], None]], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)

    def needs_open_clip() -> None:
        """Import."""
        import open_clip  # noqa: F401

    command(needs_open_clip)
    assert status_of("info") == 4
    assert capsys.readouterr().err == (
        "error: this needs open_clip, which is not installed; run: pip install 'mmrec[encoders]'\n"
    )


def test_a_missing_module_of_our_own_is_a_bug_and_not_a_missing_extra(
    command: Callable[[Callable[[], None]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(_raising(ModuleNotFoundError("No module named 'mmrec.gone'", name="mmrec.gone")))
    assert status_of("info") == 1
    assert capsys.readouterr().err.startswith("internal error: ModuleNotFoundError")


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_core_extra_one_sentence_says_what_to_install(
    package: str, child_environment: dict[str, str]
) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from mmrec.cli import main; main(['info', 'bundle'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=child_environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert done.stdout == ""
    assert done.stderr == (
        f"error: the command line needs {package}, which is not installed; run: pip install 'mmrec[core]'\n"
    )


# --- streams and environment ---

_PRINTING = """if True:
    import sys
    from mmrec.cli import app, main
    from mmrec.cli.output import Output

    def info() -> None:
        Output(json="--json" in sys.argv).table("", ["title"], [["Amélie \u4e2d"]] * int(sys.argv[1]))
        Output(json=sys.argv[1] == "0").data(["Amélie"])

    app.COMMANDS["info"] = info
    main(["info"])
"""


def test_a_reader_that_leaves_early_ends_the_command_quietly(child_environment: dict[str, str]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _PRINTING, "10000"],
        env=child_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.read(10)
    child.stdout.close()
    complaint = child.stderr.read()
    child.stderr.close()
    assert child.wait(timeout=60) == 141
    assert complaint == b""


@pytest.mark.parametrize(("rows", "shown"), [("1", b"Am\\xe9lie \\u4e2d"), ("0", b'"Am\\u00e9lie"')])
def test_a_terminal_that_cannot_show_a_letter_gets_its_escape(
    rows: str, shown: bytes, child_environment: dict[str, str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PRINTING, rows],
        env={**child_environment, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert shown in done.stdout


def test_the_entry_point_sets_defaults_and_keeps_what_the_user_set(
    command: Callable[[Callable[[], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "debug")
    seen: dict[str, str] = {}

    def look() -> None:
        """Look."""
        seen.update(os.environ)

    command(look)
    assert status_of("info") == 0
    assert (seen["TOKENIZERS_PARALLELISM"], seen["TRANSFORMERS_VERBOSITY"]) == ("false", "debug")


def test_the_help_of_a_command_leaves_out_what_is_for_programmers() -> None:
    def function() -> None:
        """Do ``it``.

        Example:
            mmrec it
            mmrec it --twice

        Raises:
            NotFoundError: never.
        """

    assert app.help_text(function) == "Do it.\n\n\b\nExample:\n    mmrec it\n    mmrec it --twice"


@pytest.mark.parametrize("command", [["index", "path", "bundle"], ["similar", "bundle"], ["delete"]])
def test_an_id_that_begins_with_a_dash_is_told_where_to_stand(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "-5"])
    assert ended.value.code == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    name = " ".join(word for word in command if word != "bundle")
    assert f"put -- before it, after all options: mmrec {name} ... -- -5" in said
