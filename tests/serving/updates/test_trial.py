"""Versions of a bundle are tried in another process; whatever happens to it is a reason why one is not served."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mmrec.bundle import BundleWriter, open_bundle
from mmrec.errors import BundleError, FailedPreconditionError
from mmrec_serving.updates.trial import Trial
from tests.commands import Done, run_program
from tests.conftest import subprocess_environment

WAIT_S = 120
PROGRAM = Path(__file__).with_name("try_version.py")


@pytest.fixture(scope="module")
def version(demo_bundle: Path) -> Path:
    return open_bundle(demo_bundle).folder


# --- the server's side, with other processes --------------------------------------------------------------------------


def trial(code: str, seconds: float = 60.0) -> Trial:
    """A trial in a process that runs some lines of Python instead."""
    return Trial(seconds, (sys.executable, "-S", "-c", code))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", "the process was ended by SIGSEGV ("),
        ("import os; os.abort()", "the process was ended by SIGABRT ("),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL, as the kernel does when memory runs out"),
        ("import os; os.kill(os.getpid(), 24)", "ended by SIGXCPU: it took too much of the processor"),
        ("import os; os.kill(os.getpid(), 40)", "ended by signal 40"),
        ("1 / 0", "the process ended with 1: ZeroDivisionError: division by zero"),
        ("pass", "the process ended with 0: it said nothing"),
        ("import os; os.write(1, b'\\xff'); os.write(2, b'\\xff'); os._exit(7)", "the process ended with 7: \ufffd"),
        ("print('[1')", "the process ended with 0: it said nothing"),
        ("print('{\"done\": true}'); raise SystemExit(3)", "the process ended with 3: it said nothing"),
        ("print('loading'); print('{\"error\": \"the file x is damaged\"}')", "not served: the file x is damaged ("),
    ],
)
def test_however_the_process_ends_the_reason_is_told(version: Path, code: str, words: str) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        trial(code).run(version, changes=False)
    message = refused.value.message
    assert message.startswith(f"version {version.name} was tried in a process of its own and is not served: ")
    assert words in message
    assert "(it may take 60 s and 4.0 GiB). Make it afresh" in message


def test_a_version_that_passes_is_taken(version: Path) -> None:
    trial("print('{\"done\": true}')").run(version, changes=False)


def test_the_process_is_told_what_to_try_and_within_which_limits(version: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    trial(f"import sys; open({str(told)!r}, 'w').write(sys.argv[1]); print('{{\"done\": true}}')").run(
        version, changes=True
    )
    size = sum(entry.size for entry in open_bundle(version).manifest.files.values())
    assert json.loads(told.read_text()) == {
        "folder": str(version),
        "seconds": 60.0,
        "bytes": 4 * 2**30 + 4 * size,
        "changes": True,
    }


def test_a_process_that_does_not_end_is_ended(version: Path) -> None:
    with pytest.raises(FailedPreconditionError, match=r"not served: it took too long \(it may take 0\.2 s"):
        trial("import time; time.sleep(600)", 0.2).run(version, changes=False)


def test_a_server_that_stops_ends_the_trial(version: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    waiting = trial(f"open({str(begun)!r}, 'w'); import time; time.sleep(600)", 600.0)

    def stop() -> None:
        while not begun.exists():
            time.sleep(0.01)
        waiting.close()

    stopping = threading.Thread(target=stop)
    stopping.start()
    for _ in range(2):  # while it runs, and before it begins
        with pytest.raises(FailedPreconditionError, match="the server is stopping"):
            waiting.run(version, changes=False)
    stopping.join()


def test_a_version_without_a_sound_manifest_is_not_tried(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    for make, words in (
        (lambda: None, "is missing or cannot be read"),
        (lambda: manifest.symlink_to("/dev/zero"), "is a symbolic link"),
        (lambda: os.mkfifo(manifest), "is not a plain file"),
        (lambda: manifest.write_text("[" * 100_000), "manifest.json"),
    ):
        manifest.unlink(missing_ok=True)
        make()
        with pytest.raises(BundleError, match=words):
            trial("print('{\"done\": true}')").run(tmp_path, changes=False)


# --- the process's side -----------------------------------------------------------------------------------------------


def tried(folder: Path, **options: Any) -> tuple[Done, dict[str, Any]]:
    done = run_program(
        PROGRAM, json.dumps({"folder": str(folder), "seconds": 600, "bytes": 2**40, "changes": True} | options)
    )
    lines = done.stdout.splitlines()
    return done, json.loads(lines[-1]) if lines else {}


def test_a_sound_version_is_loaded_and_asked(version: Path) -> None:
    done, reply = tried(version)
    assert (done.returncode, reply) == (0, {"done": True})


def test_a_version_with_settings_of_something_else_is_refused(demo_bundle: Path, tmp_path: Path) -> None:
    source = open_bundle(demo_bundle)
    with BundleWriter(tmp_path / "bundle", preset="p", name="odd") as writer:
        for name in source.manifest.files:
            shutil.copyfile(source.path(name), writer.path(name))
        writer.path("settings.json").write_text("{}")
        # The hashes fit, so that nothing but reading it shows the fault.
        writer.commit(versions=source.manifest.versions, parameters={})
    _, reply = tried(open_bundle(tmp_path / "bundle").folder)
    assert "settings.json lacks a setting or has a wrong one" in reply["error"]


@contextmanager
def trying(folder: Path, most_bytes: int) -> Iterator[subprocess.Popen[str]]:
    """The process as a server starts it."""
    options = json.dumps({"folder": str(folder), "seconds": 600, "bytes": most_bytes, "changes": False})
    program = "from mmrec_serving.updates.trial_process import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=subprocess_environment(),
    ) as process:
        yield process
        process.kill()


def test_a_version_that_needs_more_memory_than_it_may_take_is_refused(version: Path) -> None:
    with trying(version, 2**28) as process:
        assert process.stdout is not None
        assert '"done"' not in process.stdout.read()
        process.wait(WAIT_S)


def test_it_ends_when_the_server_has_ended(version: Path) -> None:
    with trying(version, 2**40) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(WAIT_S) == 1
