"""A real server on a real port with a small engine, and what callers send on purpose and by accident."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec.contract.items import ItemFailure
from mmrec.contract.replies import DuplicateGroups, Recommendations, SearchResults
from mmrec.contract.requests import DuplicatesRequest, RecommendRequest, SearchRequest
from mmrec.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    InvalidImageError,
    MmrecError,
    NotFoundError,
    NotImplementedYetError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client
from mmrec.sdk.rpcs import METHODS, RPCS, SERVICES
from mmrec.sdk.status import DETAILS_KEY, error_from_trailer
from mmrec.v1 import recommendation_pb2, understanding_pb2
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import EngineExit, FakeEngine

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def _raw(target: str, path: str, data: bytes, metadata: Any = ()) -> tuple[grpc.RpcError, MmrecError | None]:
    """The failure of a call made of plain bytes, and the error in its trailer."""
    with grpc.insecure_channel(target) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary(path)(data, timeout=10, metadata=metadata)
        trailer = dict(failed.value.trailing_metadata() or ())
        details = trailer.get(DETAILS_KEY)
        return failed.value, error_from_trailer(details) if isinstance(details, bytes) else None


def _health(target: str, service: str = "") -> Any:
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status


# --- what callers get ---------------------------------------------------------------------------------------


def test_an_empty_history_gets_the_popular_items(client: Client) -> None:
    reply = client.recommend()
    assert reply.item_ids == tuple(f"item-{n}" for n in range(10))
    assert reply.fallback.value == "popularity"


def test_unknown_ids_come_back_and_the_rest_counts(client: Client) -> None:
    reply = client.recommend(["nothing", "item-3", "nothing"], k=2)
    assert (reply.item_ids, reply.missing_ids) == (("item-4", "item-5"), ("nothing",))


def test_zero_asks_for_the_default_and_more_than_there_is_for_all(client: Client) -> None:
    assert len(client.recommend(k=0).items) == 10
    assert len(client.recommend(k=10**9).items) == 20
    assert len(client.similar("item-0", k=10**9).items) == 19


@pytest.mark.parametrize("k", [-1, -(2**31)])
def test_a_negative_k_is_refused_by_the_server_too(server: BackgroundServer, k: int) -> None:
    message = recommendation_pb2.RecommendRequest(k=k)
    path = "/mmrec.v1.RecommendationService/Recommend"
    failure, error = _raw(server.target, path, message.SerializeToString())
    assert failure.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(error, InvalidArgumentError)
    assert error.violations[0].field == "k"


def test_a_megabyte_of_text_is_refused_by_the_server_too(server: BackgroundServer, client: Client) -> None:
    message = understanding_pb2.SearchItemsRequest(text="x" * 1_000_000)
    path = "/mmrec.v1.UnderstandingService/SearchItems"
    _, error = _raw(server.target, path, message.SerializeToString())
    assert isinstance(error, InvalidArgumentError)
    assert "1,000,000 characters; at most 100,000" in error.message
    assert client.info().items == 20


def test_an_unknown_item_is_not_found(client: Client) -> None:
    with pytest.raises(NotFoundError, match="'no such item' is not in the catalogue"):
        client.similar("no such item")


def test_a_batch_succeeds_and_fails_entry_by_entry(client: Client) -> None:
    good, bad = client.recommend_many([RecommendRequest(k=1), RecommendRequest(user_id="nobody")])
    assert isinstance(good, Recommendations)
    assert isinstance(bad, NotFoundError)


def test_a_batch_from_another_language_is_refused_entry_by_entry(server: BackgroundServer) -> None:
    message = recommendation_pb2.BatchRecommendRequest(
        requests=[recommendation_pb2.RecommendRequest(k=1), recommendation_pb2.RecommendRequest(k=-1)]
    )
    path = "/mmrec.v1.RecommendationService/BatchRecommend"
    with grpc.insecure_channel(server.target) as channel:
        data = channel.unary_unary(path)(message.SerializeToString(), timeout=10)
    good, bad = RPCS[path].decode_reply(data)
    assert len(good.items) == 1
    assert bad.violations[0].field == "requests[1].k"


def test_a_batch_of_searches_succeeds_and_fails_entry_by_entry(client: Client) -> None:
    good, bad = client.search_many([SearchRequest("hat", k=1), SearchRequest(item_id="nothing")])
    assert isinstance(good, SearchResults)
    assert isinstance(bad, NotFoundError)


def test_many_labels_do_not_hold_up_other_calls(engine: FakeEngine, client: Client) -> None:
    found = client.tag([{"title": "hat"}], labels=[f"label {n}" for n in range(2000)], k=1000)
    assert len(found.items) == 1
    batches = [count for kind, count in engine.asked if kind == "tag"]
    # 2,000 labels are 125 parts of 16, of which a few at a time are given to the engine; between them, others get their
    # turn.
    assert sum(batches) == 125 + 1
    assert max(batches) <= 3


def test_a_question_about_the_whole_catalogue_is_done_by_itself(engine: FakeEngine, client: Client) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda size: client.duplicates(page_size=size), range(1, 9)))
    assert [count for kind, count in engine.asked if kind == "duplicates"] == [1] * 8


def test_pictures_that_cannot_be_read_fail_by_themselves_and_by_place(client: Client) -> None:
    items = [{"title": "hat"}, {"item_id": "nothing at all"}, *({"title": "hat"},) * 40]
    items.append({"item_id": "bad", "title": "hat", "image": b"noise"})
    entries = client.embed(items).items
    assert len(entries) == 43
    failures = {i: entry for i, entry in enumerate(entries) if isinstance(entry, ItemFailure)}
    assert sorted(failures) == [1, 42]
    error = failures[42].error
    assert isinstance(error, InvalidImageError)
    assert (failures[42].item_id, error.violations[0].field) == ("bad", "items[42].image")
    assert error.message == "items[42]: the picture is no JPEG"


def test_every_call_of_the_contract_is_built() -> None:
    assert [method.path for method in METHODS if method.path not in RPCS] == []


def test_a_call_of_a_later_version_is_told_from_noise(server: BackgroundServer) -> None:
    failure, error = _raw(server.target, "/mmrec.v1.RecommendationService/ReadMinds", b"")
    assert failure.code() is grpc.StatusCode.UNIMPLEMENTED
    assert isinstance(error, NotImplementedYetError)


@pytest.mark.parametrize("path", sorted(RPCS))
def test_noise_in_place_of_a_message_is_refused(server: BackgroundServer, client: Client, path: str) -> None:
    failure, error = _raw(server.target, path, b"\xff\xfe noise")
    assert failure.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(error, InvalidArgumentError)
    assert client.info().items == 20


def test_any_noise_leaves_the_server_up(server: BackgroundServer) -> None:
    with grpc.insecure_channel(server.target) as channel, Client(server.target) as client:
        calls = [channel.unary_unary(path) for path in sorted(RPCS)]

        @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(st.sampled_from(calls), st.binary(max_size=300))
        def check(call: Any, data: bytes) -> None:
            error = call.future(data, timeout=10).exception(timeout=30)
            assert error is None or error.code() in {
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.UNIMPLEMENTED,
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.FAILED_PRECONDITION,
            }

        check()
        assert client.info().items == 20


def test_noise_on_the_port_leaves_the_server_up(server: BackgroundServer, client: Client) -> None:
    host, _, port = server.target.rpartition(":")
    for noise in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 10_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 5000,
    ):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(noise)
    assert client.info().items == 20


def test_a_message_over_the_cap_is_refused(engine: FakeEngine) -> None:
    config = ServerConfig(port=0, max_message_bytes=100_000)
    with BackgroundServer(lambda: engine, config) as server, Client(server.target) as client:
        with pytest.raises(ResourceExhaustedError, match=r"larger than max.*send or ask for less at once"):
            client.search(image=b"x" * 200_000)
        assert client.info().items == 20


def test_the_callers_request_id_comes_back(server: BackgroundServer) -> None:
    path = "/mmrec.v1.SystemService/GetServiceInfo"
    with grpc.insecure_channel(server.target) as channel:
        _, call = channel.unary_unary(path).with_call(b"", timeout=10, metadata=(("x-request-id", "mine-7"),))
    assert dict(call.trailing_metadata())["x-request-id"] == "mine-7"


# --- faults of the engine -----------------------------------------------------------------------------------


def test_an_engine_that_raises_costs_one_call_and_tells_an_id_only(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InternalError) as failed:
        client.search("trap: raise")
    assert "secret" not in failed.value.message
    assert failed.value.error_id in failed.value.message
    assert failed.value.error_id in caplog.text
    assert "a secret of the engine" in caplog.text
    assert client.info().items == 20


@pytest.mark.parametrize("restart_s", [None, 1000.0])
def test_when_the_engines_thread_ends_health_says_so_and_calls_are_refused(
    engine: FakeEngine, restart_s: float | None
) -> None:
    with BackgroundServer(lambda: engine, ServerConfig(port=0, restart_s=restart_s)) as server:
        assert _health(server.target) == SERVING
        with Client(server.target) as client:
            with pytest.raises(UnavailableError):
                client.search("trap: exit")
            with pytest.raises(UnavailableError, match="after a fault"):
                client.info()
        for service in ("", *SERVICES):
            assert _health(server.target, service) == NOT_SERVING


def test_all_calls_of_the_engine_are_made_in_one_thread(engine: FakeEngine, client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: client.similar(f"item-{n % 20}"), range(40)))
    client.recommend()
    assert len(engine.threads) == 1


def test_questions_about_the_whole_catalogue_hold_up_nobody_and_are_answered_one_by_one() -> None:
    begun, go_on, threads = threading.Semaphore(0), threading.Semaphore(0), list[str]()

    class Slow(FakeEngine):
        def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
            threads.append(threading.current_thread().name)
            begun.release()
            assert go_on.acquire(timeout=30)
            return super().duplicates_many(requests)

    with (
        BackgroundServer(Slow) as server,
        Client(server.target, timeout=30) as client,
        ThreadPoolExecutor(3) as pool,
    ):
        first, second = (pool.submit(client.duplicates, page_size=size) for size in (1, 2))
        assert begun.acquire(timeout=30)
        third = pool.submit(client.mismatches)
        assert client.recommend(["item-3"], k=1).item_ids == ("item-4",)
        assert not any(asked.done() for asked in (first, second, third))
        go_on.release(2)
        assert sorted(len(asked.result(30).groups) for asked in (first, second)) == [1, 2]
        assert third.result(30).total
    assert threads == ["mmrec-catalogue"] * 2


# --- waiting, giving up, too much ---------------------------------------------------------------------------


def test_a_cancelled_call_is_not_worked_on_and_makes_room(engine: FakeEngine) -> None:
    async def room(client: AsyncClient) -> bool:
        """Whether a call that is not answered in time was let into the queue."""
        try:
            await client.list_items(timeout=0.5)
        except ResourceExhaustedError:
            return False
        except DeadlineExceededError:
            return True
        raise AssertionError("the engine is busy")

    async def scenario(target: str) -> None:
        async with AsyncClient(target) as client:
            busy = asyncio.create_task(client.search("trap: wait"))
            assert await asyncio.to_thread(engine.entered.wait, 30)
            both = [asyncio.create_task(client.similar("item-1")) for _ in range(2)]
            # One waits in the queue, which is full then; the other is refused.
            (refused,), (gone,) = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            assert isinstance(refused.exception(), ResourceExhaustedError)
            assert not await room(client)
            gone.cancel()
            while not await room(client):
                await asyncio.sleep(0.01)
            engine.release.set()
            await busy
            await client.recommend()

    with BackgroundServer(lambda: engine, ServerConfig(port=0, max_queue=1)) as server:
        asyncio.run(scenario(server.target))
    assert [kind for kind, _ in engine.asked] == ["recommend", "search", "recommend"]


def test_a_full_queue_is_told_with_a_time_to_come_back(engine: FakeEngine) -> None:
    config = ServerConfig(port=0, max_queue=1)
    with BackgroundServer(lambda: engine, config) as server, Client(server.target) as client:
        with ThreadPoolExecutor(3) as pool:
            busy = pool.submit(client.search, "trap: wait")
            assert engine.entered.wait(30)
            both = [pool.submit(client.similar, "item-1") for _ in range(2)]
            (refused,), (waiting,) = wait(both, timeout=30, return_when=FIRST_COMPLETED)
            with pytest.raises(ResourceExhaustedError, match="1 calls are waiting") as told:
                refused.result()
            engine.release.set()
            assert len(busy.result(30).items) == 10
            assert len(waiting.result(30).items) == 10
        assert told.value.retry_after_s is not None
        assert told.value.retry_after_s >= 0.1


def test_a_deadline_that_is_too_short_ends_the_call_and_its_work(engine: FakeEngine, client: Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(client.search, "trap: wait")
        assert engine.entered.wait(30)
        with pytest.raises(DeadlineExceededError, match=r"within 0\.2 s; pass a longer timeout"):
            client.similar("item-1", timeout=0.2)
        engine.release.set()
        busy.result(30)
    client.info()
    assert [kind for kind, _ in engine.asked] == ["recommend", "search"]


def test_two_hundred_calls_at_once_are_all_answered_and_put_into_batches(
    engine: FakeEngine, server: BackgroundServer
) -> None:
    async def scenario() -> list[Recommendations]:
        async with AsyncClient(server.target, timeout=60) as client:
            return await asyncio.gather(*(client.recommend([f"item-{n % 20}"], k=1 + n // 20) for n in range(200)))

    replies = asyncio.run(scenario())
    assert [reply.item_ids[0] for reply in replies] == [f"item-{(n + 1) % 20}" for n in range(200)]
    sizes = [count for kind, count in engine.asked[1:] if kind == "recommend"]
    assert sum(sizes) == 200
    assert max(sizes) <= 32


# --- health, reflection, starting ---------------------------------------------------------------------------


def test_while_the_engine_loads_health_says_not_serving_and_calls_are_refused(engine: FakeEngine) -> None:
    from mmrec_serving import Server

    loading = threading.Event()

    def load() -> FakeEngine:
        assert loading.wait(30)
        return engine

    async def scenario() -> None:
        server = Server(load, ServerConfig(port=0))
        target = await server.start()
        try:
            assert await asyncio.to_thread(_health, target) == NOT_SERVING
            async with AsyncClient(target) as client:
                with pytest.raises(UnavailableError, match="still loading") as refused:
                    await client.info()
                assert refused.value.retry_after_s == 1.0
                loading.set()
                await server.ready()
                assert (await client.info()).items == 20
            for service in ("", *SERVICES):
                assert await asyncio.to_thread(_health, target, service) == SERVING
        finally:
            await server.stop(0)

    asyncio.run(scenario())


def test_a_server_that_is_loaded_in_time_is_found_by_the_retries(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    from mmrec_serving import Server

    loading = threading.Event()

    def load() -> FakeEngine:
        assert loading.wait(30)
        return engine

    async def scenario() -> int:
        server = Server(load, ServerConfig(port=0))
        target = await server.start()
        async with AsyncClient(target) as client:
            call = asyncio.create_task(client.info())
            while "GetServiceInfo UNAVAILABLE" not in caplog.text:
                await asyncio.sleep(0.01)
            loading.set()
            await server.ready()
            items = (await call).items
        await server.stop(0)
        return items

    assert asyncio.run(scenario()) == 20


def test_an_engine_that_cannot_be_loaded_is_told_as_it_is() -> None:
    def load() -> FakeEngine:
        raise NotFoundError("no bundle at /nowhere")

    with pytest.raises(NotFoundError, match="no bundle at /nowhere"), BackgroundServer(load):
        pass


def test_an_engine_that_exits_while_loading_ends_nothing_else() -> None:
    def load() -> FakeEngine:
        raise EngineExit

    with pytest.raises(InternalError), BackgroundServer(load):
        pass


def test_a_port_that_is_taken_is_told(server: BackgroundServer, engine: FakeEngine) -> None:
    port = int(server.target.rpartition(":")[2])
    with (
        pytest.raises(FailedPreconditionError, match="the port is taken"),
        BackgroundServer(lambda: engine, ServerConfig(port=port)),
    ):
        pass


def test_health_of_a_service_that_is_not_there(server: BackgroundServer) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        _health(server.target, "no.such.Service")
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND


def _services(target: str) -> list[str]:
    with grpc.insecure_channel(target) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (reply,) = list(stub.ServerReflectionInfo(asked, timeout=10))
        return sorted(service.name for service in reply.list_services_response.service)


def test_reflection_lists_the_services(server: BackgroundServer) -> None:
    assert _services(server.target) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "mmrec.v1.ItemService",
        "mmrec.v1.RecommendationService",
        "mmrec.v1.SystemService",
        "mmrec.v1.UnderstandingService",
    ]


def test_reflection_can_be_turned_off(engine: FakeEngine) -> None:
    config = ServerConfig(port=0, reflection=False)
    with BackgroundServer(lambda: engine, config) as server, pytest.raises(grpc.RpcError) as failed:
        _services(server.target)
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_connections_are_renewed_without_failing_calls(engine: FakeEngine) -> None:
    config = ServerConfig(port=0, max_connection_age_s=0.2)
    with BackgroundServer(lambda: engine, config) as server, Client(server.target) as client:
        for _ in range(8):
            assert client.info().items == 20
            threading.Event().wait(0.1)


# --- tokens -------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(engine: FakeEngine) -> Any:
    with BackgroundServer(lambda: engine, ServerConfig(port=0, token="s3cret")) as server:
        yield server


def test_the_right_token_opens(guarded: BackgroundServer) -> None:
    with Client(guarded.target, token="s3cret") as client:
        assert client.info().items == 20


@pytest.mark.parametrize(("token", "words"), [(None, "has no token"), ("s3creT", "is not the server's")])
def test_a_missing_or_wrong_token_is_refused(guarded: BackgroundServer, token: str | None, words: str) -> None:
    with Client(guarded.target, token=token) as client, pytest.raises(UnauthenticatedError, match=words):
        client.info()


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
def test_the_name_of_the_scheme_is_read_without_regard_to_case(guarded: BackgroundServer, scheme: str) -> None:
    with grpc.insecure_channel(guarded.target) as channel:
        call = channel.unary_unary("/mmrec.v1.SystemService/GetServiceInfo")
        _, done = call.with_call(b"", metadata=(("authorization", f"{scheme} s3cret"),), timeout=10)
    assert done.code() is grpc.StatusCode.OK


def test_a_refused_call_has_the_id_of_its_request(guarded: BackgroundServer) -> None:
    with grpc.insecure_channel(guarded.target) as channel:
        call = channel.unary_unary("/mmrec.v1.SystemService/GetServiceInfo")
        with pytest.raises(grpc.RpcError) as failed:
            call(b"", metadata=(("x-request-id", "r-17"),), timeout=10)
    assert dict(failed.value.trailing_metadata())["x-request-id"] == "r-17"


def test_a_token_is_wanted_for_calls_that_change_something_and_for_reflection(guarded: BackgroundServer) -> None:
    _, error = _raw(guarded.target, "/mmrec.v1.RecommendationService/RecordEvents", b"")
    assert isinstance(error, UnauthenticatedError)
    with pytest.raises(grpc.RpcError) as failed:
        _services(guarded.target)
    assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_health_needs_no_token(guarded: BackgroundServer) -> None:
    assert _health(guarded.target) == SERVING


def test_the_token_does_not_show_in_the_configuration() -> None:
    assert "s3cret" not in repr(ServerConfig(token="s3cret"))


# --- configuration ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"host": " "},
        {"port": -1},
        {"port": 65_536},
        {"port": True},
        {"max_queue": 0},
        {"max_batch": 0},
        {"max_message_bytes": 10},
        {"token": ""},
        {"token": "two words"},
        {"tls_key": "key.pem"},
        {"client_ca": "ca.pem"},
        {"grace_s": -1.0},
        {"grace_s": float("nan")},
        {"max_connection_age_s": 0.0},
    ],
)
def test_settings_that_break_a_rule_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        ServerConfig(**values)
