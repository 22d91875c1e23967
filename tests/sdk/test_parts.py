"""Lists that are longer than one call may have, and the replies to their parts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from mmrec.contract.changes import ChangeResults, UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput, Versions
from mmrec.contract.requests import ItemsRequest
from mmrec.errors import InvalidArgumentError, UnavailableError
from mmrec.sdk.aio import AsyncClient
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
    with pytest.raises(InvalidArgumentError, match="item_ids"):
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
