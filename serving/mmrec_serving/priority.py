"""Threads that give way: work that may take a little longer leaves the processor to questions. Linux only; elsewhere
every thread has the same share.

Unit of work: the thread that calls. Knows nothing about what it does.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

__all__ = ["give_way"]

_NICE = 10
"""Of two busy threads the one that gives way gets a tenth of a core."""


def give_way() -> None:
    """Let the calling thread, and the threads that it starts, run when no other wants the processor."""
    if sys.platform == "linux":
        # There a thread has a priority of its own. It can be lowered without any right, and where even that is
        # forbidden nothing but speed is lost.
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, max(_NICE, os.getpriority(os.PRIO_PROCESS, thread)))
