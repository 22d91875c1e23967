"""What every engine, and every way of calling one, must do: shared by the tests of each of them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pytest

from mmrec.aio import AsyncClient, AsyncEngineTransport
from mmrec.client import Client
from mmrec.errors import InvalidArgumentError, MmrecError, NotFoundError
from mmrec.transport import EngineTransport
from mmrec.types import (
    MAX_K,
    EmbedRequest,
    EmbedResults,
    Engine,
    Fallback,
    ItemEmbedding,
    ItemFailure,
    ItemInput,
    Recommendations,
    RecommendRequest,
    SearchRequest,
    SearchResults,
    SimilarRequest,
)

NOT_THERE = "no such item \u2603"


class Calls(Protocol):
    """What `Client` and `mmrec.Recommender` have in common."""

    recommend: Callable[..., Recommendations]
    recommend_many: Callable[..., list[Recommendations | MmrecError]]
    similar: Callable[..., SearchResults]
    search: Callable[..., SearchResults]
    embed: Callable[..., EmbedResults]
    items: Callable[..., Any]
    info: Callable[..., Any]


class Blocking:
    """An `AsyncClient` with the calls of its blocking twin, for as long as `runner` lives."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            async def awaited() -> Any:
                return await method(*args, **kwargs)

            return self._runner.run(awaited())

        return call


# --- engines ------------------------------------------------------------------------------------------------


def assert_engine_contract(engine: Engine, known: list[str]) -> None:
    """The batch law and the promises of `mmrec.types.Engine`.

    Args:
        engine: The engine.
        known: At least three ids that its catalogue has.
    """
    info = engine.info()
    first, second, third = known[:3]
    assert info.items >= 3

    assert engine.recommend_many([]) == []
    asked = [
        RecommendRequest(history=(first, second), k=3),
        RecommendRequest(),
        RecommendRequest(history=(NOT_THERE, first, NOT_THERE), k=2),
        RecommendRequest(history=(first,), k=MAX_K),
        RecommendRequest(history=(first,), allow=(second, third), k=5),
        RecommendRequest(history=(first,), deny=(second,), k=MAX_K),
        RecommendRequest(history=(first,), allow=(first,), k=5),
        RecommendRequest(history=(first,), allow=(first,), include_seen=True, k=5),
    ]
    replies = engine.recommend_many(asked)
    assert len(replies) == len(asked)
    for request, reply in zip(asked, replies, strict=True):
        assert isinstance(reply, Recommendations), reply
        assert_ranked(reply.items, at_most=request.k)
        assert reply.versions == info.versions
        assert reply.recommendation_id
    plain, empty, unknown, whole, allowed, denied, only_seen, seen_again = replies
    assert len(plain.items) == min(3, info.items - 2)
    assert not {first, second} & set(plain.item_ids)
    assert empty.fallback is Fallback.POPULARITY
    assert plain.fallback is Fallback.NONE
    assert unknown.missing_ids == (NOT_THERE,)
    assert len(whole.items) == min(MAX_K, info.items - 1)
    assert sorted(allowed.item_ids) == sorted([second, third])
    assert second not in denied.item_ids
    assert only_seen.item_ids == ()
    assert seen_again.item_ids == (first,)
    # One request's reply does not hang on its neighbours.
    alone = engine.recommend_many([asked[0]])[0]
    assert isinstance(alone, Recommendations)
    assert alone.item_ids == plain.item_ids

    similar = engine.similar_many(
        [SimilarRequest(first, 3), SimilarRequest(NOT_THERE, 3), SimilarRequest(first, MAX_K)]
    )
    assert len(similar) == 3
    assert isinstance(similar[0], SearchResults)
    assert isinstance(similar[2], SearchResults)
    assert_ranked(similar[0].items, at_most=3)
    assert first not in similar[2].item_ids
    assert len(similar[2].items) == min(MAX_K, info.items - 1)
    assert isinstance(similar[1], NotFoundError)

    found = engine.search_many([SearchRequest("red shoes", k=2), SearchRequest("x", k=MAX_K)])
    for results, count in zip(found, (2, min(MAX_K, info.items)), strict=True):
        assert isinstance(results, SearchResults), results
        assert_ranked(results.items, at_most=count)
        assert len(results.items) == count
        assert all(-1.0001 <= scored.score <= 1.0001 for scored in results.items)

    embedded = engine.embed_many(
        [
            EmbedRequest((ItemInput("a", "red shoes"), ItemInput("b", "hat", image=b"no picture"))),
            EmbedRequest(()),
        ]
    )
    assert len(embedded) == 2
    assert isinstance(embedded[0], EmbedResults)
    assert isinstance(embedded[1], EmbedResults)
    good, bad = embedded[0].items
    assert isinstance(good, ItemEmbedding)
    assert good.item_id == "a"
    assert good.vector.shape == (info.dimension,)
    assert good.vector.dtype == np.float32
    assert float(np.linalg.norm(good.vector)) == pytest.approx(1.0, abs=1e-3)
    assert isinstance(bad, ItemFailure)
    assert isinstance(bad.error, InvalidArgumentError)
    assert embedded[1].items == ()

    items, missing = engine.get_items([second, NOT_THERE, first, NOT_THERE])
    assert [item.item_id for item in items] == [second, first]
    assert missing == [NOT_THERE]
    assert all(len(item.semantic_id) == info.levels for item in items)


def assert_ranked(items: tuple[Any, ...], *, at_most: int) -> None:
    """No item twice, best first, not too many."""
    assert len(items) <= at_most
    assert len({scored.item_id for scored in items}) == len(items)
    scores = [scored.score for scored in items]
    assert scores == sorted(scores, reverse=True)


# --- ways of calling ----------------------------------------------------------------------------------------


def outcome(call: Callable[[Calls], Any], way: Calls) -> Any:
    """What a call gives, in a form that can be compared: its value, or the class and words of its error."""
    try:
        value = call(way)
    except MmrecError as err:
        return _comparable(err)
    return _comparable(value)


def _comparable(value: Any) -> Any:
    if isinstance(value, MmrecError):
        return (type(value).__name__, value.message, getattr(value, "violations", ()))
    if isinstance(value, list | tuple):
        return [_comparable(entry) for entry in value]
    if isinstance(value, ItemEmbedding):
        return (value.item_id, value.vector.tolist(), value.semantic_id)
    if isinstance(value, ItemFailure):
        return (value.item_id, _comparable(value.error))
    if isinstance(value, EmbedResults):
        return (_comparable(value.items), value.versions)
    if isinstance(value, Recommendations):
        return (value.items, value.missing_ids, value.fallback, value.versions)
    return value


def calls_to_compare(known: list[str]) -> list[Callable[[Calls], Any]]:
    """Calls, good and bad, whose outcomes must not hang on the way they are made."""
    first, second = known[:2]
    return [
        lambda c: c.recommend(),
        lambda c: c.recommend([first, second], k=3),
        lambda c: c.recommend([first, NOT_THERE], k=3, deny=[second], explain=True),
        lambda c: c.recommend(iter([first]), k=2, allow={first}, include_seen=True),
        lambda c: c.recommend([first], k=0),
        lambda c: c.recommend([first], k=10**9),
        lambda c: c.recommend([first], k=-1),
        lambda c: c.recommend([first], k=2.5),
        lambda c: c.recommend([first], k=np.int64(2)),
        lambda c: c.recommend(first),
        lambda c: c.recommend([7]),
        lambda c: c.recommend(None),
        lambda c: c.recommend(["\ud800"]),
        lambda c: c.recommend(["x" * 513]),
        lambda c: c.recommend_many([RecommendRequest((first,), k=2), RecommendRequest(k=1)]),
        lambda c: c.recommend_many([]),
        lambda c: c.similar(first, 3),
        lambda c: c.similar(first, k=10**6),
        lambda c: c.similar(NOT_THERE),
        lambda c: c.similar(""),
        lambda c: c.search("red shoes", k=2),
        lambda c: c.search(),
        lambda c: c.search("   "),
        lambda c: c.search("x" * 1_000_000),
        lambda c: c.search("x", text_weight=float("nan")),
        lambda c: c.search(image=b""),
        lambda c: c.search(image="/no/such/picture.jpg"),
        lambda c: c.embed([]),
        lambda c: c.embed([{"item_id": "a", "title": "red shoes"}, ItemInput("b", "hat")]),
        lambda c: c.embed([{"item_id": "a"}, {"item_id": "b", "title": "hat", "image": b"no picture"}]),
        lambda c: c.embed([{"colour": "red"}]),
        lambda c: c.embed([{"title": "hat", "attributes": ["red"]}, {"title": 7}, {"item_id": 7}]),
        lambda c: c.embed([7]),
        lambda c: c.embed("hat"),
        lambda c: c.embed([{"title": "hat"}], dimension=-1),
        lambda c: c.items([second, NOT_THERE, first]),
        lambda c: c.items([]),
        lambda c: c.items([first] * 1001),
        lambda c: c.info(),
    ]


def assert_same_calls(one: Calls, other: Calls, known: list[str]) -> None:
    """Two ways of calling the same engine give the same values and the same errors."""
    for call in calls_to_compare(known):
        assert outcome(call, one) == outcome(call, other), inspect.getsource(call)


def assert_twins(engine: Any, known: list[str], target: str | None = None) -> None:
    """In process, through both clients without a server and, given a target, with one: all the same.

    Args:
        engine: An engine with the methods of `mmrec.calls.EngineCalls`.
        known: At least two ids that its catalogue has.
        target: Address of a server of the same engine, or None.
    """
    with Client(transport=EngineTransport(engine)) as client:
        assert_same_calls(engine, client, known)
    with asyncio.Runner() as runner:
        in_process = AsyncClient(transport=AsyncEngineTransport(engine))
        for client_ in [in_process, AsyncClient(target)] if target else [in_process]:
            assert_same_calls(engine, Blocking(client_, runner), known)  # type: ignore[arg-type]
            runner.run(client_.close())
    if target:
        with Client(target) as client:
            assert_same_calls(engine, client, known)
