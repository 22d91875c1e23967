"""The threads that a server needs, and what happens when one of them ends by itself.

Unit of work: one thread, which runs until it is asked to end. The rule for all background work of a server:

- Work that fails in one round and is tried again in the next one (loading another version of the bundle, compaction,
  tidying) is a warning in the log; the server continues as it is.
- A request that fails is answered with its error, and the thread continues.
- The thread of the language model may end: replies are complete without it.
- Everything else ends the thread: a fault in its own loop, or a recorded change that cannot be applied, since each
  later one builds on it. Then health says NOT_SERVING until the server is started again, the log says why, and requests
  that need that thread are refused with the reason. Other threads continue: requests are answered from the current
  catalogue for clients that cannot use another server.

Knows nothing about gRPC and the work of the threads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from mmrec.errors import MmrecError
from mmrec_serving.failures import conceal

_log = logging.getLogger(__name__)

OnEnd = Callable[[str, MmrecError], None]
"""Called with the name of a thread that has ended by itself, in that thread, and why."""


def nobody(name: str, error: MmrecError) -> None:
    """The `OnEnd` that does nothing."""


class Worker:
    """A thread.

    Args:
        name: Name of the thread.
        main: Its work; returns only when it was asked to end.
        on_end: Called when `main` raises anything.
        release: Called after `on_end` with the error, to release callers that wait for the thread.
    """

    def __init__(
        self,
        name: str,
        main: Callable[[], None],
        on_end: OnEnd = nobody,
        release: Callable[[MmrecError], None] = lambda error: None,
    ) -> None:
        self._name = name
        self._main = main
        self._on_end = on_end
        self._release = release
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait at most `timeout_s` seconds for its end; True if it has ended or was never started."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._main()
        except BaseException as err:
            error = conceal(err)
            _log.critical("the thread %s has ended by itself: %s", self._name, error.message)
            try:
                self._on_end(self._name, error)
            finally:
                self._release(error)
