"""A server at a glance, from its metrics endpoint: what changed between two readings, as tables.

Unit of work: one reading. Quantiles are interpolated within buckets, as Prometheus does. Knows nothing about how tables
are shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from mmrec.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError

_TIMEOUT_S = 5.0
_MS, _MIB = 1000.0, 1024.0**2

Labels = frozenset[tuple[str, str]]


class Reading(NamedTuple):
    """What an endpoint said.

    Attributes:
        time: Seconds since 1970.
        values: By name, and there by labels.
    """

    time: float
    values: Mapping[str, Mapping[Labels, float]]


@dataclass(frozen=True, slots=True)
class OverviewTable:
    """One table of an overview.

    Attributes:
        title: What it is about.
        columns: Names.
        rows: A cell per column; None: nothing happened.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]


def read_metrics(address: str) -> Reading:
    """Read the metrics of a running server.

    Args:
        address: ``HOST:PORT``, as after ``mmrec serve --metrics``.

    Raises:
        InvalidArgumentError: it is no such address.
        UnavailableError: nobody answers there.
        FailedPreconditionError: what answers is no mmrec server.
    """
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or set(host) & set("/@?# "):
        raise InvalidArgumentError(
            f"{address!r:.80} is no address; pass HOST:PORT as given to mmrec serve --metrics", field="address"
        )
    now = time.time()
    values: dict[str, dict[Labels, float]] = {}
    try:
        # No other scheme than http, and no file.
        with urlopen(f"http://{address}/metrics", timeout=_TIMEOUT_S) as reply:  # nosec B310
            text = reply.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    except (URLError, TimeoutError, ConnectionError) as err:
        why = getattr(err, "reason", err)
        raise UnavailableError(
            f"no metrics at {address}: {why}; is there an mmrec serve with --metrics {address}?"
        ) from err
    except (HTTPException, ValueError) as err:
        raise FailedPreconditionError(f"what answers at {address} is no metrics endpoint; check the port") from err
    if "mmrec_loaded" not in values:
        raise FailedPreconditionError(f"the metrics at {address} are not of an mmrec server; check the port")
    return Reading(now, values)


def overview(now: Reading, before: Reading | None = None) -> list[OverviewTable]:
    """What a server did between two readings.

    Args:
        now: The later one.
        before: The earlier one; None: since the server was started.
    """
    start = before.time if before is not None else _one(now, "process_start_time_seconds") or now.time
    seen = _Interval(now, before, max(now.time - start, 1e-3))
    server = OverviewTable("Server", ("what", "value"), tuple(_facts(seen)))
    return [server, _calls(seen), _work(seen), _stages(seen)]


class _Interval(NamedTuple):
    now: Reading
    before: Reading | None
    seconds: float

    def grown(self, name: str, **labels: str) -> float:
        """How much a counter grew, all that have these labels together; a server that began anew counts from 0."""
        wanted = frozenset(labels.items())
        before = self.before.values.get(name, {}) if self.before is not None else {}
        total = 0.0
        for found, value in self.now.values.get(name, {}).items():
            if wanted <= found:
                old = before.get(found, 0.0)
                total += value - old if value >= old else value
        return total

    def now_of(self, name: str, **labels: str) -> float:
        """The value now, all that have these labels together."""
        wanted = frozenset(labels.items())
        return sum(value for found, value in self.now.values.get(name, {}).items() if wanted <= found)

    def rate(self, name: str, **labels: str) -> float:
        return self.grown(name, **labels) / self.seconds

    def mean(self, name: str, **labels: str) -> float | None:
        """Mean of a histogram."""
        count = self.grown(f"{name}_count", **labels)
        return self.grown(f"{name}_sum", **labels) / count if count else None

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """Quantile of a histogram; the last bound where it lies beyond."""
        bounds = {dict(found)["le"] for found in self.now.values.get(f"{name}_bucket", {})}
        low, below = 0.0, 0.0
        wanted = share * self.grown(f"{name}_count", **labels)
        if not wanted:
            return None
        for bound in sorted(bounds, key=float):
            upto = self.grown(f"{name}_bucket", **labels, le=bound)
            if upto >= wanted and float(bound) < float("inf"):
                return low + (float(bound) - low) * (wanted - below) / (upto - below)
            if float(bound) < float("inf"):
                low, below = float(bound), upto
        return low

    def names(self, name: str, *labels: str) -> Sequence[tuple[str, ...]]:
        """Values of these labels that a metric has, in order."""
        found = self.now.values.get(name, {})
        return sorted({tuple(dict(one)[label] for label in labels) for one in found})


def _facts(seen: _Interval) -> Iterator[tuple[str, str]]:
    now = seen.now
    if not _one(now, "mmrec_loaded"):
        yield "bundle", "loading"
    for found in now.values.get("mmrec_bundle_info", {}):
        bundle = dict(found)
        yield "bundle", bundle["bundle"]
        yield "versions", f"model {bundle['model']}, catalogue {bundle['catalogue']}, codebook {bundle['codebook']}"
    if _one(now, "mmrec_bundle_refused"):
        yield "refused", "the current version of the bundle could not be loaded; mmrec info tells why"
    items, delta = _one(now, "mmrec_catalogue_items"), _one(now, "mmrec_catalogue_delta_rows")
    if items is not None:
        yield "items", f"{items:,.0f}" + ("" if delta is None else f", {delta:,.0f} of them not merged yet")
    for (store,) in seen.names("mmrec_store_recorded_total", "store"):
        commit = seen.mean("mmrec_store_commit_seconds", store=store)
        took = "" if commit is None else f", {_MS * commit:.1f} ms a commit"
        yield f"{store} recorded", f"{seen.rate('mmrec_store_recorded_total', store=store):.1f} a second{took}"
    for (cache,) in seen.names("mmrec_cache_hits_total", "cache"):
        hits = seen.grown("mmrec_cache_hits_total", cache=cache)
        asked = hits + seen.grown("mmrec_cache_misses_total", cache=cache)
        if asked:
            yield f"cache of {cache}", f"{100 * hits / asked:.0f}% of {asked:,.0f} look-ups found"
    lists = seen.grown("mmrec_recommendations_total")
    if lists:
        clicked = seen.grown("mmrec_recommendations_clicked_total")
        yield "click-through", f"{100 * clicked / lists:.1f}% of {lists:,.0f} recommended lists"
    memory = _one(now, "process_resident_memory_bytes")
    if memory is not None:
        yield "memory", f"{memory / _MIB:,.0f} MiB"
        yield "processor", f"{seen.rate('process_cpu_seconds_total'):.2f} cores"
    yield "measured over", f"{seen.seconds:,.0f} s"


def _calls(seen: _Interval) -> OverviewTable:
    rows = []
    for service, method in seen.names("grpc_server_started_total", "grpc_service", "grpc_method"):
        of = {"grpc_service": service, "grpc_method": method}
        handled = seen.grown("grpc_server_handled_total", **of)
        failed = (handled - seen.grown("grpc_server_handled_total", **of, grpc_code="OK")) / seen.seconds
        running = seen.now_of("grpc_server_started_total", **of) - seen.now_of("grpc_server_handled_total", **of)
        p50, p99 = (_ms(seen.quantile("grpc_server_handling_seconds", share, **of)) for share in (0.5, 0.99))
        rows.append((method, int(handled), handled / seen.seconds, failed, int(running), p50, p99))
    columns = ("method", "calls", "a second", "failed a second", "running", "p50 ms", "p99 ms")
    return OverviewTable("Calls", columns, tuple(rows))


def _work(seen: _Interval) -> OverviewTable:
    rows = []
    for (kind,) in seen.names("mmrec_queue_waiting", "kind"):
        rows.append(
            (
                kind,
                int(seen.now_of("mmrec_queue_waiting", kind=kind)),
                seen.rate("mmrec_batch_size_sum", kind=kind),
                seen.mean("mmrec_batch_size", kind=kind),
                _ms(seen.mean("mmrec_batch_seconds", kind=kind)),
                _ms(seen.quantile("mmrec_queue_wait_seconds", 0.99, kind=kind)),
                seen.rate("mmrec_refused_total", kind=kind),
            )
        )
    columns = ("kind", "waiting", "requests a second", "a batch", "ms a batch", "p99 ms waited", "refused a second")
    return OverviewTable("Work", columns, tuple(rows))


def _stages(seen: _Interval) -> OverviewTable:
    name, rows = "mmrec_stage_seconds", []
    for (stage,) in seen.names(f"{name}_count", "stage"):
        mean, p99 = seen.mean(name, stage=stage), seen.quantile(name, 0.99, stage=stage)
        rows.append((stage, seen.rate(f"{name}_count", stage=stage), _ms(mean), _ms(p99)))
    return OverviewTable("Stages of calls", ("stage", "a second", "mean ms", "p99 ms"), tuple(rows))


def _one(reading: Reading, name: str) -> float | None:
    """The value of a metric without labels."""
    return reading.values.get(name, {}).get(frozenset())


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else _MS * seconds
