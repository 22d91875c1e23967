"""OpenTelemetry traces: one span a call, whose parent is the caller's, and one below it for each of its stages.

Spans are made when their stage has ended, with the times that were measured. The span of a call has its method, status
and request id; nothing of the request. Knows nothing about gRPC's objects.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import grpc
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import mmrec
from mmrec.sdk.rpcs import METHODS
from mmrec_serving.telemetry.calls import CallRecord

_KNOWN = frozenset(method.path for method in METHODS)
_FAULTS = frozenset({"DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"})
"""Statuses that are errors of a server, by OpenTelemetry's conventions for gRPC."""
_PROPAGATOR = TraceContextTextMapPropagator()
_NS = 1_000_000_000


class CallTraces:
    """Makes the spans of calls; a `mmrec_serving.telemetry.calls.CallWatch`.

    Args:
        tracer: Of the OpenTelemetry SDK.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def began(self, method: str, request_id: str, metadata: Mapping[str, str]) -> CallRecord:
        """See `CallWatch`; the parent is that of ``traceparent``, if the client sent one."""
        # Clients may send any number of unknown method names.
        name = method[1:] if method in _KNOWN else "unknown"
        service, _, short = name.rpartition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": short, "mmrec.request_id": request_id}
        span = self._tracer.start_span(
            name, _PROPAGATOR.extract(metadata, Context()), SpanKind.SERVER, attributes=attributes
        )
        return _TracedCall(self._tracer, span) if span.is_recording() else _UNSAMPLED


class _TracedCall:
    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._within = set_span_in_context(span, Context())
        self._offset = time.time() - time.monotonic()

    def stage(self, name: str, began: float, ended: float, batch: int) -> None:
        attributes = {"mmrec.batch_size": batch} if batch else {}
        start = self._nanoseconds(began)
        span = self._tracer.start_span(name, self._within, attributes=attributes, start_time=start)
        span.end(self._nanoseconds(ended))

    def ended(self, code: str) -> None:
        self._span.set_attribute("rpc.grpc.status_code", grpc.StatusCode[code].value[0])
        if code in _FAULTS:
            self._span.set_status(StatusCode.ERROR, code)
        self._span.end()

    def _nanoseconds(self, monotonic: float) -> int:
        """Nanoseconds since 1970 of a monotonic time."""
        return int((monotonic + self._offset) * _NS)


class _Unsampled:
    def stage(self, name: str, began: float, ended: float, batch: int) -> None:
        pass

    def ended(self, code: str) -> None:
        pass


_UNSAMPLED = _Unsampled()


class Collector:
    """Sends spans to a collector by OTLP over gRPC, in batches, in a thread of its own; those it cannot send are lost.

    Args:
        url: Address of the collector, such as ``http://localhost:4317``; https for TLS.
        share: Share of calls that are traced, 0 to 1, of those whose caller did not decide.
    """

    def __init__(self, url: str, share: float) -> None:
        about = {SERVICE_NAME: "mmrec", SERVICE_VERSION: mmrec.__version__}
        self._provider = TracerProvider(ParentBased(TraceIdRatioBased(share)), Resource.create(about))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url)))
        self.traces = CallTraces(self._provider.get_tracer("mmrec", mmrec.__version__))

    def close(self) -> None:
        """Send what is left, and end the thread."""
        self._provider.shutdown()
