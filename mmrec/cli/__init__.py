"""The command line's entry point: runs a command, and turns every error into a message and an exit status.

In: words of a command line. Out: data on stdout, notes and errors on stderr, and an exit status. Knows nothing about
what the commands do; `mmrec.cli.app` registers them, one file each. typer is imported inside `main`: the base install
has no typer, and gets a clear message instead of a traceback.
"""

from __future__ import annotations

import gc
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

from mmrec import __version__
from mmrec.cli.exit_codes import EXIT_CODES
from mmrec.cli.signals import STOPPED, Termination, TerminationError, raise_on_sigterm, stopped_message
from mmrec.errors import InvalidArgumentError, MissingExtraError, MmrecError
from mmrec.runtime.disk_errors import refusals_as_errors

__all__ = ["EXIT_CODES", "main"]

_ENVIRONMENT = {
    # The threads of tokenizers conflict with our process pools; batches are large enough without them.
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that spin for long starve each other when two busy processes share the cores; threads that never spin
    # wake too slowly for the many small steps of training. A short spin, about 20 microseconds, avoids both.
    "GOMP_SPINCOUNT": "20000",
    # The same for the threads of NumPy, as a power of two of cycles; otherwise they spin for 25 ms after each product.
    "OPENBLAS_THREAD_TIMEOUT": "16",
    # Huge pages for the large tables of PyTorch: rows far apart are then read several times as fast.
    "THP_MEM_ALLOC_ENABLE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Ray: no usage statistics, no log output, and CUDA_VISIBLE_DEVICES unchanged for tasks without a GPU.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "GRPC_VERBOSITY": "ERROR",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit status.

    Args:
        argv: Arguments without the program's name; None takes those of the process.

    Raises:
        SystemExit: always, with one of `EXIT_CODES`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # The only place where the environment is written: library code neither reads nor sets it.
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # The imports make a million objects that stay; with the default of 700, looking through them takes seconds.
    gc.set_threshold(50_000)
    _escape_unencodable_output()
    with raise_on_sigterm() as termination:
        _run(arguments, termination)
    sys.exit(0)


def _run(arguments: list[str], termination: Termination) -> None:
    try:
        from mmrec.cli.app import run

        with refusals_as_errors():
            run(arguments)
    except MmrecError as err:
        _fail(_describe(err), err.exit_code)
    except TerminationError:
        _fail(stopped_message(arguments), STOPPED)
    except ModuleNotFoundError as err:
        package = (err.name or "").partition(".")[0]
        if package not in {"typer", "rich"}:
            _fail(_describe_bug(debug="--debug" in arguments), 1)
        missing = MissingExtraError(
            f"the command line needs {package}, which is not installed; run: pip install 'mmrec[core]'"
        )
        _fail(_describe(missing), missing.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Exception:
        if termination.received:
            # With several processes, a collective operation fails once another process has ended.
            _fail(stopped_message(arguments), STOPPED)
        _fail(_describe_bug(debug="--debug" in arguments), 1)


def _escape_unencodable_output() -> None:
    """Print characters that the terminal's encoding lacks as escapes instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _describe(err: MmrecError) -> str:
    lines = [f"error: {err.message}"]
    if isinstance(err, InvalidArgumentError):
        lines += [
            f"  {violation.field}: {violation.description}"
            for violation in err.violations
            if violation.description != err.message
        ]
    return "\n".join(lines)


def _describe_bug(*, debug: bool) -> str:
    """The message for an unexpected exception; call it inside the `except` block."""
    kind = type(sys.exception()).__name__
    if debug:
        return f"{traceback.format_exc()}internal error: {kind}; this is a bug in mmrec"
    try:
        handle, name = tempfile.mkstemp(prefix="mmrec-", suffix=".log")
    except OSError:
        return _describe_bug(debug=True)
    # Not the arguments: a token may be among them, and people attach such files to bug reports.
    text = f"mmrec {__version__}, Python {sys.version}\n\n{traceback.format_exc()}"
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(text)
    except OSError:
        return _describe_bug(debug=True)
    return f"internal error: {kind}; this is a bug in mmrec. The traceback is in {name} (--debug shows it here)"


def _fail(message: str, status: int) -> None:
    try:
        sys.stdout.flush()
    except OSError:
        # Python flushes once more at exit, and would fail again with an exit status of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(message, file=sys.stderr)
    sys.exit(status)
