"""A real server with more work than it can do: who is refused, how soon, and what is held in memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest

from mmrec.contract.items import ItemRecord
from mmrec.contract.replies import ItemLookup, SearchResults
from mmrec.contract.requests import ItemsRequest, RecommendRequest, SearchRequest, SimilarRequest
from mmrec.errors import DeadlineExceededError, MmrecError, ResourceExhaustedError
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client
from mmrec.sdk.rpcs import GET_ITEMS, RECOMMEND, SEARCH_ITEMS
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine

WAIT_S = 30
INFO = "/mmrec.v1.SystemService/GetServiceInfo"


def _channel(target: str, *options: tuple[str, int]) -> Any:
    """A channel whose calls take and return bytes."""
    return grpc.insecure_channel(target, options)


class SlowEngine(FakeEngine):
    """Each similar item takes a tenth of a second, and every item has a long description."""

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        time.sleep(0.1 * len(requests))
        return super().similar_many(requests)

    def items_many(self, requests: Sequence[ItemsRequest]) -> list[ItemLookup | MmrecError]:
        return [
            one if isinstance(one, MmrecError) else replace(one, items=tuple(map(_long, one.items)))
            for one in super().items_many(requests)
        ]


def _long(item: ItemRecord) -> ItemRecord:
    return replace(item, description="x" * 3_000_000)


@pytest.fixture
def engine() -> Iterator[SlowEngine]:
    made = SlowEngine()
    yield made
    made.release.set()


def test_calls_that_would_wait_too_long_are_refused_while_they_come_and_never_worked_on(engine: SlowEngine) -> None:
    async def accepted(client: AsyncClient) -> bool:
        """Whether so few calls wait that one of half a second is not refused."""
        try:
            await client.similar("item-1", timeout=0.5)
        except ResourceExhaustedError:
            return False
        except DeadlineExceededError:
            return True
        raise AssertionError("the engine is busy")

    async def scenario(target: str) -> list[MmrecError]:
        async with AsyncClient(target, timeout=20) as client:
            for item_ids in (["item-1"], ["item-1", "item-2"]):
                await client.similar_many([SimilarRequest(item_id) for item_id in item_ids])
            busy = asyncio.create_task(client.search("trap: wait"))
            assert await asyncio.to_thread(engine.entered.wait, WAIT_S)
            # Each takes 0.1 s at least, so that of 300 no more than 200 / 1.5 are expected to be done within 20 s.
            # Equal ones would wait for one answer.
            calls = [asyncio.create_task(client.similar("item-1", 11 + number)) for number in range(300)]
            refused: list[MmrecError] = []
            while len(refused) < 160:
                done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                calls = [call for call in calls if call not in done]
                for call in done:
                    error = call.exception()
                    assert isinstance(error, MmrecError)
                    refused.append(error)
            for call in calls:
                call.cancel()
            while not await accepted(client):
                pass
            engine.release.set()
            await busy
            return refused

    with BackgroundServer(lambda: engine, ServerConfig(port=0, max_queue=100_000)) as server:
        refused = asyncio.run(scenario(server.target))
        with Client(server.target) as client:
            assert client.info().items == 20
    assert {type(error) for error in refused} == {ResourceExhaustedError}
    assert all(isinstance(error, ResourceExhaustedError) and error.retry_after_s for error in refused)
    assert "this one would wait for about" in refused[0].message
    # Of over 100 calls that waited, the last ones may still have been there.
    assert sum(count for kind, count in engine.asked if kind == "similar") < 3 + 10


def test_bulk_calls_are_done_beside_many_callers_that_never_pause(engine: SlowEngine) -> None:
    async def scenario(target: str) -> int:
        async with AsyncClient(target, timeout=60) as client, AsyncClient(target, timeout=60) as bulk:
            await client.similar("item-1")
            over = asyncio.Event()

            async def caller() -> None:
                while not over.is_set():
                    await client.similar("item-1")

            callers = [asyncio.create_task(caller()) for _ in range(16)]
            found = await bulk.recommend_many([RecommendRequest(k=1)] * 100)
            over.set()
            await asyncio.gather(*callers)
            return len(found)

    with BackgroundServer(lambda: engine) as server:
        assert asyncio.run(scenario(server.target)) == 100


def test_a_burst_of_some_clients_cancels_no_call(engine: SlowEngine) -> None:
    codes: Counter[grpc.StatusCode] = Counter()
    left = threading.Semaphore(0)

    def ended(call: Any) -> None:
        codes[call.code()] += 1
        left.release()

    with (
        BackgroundServer(lambda: engine, ServerConfig(port=0, max_queue=1)) as server,
        Client(server.target) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        busy = pool.submit(client.search, "trap: wait", timeout=60)
        assert engine.entered.wait(WAIT_S)
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [_channel(server.target, *options) for _ in range(4)]
        for channel in channels:
            grpc.channel_ready_future(channel).result(WAIT_S)
        for _ in range(450):
            for channel in channels:
                channel.unary_unary(INFO).future(b"", timeout=60).add_done_callback(ended)
        for _ in range(1799):
            assert left.acquire(timeout=60)
        engine.release.set()
        assert left.acquire(timeout=60)
        busy.result(WAIT_S)
        for channel in channels:
            channel.close()
    assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED: 1799, grpc.StatusCode.OK: 1}


# --- memory ---------------------------------------------------------------------------------------------------


def test_a_call_without_a_token_is_refused_before_its_request_is_read(engine: SlowEngine) -> None:
    over = threading.Event()

    def endless() -> Iterator[bytes]:
        over.wait(WAIT_S)
        yield from ()

    with (
        BackgroundServer(lambda: engine, ServerConfig(port=0, token="s3cret")) as server,
        _channel(server.target) as channel,
    ):
        with pytest.raises(grpc.RpcError) as failed:
            channel.stream_unary(SEARCH_ITEMS.path)(endless(), timeout=WAIT_S)
        over.set()
    assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_busy_server_refuses_a_recommendation_before_its_request_is_read(engine: SlowEngine) -> None:
    over = threading.Event()

    def endless() -> Iterator[bytes]:
        over.wait(WAIT_S)
        yield from ()

    with (
        BackgroundServer(lambda: engine, ServerConfig(port=0, max_queue=1)) as server,
        Client(server.target) as client,
        ThreadPoolExecutor(1) as pool,
        _channel(server.target) as channel,
    ):
        busy = pool.submit(client.search, "trap: wait", timeout=60)
        assert engine.entered.wait(WAIT_S)
        both = [channel.unary_unary(INFO).future(b"", timeout=60) for _ in range(2)]
        while not any(call.done() for call in both):  # the queue is full
            time.sleep(0.01)
        with pytest.raises(grpc.RpcError) as failed:
            channel.stream_unary(RECOMMEND.path)(endless(), timeout=WAIT_S)
        over.set()
        engine.release.set()
        (waiting,) = (call for call in both if call.code() is grpc.StatusCode.OK)
        assert waiting.result(WAIT_S) is not None
        busy.result(WAIT_S)
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "1 calls are waiting already" in failed.value.details()


def test_a_call_that_ends_without_a_request_is_told(engine: SlowEngine) -> None:
    with BackgroundServer(lambda: engine) as server, _channel(server.target) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.stream_unary(INFO)(iter(()), timeout=WAIT_S)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "has no request message" in str(failed.value.details())


def test_large_requests_wait_up_to_a_number_of_bytes(engine: SlowEngine) -> None:
    config = ServerConfig(port=0, max_bytes=100_000)
    large = SEARCH_ITEMS.encode_request(SearchRequest("hat", image=b"\xff\xd8" + b"x" * 70_000))
    with (
        BackgroundServer(lambda: engine, config) as server,
        Client(server.target) as client,
        _channel(server.target) as channel,
        ThreadPoolExecutor(1) as pool,
    ):
        busy = pool.submit(client.search, "trap: wait")
        assert engine.entered.wait(WAIT_S)
        search = channel.unary_unary(SEARCH_ITEMS.path)
        both = [search.future(large, timeout=WAIT_S) for _ in range(2)]
        while not any(call.done() for call in both):
            time.sleep(0.01)
        assert sorted(call.done() for call in both) == [False, True]
        (refused,) = (call for call in both if call.done())
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "calls hold 70,0" in refused.details()
        engine.release.set()
        busy.result(WAIT_S)
        (accepted,) = (call for call in both if call is not refused)
        assert accepted.result(WAIT_S)
        assert search(large, timeout=WAIT_S)


def test_large_replies_that_nobody_reads_are_held_up_to_a_number_of_bytes(engine: SlowEngine) -> None:
    config = ServerConfig(port=0, max_bytes=5_000_000)
    one = GET_ITEMS.encode_request(ItemsRequest(("item-1",)))
    # A client that takes no more off the wire than it reads.
    narrow = [("grpc.http2.lookahead_bytes", 65_536), ("grpc.http2.bdp_probe", 0)]
    with (
        BackgroundServer(lambda: engine, config) as server,
        _channel(server.target, *narrow) as channel,
        Client(server.target) as client,
    ):
        unread = channel.unary_stream(GET_ITEMS.path)(one, timeout=WAIT_S)
        refused = ""
        while not refused:  # until the first reply is there
            if not unread.is_active():  # refused itself, because of a reply to the other client
                unread = channel.unary_stream(GET_ITEMS.path)(one, timeout=WAIT_S)
            try:
                client.items(["item-2"])
            except ResourceExhaustedError as err:
                refused = err.message
        assert "calls hold 3,000," in refused
        assert client.info().items == 20
        unread.cancel()
        while True:
            try:
                found = client.items(["item-2"])
                break
            except ResourceExhaustedError:
                time.sleep(0.01)
    assert len(found.items) == 1


def test_an_item_that_is_asked_for_often_comes_once(engine: SlowEngine) -> None:
    with BackgroundServer(lambda: engine) as server, Client(server.target) as client:
        found = client.items(["item-1"] * 998 + ["nothing", "nothing"])
    assert [item.item_id for item in found.items] == ["item-1"]
    assert found.missing_ids == ("nothing",)
