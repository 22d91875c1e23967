"""Lists that are longer than one call may have, and the replies to their parts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput, Versions
from mmrec.contract.replies import Recommendations, ResolvedPath, ResolvedPaths, SearchResults
from mmrec.contract.requests import ItemsRequest, RecommendRequest, ResolveRequest, SearchRequest, SimilarRequest
from mmrec.errors import InvalidArgumentError, NotFoundError, UnavailableError
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.aio_transport import AsyncEngineTransport
from mmrec.sdk.client import Client
from mmrec.sdk.fake import AsyncFakeTransport, FakeTransport
from mmrec.sdk.transport import EngineTransport
from tests.fake_engine import FakeEngine

MANY = [{"item_id": f"n{n}", "title": "hat"} for n in range(2500)]


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(transport=EngineTransport(FakeEngine())) as made:
        yield made


def _applied(request: UpsertRequest) -> ChangeResults:
    errors = {4: InvalidArgumentError("items[4]: title is rude", field="items[4].title")} if len(request.items) else {}
    return request.results(errors, Versions(catalogue=request.items[-1].item_id))


def test_many_items_are_sent_in_several_calls_and_told_as_one_list() -> None:
    transport = FakeTransport(upsert_items=_applied)
    told: list[int] = []
    with Client(transport=transport) as client:
        done = client.upsert_items([*MANY[:2000], {}, *MANY[2001:]], request_id="r", on_progress=told.append)
    assert [(request.request_id, len(request.valid)) for request in transport.requests] == [
        ("r/0", 1000),
        ("r/1", 1000),
        ("r/2", 499),
    ]
    assert told == [1000, 2000, 2500]
    assert (len(done.entries), done.request_id, done.versions.catalogue) == (2500, "r", "n2499")
    refused = {n: entry.error for n, entry in enumerate(done.entries) if entry.error is not None}
    # The one without anything was refused here and not sent, so that the server counts without it.
    assert {n: error.violations[0].field for n, error in refused.items()} == {  # type: ignore[attr-defined]
        4: "items[4].title",
        1004: "items[1004].title",
        2000: "items[2000].title",
        2005: "items[2005].title",
    }
    assert refused[1004].message == "items[1004]: title is rude"


def test_the_asyncio_client_does_the_same() -> None:
    transport = AsyncFakeTransport(upsert_items=_applied)
    told: list[int] = []

    async def scenario() -> ChangeResults:
        async with AsyncClient(transport=transport) as client:
            return await client.upsert_items(MANY, on_progress=told.append)

    done = asyncio.run(scenario())
    assert (len(transport.requests), len(done.entries), told) == (3, 2500, [1000, 2000, 2500])
    assert [request.request_id for request in transport.requests] == ["", "", ""]


def test_a_list_of_one_call_keeps_its_request_id() -> None:
    transport = FakeTransport(upsert_items=_applied)
    with Client(transport=transport) as client:
        client.upsert_items(MANY[:1000], request_id="r")
    assert [request.request_id for request in transport.requests] == ["r"]


def test_large_pictures_make_parts_smaller() -> None:
    transport = FakeTransport(upsert_items=_applied)
    with Client(transport=transport) as client:
        client.upsert_items([{"item_id": f"n{n}", "image": bytes(5 * 2**20)} for n in range(10)])
    assert [len(request.items) for request in transport.requests] == [4, 4, 2]


def test_a_part_that_fails_says_how_many_were_answered() -> None:
    def fails_later(request: UpsertRequest) -> ChangeResults:
        if request.items[0].item_id != "n0":
            raise UnavailableError("down")
        return _applied(request)

    with Client(transport=FakeTransport(upsert_items=fails_later)) as client:
        with pytest.raises(UnavailableError, match="after 1 answered batches: down") as failed:
            client.upsert_items(MANY)
        assert failed.value.answered == 1
    with Client(transport=FakeTransport(upsert_items=UnavailableError("down"))) as client:
        with pytest.raises(UnavailableError, match=r"^down$") as failed:
            client.upsert_items(MANY)
        assert failed.value.answered is None


def test_a_request_id_that_grows_too_long_is_refused_before_anything_is_sent() -> None:
    transport = FakeTransport(upsert_items=_applied)
    with Client(transport=transport) as client, pytest.raises(InvalidArgumentError, match="request_id"):
        client.upsert_items(MANY, request_id="x" * 127)
    assert transport.requests == []


def test_many_ids_are_looked_up_each_once(client: Client) -> None:
    ids = ["item-3", *(f"no-{n}" for n in range(1500)), "item-4", "item-3"]
    found = client.items(iter(ids))
    assert [item.item_id for item in found.items] == ["item-3", "item-4"]
    assert found.missing_ids == tuple(f"no-{n}" for n in range(1500))
    with pytest.raises(InvalidArgumentError, match=r"item_ids\[1503\] is 7"):
        client.items([*ids, 7])  # type: ignore[list-item]


def test_many_ids_are_cut_by_number() -> None:
    transport = FakeTransport(items=lambda request: UnavailableError("no"))
    with Client(transport=transport) as client, pytest.raises(UnavailableError):
        client.items([f"a{n}" for n in range(1001)])
    assert [type(request) for request in transport.requests] == [ItemsRequest]
    assert len(transport.requests[0].item_ids) == 1000


def test_many_items_are_embedded(client: Client) -> None:
    told: list[int] = []
    items = [*MANY[:1200], ItemInput("odd", "", image=b"no picture"), {}]
    found = client.embed(items, on_progress=told.append)
    assert (len(found.items), told) == (1202, [1000, 1202])
    failures = {n: entry for n, entry in enumerate(found.items) if isinstance(entry, ItemFailure)}
    assert {n: entry.error.violations[0].field for n, entry in failures.items()}[1201] == "items[1201].title"  # type: ignore[attr-defined]


def test_many_events_are_recorded() -> None:
    engine, told = FakeEngine(), []
    with Client(transport=EngineTransport(engine)) as client:
        events = [{"item_id": "item-1", "event_type": "view", "user_id": "u"}] * 2001
        done = client.record_events([*events, {"item_id": "item-1"}], request_id="r", on_progress=told.append)
    assert [(request.request_id, len(request.valid)) for request in engine.recorded] == [
        ("r/0", 1000),
        ("r/1", 1000),
        ("r/2", 1),
    ]
    assert (len(done.entries), done.request_id, told) == (2002, "r", [1000, 2000, 2002])
    assert "events[2001]" in str(done.entries[2001].error)


def test_fields_of_an_update_that_are_read_once_hold_for_every_call() -> None:
    transport = FakeTransport(upsert_items=_applied)
    with Client(transport=transport) as client:
        client.upsert_items(MANY, fields=iter(["title"]))
    assert [request.fields for request in transport.requests] == [("title",)] * 3


def _deleted(request: DeleteRequest) -> ChangeResults:
    errors = {item_id: NotFoundError(item_id) for item_id in request.item_ids if item_id.endswith("7")}
    return request.results(errors, Versions(catalogue=request.item_ids[-1]))


def test_many_items_are_deleted_each_once_and_told_as_one_list() -> None:
    transport, told = FakeTransport(delete_items=_deleted), []
    ids = [*(f"n{n}" for n in range(1500)), "n3", "n7"]
    with Client(transport=transport) as client:
        done = client.delete_items(iter(ids), request_id="r", on_progress=told.append)
        assert client.delete_items(["n1", "n1"], request_id="s").request_id == "s"
    assert [(request.request_id, len(request.item_ids)) for request in transport.requests] == [
        ("r/0", 1000),
        ("r/1", 500),
        ("s", 2),
    ]
    assert ([entry.id for entry in done.entries], told) == (ids, [1000, 1500])
    assert (done.request_id, done.versions.catalogue, len(done.refused)) == ("r", "n1499", 151)
    assert [entry.error is None for entry in done.entries[-2:]] == [True, False]


def test_many_semantic_ids_are_asked_for_and_resolved(client: Client) -> None:
    told: list[int] = []
    ids = ["item-3", *(f"no-{n}" for n in range(1500)), "item-4", "no-1", "item-3"]
    found = client.semantic_ids(ids, on_progress=told.append)
    assert [entry.item_id for entry in found.entries] == ["item-3", "item-4", "item-3"]
    assert found.missing_ids == tuple(f"no-{n}" for n in range(1500))
    path = found.entries[0].semantic_id
    paths = client.resolve_semantic_ids([path] * 1001, on_progress=told.append)
    assert [item.item_id for entry in paths.entries for item in entry.items] == ["item-3"] * 1001
    assert told == [1000, 1504, 1000, 1001]


def test_a_path_that_is_refused_is_told_by_its_place_in_the_whole_list() -> None:
    def resolved(request: ResolveRequest) -> ResolvedPaths:
        refused = InvalidArgumentError("semantic_ids[0]: no code", field="semantic_ids[0]")
        return ResolvedPaths(
            tuple(ResolvedPath(path, error=None if path else refused) for path in request.semantic_ids)
        )

    with Client(transport=FakeTransport(resolve_semantic_ids=resolved)) as client:
        found = client.resolve_semantic_ids([(1,)] * 1000 + [()])
    assert [str(entry.error) for entry in found.entries if entry.error] == ["semantic_ids[1000]: no code"]


def test_many_items_and_ids_are_tagged(client: Client) -> None:
    told: list[int] = []
    items = [*MANY[:1200], ItemInput("odd", "", image=b"no picture")]
    ids = ["item-3", *(f"no-{n}" for n in range(1000)), "item-4", "no-1"]
    found = client.tag(items, item_ids=ids, labels=iter(["red", "blue"]), on_progress=told.append)
    assert told == [1000, 1201, 2201, 2204]
    assert [entry.item_id for entry in found.items] == [*(f"n{n}" for n in range(1200)), "odd", "item-3", "item-4"]
    (failure,) = (entry for entry in found.items if isinstance(entry, ItemFailure))
    assert str(failure.error).startswith("items[1200]")
    assert found.missing_ids == tuple(f"no-{n}" for n in range(1000))
    assert {len(entry.tags) for entry in found.items if not isinstance(entry, ItemFailure)} == {2}


def test_few_items_and_ids_are_tagged_in_one_call() -> None:
    engine = FakeEngine()
    with Client(transport=EngineTransport(engine)) as client:
        assert len(client.tag(MANY[:600], item_ids=["item-3"] * 400, labels=["red"]).items) == 1000
        assert engine.asked == [("tag", 1)]
        client.tag(MANY[:600], item_ids=["item-3"] * 401, labels=["red"])
    assert engine.asked == [("tag", 1)] * 3


def test_many_requests_are_sent_in_several_calls(client: Client) -> None:
    told: list[int] = []
    requests = [RecommendRequest(("item-1",), k=1)] * 1100 + [RecommendRequest(filter="nonsense = 1")]
    found = client.recommend_many(iter(requests), on_progress=told.append)
    assert [isinstance(entry, Recommendations) for entry in found] == [True] * 1100 + [False]
    assert "requests[1100]" in str(found[1100])
    similar = client.similar_many([SimilarRequest("item-1", k=1)] * 1001, on_progress=told.append)
    searched = client.search_many([SearchRequest("hat", k=1)] * 1001, on_progress=told.append)
    assert all(isinstance(entry, SearchResults) for entry in [*similar, *searched])
    assert (len(similar), len(searched), told) == (1001, 1001, [1000, 1101, 1000, 1001, 1000, 1001])
    with pytest.raises(InvalidArgumentError, match=r"requests\[1101\] is a str"):
        client.recommend_many([*requests, "x"])  # type: ignore[list-item]


def test_searches_by_large_pictures_make_parts_smaller() -> None:
    engine = FakeEngine()
    with Client(transport=EngineTransport(engine)) as client:
        client.search_many([SearchRequest(image=bytes(5 * 2**20))] * 6)
    assert engine.asked == [("search", 4), ("search", 2)]


def test_the_asyncio_client_cuts_lists_too() -> None:
    async def scenario() -> tuple[int, int, list[int]]:
        told: list[int] = []
        async with AsyncClient(transport=AsyncFakeTransport(delete_items=_deleted)) as client:
            deleted = await client.delete_items([f"n{n}" for n in range(1001)], on_progress=told.append)
        async with AsyncClient(transport=AsyncEngineTransport(FakeEngine())) as client:
            found = await client.recommend_many([RecommendRequest(k=1)] * 1001, on_progress=told.append)
        return len(deleted.entries), len(found), told

    assert asyncio.run(scenario()) == (1001, 1001, [1000, 1001, 1000, 1001])
