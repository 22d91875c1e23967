"""Conversations of the three forms of the SDK: turns, pieces, and the state that the client keeps."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from mmrec import Constraint
from mmrec.contract.conversation import MAX_TURNS, ConversationState, ConversationTurn
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client
from mmrec.sdk.turns import turn_pieces
from mmrec_serving import BackgroundServer
from tests.fake_engine import FakeEngine


def test_a_conversation_is_the_same_in_process_and_through_both_clients_and_a_server() -> None:
    engine = FakeEngine()

    async def awaited(target: str) -> list[ConversationTurn]:
        async with AsyncClient(target) as client, client.converse(["item-0"], k=2) as talk:
            return [await talk.say("hello"), await talk.say("another one")]

    with BackgroundServer(lambda: engine) as server:
        with Client(server.target) as client, client.converse(["item-0"], k=2) as talk:
            over_the_wire = [talk.say("hello"), talk.say("another one")]
        assert asyncio.run(awaited(server.target)) == over_the_wire
    with engine.converse(["item-0"], k=2) as talk:
        assert [talk.say("hello"), talk.say("another one")] == over_the_wire
    assert [turn.item_ids for turn in over_the_wire] == [("item-1", "item-2"), ("item-3", "item-4")]


def test_a_turn_comes_in_pieces_whose_last_one_has_the_items() -> None:
    engine = FakeEngine()
    with BackgroundServer(lambda: engine) as server, Client(server.target) as client, client.converse() as talk:
        pieces = list(talk.pieces("hello"))
    assert len(pieces) > 1
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert [piece.item_ids for piece in pieces[:-1]] == [()] * (len(pieces) - 1)
    assert "".join(piece.text for piece in pieces).endswith("to you, my friend.")
    assert pieces[-1].item_ids == ("item-0",)
    assert talk.state == pieces[-1].state


def test_a_turn_that_is_left_in_the_middle_does_not_answer_the_next_message() -> None:
    engine = FakeEngine()
    with BackgroundServer(lambda: engine) as server, Client(server.target) as client, client.converse() as talk:
        pieces = talk.pieces("hello")
        next(pieces)
        pieces.close()  # type: ignore[attr-defined]  # a generator
        assert talk.say("hello again").item_ids == ("item-0",)


def test_the_state_is_the_clients_and_may_be_edited_stored_and_taken_up() -> None:
    engine = FakeEngine()
    chip = Constraint("price", "price < 50")
    with engine.converse() as talk:
        talk.say("hello")
        talk.state = replace(talk.state, constraints=(chip,))
        turn = talk.say("go on")
    assert turn.constraints == (chip,)
    with engine.converse(state=turn.state) as taken_up:
        assert taken_up.say("and now").item_ids == ("item-2",)


@pytest.mark.parametrize(
    ("text", "state", "message"),
    [
        ("", ConversationState(), "neither text nor image is given"),
        ("a" * 2_001, ConversationState(), "2,001 characters"),
        ("hello", ConversationState(turns=MAX_TURNS), "a conversation has at most 200 turns"),
    ],
)
def test_limits_of_a_message(text: str, state: ConversationState, message: str) -> None:
    talk = FakeEngine().converse()
    talk.state = state
    with pytest.raises(InvalidArgumentError, match=message):
        talk.say(text)


def test_a_refused_message_leaves_the_state_and_the_conversation() -> None:
    with FakeEngine().converse() as talk:
        talk.say("hello")
        before = talk.state
        with pytest.raises(InvalidArgumentError):
            talk.say("")
        assert talk.state == before
        assert talk.say("go on").item_ids == ("item-1",)


def test_a_constraint_without_a_condition() -> None:
    with pytest.raises(InvalidArgumentError, match="condition is empty; write one such as price < 50"):
        Constraint("price", " ")


def test_a_conversation_with_a_closed_client() -> None:
    client = Client("localhost:1")
    talk = client.converse()
    client.close()
    with pytest.raises(FailedPreconditionError, match="is closed; make a new one"):
        talk.say("hello")


@pytest.mark.parametrize("text", ["", "one", "one two three four", " two  spaces ", "a b c d e f g h"])
def test_the_pieces_of_a_turn_make_it_whole(text: str) -> None:
    turn = ConversationTurn(text, asked_column="price")
    pieces = turn_pieces(turn)
    assert replace(pieces[-1], text="".join(piece.text for piece in pieces)) == turn
