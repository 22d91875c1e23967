"""A program for the tests: the fake engine behind two front ends. Arguments: a file of keys, and a file for the engine.

The address is printed when calls are answered, and a word at the end.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from mmrec_serving import Server, ServerConfig
from mmrec_serving.processes import run_ordered, serve_in_processes
from mmrec_serving.telemetry.json_lines import LogConfig
from mmrec_serving.updates.child_process import command_of
from tests.fake_engine import FakeEngine


class TellingEngine(FakeEngine):
    """Writes the number of its process into a file when it is asked for a trap."""

    def __init__(self, told: Path) -> None:
        super().__init__()
        self._told = told

    def spring(self, text: str) -> None:
        if text.startswith("trap"):
            self._told.write_text(str(os.getpid()), encoding="ascii")
        super().spring(text)


def main() -> None:
    """The engine's process."""
    run_ordered(lambda order, config: lambda: Server(lambda: TellingEngine(Path(order["told"])), config))


if __name__ == "__main__":
    serve_in_processes(
        command_of("tests.serving.serve_front_ends"),
        {"told": sys.argv[2]},
        2,
        ServerConfig(port=0, changes_in_memory=True, keys=Path(sys.argv[1]), grace_s=20.0),
        LogConfig("text", logging.INFO),
        on_ready=lambda address: print(address, flush=True),
    )
    print("stopped", flush=True)
