"""Processes that a server starts for its background work: how they are started, and what they say.

Unit of work: one process, whose lines on stdout are JSON. Knows nothing about the work.
"""

from __future__ import annotations

import json
import sys
from typing import IO


def command_of(module: str) -> tuple[str, ...]:
    """What starts ``main`` of a module in another process, with the module search path of this one."""
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from {module} import main; main()"
    return (sys.executable, "-c", code, json.dumps(sys.path))


def say(line: dict[str, object]) -> None:
    """In the process: tell the server something."""
    print(json.dumps(line), flush=True)


def last_line(file: IO[str]) -> str:
    """The last line of what a process has written; empty if it has written nothing."""
    file.seek(0)
    lines = file.read().strip().splitlines()
    return lines[-1] if lines else ""
