"""The threads that a server cannot do without, and what becomes of it when one of them ends by itself.

Unit of work: one thread, which runs until it is asked to end. The rule for all background work of a server:

- What fails in one round and is done again in the next one anyway (going on with another version of the bundle,
  folding, tidying) is a warning in the log; the server goes on with what it has.
- A request that fails is answered with its error, and the thread goes on.
- Everything else ends the thread: a fault in its own loop, and a recorded change that cannot be let into the catalogue,
  since each later one builds on it. From then on something is not done that the server is there for, whichever thread
  it is. So health says NOT_SERVING until the server is started again, the log says why, and whoever asks for what that
  thread did is refused with the reason. What the other threads do goes on: questions are answered, with the versions
  of the catalogue as it is, for those who cannot go elsewhere.

Knows nothing of gRPC and of what the threads do.
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
    """Whom to tell where nobody wants to know."""


class Worker:
    """A thread.

    Args:
        name: Of the thread.
        main: What it does; returns when it was asked to end, and not before.
        on_end: Called when `main` raises, whatever it is.
        release: Lets go of those who wait for the thread, with the reason, once `on_end` was called.
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
        """Begin; once."""
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for its end, at most so many seconds; whether it has come. One that was not started has ended."""
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
