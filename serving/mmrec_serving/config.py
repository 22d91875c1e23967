"""How a server is set up: one frozen value, checked when it is made. Reads no files and no environment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from mmrec.errors import InvalidArgumentError
from mmrec.sdk.connection import metadata_for

AccessLogged = Literal["none", "errors", "all"]
"""Of which calls the access log has a line."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How a server listens, how much it takes on, and how it stops.

    Attributes:
        host: Name or address to listen on; ``127.0.0.1`` is this machine alone, ``0.0.0.0`` every network.
        port: Port to listen on, 0 to 65,535; 0 takes any free one.
        max_queue: Calls that may wait for the engine, at least 1; more are answered RESOURCE_EXHAUSTED.
        max_batch: Requests given to the engine at once, at least 1.
        max_message_bytes: Largest message accepted, in bytes, at least 1,024.
        token: What callers must send as ``authorization: Bearer TOKEN``; None: nothing. Visible ASCII.
        tls_cert: PEM file of the server's certificate chain; None: no TLS.
        tls_key: PEM file of its key; given exactly when `tls_cert` is.
        client_ca: PEM file of the authorities that callers' certificates must come from (mTLS); None: no
            mTLS.
        grace_s: Seconds that running calls get to finish when the server stops, 0 or more.
        reflection: Whether callers may ask which services there are.
        access_log: Of which calls there is a line in the log (`mmrec_serving.access`): ``none``, ``errors`` (those that
            failed) or ``all``. Of failures alike only the first 5 within 10 seconds have one, and one line tells how
            many more there were. Faults of the server itself are logged in any case.
        max_connection_age_s: Seconds after which a connection is renewed, so that calls spread over new
            replicas;
            None: never.
        store: Folder that keeps changes of the catalogue, made if need be; None: changes are refused.
        changes_in_memory: Whether changes are taken without a store, and lost when the server ends; for tests and
            demos.
        fold_after: Recorded changes after which they are folded into a new version of the bundle, in another process
            at low priority, which is then served; 0: their number does not matter. Needs a store, and a bundle
            folder that can be written to and is served by this server alone.
        fold_every_s: Seconds after which they are folded, however few; None: time does not matter.
        keep_versions: Versions of the bundle that stay after folding, the newest, at least 1; 0: all of them.
        watch: Whether to go on with any version of the bundle that becomes current; else SIGHUP says when.
        tidy_every_s: Seconds after which the store is tidied: of the changes of an item the last is kept, and requests
            that protect against nothing any more are forgotten.
        housekeeping_s: Seconds between two looks at all this, over 0.
    """

    host: str = "127.0.0.1"
    port: int = 50051
    max_queue: int = 256
    max_batch: int = 32
    max_message_bytes: int = 32 * 1024 * 1024
    token: str | None = field(default=None, repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    grace_s: float = 10.0
    reflection: bool = True
    access_log: AccessLogged = "errors"
    max_connection_age_s: float | None = None
    store: Path | None = None
    changes_in_memory: bool = False
    fold_after: int = 0
    fold_every_s: float | None = None
    keep_versions: int = 0
    watch: bool = False
    tidy_every_s: float = 3600.0
    housekeeping_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.host.strip():
            raise InvalidArgumentError("host is empty; pass 127.0.0.1 or 0.0.0.0", field="host")
        _whole("port", self.port, 0, 65_535)
        _whole("max_queue", self.max_queue, 1, 1_000_000)
        _whole("max_batch", self.max_batch, 1, 100_000)
        _whole("max_message_bytes", self.max_message_bytes, 1024, 2**31 - 1)
        metadata_for(self.token)
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("tls_key", "tls_cert") if self.tls_cert is None else ("tls_cert", "tls_key")
            raise InvalidArgumentError(f"{given} is given without {missing}; give both", field=missing)
        if self.client_ca is not None and self.tls_cert is None:
            raise InvalidArgumentError("client_ca is given without tls_cert; mTLS needs both", field="tls_cert")
        if not (math.isfinite(self.grace_s) and self.grace_s >= 0):
            raise InvalidArgumentError(f"grace_s is {self.grace_s}; it must be 0 or more", field="grace_s")
        if self.store is not None and self.changes_in_memory:
            raise InvalidArgumentError(
                "store and changes_in_memory are both given; changes are kept in one of them", field="store"
            )
        if self.access_log not in get_args(AccessLogged):
            raise InvalidArgumentError(
                f"access_log is {self.access_log!r:.40}; it must be {', '.join(get_args(AccessLogged)[:-1])} or "
                f"{get_args(AccessLogged)[-1]}",
                field="access_log",
            )
        age = self.max_connection_age_s
        if age is not None and not (math.isfinite(age) and 0 < age <= 1e6):
            raise InvalidArgumentError(
                f"max_connection_age_s is {age}; it must be over 0 and at most 1,000,000",
                field="max_connection_age_s",
            )
        self._check_housekeeping()

    def _check_housekeeping(self) -> None:
        _whole("fold_after", self.fold_after, 0, 2**62)
        _whole("keep_versions", self.keep_versions, 0, 1_000_000)
        if self.store is None and (self.fold_after or self.fold_every_s is not None):
            field = "fold_after" if self.fold_after else "fold_every_s"
            raise InvalidArgumentError(f"{field} is given without a store; changes are folded from one", field=field)
        for name in ("fold_every_s", "tidy_every_s", "housekeeping_s"):
            seconds = getattr(self, name)
            if seconds is not None and not (math.isfinite(seconds) and 0 < seconds <= 1e8):
                raise InvalidArgumentError(
                    f"{name} is {seconds}; it must be over 0 and at most 100,000,000", field=name
                )


def _whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidArgumentError(
            f"{name} is {value!r}; it must be a whole number from {low:,} to {high:,}", field=name
        )
