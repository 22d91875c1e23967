"""A server process on loopback, started as `mmrec serve` starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(bundle: Path, threads: int, *more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of a server, which ends with the block.

    Args:
        bundle: What is served.
        threads: Of the server's libraries.
        more: Further arguments of `mmrec serve`.
    """
    command = [sys.executable, "-m", "mmrec", "serve", str(bundle), "--port", "0", *more]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the server ended with {process.wait(30)}")
        yield address, process
    finally:
        process.terminate()
        process.wait(60)
