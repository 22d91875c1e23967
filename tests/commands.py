"""Commands of mmrec, and programs of the tests, as processes of their own that start quickly.

`start` forks a process that has imported the large libraries already, instead of importing them once more, which takes
seconds. The child runs `mmrec.cli.main` as the real command does: its own pid, streams, environment and signals. Tests
of the start itself (imports, what other libraries print) run ``python -m mmrec``. `start_program` does the same with a
Python file. `run_here` needs no process, where the test looks at what a command prints and at its exit status alone.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple, TextIO

import pytest

from tests.conftest import subprocess_environment


class Done(NamedTuple):
    """A command that has ended.

    Attributes:
        returncode: Its exit status; the negative number of the signal that killed it.
        stdout: What it printed.
        stderr: The rest.
    """

    returncode: int
    stdout: str
    stderr: str


class Command:
    """A running command; see `start`.

    Attributes:
        pid: Process id.
        stdout: What it prints, as it comes.
        stderr: The rest, as it comes.
    """

    def __init__(self, process: multiprocessing.process.BaseProcess, stdout: TextIO, stderr: TextIO) -> None:
        self._process = process
        self.stdout, self.stderr = stdout, stderr
        assert process.pid is not None
        self.pid = process.pid

    def poll(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, when it has ended.

        Raises:
            TimeoutError: it still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"the command {self.pid} still runs after {timeout} s")
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def finish(self, timeout: float = 280) -> Done:
        """Read what it still prints, and wait for its end."""
        out, err = self.stdout.read(), self.stderr.read()
        return Done(self.wait(timeout), out, err)


@contextmanager
def start(
    *arguments: object,
    cwd: Path | None = None,
    stdout: Path | None = None,
    stderr: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Command]:
    """Start a command, and kill it in the end if it still runs.

    Args:
        arguments: What follows ``mmrec`` on the command line.
        cwd: Working directory; None for that of the tests.
        stdout: File or device that takes what it prints; None for `Command.stdout`.
        stderr: The same for the rest.
        environment: Variables besides those of the tests.
    """
    with _start(_command, ["mmrec", *arguments], cwd, stdout, stderr, environment) as command:
        yield command


@contextmanager
def start_program(path: Path, *arguments: object, stderr: Path | None = None) -> Iterator[Command]:
    """Start a Python file as ``python FILE ARGUMENTS`` would; see `start`."""
    with _start(_program, [path, *arguments], None, None, stderr) as command:
        yield command


def run_here(arguments: Iterable[object], capsys: pytest.CaptureFixture[str]) -> Done:
    """Run a command to its end in this process."""
    status = status_of(*arguments)
    return Done(status, *capsys.readouterr())


def status_of(*arguments: object) -> int:
    """Exit status of a command that runs in this process."""
    from mmrec.cli import main

    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def run(*arguments: object, cwd: Path | None = None, stdout: Path | None = None) -> Done:
    """Run a command to its end; see `start`."""
    with start(*arguments, cwd=cwd, stdout=stdout) as command:
        return command.finish()


def run_program(path: Path, *arguments: object) -> Done:
    """Run a Python file to its end; see `start_program`."""
    # Its errors go to a file, because `finish` reads one stream after the other.
    with tempfile.NamedTemporaryFile() as errors:
        with start_program(path, *arguments, stderr=Path(errors.name)) as command:
            done = command.finish()
        return done._replace(stderr=Path(errors.name).read_text(encoding="utf-8"))


@contextmanager
def _start(
    main: Callable[[list[str]], None],
    arguments: list[object],
    cwd: Path | None,
    stdout: Path | None,
    stderr: Path | None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Command]:
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        pipes = [Path(folder) / name for name in ("stdout", "stderr")]
        for pipe in pipes:
            os.mkfifo(pipe)
        targets = (stdout or pipes[0], stderr or pipes[1])
        everything = subprocess_environment(**(environment or {}))
        process = _forkserver().Process(target=_run, args=(main, words, targets, cwd, everything))
        process.start()
        # In the order in which the child opens them: each waits for the other end.
        with _read(pipes[0], stdout) as out, _read(pipes[1], stderr) as err:
            command = Command(process, out, err)
            try:
                yield command
            finally:
                command.send_signal(signal.SIGKILL)
                process.join()


@contextmanager
def forked(function: Callable[..., None], *arguments: object) -> Iterator[multiprocessing.process.BaseProcess]:
    """Run a function of a test module in such a process, and kill it in the end if it still runs."""
    process = _forkserver().Process(target=function, args=arguments)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _read(pipe: Path, other: Path | None) -> TextIO:
    return Path(os.devnull if other else pipe).open(encoding="utf-8")


@cache
def _forkserver() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    return context


def _run(
    main: Callable[[list[str]], None],
    words: list[str],
    targets: tuple[Path, Path],
    cwd: Path | None,
    environment: Mapping[str, str],
) -> None:
    """In the child: `main` with its own streams, environment and arguments."""
    for number, path in enumerate(targets, start=1):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    # Tests that run in the background ignore it, and their processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    if cwd is not None:
        os.chdir(cwd)
    sys.argv = words
    main(words)


def _command(words: list[str]) -> None:
    from mmrec.cli import main

    main(words[1:])


def _program(words: list[str]) -> None:
    runpy.run_path(words[0], run_name="__main__")
