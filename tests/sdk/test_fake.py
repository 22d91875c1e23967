"""What a user's test says to a fake transport, and what the code under test has of it."""

from __future__ import annotations

import asyncio

import pytest

from mmrec.contract.changes import ChangeResults, UpsertRequest
from mmrec.contract.conversation import ConversationTurn
from mmrec.contract.items import NO_VERSIONS, ItemRecord, ScoredItem
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    NotImplementedYetError,
    UnavailableError,
)
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client
from mmrec.sdk.fake import AsyncFakeTransport, FakeTransport

LAMP = Recommendations("r1", (ScoredItem(ItemRecord("lamp", "A lamp"), 0.5),))


def test_a_given_reply_comes_and_the_request_is_seen() -> None:
    transport = FakeTransport(recommend=LAMP)
    with Client(transport=transport) as client:
        assert client.recommend(["chair"], k=3) == LAMP
    assert transport.requests == [RecommendRequest(["chair"], k=3)]


def test_the_asyncio_client_has_one_too() -> None:
    async def scenario() -> Recommendations:
        async with AsyncClient(transport=transport) as client:
            return await client.recommend(["chair"], k=3)

    transport = AsyncFakeTransport(recommend=LAMP)
    assert asyncio.run(scenario()) == LAMP
    assert transport.requests == [RecommendRequest(["chair"], k=3)]


def test_a_function_is_given_each_request_of_a_batch() -> None:
    def answer(request: RecommendRequest) -> Recommendations:
        if request.user_id == "nobody":
            raise NotFoundError("there is no user 'nobody'")
        return Recommendations(request.user_id, ())

    with Client(transport=FakeTransport(recommend=answer)) as client:
        first, second = client.recommend_many([RecommendRequest(user_id="ada"), RecommendRequest(user_id="nobody")])
    assert first == Recommendations("ada", ())
    assert isinstance(second, NotFoundError)
    assert second.message == "there is no user 'nobody'"


def test_an_error_is_raised_each_time_anew_with_what_a_server_sends_of_it() -> None:
    with Client(transport=FakeTransport(search=UnavailableError("down", retry_after_s=2.0))) as client:
        for _ in range(2):
            with pytest.raises(UnavailableError) as failed:
                client.search("lamp")
            assert (failed.value.message, failed.value.retry_after_s) == ("down", 2.0)


def test_requests_are_checked_before_they_are_seen() -> None:
    transport = FakeTransport(recommend=LAMP)
    with Client(transport=transport) as client, pytest.raises(InvalidArgumentError, match="k"):
        client.recommend(k=-1)
    assert transport.requests == []


def test_batches_of_a_stream_are_answered_each_by_the_reply_to_upsert_items() -> None:
    def accept(request: UpsertRequest) -> ChangeResults:
        return request.results({}, NO_VERSIONS)

    transport = FakeTransport(upsert_items=accept)
    batches = [[{"item_id": "a", "title": "A"}], [{"item_id": "b", "title": "B"}]]
    with Client(transport=transport) as client:
        assert [results.done for results in client.stream_upserts(batches)] == [("a",), ("b",)]
    assert [[item.item_id for item in request.valid] for request in transport.requests] == [["a"], ["b"]]


def test_a_conversation_is_answered_turn_by_turn() -> None:
    transport = FakeTransport(converse=lambda request: ConversationTurn(f"You said {request.text}."))
    with Client(transport=transport) as client, client.converse() as conversation:
        assert conversation.say("lamps").text == "You said lamps."
        assert conversation.say("red ones").text == "You said red ones."


def test_a_method_without_a_reply_says_how_to_give_one() -> None:
    with (
        Client(transport=FakeTransport(recommend=LAMP)) as client,
        pytest.raises(NotImplementedYetError, match=r"no reply is given for similar; pass FakeTransport\(similar="),
    ):
        client.similar("lamp")


def test_a_reply_to_a_method_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="a reply is given for 'recomend', which is no method; the methods"):
        FakeTransport(recomend=LAMP)


def test_a_reply_of_another_method_is_refused() -> None:
    with (
        Client(transport=FakeTransport(search=LAMP)) as client,
        pytest.raises(InvalidArgumentError, match="reply to search is a Recommendations; it must be a SearchResults"),
    ):
        client.search("lamp")


def test_a_closed_client_is_refused() -> None:
    client = Client(transport=FakeTransport(recommend=LAMP))
    client.close()
    with pytest.raises(FailedPreconditionError, match="is closed"):
        client.recommend()
