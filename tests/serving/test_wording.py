"""Words of a language model have a thread and a bounded queue of their own, and a reply never waits for them long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from itertools import islice
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mmrec.contract.conversation import ConversationTurn
from mmrec.contract.engine import Stop, never
from mmrec.contract.replies import Explanations
from mmrec.errors import InvalidArgumentError
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import EngineExit, FakeEngine

PLAIN = "Because of item-0."
WAIT_S = 60


class Writer:
    """Words explanations and turns, each when `go_on` is set. A turn has two sentences; *break* breaks the second."""

    def __init__(self, seconds: float = WAIT_S) -> None:
        self.seconds = seconds
        self.begun, self.go_on, self.ended = threading.Semaphore(0), threading.Event(), threading.Semaphore(0)
        self.threads: set[str] = set()
        self.breaks, self.exits = False, False
        self.stopped: list[bool] = []

    def applies(self, reply: Any) -> bool:
        return isinstance(reply, Explanations | ConversationTurn)

    def parts(self, reply: Any, stop: Stop = never) -> Iterator[Any]:
        plain = stop()
        if not plain:
            self.threads.add(threading.current_thread().name)
            self.begun.release()
            while not (self.go_on.wait(0.01) or stop()):
                pass
            self.stopped.append(stop())
            if self.exits:
                raise EngineExit
        worded = not (plain or stop())
        if isinstance(reply, Explanations):
            text = "In other words." if worded else None
            yield replace(reply, explanations=tuple(replace(one, text=text or one.text) for one in reply.explanations))
        else:
            for sentence in ("First. ", "Second."):
                if self.breaks and worded and sentence == "Second.":
                    raise RuntimeError("a fault of the model")
                yield ConversationTurn(sentence.lower() if worded else sentence, done=False, worded=worded)
            yield replace(reply, text="", worded=worded)
        self.ended.release()


class WordyEngine(FakeEngine):
    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self.writer = writer

    def wording(self) -> Writer:
        return self.writer


def served(writer: Writer, **config: Any) -> BackgroundServer:
    return BackgroundServer(lambda: WordyEngine(writer), ServerConfig(port=0, changes_in_memory=True, **config))


def text_of(found: Explanations) -> str:
    return found.explanations[0].text


def explain(client: Client, timeout: float = WAIT_S) -> str:
    return text_of(client.explain(["item-3"], ["item-0"], timeout=timeout))


def test_an_explanation_is_worded_in_a_thread_of_its_own_while_others_are_answered() -> None:
    writer = Writer()
    with served(writer) as server, Client(server.target) as client, ThreadPoolExecutor() as pool:
        asked = pool.submit(explain, client)
        assert writer.begun.acquire(timeout=WAIT_S)
        assert len(client.recommend(k=3).items) == 3
        assert not asked.done()
        writer.go_on.set()
        assert asked.result() == "In other words."
    assert writer.threads == {"mmrec-wording"}


def test_a_full_queue_leaves_sentences_plain() -> None:
    writer = Writer()
    with served(writer, wording_queue=1) as server, Client(server.target) as client, ThreadPoolExecutor(8) as pool:
        first = pool.submit(explain, client)
        assert writer.begun.acquire(timeout=WAIT_S)
        others = [pool.submit(explain, client) for _ in range(4)]
        # One of them waits; the others are answered at once.
        assert [one.result() for one in islice(as_completed(others, WAIT_S), 3)] == [PLAIN] * 3
        writer.go_on.set()
        assert first.result() == "In other words."
        assert [one.result() for one in others].count("In other words.") == 1


def test_when_the_time_is_up_before_its_turn_comes_a_reply_goes_out_as_it_is() -> None:
    writer = Writer(seconds=0.5)
    with served(writer) as server, Client(server.target) as client, ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: explain(client), range(3)))
    assert found == [PLAIN] * 3
    assert writer.stopped[0] is True


def test_the_deadline_of_a_call_ends_the_writing() -> None:
    writer = Writer()
    with served(writer) as server, Client(server.target) as client:
        assert explain(client, timeout=2.0) == PLAIN


def test_a_call_that_is_cancelled_ends_the_writing() -> None:
    writer = Writer()
    with served(writer) as server, Client(server.target) as client, client.converse(timeout=WAIT_S) as talk:
        pieces = talk.pieces("hello")
        with ThreadPoolExecutor() as pool:
            pool.submit(next, pieces)
            assert writer.begun.acquire(timeout=WAIT_S)
            talk.close()
            assert writer.ended.acquire(timeout=WAIT_S)
    assert writer.stopped == [True]


def test_a_turn_comes_sentence_by_sentence() -> None:
    writer = Writer()
    writer.go_on.set()
    with served(writer) as server, Client(server.target) as client, client.converse() as talk:
        pieces = list(talk.pieces("hello"))
        turn = talk.say("another")
    assert [(piece.text, piece.worded, piece.done) for piece in pieces] == [
        ("first. ", True, False),
        ("second.", True, False),
        ("", True, True),
    ]
    assert pieces[-1].item_ids == ("item-0",)
    assert (turn.text, turn.worded, turn.item_ids) == ("first. second.", True, ("item-1",))


def test_a_fault_of_the_model_leaves_the_rest_plain() -> None:
    writer = Writer()
    writer.go_on.set()
    writer.breaks = True
    with served(writer) as server, Client(server.target) as client, client.converse() as talk:
        turn = talk.say("hello")
        assert (turn.text, turn.item_ids) == ("first. Second.", ("item-0",))
        writer.breaks = False
        assert talk.say("go on").text == "first. second."


def test_when_the_thread_of_the_model_ends_the_server_goes_on_without_it() -> None:
    writer = Writer()
    writer.go_on.set()
    writer.exits = True
    with served(writer) as server, Client(server.target) as client:
        assert [explain(client) for _ in range(3)] == [PLAIN] * 3
        with grpc.insecure_channel(server.target) as channel:
            found = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=""))
        assert found.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("queue", [0, -1])
def test_the_queue_has_at_least_one_place(queue: int) -> None:
    with pytest.raises(InvalidArgumentError, match="wording_queue"):
        ServerConfig(wording_queue=queue)


def test_the_same_words_in_process() -> None:
    writer = Writer()
    writer.go_on.set()
    engine = WordyEngine(writer)
    assert text_of(engine.explain(["item-3"], ["item-0"])) == "In other words."
    with engine.converse() as talk:
        assert [piece.text for piece in talk.pieces("hello")] == ["first. ", "second.", ""]
