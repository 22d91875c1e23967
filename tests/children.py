"""Forked children that may die, for tests of what is left by a kill."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable


def end_of(work: Callable[[], object]) -> int:
    """How a child that does this work ended: 0, 1 with the traceback on stderr, or minus the signal that killed it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def die() -> None:
    """Nothing in the process can catch it or clean up after it."""
    os.kill(os.getpid(), signal.SIGKILL)
