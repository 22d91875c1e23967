"""The Prometheus metrics of one server, and the HTTP endpoint that they are read from.

Counters and histograms change as calls, batches and commits end; gauges are asked of the server when the endpoint is
read. No label holds an id of a customer, an item or a reply, or a word that a client chose. Knows nothing about gRPC's
objects and models.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mmrec.contract.engine import Engine, figures_of
from mmrec.contract.events import EventResults, RecordEventsRequest
from mmrec.contract.replies import Recommendations
from mmrec.errors import FailedPreconditionError, MmrecError
from mmrec.sdk.rpcs import METHODS
from mmrec_serving.job_observer import Observer
from mmrec_serving.telemetry.calls import CallRecord
from mmrec_serving.telemetry.click_through import ClickThrough

_log = logging.getLogger(__name__)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_SECONDS = (0.0001, 0.00025, 0.0005, *_SECONDS)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_RPC = ("grpc_type", "grpc_service", "grpc_method")
_TYPES = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}
_UNKNOWN = ("unary", "unknown", "unknown")
_EVENT_TYPES = frozenset({"impression", "view", "cart", "purchase", "dismiss"})
"""Types with a label of their own. Callers may send any word, and each would be a time series for ever."""
_REASONS = {"RESOURCE_EXHAUSTED": "overload", "DEADLINE_EXCEEDED": "deadline", "UNAVAILABLE": "unavailable"}


@dataclass(frozen=True, slots=True)
class ServerState:
    """What gauges are read from, each asked when the endpoint is read, in a thread of the endpoint.

    Attributes:
        waiting: Jobs that wait, by kind of work.
        engine: The engine; None while it is loading.
        positions: Number of the last change or event that was ever recorded, by store.
        refused: Whether the current version of the bundle could not be loaded, and the one before is served.
    """

    waiting: Callable[[], Mapping[str, int]]
    engine: Callable[[], Engine | None]
    positions: Callable[[], Mapping[str, int]]
    refused: Callable[[], bool]


class ServerMetrics(Observer):
    """Metrics with a registry of their own; watches calls, and observes schedulers and stores.

    Args:
        state: What gauges are read from.
    """

    def __init__(self, state: ServerState) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Gauges(state))

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(name, help, labels, registry=registry)

        def seconds(name: str, help: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
            return Histogram(name, f"{help}, in seconds.", labels, buckets=buckets, registry=registry)

        # The label values of a metric are few, and looking up a child of it takes longer than to change it.
        cache = functools.cache
        self._rpcs = {
            method.path: (_TYPES[method.client_streaming, method.server_streaming], *method.path[1:].split("/"))
            for method in METHODS
        }
        self._started = cache(counter("grpc_server_started", "Calls that have begun.", *_RPC).labels)
        self._handled = cache(counter("grpc_server_handled", "Calls that have ended.", *_RPC, "grpc_code").labels)
        self._handling = cache(
            seconds("grpc_server_handling_seconds", "Duration of calls on the server", _RPC, _SECONDS).labels
        )
        self._stage = cache(
            seconds("mmrec_stage_seconds", "Duration of the stages of calls", ["stage"], _STAGE_SECONDS).labels
        )
        self._wait = cache(
            seconds("mmrec_queue_wait_seconds", "Time that work waits for its turn", ["kind"], _STAGE_SECONDS).labels
        )
        self._batch_seconds = cache(
            seconds("mmrec_batch_seconds", "Time that batches of work take", ["kind"], _SECONDS).labels
        )
        self._batch_size = cache(
            Histogram("mmrec_batch_size", "Requests of a batch.", ["kind"], buckets=_REQUESTS, registry=registry).labels
        )
        refused = "Work that was refused (overload, deadline, unavailable), or dropped before its turn (late)."
        self._refused = cache(counter("mmrec_refused", refused, "kind", "reason").labels)
        self._commit = cache(
            seconds("mmrec_store_commit_seconds", "Time to make changes or events durable", ["store"], _SECONDS).labels
        )
        events = "Events that were acknowledged, those that were recorded before included."
        self._events = cache(counter("mmrec_events", events, "type").labels)
        self._clicks = ClickThrough()
        self._recommendations = counter(
            "mmrec_recommendations", "Lists that were recommended, each with a recommendation id."
        )
        clicked = (
            "Recommendation ids with an event that took an item, each counted once: ids of this server's last replies "
            "(served=here), and of replies of other servers, or of long ago (served=elsewhere)."
        )
        self._clicked = cache(counter("mmrec_recommendations_clicked", clicked, "served").labels)
        for served in ("here", "elsewhere"):
            self._clicked(served)

    # --- calls -----------------------------------------------------------------------------------------------

    def began(self, method: str, request_id: str, metadata: Mapping[str, str]) -> CallRecord:
        """See `mmrec_serving.telemetry.calls.CallWatch`."""
        labels = self._rpcs.get(method, _UNKNOWN)
        self._started(*labels).inc()
        return _MeasuredCall(self, labels)

    def stage_ended(self, name: str, seconds: float) -> None:
        """A stage of some call has ended."""
        self._stage(name).observe(seconds)

    def call_ended(self, labels: tuple[str, ...], code: str, seconds: float) -> None:
        """A call has ended."""
        self._handled(*labels, code).inc()
        self._handling(*labels).observe(seconds)

    # --- schedulers and stores -------------------------------------------------------------------------------

    def refused(self, kind: str, error: MmrecError) -> None:
        """See `mmrec_serving.job_observer.Observer`."""
        self._refused(kind, _REASONS.get(error.code, "other")).inc()

    def dropped(self, kind: str, error: MmrecError) -> None:
        """See `mmrec_serving.job_observer.Observer`."""
        self._refused(kind, "late").inc()

    def waited(self, kind: str, seconds: float) -> None:
        """See `mmrec_serving.job_observer.Observer`."""
        self._wait(kind).observe(seconds)

    def ran(self, kind: str, requests: Sequence[Any], results: Sequence[Any], seconds: float) -> None:
        """See `mmrec_serving.job_observer.Observer`."""
        self._batch_seconds(kind).observe(seconds)
        self._batch_size(kind).observe(len(requests))
        for request, result in zip(requests, results, strict=True):
            if isinstance(result, Recommendations):
                self._recommendations.inc()
                self._clicks.served(result.recommendation_id)
            elif isinstance(result, EventResults) and not request.validate_only:
                self._recorded(request, result)

    def committed(self, store: str, seconds: float) -> None:
        """A store has made changes or events durable."""
        self._commit(store).observe(seconds)

    def _recorded(self, request: RecordEventsRequest, result: EventResults) -> None:
        # An engine that returns too few entries must not end the thread that asked it.
        for event, entry in zip(request.events, result.entries, strict=False):
            if isinstance(event, MmrecError) or entry.error is not None:
                continue
            kind = event.event_type.lower()
            self._events(kind if kind in _EVENT_TYPES else "other").inc()
            served = self._clicks.clicked(event)
            if served is not None:
                self._clicked("here" if served else "elsewhere").inc()

    # --- the endpoint ----------------------------------------------------------------------------------------

    def listen(self, host: str, port: int) -> MetricsEndpoint:
        """Serve the metrics over HTTP.

        Raises:
            FailedPreconditionError: the port is taken, or the host is invalid.
        """
        return MetricsEndpoint(self._registry, host, port)


class _MeasuredCall:
    __slots__ = ("_began", "_labels", "_metrics")

    def __init__(self, metrics: ServerMetrics, labels: tuple[str, ...]) -> None:
        self._metrics, self._labels, self._began = metrics, labels, time.monotonic()

    def stage(self, name: str, began: float, ended: float, batch: int) -> None:
        self._metrics.stage_ended(name, ended - began)

    def ended(self, code: str) -> None:
        self._metrics.call_ended(self._labels, code, time.monotonic() - self._began)


class _Gauges(Collector):
    """The state of the server when it is asked. What cannot be read is left out."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        for part in (self._queues, self._engine, self._stores):
            try:
                yield from part()
            except Exception as err:
                _log.warning("some metrics cannot be read: %r", err)

    def _queues(self) -> Iterable[Metric]:
        waiting = GaugeMetricFamily("mmrec_queue_waiting", "Work that waits for its turn.", labels=["kind"])
        for kind, count in self._state.waiting().items():
            waiting.add_metric([kind], count)
        return [waiting]

    def _engine(self) -> Iterable[Metric]:
        engine = self._state.engine()
        ready = GaugeMetricFamily("mmrec_loaded", "Whether the engine is loaded.", float(engine is not None))
        if engine is None:
            return [ready]
        served = engine.info()
        items = GaugeMetricFamily("mmrec_catalogue_items", "Items of the catalogue.", served.items)
        names = ["bundle", "model", "catalogue", "codebook"]
        bundle = GaugeMetricFamily("mmrec_bundle_info", "The bundle that is served; always 1.", labels=names)
        versions = served.versions
        # What follows the plus sign is the number of a change, and each would be a time series of its own.
        bundle.add_metric([served.name, versions.model, versions.catalogue.partition("+")[0], versions.codebook], 1)
        refused = "Whether the current version of the bundle could not be loaded, and the one before is served."
        found = [ready, items, bundle, GaugeMetricFamily("mmrec_bundle_refused", refused, float(self._state.refused()))]
        figures = figures_of(engine)
        if figures is None:
            return found
        rows = "Rows of the catalogue that were changed or added, and are not merged with the others yet."
        hits = CounterMetricFamily(
            "mmrec_cache_hits", "Look-ups that found their value in the cache.", labels=["cache"]
        )
        misses = CounterMetricFamily("mmrec_cache_misses", "Look-ups that had to compute it.", labels=["cache"])
        for name, cache in figures.caches.items():
            hits.add_metric([name], cache.hits)
            misses.add_metric([name], cache.misses)
        return [*found, GaugeMetricFamily("mmrec_catalogue_delta_rows", rows, figures.delta_rows), hits, misses]

    def _stores(self) -> Iterable[Metric]:
        recorded = CounterMetricFamily(
            "mmrec_store_recorded", "Changes and events that were ever recorded in the store.", labels=["store"]
        )
        for store, position in self._state.positions().items():
            recorded.add_metric([store], position)
        return [recorded]


class MetricsEndpoint:
    """The running HTTP server of a registry.

    Attributes:
        address: ``host:port``, with the actual port.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        bare = host.strip("[]")
        named = f"[{bare}]" if ":" in bare else bare
        try:
            self._server, self._thread = start_http_server(port, bare, registry)
        except OSError as err:
            raise FailedPreconditionError(
                f"cannot serve metrics on {named}:{port}: {err.strerror or err}; pass another address to --metrics "
                "(port 0 takes any free one), or stop what uses it"
            ) from err
        self.address = f"{named}:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
