"""Admission of calls: whose key a call has, whether the key allows it, and whether it comes within the key's rate.

Unit of work: one call, or one message of a stream. Keys come from a file, which is read again when it changes. Knows
nothing about the contents of calls.
"""

from __future__ import annotations

import hmac
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from mmrec.errors import MmrecError, PermissionDeniedError, ResourceExhaustedError, UnauthenticatedError
from mmrec.sdk import rpcs
from mmrec_serving.api_keys import TOKEN_NAME, ApiKey, Scope, read_keys, sha256_of
from mmrec_serving.worker_threads import OnEnd, Worker, nobody

_log = logging.getLogger(__name__)

SCOPES: Mapping[str, Scope] = {
    rpcs.RECOMMEND.path: Scope.READ,
    rpcs.BATCH_RECOMMEND.path: Scope.READ,
    rpcs.RANK_ITEMS.path: Scope.READ,
    rpcs.CONVERSE.path: Scope.READ,
    rpcs.EMBED_USER.path: Scope.READ,
    rpcs.EXPLAIN.path: Scope.READ,
    rpcs.PREDICT_RATING.path: Scope.READ,
    rpcs.SIMILAR_ITEMS.path: Scope.READ,
    rpcs.BATCH_SIMILAR_ITEMS.path: Scope.READ,
    rpcs.SEARCH_ITEMS.path: Scope.READ,
    rpcs.BATCH_SEARCH_ITEMS.path: Scope.READ,
    rpcs.TAG_ITEMS.path: Scope.READ,
    rpcs.FIND_DUPLICATES.path: Scope.READ,
    rpcs.FIND_MISMATCHES.path: Scope.READ,
    rpcs.EMBED_ITEMS.path: Scope.READ,
    rpcs.GET_ITEMS.path: Scope.READ,
    rpcs.LIST_ITEMS.path: Scope.READ,
    rpcs.GET_SEMANTIC_IDS.path: Scope.READ,
    rpcs.RESOLVE_SEMANTIC_IDS.path: Scope.READ,
    rpcs.GET_SERVICE_INFO.path: Scope.READ,
    rpcs.RECORD_EVENTS.path: Scope.EVENTS,
    rpcs.UPSERT_ITEMS.path: Scope.WRITE,
    rpcs.STREAM_UPSERT_ITEMS.path: Scope.WRITE,
    rpcs.DELETE_ITEMS.path: Scope.WRITE,
    # Personal data of any customer: not for a key that a shop's pages use.
    rpcs.LIST_EVENTS.path: Scope.ADMIN,
    rpcs.DELETE_USER.path: Scope.ADMIN,
}
"""The scope that each RPC of the contract needs."""

_CONTRACT = frozenset(method.path for method in rpcs.METHODS)


class TokenBucket:
    """A rate limit: tokens come at a rate, a call takes one, and what is not taken adds up to the burst.

    Args:
        rate: Tokens a second, over 0.
        burst: Most tokens, at least 1; it begins with as many.
        clock: Monotonic seconds.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = float(burst), clock()

    def take(self) -> float:
        """Take a token and return 0, or take none and return the seconds until there is one."""
        missing = 1.0 - self._filled()
        # Who waits as long as told must not find a billionth of a token missing.
        if missing > 1e-9:
            return missing / self._rate
        self._tokens -= 1.0
        return 0.0

    def borrow(self) -> float:
        """Take a token that may not be there yet, and return the seconds until it is."""
        self._tokens = self._filled() - 1.0
        return max(0.0, -self._tokens) / self._rate

    def _filled(self) -> float:
        now = self._clock()
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
        self._at = now
        return self._tokens


@dataclass(frozen=True, slots=True)
class Caller:
    """The key that a call was made with.

    Attributes:
        key: The key.
        bucket: Its rate limit; None: it has none.
    """

    key: ApiKey
    bucket: TokenBucket | None

    def admit(self, path: str) -> None:
        """Check a new call, and count it.

        Raises:
            PermissionDeniedError: the key lacks the scope.
            ResourceExhaustedError: the key's rate is used up; `retry_after_s` says when it is not.
        """
        self._check_scope(path)
        wait_s = 0.0 if self.bucket is None else self.bucket.take()
        if wait_s > 0:
            wait_ms = math.ceil(1000 * wait_s - 1e-6)
            raise ResourceExhaustedError(
                f"the key {self.key.name!r} may make {self.key.rate:g} calls a second, and {self.key.at_once} at once; "
                f"try again in {wait_ms} ms",
                retry_after_s=wait_ms / 1000,
            )

    def admit_message(self, path: str) -> float:
        """Check and count a further message of a stream.

        Returns:
            Seconds to wait before the next one is read, so that the stream keeps to the key's rate.

        Raises:
            PermissionDeniedError: the key lacks the scope.
        """
        self._check_scope(path)
        return 0.0 if self.bucket is None else self.bucket.borrow()

    def _check_scope(self, path: str) -> None:
        if path not in _CONTRACT:  # reflection, or a method that there is not
            return
        needed = SCOPES[path]
        if needed not in self.key.scopes:
            raise PermissionDeniedError(
                f"{path.rpartition('/')[2]} needs the scope {needed.value!r}, and the key {self.key.name!r} has "
                f"{', '.join(self.key.scope_names)}; use a key with that scope"
            )


class Admission:
    """The keys of a server, and who a call comes from. A thread reads the file again when it has changed.

    A file that cannot be used when it is read again is an error in the log, and the keys before stay valid. `identify`
    and the results' methods are for one thread, that of the event loop.

    Args:
        path: File of keys; None for none.
        token: A further key, with every scope and without limits; None for none.
        on_end: Called when the thread ends by itself.
        every_s: Seconds between two looks at the file.
        today: The day in UTC.
        rates: Whether calls are counted against the rates of their keys.

    Raises:
        MmrecError: the file cannot be used; see `read_keys`.
    """

    def __init__(
        self,
        path: Path | None,
        token: str | None = None,
        on_end: OnEnd = nobody,
        every_s: float = 1.0,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        *,
        rates: bool = True,
    ) -> None:
        self._path = path
        self._own = () if token is None else (ApiKey(TOKEN_NAME, sha256_of(token), frozenset(Scope)),)
        self._today = today
        self._rates = rates
        self._every_s = every_s
        self._callers: tuple[Caller, ...] = ()
        self._wake = threading.Condition()
        self._asked = self._closing = False
        self._stamp = self._stamp_now()
        self._use(read_keys(path) if path is not None else ())
        self._worker = Worker("mmrec-keys", self._main, on_end)

    def start(self) -> None:
        """Start the thread, if there is a file."""
        if self._path is not None:
            self._worker.start()

    def reload(self) -> None:
        """Read the file again soon, changed or not."""
        with self._wake:
            self._asked = True
            self._wake.notify_all()

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._worker.join(2.0)

    def identify(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Caller:
        """Whose key is in the metadata of a call.

        Raises:
            UnauthenticatedError: there is none, it is not the server's, or it has expired.
        """
        given = next((value for name, value in metadata or () if name == "authorization"), None)
        if given is None:
            raise UnauthenticatedError("the call has no token; pass token= or an authorization header")
        scheme, _, token = (given if isinstance(given, bytes) else given.encode()).partition(b" ")
        sha256 = sha256_of(token)
        found = None
        # Every key is compared, in a time that tells nothing about how much of it agrees.
        for caller in self._callers:
            if hmac.compare_digest(caller.key.sha256, sha256):
                found = caller
        # The name of the scheme is read without regard to case (RFC 9110, section 11.1).
        if found is None or scheme.lower() != b"bearer":
            raise UnauthenticatedError("the token is not the server's; pass the right one")
        expires = found.key.expires
        if expires is not None and self._today() > expires:
            raise UnauthenticatedError(f"the key {found.key.name!r} expired after {expires}; pass another one")
        return found

    def _main(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._asked or self._closing, self._every_s)
                if self._closing:
                    return
                asked, self._asked = self._asked, False
            stamp = self._stamp_now()
            if asked or stamp != self._stamp:
                self._stamp = stamp
                self._read_again()

    def _read_again(self) -> None:
        assert self._path is not None
        try:
            keys = read_keys(self._path)
        except MmrecError as err:
            _log.error("the API keys before stay valid, because the file cannot be used: %s", err.message)
            return
        self._use(keys)
        _log.info("the API keys were read again from %s; there are %d", self._path, len(keys))

    def _use(self, keys: Iterable[ApiKey]) -> None:
        before = {caller.key.name: caller for caller in self._callers}
        self._callers = tuple(
            Caller(key, _bucket(key, before.get(key.name)) if self._rates else None) for key in (*self._own, *keys)
        )

    def _stamp_now(self) -> Any:
        """What differs when the file was changed; None where it is missing."""
        try:
            found = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return found and (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def _bucket(key: ApiKey, before: Caller | None) -> TokenBucket | None:
    """The rate limit of a key, which goes on where it is the same as before."""
    if key.rate is None:
        return None
    if before is not None and (before.key.rate, before.key.burst) == (key.rate, key.burst):
        return before.bucket
    return TokenBucket(key.rate, key.at_once)
