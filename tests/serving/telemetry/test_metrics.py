"""What a real server tells of itself on its metrics endpoint."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError

import grpc
import pytest

import mmrec
from mmrec.contract.engine import CacheUse, EngineFigures
from mmrec.contract.events import EventResults, RecordEventsRequest, UserEvent
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import (
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    MmrecError,
    ResourceExhaustedError,
)
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine
from tests.serving.telemetry.scraping import scrape, wait_for

RECOMMEND = 'grpc_method="Recommend",grpc_service="mmrec.v1.RecommendationService",grpc_type="unary"'
SEARCH = 'grpc_method="SearchItems",grpc_service="mmrec.v1.UnderstandingService",grpc_type="unary"'


@pytest.fixture
def config() -> ServerConfig:
    return ServerConfig(port=0, changes_in_memory=True, metrics_port=0, max_queue=1)


@pytest.fixture
def address(server: BackgroundServer) -> str:
    return server.metrics_address


def test_calls_are_counted_by_method_and_status(client: Client, address: str) -> None:
    client.recommend(["item-1"])
    client.recommend()
    with pytest.raises(InternalError):
        client.search("trap: raise")
    found = wait_for(address, f'grpc_server_handled_total{{grpc_code="INTERNAL",{SEARCH}}}', 1)
    assert found[f"grpc_server_started_total{{{RECOMMEND}}}"] == 2
    assert found[f'grpc_server_handled_total{{grpc_code="OK",{RECOMMEND}}}'] == 2
    assert found[f"grpc_server_handling_seconds_count{{{RECOMMEND}}}"] == 2
    assert found[f"grpc_server_started_total{{{SEARCH}}}"] == 1
    assert found[f"grpc_server_handling_seconds_count{{{SEARCH}}}"] == 1


def test_stages_and_batches_are_measured(client: Client, address: str) -> None:
    client.recommend(["item-1"])
    client.recommend_many([RecommendRequest(k=1)] * 3)
    found = scrape(address)
    for stage in ("arrive", "decode", "queue", "run", "encode"):
        assert found[f'mmrec_stage_seconds_count{{stage="{stage}"}}'] == 2, stage
    assert found['mmrec_queue_wait_seconds_count{kind="recommend"}'] == 2
    assert found['mmrec_batch_seconds_count{kind="recommend"}'] == 2
    assert found['mmrec_batch_size_sum{kind="recommend"}'] == 4
    assert found['mmrec_batch_size_bucket{kind="recommend",le="1.0"}'] == 1
    assert found['mmrec_batch_size_bucket{kind="recommend",le="4.0"}'] == 2
    assert found['mmrec_queue_waiting{kind="recommend"}'] == 0


def test_what_waits_and_what_is_refused(client: Client, address: str, engine: FakeEngine) -> None:
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(client.search, "trap: wait")
        assert engine.entered.wait(30)
        waiting = pool.submit(client.similar, "item-0")
        wait_for(address, 'mmrec_queue_waiting{kind="similar"}', 1)
        with pytest.raises(ResourceExhaustedError):
            client.items(["item-0"], timeout=0.2)
        found = scrape(address)
        assert found['mmrec_refused_total{kind="items",reason="overload"}'] == 1
        assert found['mmrec_queue_waiting{kind="search"}'] == 0
        engine.release.set()
        held.result(30)
        waiting.result(30)
    assert scrape(address)['mmrec_queue_waiting{kind="similar"}'] == 0


def test_lists_and_their_clicks_are_counted_once_each(client: Client, address: str) -> None:
    here, before = "mmrec_recommendations_clicked_total", scrape(address)
    assert (before["mmrec_recommendations_total"], before[f'{here}{{served="here"}}']) == (0, 0)
    client.recommend(["item-1"])
    client.recommend_many([RecommendRequest(k=1)] * 2)
    shown = UserEvent("item-2", "impression", "u", recommendation_id="r-1")
    taken = UserEvent("item-2", "view", "u", recommendation_id="r-1")
    client.record_events([shown, UserEvent("item-2", "dismiss", "u", recommendation_id="r-1")])
    assert scrape(address)[f'{here}{{served="here"}}'] == 0
    client.record_events([taken, taken, UserEvent("item-2", "view", "u"), UserEvent("a", "Cart", "u")])
    client.record_events([UserEvent("a", "a word of ours", "u", recommendation_id="of another server")])
    client.record_events([taken], validate_only=True)
    found = scrape(address)
    assert found["mmrec_recommendations_total"] == 3
    assert found[f'{here}{{served="here"}}'] == 1
    assert found[f'{here}{{served="elsewhere"}}'] == 1
    kinds = {name: value for name, value in found.items() if name.startswith("mmrec_events_total")}
    assert kinds == {
        'mmrec_events_total{type="impression"}': 1,
        'mmrec_events_total{type="dismiss"}': 1,
        'mmrec_events_total{type="view"}': 3,
        'mmrec_events_total{type="cart"}': 1,
        'mmrec_events_total{type="other"}': 1,
    }


def test_no_label_has_a_word_that_a_client_chose(client: Client, server: BackgroundServer, address: str) -> None:
    with grpc.insecure_channel(server.target) as channel:
        for path in ("/mmrec.v1.Secret/Word", "/mmrec.v1.ItemService/Secret"):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(path)(b"", timeout=10)
    client.recommend(["a secret item"], user_id="a secret customer")
    client.record_events([UserEvent("a secret item", "secret", "secret", "secret", recommendation_id="secret")])
    unknown = 'grpc_method="unknown",grpc_service="unknown",grpc_type="unary"'
    found = wait_for(address, f'grpc_server_handled_total{{grpc_code="UNIMPLEMENTED",{unknown}}}', 2)
    assert [name for name in found if "secret" in name.lower()] == []


def test_what_is_served(client: Client, address: str) -> None:
    client.upsert_items([{"item_id": "new", "title": "lamp"}])
    found = scrape(address)
    assert found["mmrec_loaded"] == 1
    assert found["mmrec_catalogue_items"] == 21
    # The number of the change is no part of the label, which would be another with each.
    assert found['mmrec_bundle_info{bundle="fake",catalogue="c1",codebook="b1",model="m1"}'] == 1
    assert found["process_resident_memory_bytes"] > 1_000_000


class Measured(FakeEngine):
    def figures(self) -> EngineFigures:
        return EngineFigures(7, {"filters": CacheUse(5, 2)})


class Forgetful(FakeEngine):
    def record_events_many(self, requests: Sequence[RecordEventsRequest]) -> list[EventResults | MmrecError]:
        return [EventResults(()) for _ in requests]


def test_an_engine_that_says_too_little_of_events_goes_on(config: ServerConfig) -> None:
    with BackgroundServer(Forgetful, config) as server, Client(server.target) as client:
        with pytest.raises(InternalError):
            client.record_events([UserEvent("item-1", "view", "u")])
        assert client.info().items == 20
        assert not any(name.startswith("mmrec_events_total") for name in scrape(server.metrics_address))


class Silent(FakeEngine):
    def figures(self) -> EngineFigures:
        raise ZeroDivisionError


def test_what_an_engine_tells_of_its_inside(config: ServerConfig) -> None:
    with BackgroundServer(Measured, config) as server:
        found = scrape(server.metrics_address)
    assert found["mmrec_catalogue_delta_rows"] == 7
    assert found['mmrec_cache_hits_total{cache="filters"}'] == 5
    assert found['mmrec_cache_misses_total{cache="filters"}'] == 2


def test_what_cannot_be_read_is_left_out_and_logged(config: ServerConfig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="mmrec_serving")
    with BackgroundServer(Silent, config) as server, Client(server.target) as client:
        client.recommend()
        found = scrape(server.metrics_address)
    assert "mmrec_catalogue_items" not in found
    assert found["mmrec_recommendations_total"] == 1
    assert "some metrics cannot be read: ZeroDivisionError()" in caplog.messages


def test_two_servers_of_a_process_count_for_themselves(config: ServerConfig) -> None:
    with BackgroundServer(FakeEngine, config) as one, BackgroundServer(FakeEngine, config) as other:
        with Client(one.target) as client:
            client.recommend()
        assert scrape(one.metrics_address)["mmrec_recommendations_total"] == 1
        assert scrape(other.metrics_address)["mmrec_recommendations_total"] == 0


def test_the_endpoint_ends_with_its_server_and_is_only_there_when_asked_for(config: ServerConfig) -> None:
    with BackgroundServer(FakeEngine, config) as server:
        address = server.metrics_address
        assert re.fullmatch(r"127\.0\.0\.1:\d+", address)
        taken = ServerConfig(port=0, metrics_port=int(address.rpartition(":")[2]))
        with pytest.raises(FailedPreconditionError, match=rf"cannot serve metrics on {address}"):
            BackgroundServer(FakeEngine, taken).__enter__()
    with pytest.raises(URLError):
        scrape(address)
    with BackgroundServer(FakeEngine) as server:
        assert server.metrics_address == ""


def test_an_address_for_metrics_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="metrics_port is 70000"):
        ServerConfig(metrics_port=70_000)
    with pytest.raises(InvalidArgumentError, match="metrics_host is empty"):
        ServerConfig(metrics_port=0, metrics_host=" ")


@pytest.fixture
def stored(demo_bundle: Path, tmp_path: Path) -> Iterator[BackgroundServer]:
    config = ServerConfig(port=0, store=tmp_path / "store", metrics_port=0)
    with BackgroundServer(lambda: mmrec.Recommender.load(demo_bundle, device="cpu"), config) as server:
        yield server


def test_a_recommender_with_a_store(stored: BackgroundServer) -> None:
    with mmrec.Client(stored.target, timeout=60) as client:
        before = scrape(stored.metrics_address)
        client.upsert_items([{"item_id": "new", "title": "Quartz lamp"}], wait_until_visible=True)
        client.record_events([UserEvent("new", "view", "u"), UserEvent("new", "cart", "u")])
        client.recommend(filter='title : "lamp"')
        client.recommend(filter='title : "lamp"')
        client.tag(item_ids=["new"], labels=["lamp", "shoe"])
    found = scrape(stored.metrics_address)
    assert (before["mmrec_catalogue_delta_rows"], found["mmrec_catalogue_delta_rows"]) == (0, 1)
    assert found["mmrec_catalogue_items"] == before["mmrec_catalogue_items"] + 1
    assert found['mmrec_cache_hits_total{cache="filters"}'] == 1
    assert found['mmrec_cache_misses_total{cache="filters"}'] == 1
    assert found['mmrec_cache_misses_total{cache="labels"}'] == 2
    assert found['mmrec_store_recorded_total{store="changes"}'] == 1
    assert found['mmrec_store_recorded_total{store="events"}'] == 2
    assert found['mmrec_store_commit_seconds_count{store="changes"}'] == 1
    assert found['mmrec_store_commit_seconds_count{store="events"}'] == 1
