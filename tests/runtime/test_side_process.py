"""A call in a process beside this one: its result, its failures, and its end."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

from mmrec.runtime.side_process import SideProcess


def leave_pid_and_wait(note: str) -> None:
    Path(f"{note}.part").write_text(str(os.getpid()), encoding="utf-8")
    Path(f"{note}.part").rename(note)
    time.sleep(600)


def start_and_die(note: str) -> None:
    with SideProcess(leave_pid_and_wait, note):
        while not Path(note).exists():
            time.sleep(0.01)
        os._exit(0)


def is_running(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        # A process that has ended, and that nobody has waited for, is a zombie.
        return state.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_result_is_what_the_function_returns() -> None:
    with SideProcess(math.hypot, 3.0, 4.0) as side:
        assert side.result() == 5.0


def test_a_function_that_fails_and_a_process_that_dies_have_no_result() -> None:
    with SideProcess(math.sqrt, -1.0) as failing, SideProcess(os.abort) as dying:
        assert failing.result() is None
        assert dying.result() is None


def test_it_ends_with_the_block(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with SideProcess(leave_pid_and_wait, str(note)):
        while not note.exists():
            time.sleep(0.01)
        assert is_running(int(note.read_text(encoding="utf-8")))
    assert not is_running(int(note.read_text(encoding="utf-8")))


def test_it_ends_when_the_process_that_started_it_dies(tmp_path: Path, project_root: Path) -> None:
    note = tmp_path / "pid"
    code = f"from tests.runtime.test_side_process import start_and_die; start_and_die({str(note)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=project_root, check=True)
    pid = int(note.read_text(encoding="utf-8"))
    for _ in range(1000):
        if not is_running(pid):
            break
        time.sleep(0.01)
    assert not is_running(pid)
