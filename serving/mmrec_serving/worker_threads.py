"""The threads that a server needs, and what happens when one of them ends by itself.

Unit of work: one thread, which runs until it is asked to end. The rule for all background work of a server:

- Work that fails in one round and is tried again in the next one (loading another version of the bundle, compaction,
  tidying) is a warning in the log; the server continues as it is.
- A request that fails is answered with its error, and the thread continues.
- The thread of the language model may end: replies are complete without it.
- Everything else ends the thread: a fault in its own loop, or a recorded change that cannot be applied, since each
  later one builds on it. Then health says NOT_SERVING, the log says why, and requests that need that thread are refused
  with the reason. Other threads continue: requests are answered from the current catalogue for clients that cannot use
  another server.
- A thread that answers questions changes nothing, so another one takes its place after a pause (`Restart`), and health
  says SERVING again. One that writes does not come back until the server is started again and has replayed what is
  recorded.

Knows nothing about gRPC and the work of the threads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from mmrec.errors import MmrecError
from mmrec_serving.failures import conceal

_log = logging.getLogger(__name__)

OnEnd = Callable[[str, MmrecError], None]
"""Called with the name of a thread that has ended by itself, in that thread, and why."""


def nobody(name: str, error: MmrecError) -> None:
    """The `OnEnd` that does nothing."""


@dataclass(frozen=True, slots=True)
class Restart:
    """How another thread takes the place of one that has ended by itself.

    Attributes:
        first_s: Pause before it, in seconds; twice as long after each further end.
        most_s: Longest pause, in seconds; a thread that has lived as long is none that ends again and again.
        begin: Called first in the new thread, for example to lower its priority.
        on_return: Called then, with the name of the thread.
    """

    first_s: float = 1.0
    most_s: float = 60.0
    begin: Callable[[], None] = lambda: None
    on_return: Callable[[str], None] = lambda name: None

    def pause_s(self, last_s: float, lived_s: float) -> float:
        """The pause after the end of a thread that has lived for some seconds after the last pause, 0 for the first."""
        return self.first_s if not last_s or lived_s >= self.most_s else min(2 * last_s, self.most_s)


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
