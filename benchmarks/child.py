"""Runs one measurement in a process of its own, so that no contender finds another's threads, caches or memory.

A measurement is a function of one module: plain arguments in, a plain dictionary out. Knows nothing of what is
measured.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.report import ROOT

_MARK = "measured: "


class ChildError(RuntimeError):
    """A measurement's process ended badly; the message holds the end of what it wrote."""


def call(function: str, threads: int, *, as_command: bool = False, **arguments: Any) -> dict[str, Any]:
    """Call ``module:function`` in a fresh process of this interpreter.

    Args:
        function: As ``benchmarks.embed_rows:forward``.
        threads: Threads of its libraries.
        as_command: Whether the environment is as mmrec's command line sets it up for itself.
        **arguments: What JSON can hold.

    Raises:
        ChildError: the process failed.
    """
    return _run([sys.executable, "-m", "benchmarks.child", function], arguments, threads, as_command)


def run_script(python: Path, script: Path, threads: int, **arguments: Any) -> dict[str, Any]:
    """Run a script that knows nothing of mmrec with another interpreter.

    It reads its arguments as JSON from stdin and prints its dictionary as the last line.

    Raises:
        ChildError: the process failed.
    """
    # Not the script's folder first on the path: a module there may be named as a package the script needs.
    return _run([str(python), "-P", str(script)], arguments, threads)


def _run(command: list[str], arguments: dict[str, Any], threads: int, as_command: bool = False) -> dict[str, Any]:
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
    }
    if as_command:
        environment |= {"TOKENIZERS_PARALLELISM": "false", "GOMP_SPINCOUNT": "20000"}
        environment |= {"OPENBLAS_THREAD_TIMEOUT": "16", "THP_MEM_ALLOC_ENABLE": "1"}
    # By stdin: the names of a thousand files are longer than a command line may be.
    done = subprocess.run(
        command, input=json.dumps(arguments), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not lines:
        raise ChildError(f"{command[1:4]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    result: dict[str, Any] = json.loads(lines[-1].removeprefix(_MARK))
    return result


def _main() -> None:
    import torch

    name, _, function = sys.argv[1].partition(":")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    result = getattr(importlib.import_module(name), function)(**json.loads(sys.stdin.read()))
    print(_MARK + json.dumps(result), flush=True)


if __name__ == "__main__":
    _main()
