"""Configuration of a server: one frozen value, checked when it is made. Reads no files and no environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_choice, check_numbers
from mmrec.sdk.connection import metadata_for
from mmrec_serving.sqlite_files import StoreFolder
from mmrec_serving.store_place import StorePlace, store_place

AccessLogged = Literal["none", "errors", "all"]
"""Which calls are logged in the access log."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """How a server listens, how much work it accepts, and how it stops.

    Attributes:
        host: Name or address to listen on; ``127.0.0.1`` is this machine alone, ``0.0.0.0`` every network.
        port: Port to listen on, 0 to 65,535; 0 takes any free one.
        socket: Unix socket to listen on instead, which only this user may use; None: host and port.
        max_queue: Calls that may wait for the engine, at least 1; more are answered RESOURCE_EXHAUSTED.
        max_batch: Requests given to the engine at once, at least 1.
        wording_queue: Replies that may wait for the language model, at least 1; with more, sentences stay plain.
        max_message_bytes: Largest message accepted, in bytes, at least 1,024.
        max_bytes: Bytes of large requests, and of large replies that clients have not read yet, that are held in memory
            for all calls together, at least 65,536; calls beyond are answered RESOURCE_EXHAUSTED.
        max_pixels: Pixels of the pictures of one call, or of one message of a stream, that are decoded, at least 1; a
            call with more is answered INVALID_ARGUMENT. A JPEG counts a quarter of its pixels. All calls together may
            have four times as many, and those beyond are answered RESOURCE_EXHAUSTED.
        picture_sandbox: Whether large pictures are decoded in another process, whose memory and time are limited; see
            `mmrec_encoders.decode_sandbox`.
        token: A key that allows everything, which callers send as ``authorization: Bearer TOKEN``; None: none. Visible
            ASCII.
        keys: File of API keys with scopes and rates (`mmrec_serving.api_keys`), read again when it changes and after
            SIGHUP; None: none. With neither token nor keys every caller may do everything.
        tls_cert: PEM file of the server's certificate chain; None: no TLS.
        tls_key: PEM file of its key; given exactly when `tls_cert` is.
        client_ca: PEM file of the authorities that clients' certificates must come from (mTLS); None: no mTLS.
        grace_s: Seconds that running calls get to finish when the server stops, 0 or more.
        reflection: Whether callers may ask which services there are.
        access_log: Which calls have a line in the log (`mmrec_serving.access`): ``none``, ``errors`` (failed calls) or
            ``all``. Of failures with the same method and status only the first 5 within 10 seconds are logged, and then
            one line with the number of the others. Faults of the server itself are always logged.
        metrics_port: Port of Prometheus metrics over HTTP, 0 to 65,535; 0 takes any free one, and None: no metrics.
        metrics_host: Name or address where they are served; anybody who reaches it may read them.
        traces: Collector that OpenTelemetry traces of calls are sent to by OTLP over gRPC, such as
            ``http://localhost:4317``; empty: no traces. Needs the extra ``tracing``.
        trace_share: Share of calls that are traced, 0 to 1; a caller's ``traceparent`` decides for its own.
        max_connection_age_s: Seconds after which a connection is renewed, so that calls spread over new replicas;
            None: never.
        max_connection_idle_s: Seconds after which a connection without calls is closed; its client connects again with
            the next one. None: never.
        max_connections: Connections at once, 1 or more; further ones are closed when they come. 0: half as many as the
            process may have open files.
        max_calls: Calls of one connection at once, 1 or more; gRPC clients keep further ones back until one has ended.
        max_streams: Open streams of one caller, 1 or more; further ones are answered RESOURCE_EXHAUSTED. A caller is an
            API key or, without keys, an address.
        store: Folder, or URL, of the store for changes of the catalogue and events of customers, which is made if it is
            missing; see `mmrec_serving.store_place`. None: they are refused.
        changes_in_memory: Whether changes and events are accepted without a store, and lost when the server ends; for
            tests and demos.
        fold_after: Number of recorded changes after which a compaction writes them into a new version of the bundle, in
            another process at low priority, which is then served; 0: no limit. Needs a store, and a writable bundle
            folder that no other server serves.
        fold_every_s: Seconds after which changes are compacted, however few; None: no limit.
        keep_versions: Newest versions of the bundle to keep after a compaction, at least 1; that before the served one
            stays too. 0: all.
        watch: Whether to load any version of the bundle that becomes current; otherwise only after SIGHUP.
        trial_s: Seconds, also of the processor, in which another process must have loaded and asked a version of the
            bundle before this one loads it, over 0; see `mmrec_serving.updates.trial`. None: it is loaded at once, as
            an engine other than `mmrec.Recommender` needs it.
        tidy_every_s: Seconds between two tidyings of the store: changes of one item are merged into the last one, and
            expired request ids are deleted.
        housekeeping_s: Seconds between two rounds of background maintenance, over 0.
        restart_s: Seconds after which a thread that answers questions, and has ended by itself, is replaced by another
            one, over 0; twice as long after each further end, a minute at most. None: when the server is started again.
    """

    host: str = "127.0.0.1"
    port: int = 50051
    socket: Path | None = None
    max_queue: int = 256
    max_batch: int = 32
    wording_queue: int = 8
    max_message_bytes: int = 32 * 1024 * 1024
    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 1_000_000_000
    picture_sandbox: bool = True
    token: str | None = field(default=None, repr=False)
    keys: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    grace_s: float = 10.0
    reflection: bool = True
    access_log: AccessLogged = "errors"
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    traces: str = ""
    trace_share: float = 1.0
    max_connection_age_s: float | None = None
    max_connection_idle_s: float | None = 1800.0
    max_connections: int = 0
    max_calls: int = 1000
    max_streams: int = 256
    store: Path | str | None = field(default=None, repr=False)
    changes_in_memory: bool = False
    fold_after: int = 0
    fold_every_s: float | None = None
    keep_versions: int = 0
    watch: bool = False
    trial_s: float | None = 1800.0
    tidy_every_s: float = 3600.0
    housekeeping_s: float = 1.0
    restart_s: float | None = 1.0

    def __post_init__(self) -> None:
        if not self.host.strip():
            raise InvalidArgumentError("host is empty; pass 127.0.0.1 or 0.0.0.0", field="host")
        _whole("port", self.port, 0, 65_535)
        if not self.metrics_host.strip():
            raise InvalidArgumentError("metrics_host is empty; pass 127.0.0.1 or 0.0.0.0", field="metrics_host")
        if self.metrics_port is not None:
            _whole("metrics_port", self.metrics_port, 0, 65_535)
        _whole("max_queue", self.max_queue, 1, 1_000_000)
        _whole("max_batch", self.max_batch, 1, 100_000)
        _whole("wording_queue", self.wording_queue, 1, 100_000)
        _whole("max_message_bytes", self.max_message_bytes, 1024, 2**31 - 1)
        _whole("max_bytes", self.max_bytes, 65_536, 2**62)
        _whole("max_pixels", self.max_pixels, 1, 2**62)
        metadata_for(self.token)
        if (self.tls_cert is None) != (self.tls_key is None):
            given, missing = ("tls_key", "tls_cert") if self.tls_cert is None else ("tls_cert", "tls_key")
            raise InvalidArgumentError(f"{given} is given without {missing}; give both", field=missing)
        if self.client_ca is not None and self.tls_cert is None:
            raise InvalidArgumentError("client_ca is given without tls_cert; mTLS needs both", field="tls_cert")
        check_numbers(self, "grace_s", low=0, below=math.inf)
        if self.store is not None and self.changes_in_memory:
            raise InvalidArgumentError(
                "store and changes_in_memory are both given; changes are kept in one of them", field="store"
            )
        check_choice("access_log", self.access_log, get_args(AccessLogged))
        if self.traces and not _is_http(self.traces):
            raise InvalidArgumentError(
                f"traces is {self.traces!r:.200}; pass the address of a collector, such as http://localhost:4317",
                field="traces",
            )
        check_numbers(self, "trace_share", low=0, high=1)
        check_numbers(self, "max_connection_age_s", "max_connection_idle_s", over=0, high=1_000_000)
        _whole("max_connections", self.max_connections, 0, 1_000_000)
        _whole("max_calls", self.max_calls, 1, 1_000_000)
        _whole("max_streams", self.max_streams, 1, 1_000_000)
        self._check_housekeeping()

    @property
    def store_place(self) -> StorePlace | None:
        """The place of the store."""
        return None if self.store is None else store_place(self.store)

    def _check_housekeeping(self) -> None:
        _whole("fold_after", self.fold_after, 0, 2**62)
        _whole("keep_versions", self.keep_versions, 0, 1_000_000)
        field = "fold_after" if self.fold_after else "fold_every_s"
        folds = self.fold_after or self.fold_every_s is not None
        place = self.store_place
        if folds and self.store is None:
            raise InvalidArgumentError(f"{field} is given without a store; compaction needs one", field=field)
        if folds and not isinstance(place, StoreFolder):
            raise InvalidArgumentError(
                f"{field} is given with a database, which servers share; run mmrec fold BUNDLE --store URL", field=field
            )
        check_numbers(
            self, "fold_every_s", "trial_s", "tidy_every_s", "housekeeping_s", "restart_s", over=0, high=100_000_000
        )


_PATHS = ("socket", "keys", "tls_cert", "tls_key", "client_ca")


def config_to_json(config: ServerConfig) -> dict[str, object]:
    """A configuration as values of JSON, for another process."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def config_from_json(values: Mapping[str, Any]) -> ServerConfig:
    """The configuration of `config_to_json`."""
    paths = {name: Path(values[name]) for name in _PATHS if values[name] is not None}
    return ServerConfig(**{**values, **paths})


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidArgumentError(
            f"{name} is {value!r}; it must be a whole number from {low:,} to {high:,}", field=name
        )
