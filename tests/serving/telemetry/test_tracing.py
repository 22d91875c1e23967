"""Traces of a real server: one span a call below its caller's, and one below it for each stage."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from mmrec.contract.requests import RecommendRequest
from mmrec.errors import InternalError, InvalidArgumentError, MissingExtraError, NotFoundError
from mmrec.recommender import Recommender
from mmrec.sdk.client import Client
from mmrec.sdk.timing import CallTiming
from mmrec.v1 import recommendation_pb2
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.telemetry.tracing import CallTraces
from tests.fake_engine import FakeEngine

RECOMMEND = "mmrec.v1.RecommendationService/Recommend"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def server(spans: InMemorySpanExporter) -> Iterator[BackgroundServer]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with BackgroundServer(FakeEngine, watches=[CallTraces(provider.get_tracer("test"))]) as running:
        yield running
    provider.shutdown()


def recommend(target: str, **metadata: str) -> None:
    with grpc.insecure_channel(target) as channel:
        request = recommendation_pb2.RecommendRequest(history=["item-1"]).SerializeToString()
        channel.unary_unary(f"/{RECOMMEND}")(request, timeout=10, metadata=tuple(metadata.items()))


def finished(spans: InMemorySpanExporter) -> Sequence[ReadableSpan]:
    return spans.get_finished_spans()


def test_a_call_is_below_its_caller_and_its_stages_are_below_it(
    server: BackgroundServer, spans: InMemorySpanExporter
) -> None:
    recommend(server.target, traceparent=f"00-{TRACE}-{CALLER}-01", **{"x-request-id": "mine"})
    *stages, call = finished(spans)
    assert (call.name, call.kind) == (RECOMMEND, SpanKind.SERVER)
    assert format(call.context.trace_id, "032x") == TRACE
    assert call.parent is not None
    assert format(call.parent.span_id, "016x") == CALLER
    assert dict(call.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": "mmrec.v1.RecommendationService",
        "rpc.method": "Recommend",
        "rpc.grpc.status_code": 0,
        "mmrec.request_id": "mine",
    }
    assert [stage.name for stage in stages] == ["arrive", "decode", "queue", "run", "encode"]
    assert {stage.parent.span_id for stage in stages if stage.parent} == {call.context.span_id}
    assert [dict(stage.attributes or {}) for stage in stages] == [{}, {}, {}, {"mmrec.batch_size": 1}, {}]
    # One after the other, without overlap.
    times = [moment for stage in stages for moment in (stage.start_time, stage.end_time)]
    assert times == sorted(times)


def test_the_stages_of_an_engine_are_spans_below_its_calls_and_parts_of_their_run(
    demo_bundle: Path, spans: InMemorySpanExporter
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    engine = Recommender.load(demo_bundle, device="cpu")
    timings: list[CallTiming] = []
    with (
        BackgroundServer(lambda: engine, watches=[CallTraces(provider.get_tracer("test"))]) as server,
        Client(server.target, on_timing=timings.append) as client,
    ):
        client.recommend_many([RecommendRequest(("p0001",), k=2), RecommendRequest(("p0002", "p0003"), k=2)])
    provider.shutdown()
    *stages, call = finished(spans)
    inner = ["run.histories", "run.candidates", "run.blend", "run.rerank", "run.reply"]
    assert [stage.name for stage in stages] == ["arrive", "decode", "queue", "run", *inner, "encode"]
    assert {stage.parent.span_id for stage in stages if stage.parent} == {call.context.span_id}
    run, *parts = [stage for stage in stages if stage.name.startswith("run")]
    assert [dict(part.attributes or {}) for part in parts] == [{"mmrec.batch_size": 2}] * 5
    assert all(run.start_time <= part.start_time for part in parts if run.start_time and part.start_time)
    # One list for traces and for a caller that asks for its times.
    (timing,) = timings
    assert list(timing.stages) == [stage.name for stage in stages]
    assert sum(timing.stages[name] for name in inner) <= timing.stages["run"]


def test_without_a_caller_a_trace_begins(server: BackgroundServer, spans: InMemorySpanExporter) -> None:
    recommend(server.target, traceparent="broken")
    call = finished(spans)[-1]
    assert call.parent is None
    assert call.context.trace_id != 0


def test_a_caller_that_does_not_sample_has_no_spans(server: BackgroundServer, spans: InMemorySpanExporter) -> None:
    recommend(server.target, traceparent=f"00-{TRACE}-{CALLER}-00")
    assert finished(spans) == ()


def test_requests_of_a_batch_are_a_number(server: BackgroundServer, spans: InMemorySpanExporter) -> None:
    with Client(server.target) as client:
        client.recommend_many([RecommendRequest(k=1)] * 3)
    (run,) = [span for span in finished(spans) if span.name == "run"]
    assert dict(run.attributes or {}) == {"mmrec.batch_size": 3}


def test_only_failures_of_the_server_are_errors(server: BackgroundServer, spans: InMemorySpanExporter) -> None:
    with Client(server.target) as client:
        with pytest.raises(NotFoundError):
            client.similar("nothing")
        with pytest.raises(InternalError):
            client.search("trap: raise")
    with grpc.insecure_channel(server.target) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary("/mmrec.v1.Secret/Word")(b"", timeout=10)
    # A client has its status a moment before the span has ended; the end of the server waits for its calls.
    server.stop()
    calls = {span.name: span for span in finished(spans) if span.kind is SpanKind.SERVER}
    codes = {name: (span.attributes or {})["rpc.grpc.status_code"] for name, span in calls.items()}
    similar, search = "mmrec.v1.UnderstandingService/SimilarItems", "mmrec.v1.UnderstandingService/SearchItems"
    assert codes == {similar: 5, search: 13, "unknown": 12}
    assert {name: span.status.status_code for name, span in calls.items()} == {
        similar: StatusCode.UNSET,
        search: StatusCode.ERROR,
        "unknown": StatusCode.ERROR,
    }


class Received(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.resources: list[Any] = []

    def Export(self, request: Any, context: Any) -> Any:
        self.resources += request.resource_spans
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[str, Received]]:
    received = Received()
    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(received, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", received
    server.stop(None)


def test_what_was_traced_is_at_the_collector_when_the_server_has_stopped(collector: tuple[str, Received]) -> None:
    url, received = collector
    with BackgroundServer(FakeEngine, ServerConfig(port=0, traces=url)) as server:
        recommend(server.target)
    (resource,) = received.resources
    assert ("service.name", "mmrec") in [(one.key, one.value.string_value) for one in resource.resource.attributes]
    names = [span.name for scope in resource.scope_spans for span in scope.spans]
    assert names == ["arrive", "decode", "queue", "run", "encode", RECOMMEND]


def test_a_share_of_none_leaves_the_decision_to_callers(collector: tuple[str, Received]) -> None:
    url, received = collector
    with BackgroundServer(FakeEngine, ServerConfig(port=0, traces=url, trace_share=0.0)) as server:
        recommend(server.target)
        recommend(server.target, traceparent=f"00-{TRACE}-{CALLER}-01")
    spans = [span for one in received.resources for scope in one.scope_spans for span in scope.spans]
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert len(spans) == 6


@pytest.mark.parametrize("url", ["localhost:4317", "ftp://a", "http://", "http://a:x", "http://a:0"])
def test_an_address_that_is_no_collector_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="such as http://localhost:4317"):
        ServerConfig(traces=url)


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"trace_share is 1\.5"):
        ServerConfig(trace_share=1.5)


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mmrec_serving.telemetry.tracing", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mmrec\[tracing\]'"):
        BackgroundServer(FakeEngine, ServerConfig(port=0, traces="http://localhost:4317")).__enter__()
