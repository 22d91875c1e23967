"""The access log: one line for a call that has ended.

Unit of work: one call. By default only failed calls are logged; of failures with the same method and status only the
first 5 within 10 seconds, and then one line with the number of the others, so that an overloaded server writes little.
Knows nothing about gRPC's objects.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, get_args

from mmrec.sdk.rpcs import METHODS
from mmrec_serving.config import AccessLogged
from mmrec_serving.log_sampling import INTERVAL_S, Bursts

_log = logging.getLogger("mmrec_serving.access")

_KNOWN = frozenset(method.path for method in METHODS)
_OURS = frozenset({"DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "UNKNOWN"})
"""Failures of the server, which its operator may have to handle; others are the clients' own."""
_NONE, _ERRORS, _ALL = get_args(AccessLogged)


class AccessLog:
    """Logs calls.

    Args:
        logged: Which calls; see `ServerConfig.access_log`.
        later: Calls a function after some seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        logged: AccessLogged,
        later: Callable[[float, Callable[[], None]], Any] = lambda seconds, call: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logged = logged
        self._later = later
        self._failures: Bursts[tuple[str, str]] = Bursts(clock)
        self._waiting = False

    def note(self, method: str, code: str, seconds: float, request_id: str, key: str = "", error_id: str = "") -> None:
        """A call has ended.

        Args:
            method: Its full name.
            code: Its status.
            seconds: How long it took.
            request_id: Its id.
            key: Name of its API key; empty: none.
            error_id: Under which the log has more about its failure; empty: none.
        """
        if self._logged == _NONE:
            return
        call = {"method": method[:200], "code": code, "ms": round(1000 * seconds, 1), "request_id": request_id}
        call |= {name: word for name, word in (("key", key), ("error_id", error_id)) if word}
        if code == "OK":
            if self._logged == _ALL:
                self._write(logging.INFO, call)
            return
        self._sum_up()
        # Clients may send any number of unknown method names.
        if self._failures.first((method if method in _KNOWN else "an unknown method", code)):
            self._write(_level(code), call)
        elif not self._waiting:
            self._waiting = True
            self._later(INTERVAL_S, self._when_over)

    def close(self) -> None:
        """Log the counts that were not logged yet."""
        self._sum_up(now=True)

    def _when_over(self) -> None:
        self._waiting = False
        self._sum_up(now=True)

    def _sum_up(self, *, now: bool = False) -> None:
        for (method, code), more in self._failures.ended(now=now).items():
            fields = {"method": method, "code": code, "more": more}
            message = "%s %s %d more within %.0f s"
            _log.log(_level(code), message, method, code, more, INTERVAL_S, extra={"fields": fields})

    def _write(self, level: int, call: Mapping[str, object]) -> None:
        message = "%(method)s %(code)s %(ms).1f ms id=%(request_id)s"
        for name, short in (("key", "key"), ("error_id", "error")):
            if name in call:
                message += f" {short}=%({name})s"
        _log.log(level, message, call, extra={"fields": call})


def _level(code: str) -> int:
    return logging.WARNING if code in _OURS else logging.INFO
