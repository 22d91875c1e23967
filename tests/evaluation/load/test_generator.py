"""A load on a real server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import InvalidArgumentError, MmrecError, UnauthenticatedError
from mmrec.evaluation.load import CALLS, Load, run_load
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import ITEMS, FakeEngine


class Noting(FakeEngine):
    """Writes down what it was asked, and refuses where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.histories: list[tuple[str, ...]] = []
        self.refuse = False

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        self.histories += [request.history for request in requests]
        if self.refuse:
            return [InvalidArgumentError("no") for _ in requests]
        return super().recommend_many(requests)


@pytest.fixture
def engine() -> Iterator[Noting]:
    made = Noting()
    yield made
    made.release.set()


@pytest.fixture
def server(engine: Noting) -> Iterator[BackgroundServer]:
    with BackgroundServer(lambda: engine) as running:
        yield running


def test_calls_come_at_their_times_whether_or_not_others_were_answered(
    engine: Noting, server: BackgroundServer
) -> None:
    result = run_load(server.target, Load(40, 1.0, 0.25, 20.0, history=3, k=2, arrivals="even", connections=2))
    assert (result.calls, result.goodput_per_s, result.unanswered, result.hung) == (40, 40.0, 0, 0)
    assert {code: found.calls for code, found in result.codes.items()} == {"OK": 40}
    assert sum(second.get("OK", 0) for second in result.by_second) == 40
    # The engine's own first question, and those of the warm-up.
    drawn = [history for history in engine.histories if len(history) == 3]
    assert len(drawn) == 50
    assert len(set(drawn)) > 40
    assert {item_id for history in drawn for item_id in history} <= {f"item-{row}" for row in range(ITEMS)}


def test_every_kind_of_call_is_answered(server: BackgroundServer) -> None:
    kinds = dict.fromkeys(CALLS, 1.0)
    result = run_load(server.target, Load(100, 1.0, 0.0, 20.0, calls=kinds, history=3, seed=3))
    assert set(result.by_call) == set(CALLS)
    assert set(result.codes) == {"OK"}


def test_the_same_seed_sends_the_same_calls(engine: Noting, server: BackgroundServer) -> None:
    asked = []
    for seed in (1, 1, 2):
        engine.histories.clear()
        run_load(server.target, Load(20, 0.5, 0.0, 20.0, history=4, seed=seed))
        asked.append(sorted(engine.histories))
    assert asked[0] == asked[1] != asked[2]


def test_a_call_without_an_answer_before_its_deadline_is_counted_as_such(
    engine: Noting, server: BackgroundServer
) -> None:
    load = Load(10, 0.5, 0.0, 0.2, calls={"search": 1.0}, arrivals="even")
    engine.records = {"item-0": engine.records["item-0"]}
    engine.records["item-0"] = type(engine.records["item-0"])("item-0", "trap: wait", "", "", {}, (0, 255, 0))
    result = run_load(server.target, load)
    assert result.calls == 5
    assert "OK" not in result.codes
    assert result.unanswered >= 1
    assert result.hung == 0


def test_an_error_of_the_server_is_its_status_code(engine: Noting, server: BackgroundServer) -> None:
    engine.refuse = True
    result = run_load(server.target, Load(10, 0.5, 0.0, 20.0, history=2, arrivals="even"))
    assert {code: found.calls for code, found in result.codes.items()} == {"INVALID_ARGUMENT": 5}
    assert (result.unanswered, result.goodput_per_s, result.histogram) == (0, 0.0, ())


def test_a_server_that_cannot_be_asked_is_told_before_anything_is_sent(engine: Noting) -> None:
    config = ServerConfig(port=0, token="s3cret")
    with BackgroundServer(lambda: engine, config) as running:
        with pytest.raises(UnauthenticatedError):
            run_load(running.target, Load(10, 0.5))
        assert run_load(running.target, Load(10, 0.5, 0.0, 20.0), token="s3cret").goodput_per_s > 0
