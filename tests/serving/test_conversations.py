"""Conversations have a thread and a bounded queue of their own: they never hold up recommending."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from mmrec.contract.conversation import ConversationTurn, ConverseRequest
from mmrec.contract.engine import Recommend
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import InternalError, MmrecError, ResourceExhaustedError
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine


class SlowTalker(FakeEngine):
    """Answers a message when `go_on` is set, with what was recommended meanwhile; breaks at the word *break*."""

    def __init__(self) -> None:
        super().__init__()
        self.talking, self.go_on = threading.Semaphore(0), threading.Event()
        self.talkers: set[str] = set()

    def converse_many(
        self, requests: Sequence[ConverseRequest], recommend: Recommend | None = None
    ) -> list[ConversationTurn | MmrecError]:
        self.talkers.add(threading.current_thread().name)
        if any(request.text == "break" for request in requests):
            raise RuntimeError("a fault")
        self.talking.release()
        assert self.go_on.wait(60)
        assert recommend is not None
        (found,) = recommend([RecommendRequest(k=2)])
        assert not isinstance(found, MmrecError)
        return [ConversationTurn(" and ".join(found.item_ids), found.items) for _ in requests]


def test_recommendations_are_answered_while_a_conversation_is_worked_on() -> None:
    engine = SlowTalker()
    with BackgroundServer(lambda: engine) as server, Client(server.target) as client, ThreadPoolExecutor() as pool:
        turn = pool.submit(client.converse(timeout=60).say, "hello")
        assert engine.talking.acquire(timeout=60)
        assert len(client.recommend(k=3).items) == 3
        assert not turn.done()
        engine.go_on.set()
        # What the conversation suggests comes from the engine's own thread, too.
        assert turn.result().item_ids == ("item-0", "item-1")
    assert engine.talkers == {"mmrec-language"}
    assert "mmrec-language" not in {str(thread) for thread in engine.threads}


class Moving(FakeEngine):
    """Loses its first item while a message is answered, before something is recommended."""

    def snapshot(self) -> FakeEngine:
        state = copy.copy(self)
        state.changed = self.change  # type: ignore[attr-defined]
        return state

    def converse_many(
        self, requests: Sequence[ConverseRequest], recommend: Recommend | None = None
    ) -> list[ConversationTurn | MmrecError]:
        self.changed(None, ["item-0"])  # type: ignore[attr-defined]
        assert recommend is not None
        (found,) = recommend([RecommendRequest(k=2)])
        assert not isinstance(found, MmrecError)
        return [ConversationTurn("These.", found.items, versions=self.versions) for _ in requests]


def test_what_a_conversation_suggests_is_of_the_state_that_its_reply_names() -> None:
    with BackgroundServer(Moving) as server, Client(server.target) as client:
        before = client.info().versions
        turn = client.converse(timeout=60).say("hello")
        assert (turn.item_ids, turn.versions) == (("item-0", "item-1"), before)
        assert client.recommend(k=2).item_ids == ("item-1", "item-2")
        assert client.info().versions != before


def test_when_too_many_conversations_wait_further_ones_are_refused_and_recommending_goes_on() -> None:
    engine = SlowTalker()
    config = ServerConfig(port=0, changes_in_memory=True, max_queue=1)
    with (
        BackgroundServer(lambda: engine, config) as server,
        Client(server.target) as client,
        ThreadPoolExecutor() as pool,
    ):
        first = pool.submit(client.converse(timeout=60).say, "hello")
        assert engine.talking.acquire(timeout=60)
        waiting = [pool.submit(client.converse(timeout=60).say, "hello") for _ in range(3)]
        refused = [one for one in waiting if isinstance(_error_of(one, 60), ResourceExhaustedError)]
        assert len(client.recommend(k=1).items) == 1
        engine.go_on.set()
        assert first.result().items
    assert len(refused) == 2


def _error_of(future: object, timeout: float) -> BaseException | None:
    """The error of a call that is refused at once; None for one that waits."""
    try:
        return future.exception(timeout=min(timeout, 3.0))  # type: ignore[attr-defined, no-any-return]
    except TimeoutError:
        return None


def test_a_fault_of_one_message_is_that_messages_alone() -> None:
    engine = SlowTalker()
    engine.go_on.set()
    with BackgroundServer(lambda: engine) as server, Client(server.target) as client, client.converse() as talk:
        with pytest.raises(InternalError) as failed:
            talk.say("break")
        assert "a fault" not in failed.value.message
        assert talk.say("hello").item_ids == ("item-0", "item-1")
