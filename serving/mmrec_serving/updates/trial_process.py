"""The process that tries a version of a bundle for a server; its argument is a line of JSON, see `Trial`.

It limits its own memory and time first, and imports what reads a bundle after that. It runs at a low priority with one
torch thread on the CPU, and where memory runs out the kernel ends it before any other process. It ends when the
server does, which holds the other end of its stdin. The last line on stdout says that the version was loaded and asked,
or why not.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import threading
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path

from mmrec.errors import FailedPreconditionError, MmrecError
from mmrec_serving.updates.child_process import say

_LOW_PRIORITY = 10
"""Beside a busy server, the process still gets a tenth of a core, so that it ends in time."""


def main() -> None:
    """Try the version of the argument."""
    options = json.loads(sys.argv[1])
    _limit(options["bytes"], options["seconds"])
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    try:
        # The last line is the result, whatever libraries print.
        with redirect_stdout(sys.stderr):
            _try(Path(options["folder"]), options["changes"])
    except MmrecError as err:
        say({"error": err.message})
    except MemoryError:
        say({"error": "it needs more memory"})
    else:
        say({"done": True})
        os._exit(0)  # what libraries do at their end is no part of the trial


def _try(folder: Path, changes: bool) -> None:
    """Load a version and ask it what needs each of its parts."""
    import torch

    from mmrec.recommender import Recommender

    torch.set_num_threads(1)
    engine = Recommender.load(folder, device="cpu")
    if changes:
        engine.prepare_changes()
    history = [item.item_id for item in engine.list_items(page_size=3).items]
    engine.recommend()
    engine.recommend(history, explain=True)
    # A sound bundle may be without what these need.
    others: tuple[Callable[[], object], ...] = (lambda: engine.similar(history[0]), lambda: engine.search("a"))
    for ask in others:
        with suppress(FailedPreconditionError):
            ask()


def _limit(most_bytes: int, seconds: float) -> None:
    """Limit what this process may take."""
    os.nice(max(0, _LOW_PRIORITY - os.getpriority(os.PRIO_PROCESS, 0)))
    with suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    # Of the address space only what is written counts: mapped files and the libraries do not.
    for kind, most in ((resource.RLIMIT_DATA, most_bytes), (resource.RLIMIT_CPU, math.ceil(seconds))):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a fault leaves no file of some gigabytes


def _end_with_the_server() -> None:
    # Not `sys.stdin`, whose lock would end the interpreter with an error.
    os.read(0, 1)
    os._exit(1)
