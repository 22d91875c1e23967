"""Items that come and go, one call at a time and over a stream, through a real server on a real port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mmrec.contract.changes import ChangeResults
from mmrec.contract.items import ItemInput
from mmrec.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    InvalidArgumentError,
    InvalidImageError,
    MmrecError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.aio_transport import AsyncEngineTransport
from mmrec.sdk.client import Client
from mmrec.sdk.transport import EngineTransport
from mmrec.v1 import common_pb2, item_pb2, item_pb2_grpc
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import VERSIONS, FakeEngine

pytestmark = pytest.mark.slow


def hats(*ids: str) -> list[ItemInput]:
    return [ItemInput(item_id, "hat") for item_id in ids]


def ids_of(results: list[ChangeResults]) -> list[tuple[str, ...]]:
    return [result.done for result in results]


# --- one call at a time ---


def test_an_item_comes_and_goes(client: Client) -> None:
    come = client.upsert_items([{"item_id": "new", "title": "hat", "attributes": {"half": "third"}}])
    assert (come.done, come.versions.catalogue) == (("new",), "c1+1")
    assert client.items(["new"]).items[0].title == "hat"
    assert client.list_items('half = "third"').item_ids == ("new",)
    assert client.info().items == 21
    gone = client.delete_items(["new", "ghost"])
    assert (gone.done, gone.versions.catalogue) == (("new",), "c1+2")
    assert isinstance(gone.entries[1].error, NotFoundError)
    assert client.items(["new"]).missing_ids == ("new",)


def test_what_is_wrong_with_an_item_is_told_with_its_place_and_the_others_are_done(client: Client) -> None:
    results = client.upsert_items(
        [{"item_id": "a"}, *hats("b"), {"item_id": "c", "title": "hat", "image": b"no picture"}, {"title": "hat"}]
    )
    assert [entry.id for entry in results.entries] == ["a", "b", "c", ""]
    fields = [entry.error.violations[0].field for entry in results.refused if hasattr(entry.error, "violations")]
    assert fields == ["items[0].title", "items[2].image", "items[3].item_id"]
    assert isinstance(results.entries[2].error, InvalidImageError)
    assert client.info().items == 21


def test_a_change_that_is_sent_again_is_made_once(client: Client) -> None:
    first = client.upsert_items(hats("a"), request_id="one")
    client.delete_items(["a"])
    assert client.upsert_items(hats("a"), request_id="one") == first
    assert client.items(["a"]).missing_ids == ("a",)
    for other in (
        lambda: client.upsert_items(hats("b"), request_id="one"),
        lambda: client.delete_items(["a"], request_id="one"),
    ):
        with pytest.raises(FailedPreconditionError, match="another change was made"):
            other()


def test_a_change_that_is_only_checked_changes_nothing(client: Client) -> None:
    assert client.upsert_items(hats("a"), validate_only=True).done == ("a",)
    assert client.delete_items(["item-1"], validate_only=True).done == ("item-1",)
    assert (client.info().items, client.info().versions) == (20, VERSIONS)


def test_changes_for_a_client_of_another_language(server: BackgroundServer) -> None:
    good = common_pb2.ItemInput(item_id="a", title="hat")
    bad = common_pb2.ItemInput(item_id="b", title="hat", image=b"no picture")
    with grpc.insecure_channel(server.target) as channel:
        stub = item_pb2_grpc.ItemServiceStub(channel)
        reply = stub.UpsertItems(item_pb2.UpsertItemsRequest(items=[good, bad], request_id="r"), timeout=10)
        assert [entry.id for entry in reply.results] == ["a", "b"]
        assert (reply.results[0].HasField("status"), reply.request_id) == (False, "r")
        assert reply.results[1].status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert reply.results[1].status.message == "items[1]: the picture is no JPEG"
        deleted = stub.DeleteItems(item_pb2.DeleteItemsRequest(item_ids=["a", "ghost"]), timeout=10)
        assert [entry.status.code for entry in deleted.results] == [0, grpc.StatusCode.NOT_FOUND.value[0]]
        asked = [item_pb2.UpsertItemsRequest(items=[good], request_id=name) for name in ("one", "two", "one")]
        replies = list(stub.StreamUpsertItems(iter(asked), timeout=10))
        assert [reply.request_id for reply in replies] == ["one", "two", "one"]
        assert replies[2] == replies[0]
        assert replies[1].versions.catalogue != replies[0].versions.catalogue


# --- over a stream ---


def test_each_batch_is_answered_before_the_next_one_is_taken(client: Client) -> None:
    told: list[str] = []

    def batches() -> Iterator[list[ItemInput]]:
        for name in ("a", "b", "c"):
            told.append(f"take {name}")
            yield hats(name)

    for results in client.stream_upserts(batches()):
        told.append(f"done {results.done[0]}")
    assert told == ["take a", "done a", "take b", "done b", "take c", "done c"]
    assert client.info().items == 23


def test_batches_may_be_under_way_together_and_are_answered_in_order(client: Client) -> None:
    told: list[str] = []

    def batches() -> Iterator[list[ItemInput]]:
        for name in ("a", "b", "c"):
            told.append(f"take {name}")
            yield hats(name)

    for results in client.stream_upserts(batches(), in_flight=2, wait_until_visible=True):
        told.append(f"done {results.done[0]}")
    assert told == ["take a", "take b", "done a", "take c", "done b", "done c"]


def test_a_stream_of_nothing_and_a_batch_of_nothing(client: Client) -> None:
    assert list(client.stream_upserts([])) == []
    empty, one = client.stream_upserts([[], hats("a")], request_id="r")
    assert (empty, one.done) == (ChangeResults((), request_id="r/0"), ("a",))
    (refused,) = client.stream_upserts([[{"item_id": "a"}]])
    assert [entry.id for entry in refused.refused] == ["a"]


def test_a_batch_of_a_stream_is_refused_item_by_item(client: Client) -> None:
    first, second = client.stream_upserts([[*hats("a"), ItemInput("b", "hat", image=b"no picture")], hats("c")])
    assert [entry.id for entry in first.refused] == ["b"]
    assert second.done == ("c",)


def test_when_the_stream_breaks_the_error_says_where_to_go_on(engine: FakeEngine, client: Client) -> None:
    batches = [hats("a"), hats("b"), [ItemInput("c", "trap: raise")], hats("d")]
    done: list[ChangeResults] = []
    with pytest.raises(InternalError, match="after 2 answered batches: internal error") as failed:
        done.extend(client.stream_upserts(batches, request_id="load", in_flight=3))
    assert ids_of(done) == [("a",), ("b",)]
    assert failed.value.answered == 2
    batches[2] = hats("c")
    rest = list(client.stream_upserts(batches, request_id="load", skip=failed.value.answered))
    assert ids_of(rest) == [("c",), ("d",)]
    assert [results.request_id for results in [*done, *rest]] == ["load/0", "load/1", "load/2", "load/3"]
    # From the beginning: everything is answered as before, and nothing is changed.
    assert list(client.stream_upserts(batches, request_id="load")) == [*done, *rest]
    assert client.info().versions.catalogue == "c1+4"


def test_a_batch_that_is_refused_as_a_whole_ends_the_stream_with_its_error(client: Client) -> None:
    client.upsert_items(hats("z"), request_id="load/1")
    with pytest.raises(FailedPreconditionError, match="after 1 answered batches") as failed:
        list(client.stream_upserts([hats("a"), hats("b")], request_id="load"))
    assert failed.value.answered == 1


def test_when_the_engine_ends_the_stream_says_so(client: Client) -> None:
    with pytest.raises(UnavailableError) as failed:
        list(client.stream_upserts([hats("a"), [ItemInput("b", "trap: exit")]]))
    assert failed.value.answered == 1


def test_an_answer_that_does_not_come_costs_the_timeout_and_no_more(engine: FakeEngine, client: Client) -> None:
    with pytest.raises(DeadlineExceededError, match=r"no answer within 0\.3 s") as failed:
        list(client.stream_upserts([[ItemInput("b", "trap: wait")]], timeout=0.3))
    assert failed.value.answered == 0
    engine.release.set()
    assert client.info().items >= 20


def test_what_the_caller_s_batches_raise_comes_after_the_answers_that_are_due(client: Client) -> None:
    def batches() -> Iterator[list[ItemInput]]:
        yield hats("a")
        raise ZeroDivisionError

    done: list[ChangeResults] = []
    with pytest.raises(ZeroDivisionError):
        done.extend(client.stream_upserts(batches(), in_flight=2))
    assert ids_of(done) == [("a",)]
    with pytest.raises(InvalidArgumentError, match="after 1 answered batches: items has 1,001 entries") as failed:
        list(client.stream_upserts([hats("a"), hats(*map(str, range(1001)))], in_flight=2))
    assert failed.value.answered == 1


def test_a_stream_that_is_left_early_leaves_the_server_well(client: Client) -> None:
    stream = client.stream_upserts([hats("a"), hats("b"), hats("c")])
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert client.info().items == 21


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"request_id": "x" * 129}, "request_id"),
        ({"skip": -1}, "skip"),
        ({"skip": 0.5}, "skip"),
        ({"in_flight": 0}, "in_flight"),
        ({"in_flight": 17}, "in_flight"),
        ({"validate_only": "no"}, "validate_only"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_an_argument_that_breaks_a_rule_is_refused_before_anything_is_sent(
    client: Client, values: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        client.stream_upserts([hats("a")], **values)  # type: ignore[arg-type]
    assert [violation.field for violation in refused.value.violations] == [field]


def test_a_hasty_caller_is_held_back(engine: FakeEngine) -> None:
    trap = common_pb2.ItemInput(item_id="a", title="trap: wait")
    hat = common_pb2.ItemInput(item_id="b", title="hat")
    asked = [item_pb2.UpsertItemsRequest(items=[trap]), *[item_pb2.UpsertItemsRequest(items=[hat])] * 20]
    config = ServerConfig(port=0, max_queue=1, changes_in_memory=True)
    with (
        BackgroundServer(lambda: engine, config) as server,
        grpc.insecure_channel(server.target) as channel,
        Client(server.target) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        stub = item_pb2_grpc.ItemServiceStub(channel)
        replies = pool.submit(lambda: list(stub.StreamUpsertItems(iter(asked), timeout=30)))
        assert engine.entered.wait(30)
        # All were sent, and only the one that is worked on was taken in: a call of somebody else may wait, and is not
        # refused.
        with pytest.raises(DeadlineExceededError):
            other.similar("item-1", timeout=0.3)
        engine.release.set()
        assert len(replies.result(30)) == 21


def test_noise_in_a_stream_ends_it(server: BackgroundServer, client: Client) -> None:
    with grpc.insecure_channel(server.target) as channel:
        call = channel.stream_stream("/mmrec.v1.ItemService/StreamUpsertItems")
        replies = call(iter([b"", b"\xff\xfe noise", b""]), timeout=10)
        assert next(replies) is not None
        with pytest.raises(grpc.RpcError) as failed:
            next(replies)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert client.info().items == 20


def test_a_stream_wants_a_token_too(engine: FakeEngine) -> None:
    with BackgroundServer(lambda: engine, ServerConfig(port=0, token="s3cret", changes_in_memory=True)) as server:
        with Client(server.target) as client, pytest.raises(UnauthenticatedError) as refused:
            list(client.stream_upserts([hats("a")]))
        assert refused.value.answered == 0
        with Client(server.target, token="s3cret") as client:
            assert ids_of(list(client.stream_upserts([hats("a")]))) == [("a",)]


def test_a_closed_client_opens_no_stream(server: BackgroundServer) -> None:
    client = Client(server.target)
    client.close()
    with pytest.raises(FailedPreconditionError, match="is closed"):
        list(client.stream_upserts([hats("a")]))


# --- asyncio, and without a server ---


def test_the_asyncio_client_streams_alike(engine: FakeEngine, server: BackgroundServer) -> None:
    async def batches() -> AsyncIterator[list[ItemInput]]:
        for name in ("a", "b", "c"):
            yield hats(name)

    async def scenario() -> None:
        async with AsyncClient(server.target) as client:
            assert ids_of([results async for results in client.stream_upserts(batches(), in_flight=2)]) == [
                ("a",),
                ("b",),
                ("c",),
            ]
            again = [results async for results in client.stream_upserts([hats("d"), hats("e")], skip=1)]
            assert ids_of(again) == [("e",)]
            with pytest.raises(InternalError, match="after 1 answered batches") as failed:
                async for _ in client.stream_upserts([hats("a"), [ItemInput("b", "trap: raise")], hats("c")]):
                    pass
            assert failed.value.answered == 1
            with pytest.raises(ZeroDivisionError):
                async for _ in client.stream_upserts(1 / 0 for _ in range(1)):  # type: ignore[misc]
                    pass
            with pytest.raises(DeadlineExceededError, match="no answer within") as late:
                async for _ in client.stream_upserts([[ItemInput("b", "trap: wait")]], timeout=0.3):
                    pass
            assert late.value.answered == 0
            engine.release.set()
            assert (await client.info()).items >= 24

    asyncio.run(scenario())


def test_a_cancelled_stream_leaves_the_server_well(engine: FakeEngine, server: BackgroundServer) -> None:
    async def scenario() -> None:
        async with AsyncClient(server.target) as client:

            async def run() -> None:
                async for _ in client.stream_upserts([[ItemInput("b", "trap: wait")]]):
                    pass

            task = asyncio.create_task(run())
            assert await asyncio.to_thread(engine.entered.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            engine.release.set()
            assert (await client.info()).items >= 20

    asyncio.run(scenario())


def test_streams_without_a_server_are_the_same(server: BackgroundServer) -> None:
    batches = [[*hats("a"), {"item_id": "x"}], [ItemInput("b", "hat", image=b"no picture")], hats("c", "c")]

    def told(results: list[ChangeResults]) -> list[tuple[object, ...]]:
        return [
            (result.done, result.versions, [entry.error and entry.error.message for entry in result.entries])
            for result in results
        ]

    async def awaited() -> list[ChangeResults]:
        async with AsyncClient(transport=AsyncEngineTransport(FakeEngine())) as client:
            return [results async for results in client.stream_upserts(batches)]

    with Client(server.target) as client, Client(transport=EngineTransport(FakeEngine())) as in_process:
        there = told(list(client.stream_upserts(batches)))
        assert there == told(list(in_process.stream_upserts(batches))) == told(asyncio.run(awaited()))
    assert there[2][2] == [None, "items[1]: the id is empty or there twice"]
    with pytest.raises(MmrecError, match="is closed"):
        list(in_process.stream_upserts(batches))
